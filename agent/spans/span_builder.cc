// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/span_builder.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "agent/spans/address.h"
#include "agent/spans/forwarded.h"
#include "agent/spans/http_method.h"
#include "exporter/model/url.h"

namespace spantap {
namespace {

// A typical span has 14 attributes in some 500 bytes: one allocation.
constexpr size_t kExpectedBlobBytes = 640;
constexpr absl::string_view kHttp = "http";

// What several attributes are made from, taken apart once.
struct Parts {
  const LinkedExchange& linked;
  const Exchange& exchange;
  const SpanStyle& style;
  RequestHeaders headers;
  Origin origin;  // servers only: in a client's request it names the leg before
  Target target;
  Authority server;  // of the URL: target, else Host
  absl::string_view scheme;
};

Parts TakeApart(const LinkedExchange& linked, const SpanStyle& style) {
  const Exchange& exchange = *linked.exchange;
  Parts parts{linked, exchange, style, CollectHeaders(exchange.request), {}, {}, {}, "http"};
  parts.target = SplitTarget(exchange.request.target, exchange.request.method == "CONNECT");
  absl::string_view authority = parts.target.authority.empty() ? parts.headers.host : parts.target.authority;
  if (!exchange.request.scheme.empty()) parts.scheme = exchange.request.scheme;
  if (!parts.target.scheme.empty()) parts.scheme = parts.target.scheme;
  if (exchange.role == Role::kServer) {
    parts.origin = OriginOf(parts.headers);
    if (!parts.origin.host.empty()) authority = parts.origin.host;
    if (!parts.origin.proto.empty()) parts.scheme = parts.origin.proto;
    if (parts.origin.client.empty()) parts.origin.client = exchange.request.client;
  }
  parts.server = SplitAuthority(authority);
  return parts;
}

void AddMethod(const Parts& parts, Span* span) {
  const absl::string_view method = parts.exchange.request.method;
  const bool known = IsKnownMethod(method);
  span->name = std::string(SpanName(method));
  span->attributes.AddString("http.request.method", known ? method : "_OTHER");
  if (!known) span->attributes.AddString("http.request.method_original", method);
}

void AddServerUrl(const Parts& parts, AttributeBlob* attributes) {
  // CONNECT names no path.
  if (!parts.target.path.empty()) attributes->AddString("url.path", parts.target.path);
  if (!parts.target.query.empty()) {
    std::string query;
    AppendQuery(parts.target.query, parts.style.query_values, &query);
    if (!query.empty()) attributes->AddString("url.query", query);
  }
  attributes->AddString("url.scheme", parts.scheme);
}

// scheme://authority/path?query. Without an authority (HTTP/1.0) the address that was connected to.
void AddClientUrl(const Parts& parts, absl::string_view peer, AttributeBlob* attributes) {
  if (parts.target.path.empty() || parts.target.path == "*") return;
  std::string url;
  url.reserve(parts.scheme.size() + parts.server.host_port.size() + parts.exchange.request.target.size() + 64);
  url.append(parts.scheme.data(), parts.scheme.size()).append("://");
  if (!parts.server.user_info.empty()) url.append("REDACTED:REDACTED@");
  const absl::string_view host = parts.server.host_port.empty() ? peer : parts.server.host_port;
  url.append(host.data(), host.size());
  AppendPathAndQuery(parts.target, parts.style.query_values, &url);
  attributes->AddString("url.full", url);
}

// The address a server span names is the one its client asked for; what the socket says is the fallback.
void AddServer(const Parts& parts, absl::string_view local, absl::string_view peer, AttributeBlob* attributes) {
  const ConnectionEnds& endpoint = parts.exchange.endpoint;
  const bool client = parts.exchange.role == Role::kClient;
  // Behind FastCGI's client is not the host that the request names, but the application that answers for it.
  const bool stand_in = client && parts.exchange.request.protocol != kHttp && !peer.empty();
  const bool named = !parts.server.host.empty() && !stand_in;
  const absl::string_view address = named ? parts.server.host : client ? peer : local;
  if (address.empty()) return;
  uint16_t port = named ? parts.server.port : 0;
  // A client's socket knows the true port even where Host leaves it out (nginx's default).
  if (port == 0 && (client || !named)) port = client ? endpoint.peer_port : endpoint.local_port;
  if (port == 0) port = parts.scheme == "https" ? 443 : 80;
  attributes->AddString("server.address", address);
  attributes->AddInt("server.port", port);
}

void AddPeer(const Parts& parts, AttributeBlob* attributes) {
  const ConnectionEnds& endpoint = parts.exchange.endpoint;
  char local_text[kAddressTextBytes], peer_text[kAddressTextBytes];
  const absl::string_view local = FormatAddress(endpoint.family, endpoint.local_addr, local_text);
  const absl::string_view peer = FormatAddress(endpoint.family, endpoint.peer_addr, peer_text);
  if (parts.exchange.role == Role::kClient) AddClientUrl(parts, peer, attributes);
  AddServer(parts, local, peer, attributes);
  if (parts.exchange.role == Role::kServer) {
    const absl::string_view client = parts.origin.client.empty() ? peer : parts.origin.client;
    if (!client.empty()) attributes->AddString("client.address", client);
  }
  if (!peer.empty()) {
    attributes->AddString("network.peer.address", peer);
    attributes->AddInt("network.peer.port", endpoint.peer_port);
  } else if (endpoint.family == SPANTAP_FAMILY_UNIX) {
    attributes->AddString("network.transport", "unix");
  }
  const absl::string_view protocol = parts.exchange.request.protocol;
  const uint8_t version = parts.exchange.request.version;
  if (protocol != kHttp) attributes->AddString("network.protocol.name", protocol);
  attributes->AddString("network.protocol.version", version == 10 ? "1.0" : version == 20 ? "2" : "1.1");
}

void AddSizes(const Exchange& exchange, AttributeBlob* attributes) {
  const BodySizes sizes = BodySizesOf(exchange);
  if (sizes.request) attributes->AddInt("http.request.body.size", *sizes.request);
  if (sizes.response) attributes->AddInt("http.response.body.size", *sizes.response);
}

// Never OK: that is for the application to say. No description, because the code says it.
void AddOutcome(const Exchange& exchange, Span* span) {
  const uint16_t code = exchange.response ? exchange.response->status : 0;
  if (code != 0) span->attributes.AddInt("http.response.status_code", code);
  // Not a failure of the exchange, only the end of our view of it.
  if (exchange.error == ExchangeError::kUnfinished) span->attributes.AddBool("spantap.unfinished", true);
  const bool transport = IsTransportFailure(exchange.error);
  if (!transport && !IsErrorStatus(exchange.role, code)) return;
  span->status = StatusCode::kError;
  char text[8];
  const size_t digits = static_cast<size_t>(std::to_chars(text, text + sizeof(text), code).ptr - text);
  span->attributes.AddString("error.type", transport ? ErrorType(exchange.error) : absl::string_view(text, digits));
}

// tracestate belongs to the trace id it came with, so it is kept only if that id was.
void CopyTraceState(const Parts& parts, Span* span) {
  if (parts.headers.tracestates != 1 || parts.headers.traceparents != 1) return;
  const auto parent = ParseTraceParent(parts.headers.traceparent);
  if (!parent || parent->trace_id != parts.linked.trace_id) return;
  const absl::string_view state = absl::StripAsciiWhitespace(parts.headers.tracestate);
  if (ValidTraceState(state)) span->trace_state.assign(state.data(), state.size());
}

void AddConfidence(const Confidence& confidence, AttributeBlob* attributes) {
  attributes->AddDouble(confidence.at_least ? "spantap.link.min_confidence" : "spantap.link.confidence", confidence);
}

// The parent that it may have. Observed by us, in this process: it came in no header.
void AddCandidate(const LinkCandidate& candidate, Span* span) {
  SpanLink link;
  link.trace_id = candidate.trace_id;
  link.span_id = candidate.span_id;
  link.is_remote = false;
  link.attributes.AddString("spantap.link.rule", LinkRuleName(candidate.rule));
  AddConfidence(candidate.confidence, &link.attributes);
  span->links.push_back(std::move(link));
}

void SetIdentity(const LinkedExchange& linked, uint64_t wall_minus_mono_ns, Span* span) {
  const Exchange& exchange = *linked.exchange;
  span->trace_id = linked.trace_id;
  span->span_id = linked.span_id;
  span->parent_span_id = linked.parent_span_id;
  span->flags = linked.flags;
  span->parent_is_remote = linked.parent_is_remote;
  span->kind = exchange.role == Role::kServer ? SpanKind::kServer : SpanKind::kClient;
  span->start_unix_ns = exchange.request_stamp.mono_ns + wall_minus_mono_ns;
  span->end_unix_ns = std::max(exchange.end_ns, exchange.request_stamp.mono_ns) + wall_minus_mono_ns;
}

}  // namespace

BodySizes BodySizesOf(const Exchange& exchange) {
  BodySizes sizes;
  if (exchange.had_gap) return sizes;
  if (exchange.request_end_ns != 0 && exchange.request_body_bytes > 0) {
    sizes.request = static_cast<int64_t>(exchange.request_body_bytes);
  }
  const bool sure = exchange.body_end == BodyEnd::kExact || exchange.body_end == BodyEnd::kAtClose;
  if (exchange.response && sure && exchange.error == ExchangeError::kNone) {
    sizes.response = static_cast<int64_t>(exchange.response_body_bytes);
  }
  return sizes;
}

void AddLinkFacts(const LinkedExchange& linked, Span* span) {
  if (linked.rule != LinkRule::kNone) {
    span->attributes.AddString("spantap.link.rule", LinkRuleName(linked.rule));
    AddConfidence(linked.confidence, &span->attributes);
  }
  if (linked.wire_trace_id.valid()) {
    span->attributes.AddString("spantap.wire.trace_id", FormatHex(linked.wire_trace_id));
    SpanLink link;
    link.trace_id = linked.wire_trace_id;
    link.span_id = linked.wire_parent_id;
    link.is_remote = true;  // it came in a header
    span->links.push_back(std::move(link));
  }
  if (linked.candidate) AddCandidate(*linked.candidate, span);
}

void AddDoubts(const Exchange& exchange, AttributeBlob* attributes) {
  const bool truncated = exchange.request.truncated || (exchange.response && exchange.response->truncated);
  if (truncated) attributes->AddBool("spantap.head_truncated", true);
  if (exchange.had_gap) attributes->AddBool("spantap.gap", true);
}

bool IsTransportFailure(ExchangeError error) {
  return error != ExchangeError::kNone && error != ExchangeError::kUnfinished;
}

bool IsErrorStatus(Role role, uint16_t code) { return code >= (role == Role::kClient ? 400 : 500); }

Span BuildSpan(const LinkedExchange& linked, const SpanStyle& style, uint64_t wall_minus_mono_ns,
               std::shared_ptr<const Resource> resource) {
  Span span;
  SetIdentity(linked, wall_minus_mono_ns, &span);
  span.resource = std::move(resource);
  span.attributes.reserve(kExpectedBlobBytes);
  const Parts parts = TakeApart(linked, style);
  const Exchange& exchange = parts.exchange;
  AddMethod(parts, &span);
  if (exchange.role == Role::kServer) AddServerUrl(parts, &span.attributes);
  AddPeer(parts, &span.attributes);
  if (!parts.headers.user_agent.empty()) span.attributes.AddString("user_agent.original", parts.headers.user_agent);
  AddOutcome(exchange, &span);
  AddSizes(exchange, &span.attributes);
  if (!parts.headers.x_request_id.empty()) {
    span.attributes.AddStringArray1("http.request.header.x-request-id", parts.headers.x_request_id);
  }
  AddLinkFacts(linked, &span);
  AddDoubts(exchange, &span.attributes);
  CopyTraceState(parts, &span);
  return span;
}

}  // namespace spantap
