// SPDX-License-Identifier: Apache-2.0
//
// An exchange: a request and its response on one connection, seen from one process. The unit that
// links and spans are made of.
//
// Made and filled by Connection (event thread), watched by the linker while open, owned by the
// linker after OnFinished(). Memory: two heads of at most kMaxHeadBytes; the number of open exchanges
// is bounded by the connection table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"
#include "agent/protocols/parser.h"
#include "bpf/events.h"

namespace spantap {

enum class Role : uint8_t {
  kServer,  // this process read the request
  kClient,  // this process wrote the request
};

// How an exchange ended, when not in order. Names double as OpenTelemetry error.type values.
enum class ExchangeError : uint8_t {
  kNone,
  kConnectionReset,  // "connection_reset": the connection failed or closed before the response
  kResponseAborted,  // "response_aborted": it failed or closed inside the response
  kRequestAborted,   // "request_aborted": it failed or closed inside the request
  kUnfinished,       // "unfinished": capture ended, or the exchange was given up
};

// When and where a message head crossed the system call boundary.
struct HeadStamp {
  uint64_t mono_ns = 0;      // the call that carried the head's first byte returned
  uint64_t end_mono_ns = 0;  // the call that carried the head's last byte returned
  uint64_t position = 0;     // of the first byte; low 32 bits are the TCP sequence number
  uint32_t tid = 0;
  bool counted = false;  // `turns` is valid
  // The thread's counters at the call that carried the first byte, this head included. Heads that came in one call
  // have its time and were counted once, together: they have equal counters, or none in later records of the call.
  spantap_turns turns = {};
};

// The socket, as far as spans and joins need it.
struct ConnectionEnds {
  uint64_t conn_id = 0;
  uint8_t family = 0;  // enum spantap_family, 0 if the open record was lost
  uint16_t local_port = 0;
  uint16_t peer_port = 0;
  uint8_t local_addr[16] = {};
  uint8_t peer_addr[16] = {};
  uint64_t unix_pair = 0;
  uint32_t netns = 0;
};

struct Exchange {
  uint64_t id = 0;  // unique in this run, ascending in order of request heads
  Role role = Role::kServer;
  uint32_t tgid = 0;
  ConnectionEnds endpoint;

  HttpHead request;
  HeadStamp request_stamp;
  uint64_t request_end_ns = 0;  // last byte of the request; 0 while unknown
  uint64_t request_body_bytes = 0;

  std::optional<HttpHead> response;  // the final one, never a 1xx (101 is final)
  HeadStamp response_stamp;
  uint64_t response_body_bytes = 0;

  uint64_t end_ns = 0;  // last byte of the response, or the abort
  ExchangeError error = ExchangeError::kNone;
  BodyEnd body_end = BodyEnd::kExact;
  // Requests read (or written) on this connection and not yet answered when this one came, itself
  // excluded: > 0 means pipelining.
  uint32_t pipelined_behind = 0;
  // The connect() that was made for this request: set if this process dialled the connection while observed and this is
  // the first message on it. mono_ns, tid and turns are the call's (non-blocking: not of its completion); `counted`
  // as there. The connection is then as old as dial->mono_ns; a pool that dials ahead makes that long ago, so whoever
  // takes it for the request's cause limits its age. `position` is the request's, end_mono_ns is mono_ns.
  std::optional<HeadStamp> dial;
  // Bytes were lost while this exchange was open; times and sizes may be low, identity is sure.
  bool had_gap = false;
  // When its request came, records of whatever connection were being lost (loss_watch.h): other requests may have been
  // open of which nothing is known. This one's identity is sure.
  bool records_lost = false;

  bool finished() const { return end_ns != 0; }
};

// Who dialled a connection, if that was seen.
enum class Opener : uint8_t { kUnknown, kThis, kPeer };

// What the connections report. All calls on the event thread, in capture order.
class ExchangeSink {
 public:
  virtual ~ExchangeSink() = default;
  // The request head is complete. `exchange` stays valid, at this address, until OnFinished.
  virtual void OnRequest(Exchange& exchange) = 0;
  // The response head is complete.
  virtual void OnResponse(Exchange& exchange) = 0;
  // It is over. Ownership passes to the sink. Called exactly once per OnRequest.
  virtual void OnFinished(std::unique_ptr<Exchange> exchange) = 0;
  // What this connection carries cannot be read (TLS, another protocol).
  virtual void OnForeign(uint32_t tgid, const ConnectionEnds& ends, Opener opener) {}
};

absl::string_view ErrorType(ExchangeError error);  // "" for kNone

}  // namespace spantap
