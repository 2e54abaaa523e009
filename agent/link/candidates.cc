// SPDX-License-Identifier: Apache-2.0
//
// --link-candidates: a root that has a candidate which is not sure enough tells it. The two may be of different trees,
// so a root waits for the candidate's ids as it would wait for a parent: until that tree is delivered, at most
// decision_limit_ns. Ids are never fixed for it.
#include <utility>

#include "agent/link/linker_state.h"

namespace spantap {

void Linker::State::Suggest(Node& client, Node& server, LinkRule rule, Confidence confidence) {
  if (!settings.candidates || confidence <= 0 || client.fixed || client.parent != nullptr) return;
  AwaitNoIds(client);
  client.likely = std::make_unique<LinkCandidate>();
  client.likely->rule = rule;
  client.likely->confidence = confidence;
  server.likely_of.PushBack(client.hooks[kSlotLikely]);
  if (server.fixed) return TellIds(server);
  if (&RootOf(server) == &client) return AwaitNoIds(client);  // the ids would wait for themselves
  client.awaits_likely = true;
  ++client.blockers;
}

void Linker::State::TellIds(Node& server) {
  while (Member* const member = server.likely_of.front()) {
    Node& client = static_cast<Node&>(*member);
    client.likely->trace_id = server.trace_id;
    client.likely->span_id = server.span_id;
    AwaitNoIds(client);
  }
}

void Linker::State::AwaitNoIds(Node& client) {
  client.hooks[kSlotLikely].Unlink();
  if (!std::exchange(client.awaits_likely, false)) return;
  Node& root = RootOf(client);
  --root.blockers;
  CheckReady(root);
}

// A link that --adopt=off cuts is a candidate, too.
std::optional<LinkCandidate> Linker::State::CandidateOf(const Node& root) {
  if (!settings.candidates) return std::nullopt;
  if (root.cut && root.parent->role == Role::kServer) {
    ++counters.candidates;
    return LinkCandidate{root.parent->trace_id, root.parent->span_id, root.rule, root.confidence};
  }
  if (root.likely == nullptr) return std::nullopt;
  ++(root.likely->span_id.valid() ? counters.candidates : counters.candidates_lost);
  return root.likely->span_id.valid() ? std::make_optional(*root.likely) : std::nullopt;
}

}  // namespace spantap
