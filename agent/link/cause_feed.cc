// SPDX-License-Identifier: Apache-2.0
#include "agent/link/cause_feed.h"

#include <utility>

#include "agent/link/process_state.h"

namespace spantap {
namespace {

// A handler runs when the last byte of a head was read, but writes it with the first.
Moment MomentOf(const HeadStamp& stamp, bool read) {
  Moment moment;
  moment.ns = read ? stamp.end_mono_ns : stamp.mono_ns;
  moment.tid = stamp.tid;
  moment.counted = stamp.counted;
  moment.turn = stamp.turns.turn;
  moment.burst = stamp.turns.burst;
  moment.reads = stamp.turns.nread;
  moment.writes = stamp.turns.nwrite;
  return moment;
}

// A connection that was dialled just before was dialled for this request; a pool dials ahead.
bool DialledFor(const Exchange& exchange) {
  constexpr uint64_t kDialNs = 20'000'000;
  const HeadStamp& head = exchange.request_stamp;
  return exchange.dial && exchange.dial->tid != 0 && exchange.dial->mono_ns <= head.mono_ns &&
         head.mono_ns - exchange.dial->mono_ns < kDialNs;
}

uint64_t DestinationOf(const ConnectionEnds& ends) {
  const size_t bytes = ends.family == SPANTAP_FAMILY_INET ? 4 : sizeof(ends.peer_addr);
  return HashCombine(HashBytes({reinterpret_cast<const char*>(ends.peer_addr), bytes}),
                     uint64_t{ends.family} << 16 | ends.peer_port);
}

}  // namespace

LinkRule RuleOf(CauseRule rule) {
  switch (rule) {
    case CauseRule::kProgram:
      return LinkRule::kProgram;
    case CauseRule::kToken:
      return LinkRule::kToken;
    case CauseRule::kJoint:
      return LinkRule::kJoint;
  }
  return LinkRule::kJoint;
}

CauseFeed::CauseFeed(const LinkSettings& settings, std::unique_ptr<CauseFinder> finder)
    : tokens_(settings.tokens),
      finder_(finder != nullptr ? std::move(finder) : std::make_unique<CauseFinder>(settings.cause)) {}

void CauseFeed::OnRequest(Node& node) {
  ProcessState& process = *node.process;
  if (process.routes == nullptr) process.routes = std::make_unique<RouteTable>();
  node.followed = true;
  if (node.role == Role::kServer) {
    finder_->OnIncoming(process.tgid, IncomingOf(node));
  } else {
    finder_->OnOutgoing(process.tgid, OutgoingOf(node));
  }
}

void CauseFeed::OnResponse(const Node& node) {
  if (!node.followed) return;
  const bool read = node.role == Role::kClient;
  finder_->OnResponse(node.process->tgid, node.id, MomentOf(node.exchange->response_stamp, read));
}

void CauseFeed::OnOver(const Node& node) {
  if (node.followed) finder_->OnOver(node.process->tgid, node.id, node.end_ns);
}

IncomingRequest CauseFeed::IncomingOf(const Node& server) const {
  const Exchange& exchange = *server.exchange;
  IncomingRequest request;
  request.id = server.id;
  request.at = MomentOf(exchange.request_stamp, true);
  request.route = server.process->routes->RouteOf(exchange.request, exchange.endpoint.local_port);
  request.tokens = tokens_.Read(exchange.request);
  return request;
}

// A call is named by the host it asks for, which is one where its replicas are many.
OutgoingRequest CauseFeed::OutgoingOf(const Node& client) const {
  const Exchange& exchange = *client.exchange;
  OutgoingRequest request;
  request.id = client.id;
  request.dialled = DialledFor(exchange);
  request.at = MomentOf(request.dialled ? *exchange.dial : exchange.request_stamp, false);
  request.connection = exchange.endpoint.conn_id;
  request.destination = DestinationOf(exchange.endpoint);
  const uint64_t host = client.request.host;
  request.call = client.process->routes->RouteOf(exchange.request, host != 0 ? host : request.destination);
  request.tokens = tokens_.Read(exchange.request);
  return request;
}

}  // namespace spantap
