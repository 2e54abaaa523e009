// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/handed.h"

#include <utility>

#include "agent/spans/address.h"
#include "agent/spans/span_builder.h"
#include "exporter/model/wire_reader.h"

namespace spantap {
namespace {

// What an exchange may add; which of them a span has is a bit each.
enum Fact : uint8_t { kPeerAddress, kPeerPort, kProtocolVersion, kRequestSize, kResponseSize, kFactCount };
constexpr absl::string_view kFactNames[kFactCount] = {"network.peer.address", "network.peer.port",
                                                      "network.protocol.version", "http.request.body.size",
                                                      "http.response.body.size"};

uint32_t FactsIn(const AttributeBlob& attributes) {
  constexpr uint32_t kKey = 1;
  uint32_t facts = 0;
  WireReader reader(attributes.bytes());
  for (WireField attribute; reader.Next(&attribute);) {
    WireReader parts(attribute.bytes);
    WireField key;
    if (!parts.Next(&key) || !key.Is(kKey, WireType::kLength)) continue;
    if (key.bytes.empty() || (key.bytes[0] != 'n' && key.bytes[0] != 'h')) continue;
    for (uint8_t i = 0; i < kFactCount; ++i) {
      if (key.bytes == kFactNames[i]) facts |= 1u << i;
    }
  }
  return facts;
}

void AddFacts(const Exchange& exchange, AttributeBlob* attributes) {
  const uint32_t known = FactsIn(*attributes);
  const auto lacks = [known](Fact fact) { return (known & 1u << fact) == 0; };
  const ConnectionEnds& endpoint = exchange.endpoint;
  char text[kAddressTextBytes];
  const absl::string_view peer = FormatAddress(endpoint.family, endpoint.peer_addr, text);
  if (!peer.empty() && lacks(kPeerAddress)) {
    attributes->AddString(kFactNames[kPeerAddress], peer);
    if (lacks(kPeerPort)) attributes->AddInt(kFactNames[kPeerPort], endpoint.peer_port);
  }
  // Without its name a version is HTTP's.
  if (lacks(kProtocolVersion) && exchange.request.protocol == "http") {
    const uint8_t version = exchange.request.version;
    attributes->AddString(kFactNames[kProtocolVersion], version == 10 ? "1.0" : version == 20 ? "2" : "1.1");
  }
  const BodySizes sizes = BodySizesOf(exchange);
  if (sizes.request && lacks(kRequestSize)) attributes->AddInt(kFactNames[kRequestSize], *sizes.request);
  if (sizes.response && lacks(kResponseSize)) attributes->AddInt(kFactNames[kResponseSize], *sizes.response);
}

}  // namespace

Span JoinSpan(LinkedExchange& linked) {
  Span span = std::move(linked.handed->span);
  linked.handed.reset();
  if (span.trace_id != linked.trace_id) span.trace_state.clear();  // it belongs to the trace it came with
  span.trace_id = linked.trace_id;
  span.span_id = linked.span_id;
  span.parent_span_id = linked.parent_span_id;
  span.parent_is_remote = linked.parent_is_remote;
  span.flags = linked.flags;
  AddFacts(*linked.exchange, &span.attributes);
  AddLinkFacts(linked, &span);
  AddDoubts(*linked.exchange, &span.attributes);
  return span;
}

Span LoneSpan(HandedSpan& handed, const TraceId& trace_id) {
  Span span = std::move(handed.span);
  if (span.trace_id == trace_id) return span;
  LinkedExchange moved;
  moved.wire_trace_id = span.trace_id;
  moved.wire_parent_id = span.span_id;
  span.trace_id = trace_id;
  span.trace_state.clear();
  AddLinkFacts(moved, &span);
  return span;
}

}  // namespace spantap
