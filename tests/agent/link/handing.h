// SPDX-License-Identifier: Apache-2.0
//
// Spans that a process of the link tests' world hands off, built by hand.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "tests/agent/link/world.h"

namespace spantap::link_test {

// What the world's wall clock is ahead of its monotonic one. No whole milliseconds: those are taken for rounded.
inline constexpr uint64_t kWallNs = 1'700'000'000'000'000'123;

inline TraceId Trace(char digit) { return ParseTraceParent(Parent(digit, '1'))->trace_id; }
inline SpanId Id(uint64_t number) {
  SpanId id;
  for (int i = 0; i < 8; ++i) id.bytes[static_cast<size_t>(7 - i)] = static_cast<uint8_t>(number >> 8 * i);
  return id;
}
// A traceparent that carries Id(number).
inline std::string Header(char trace, uint64_t number, const char* flags = "01") {
  return "00-" + FormatHex(Trace(trace)) + "-" + FormatHex(Id(number)) + "-" + flags;
}

struct Handing {
  uint32_t tgid = 0;
  SpanKind kind = SpanKind::kServer;
  char trace = 'a';
  uint64_t id = 0;
  uint64_t parent = 0;
  uint64_t start_ns = 0;  // the world's
  uint64_t end_ns = 0;
  const Side* side = nullptr;  // its connection; null: not said
  bool peer_only = false;
  bool parent_is_remote = false;
  uint8_t flags = kFlagSampled;
  std::string path;
  std::string request_id;
};

inline std::unique_ptr<HandedSpan> MakeHanded(const Handing& from) {
  auto handed = std::make_unique<HandedSpan>();
  handed->tgid = from.tgid;
  handed->wall_minus_mono_ns = kWallNs;
  Span& span = handed->span;
  span.trace_id = Trace(from.trace);
  span.span_id = Id(from.id);
  if (from.parent != 0) span.parent_span_id = Id(from.parent);
  span.parent_is_remote = from.parent_is_remote;
  span.kind = from.kind;
  span.flags = from.flags;
  span.name = "handed " + std::to_string(from.id);
  span.start_unix_ns = from.start_ns + kWallNs;
  span.end_unix_ns = std::max(from.end_ns, from.start_ns) + kWallNs;
  if (!from.path.empty()) span.attributes.AddString("url.path", from.path);
  if (!from.request_id.empty()) {
    span.attributes.AddStringArray1("http.request.header.x-request-id", from.request_id);
  }
  if (from.side == nullptr) return handed;
  const ConnectionEnds& ends = from.side->endpoint;
  SpanConnection& connection = handed->connection;
  connection.family = 4;
  connection.peer_port = ends.peer_port;
  std::memcpy(connection.peer_address.data(), ends.peer_addr, 4);
  if (from.peer_only) return handed;
  connection.local_port = ends.local_port;
  std::memcpy(connection.local_address.data(), ends.local_addr, 4);
  return handed;
}

// A proxy (tgid 7) in the world: downstream and upstream connection, and the ids of its spans.
class HandingProxy {
 public:
  static constexpr uint32_t kTgid = 7;
  explicit HandingProxy(World& world, uint32_t client_tgid = 0, uint32_t app_tgid = 0)
      : world_(world), down_(world.Connect(client_tgid, kTgid)), up_(world.Connect(kTgid, app_tgid)) {
    world.linker().OnProducers({kTgid});
  }

  struct One {
    Exchange* server = nullptr;
    Exchange* client = nullptr;
    uint64_t server_id = 0, client_id = 0;  // exchange ids
    uint64_t server_span = 0, client_span = 0;
    uint64_t server_start = 0, server_end = 0, client_start = 0, client_end = 0;
    char trace = 'a';
  };

  // The request goes in and out; `traceparent`: what comes in, "" for none.
  One Begin(uint64_t number, char trace = 'a', const std::string& traceparent = "", const std::string& path = "/x",
            bool inject_server = false) {
    One one;
    one.trace = trace;
    one.server_span = number * 2;
    one.client_span = number * 2 + 1;
    Headers in = {{"host", "h"}};
    if (!traceparent.empty()) in.emplace_back("traceparent", traceparent);
    one.server = world_.Read(down_.server, 70, path, in);
    one.server_id = one.server->id;
    one.server_start = world_.now_ns() + 2'000;
    one.client_start = world_.now_ns() + 4'000;
    one.client = world_.Write(
        up_.client, 70, path,
        {{"host", "h"}, {"traceparent", Header(trace, inject_server ? one.server_span : one.client_span)}});
    one.client_id = one.client->id;
    return one;
  }
  void End(One& one) {
    world_.Answer(one.client, 70);
    one.client_end = world_.now_ns() + 1'000;
    world_.Answer(one.server, 70);
    one.server_end = world_.now_ns() + 1'000;
  }
  One Run(uint64_t number, char trace = 'a', const std::string& traceparent = "", const std::string& path = "/x") {
    One one = Begin(number, trace, traceparent, path);
    End(one);
    return one;
  }
  Handing ServerSpan(const One& one, uint64_t parent = 0) const {
    Handing handing;
    handing.tgid = kTgid;
    handing.trace = one.trace;
    handing.id = one.server_span;
    handing.parent = parent;
    handing.parent_is_remote = parent != 0;
    handing.start_ns = one.server_start;
    handing.end_ns = one.server_end;
    handing.side = &down_.server;
    return handing;
  }
  Handing ClientSpan(const One& one) const {
    Handing handing = ServerSpan(one);
    handing.kind = SpanKind::kClient;
    handing.id = one.client_span;
    handing.parent = one.server_span;
    handing.start_ns = one.client_start;
    handing.end_ns = one.client_end;
    handing.side = &up_.client;
    return handing;
  }
  void Hand(const Handing& handing) { world_.linker().OnSpan(MakeHanded(handing)); }

  Tcp& down() { return down_; }
  Tcp& up() { return up_; }

 private:
  World& world_;
  Tcp down_, up_;
};

}  // namespace spantap::link_test
