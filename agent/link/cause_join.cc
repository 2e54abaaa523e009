// SPDX-License-Identifier: Apache-2.0
//
// The last one asked: what no rule claimed waits for the cause finder, which decides when the requests that were open
// then are over. Until then these are held: their trees are not delivered.
//
//   request ──► Follow ──► rules ──► drawn, or refused for good ──► the finder is told (it learns)
//                              └───► not sure ──► awaits_cause ──► OnCause ──► drawn, or a root
#include <utility>

#include "agent/link/linker_state.h"

namespace spantap {
namespace {

// Of several open requests that share an id with the client, the cause is one.
bool SharesId(const Member& client, const Member& server) {
  const HeadDigest& out = client.request;
  const HeadDigest& in = server.request;
  if (out.traceparent && in.traceparent && out.traceparent->trace_id == in.traceparent->trace_id) return true;
  return out.request_id_hash != 0 && out.request_id_hash == in.request_id_hash;
}

}  // namespace

// Requests of a proxy are told by their heads. What a process sends while it serves nothing has no cause here.
void Linker::State::Follow(Node& node) {
  TellTurns(*node.process);
  const ProcessState& process = *node.process;
  if (process.proxy_class.is_proxy()) return;
  if (node.role == Role::kClient && (process.open_count == 0 || node.tid == 0)) return;
  causes.OnRequest(node);
  if (node.role != Role::kServer) return;
  node.held = true;
  ++RootOf(node).blockers;
}

// `reason`: why no rule claimed it.
bool Linker::State::AwaitCause(Node& client, absl::string_view reason, bool final) {
  if (final || !client.followed || client.process->proxy_class.is_proxy()) return false;
  for (const auto& rule : rules) rule->Forget(client);
  client.awaits_cause = true;
  client.refused = reason;
  if (const auto verdict = std::exchange(client.verdict, nullptr)) OnCause(*verdict);
  return true;
}

void Linker::State::TellCause(const Node& client, uint64_t server) {
  if (client.followed) causes.finder().OnKnown(client.process->tgid, client.id, server);
}

// Time costs the finder a look at each process: not told with each event.
void Linker::State::AskCauses() {
  causes.finder().OnTime(now_ns);
  PumpCauses();
}

void Linker::State::PumpCauses() {
  CauseFinder& finder = causes.finder();
  for (const CauseDecision& decision : finder.TakeDecisions()) OnCause(decision);
  for (const uint64_t id : finder.TakeReleased()) {
    if (Node* const node = Find(id)) Release(*node);
  }
}

void Linker::State::OnCause(const CauseDecision& decision) {
  Node* const client = Find(decision.outgoing);
  if (client == nullptr || !client->undecided) return;
  if (!client->awaits_cause) {  // a rule waits for something that the finder did not wait for
    client->verdict = std::make_unique<CauseDecision>(decision);
    return;
  }
  if (decision.incoming == 0) return Refuse(*client, decision.reason.empty() ? client->refused : decision.reason);
  Node* const server = Find(decision.incoming);
  if (server == nullptr || server->process != client->process) {
    const bool sure = decision.confidence >= settings.threshold;
    if (sure) ++counters.late;
    if (!sure && settings.candidates) ++counters.candidates_lost;
    return Refuse(*client, sure || decision.reason.empty() ? "late" : decision.reason);
  }
  if (client->process->proxy_class.is_proxy()) return Refuse(*client, "other_head");
  if (client->narrowed && !SharesId(*client, *server)) return Refuse(*client, "other_ids");
  LinkDecision link = LinkDecision::Link(server, decision.confidence);
  link.reason = decision.reason;
  Draw(*client, link, RuleOf(decision.rule));
}

void Linker::State::Release(Node& server) {
  if (!std::exchange(server.held, false)) return;
  Node& root = RootOf(server);
  --root.blockers;
  CheckReady(root);
}

void Linker::State::TellTurns(ProcessState& process) {
  const bool none = process.proxy_class.needs_no_turns(process.arrivals, process.no_turns);
  if (none != std::exchange(process.no_turns, none)) sink.OnTurns(process.tgid, !none);
}

void Linker::State::OnProcessEnd(uint32_t tgid) {
  causes.finder().OnProcessEnd(tgid);
  PumpCauses();
  for (const auto& rule : rules) rule->OnProcessEnd(tgid);
  if (processes.Forget(tgid)) sink.OnTurns(tgid, true);  // another program may need them
}

}  // namespace spantap
