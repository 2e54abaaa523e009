// SPDX-License-Identifier: Apache-2.0
#include "agent/link/linker_state.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr double kIdJoinConfidence = 0.95;
// Of the only open request that was seen, while most were not.
constexpr double kAmongUnseen = 0.5;
constexpr int kMaxLooked = 64;
// The two ends' clocks are one; their events may cross by some 30 us.
constexpr uint64_t kJitterNs = 1'000'000;
// A connection known to have one end here waits this fraction of the settle time.
constexpr uint64_t kLonelyFraction = 25;

// Does the evidence hold even if other requests were open of which nothing was seen?
bool NamesItself(LinkRule rule, const Member& server) {
  switch (rule) {
    case LinkRule::kWire:
    case LinkRule::kConnection:
    case LinkRule::kRequestId:
    case LinkRule::kHandoff:
      return true;
    case LinkRule::kProxy:
      return TargetIsRare(server);
    default:
      return false;
  }
}

}  // namespace

Node* Linker::State::Find(uint64_t id) {
  const auto it = nodes.find(id);
  return it == nodes.end() ? nullptr : it->second.get();
}

void Linker::State::OnRequest(Exchange& exchange) {
  Touch(exchange.request_stamp.end_mono_ns);
  HeadDigest head = DigestHead(exchange.request);
  if (head.own_export) {
    ++counters.own_export_skipped;
    own_exports.insert(exchange.id);
    processes.CountHead(exchange, exchange.request_stamp, exchange.role == Role::kServer);
    return;
  }
  if (nodes.size() >= settings.max_exchanges) ForceOldest();
  if (nodes.size() >= settings.max_exchanges) return;  // all open: delivered alone when it is over
  const auto [it, fresh] = nodes.try_emplace(exchange.id, std::make_unique<Node>(exchange));
  if (!fresh) return;
  Node& node = *it->second;
  node.request = head;
  node.blockers = 1;
  processes.Enter(node);
  trace_ids.OnRequest(node);
  JoinConnection(node);
  for (const auto& rule : rules) rule->OnRequest(node);
  if (handed.HandsOff(exchange.tgid)) Expect(node);
  Follow(node);
  if (node.role == Role::kServer) {
    OpenServer(node);
  } else {
    AskFirst(node);
  }
}

void Linker::State::OnResponse(Exchange& exchange) {
  Touch(exchange.response_stamp.end_mono_ns);
  Node* const node = Find(exchange.id);
  if (node == nullptr && own_exports.contains(exchange.id)) {
    processes.CountHead(exchange, exchange.response_stamp, exchange.role == Role::kClient);
  }
  if (node == nullptr || node->responded || !exchange.response) return;
  node->response = DigestHead(*exchange.response);
  node->responded = true;
  Wake wake;
  for (const auto& rule : rules) rule->OnResponse(*node, wake);
  AskAll(wake);
  causes.OnResponse(*node);
  if (node->role == Role::kServer) AnswerServer(*node);
}

void Linker::State::OnFinished(std::unique_ptr<Exchange> exchange) {
  Touch(exchange->end_ns);
  if (own_exports.erase(exchange->id) > 0) return;
  Node* const node = Find(exchange->id);
  if (node == nullptr) return DeliverUntracked(std::move(exchange));
  if (node->finished) return;
  node->exchange = exchange.get();
  node->owned = std::move(exchange);
  node->finished = true;
  node->end_ns = node->exchange->end_ns;
  Wake wake;
  for (const auto& rule : rules) rule->OnFinished(*node, wake);
  AskAll(wake);
  causes.OnOver(*node);
  if (node->role == Role::kServer) {
    CloseServer(*node);
    if (!node->joined) JoinByIds(*node);
  }
  PushFinished(*node);
  Node& root = RootOf(*node);
  --root.blockers;
  if (node->process->undecided == 0) Release(*node);  // nothing is left that it could have caused
  if (!node->joined && node->join_key != 0) {
    const uint64_t wait = join.Lonely(*node) ? settings.settle_ns / kLonelyFraction : settings.settle_ns;
    root.settle_at = std::max(root.settle_at, node->owned->end_ns + wait);
  }
  CheckReady(root);
  Pump();
}

void Linker::State::JoinConnection(Node& node) {
  Node* const other = join.Find(node);
  if (other == nullptr) return;
  join.NoteLonely(node, false);
  join.NoteLonely(*other, false);
  Node& server = node.role == Role::kServer ? node : *other;
  Node& client = node.role == Role::kServer ? *other : node;
  Connect(server, client, LinkRule::kConnection, 1.0);
}

// A server exchange whose connection was not joined (an encrypted leg, a lost record): its parent may
// still be here, known by the span id that it minted, or by an x-request-id that only it sent.
void Linker::State::JoinByIds(Node& server) {
  if (server.parent != nullptr) return;
  const HeadDigest& head = server.request;
  Node* found = nullptr;
  if (head.traceparent) {
    Node* const client = Find(trace_ids.ClaimedBy(head.traceparent->parent_id));
    if (client != nullptr && !client->joined && client->claimed == head.traceparent->parent_id &&
        client->request.traceparent->trace_id == head.traceparent->trace_id) {
      found = client;
    }
  } else if (head.request_id_hash != 0) {
    int matches = 0;
    const bool all = clients_by_request_id.Each(head.request_id_hash, kMaxLooked, [&](Member& member) {
      Node& client = static_cast<Node&>(member);
      const bool around =
          client.start_ns <= server.start_ns + kJitterNs &&
          (!client.finished || client.owned == nullptr || client.owned->end_ns + kJitterNs >= server.exchange->end_ns);
      if (around && !client.joined && !client.delivered && client.process != server.process &&
          client.request.method_target == head.method_target) {
        found = &client;
        ++matches;
      }
      return true;
    });
    if (!all || matches != 1) found = nullptr;
  }
  if (found == nullptr) return;
  const bool by_wire = head.traceparent.has_value();
  if (!Connect(server, *found, by_wire ? LinkRule::kWire : LinkRule::kRequestId, by_wire ? 1.0 : kIdJoinConfidence)) {
    return;
  }
  for (Node* node : {&server, found}) {
    join.Forget(*node);
    node->joined = true;
  }
}

bool Linker::State::Connect(Node& child, Node& parent, LinkRule rule, Confidence confidence) {
  if (child.fixed) {
    ++counters.late;
    return false;
  }
  if (!Attach(child, parent, rule, confidence)) return false;
  CheckReady(RootOf(parent));
  return true;
}

void Linker::State::AskFirst(Node& client) {
  if (client.request.request_id_hash != 0) {
    clients_by_request_id.Add(client.request.request_id_hash, client.hooks[kSlotRequestId]);
  }
  client.undecided = true;
  client.process->undecided += client.followed;
  ++RootOf(client).blockers;
  client.had_candidates = client.process->open_count > 0;
  Ask(client, false);
}

void Linker::State::Ask(Node& client, bool final) {
  if (!client.undecided) return;
  if (client.awaits_cause) return final ? Refuse(client, "undecided") : void();
  const bool first = !client.asked;
  client.asked = true;
  absl::InlinedVector<Member*, 4> narrowed;
  if (first && client.had_candidates) narrowed = Narrow(client);
  client.narrowed |= !narrowed.empty();
  LinkQuestion question{client, *client.process, narrowed, first, final};
  for (; client.asking < rules.size(); ++client.asking) {
    InferenceRule& rule = *rules[client.asking];
    const LinkDecision decision = rule.Decide(question);
    switch (decision.state) {
      case LinkDecision::State::kNotMine:
        continue;
      case LinkDecision::State::kLater:
        if (!final) return;
        return Refuse(client, "undecided");
      case LinkDecision::State::kLinked:
        if (decision.confidence < settings.threshold && AwaitCause(client, "low_confidence", final)) return;
        return Draw(client, decision, rule.rule());
      case LinkDecision::State::kRefused:
        if (!decision.for_good && AwaitCause(client, decision.reason, final)) return;
        if (decision.for_good) TellCause(client, 0);
        return Refuse(client, decision.reason);
    }
  }
  if (client.had_candidates && AwaitCause(client, "no_evidence", final)) return;
  Refuse(client, client.had_candidates ? "no_evidence" : "");
}

void Linker::State::AskAll(Wake& wake) {
  for (Member* member : wake) {
    Ask(static_cast<Node&>(*member), false);
    member->pair_choice = nullptr;
  }
}

void Linker::State::Draw(Node& client, const LinkDecision& decision, LinkRule rule) {
  Node& server = static_cast<Node&>(*decision.server);
  const bool unseen = client.exchange->records_lost && !NamesItself(rule, server);
  const bool capped = unseen && decision.confidence > kAmongUnseen;
  const Confidence confidence = capped ? Confidence(kAmongUnseen) : decision.confidence;
  if (confidence < settings.threshold) {
    Suggest(client, server, rule, confidence);
    const absl::string_view reason = decision.reason.empty() ? "low_confidence" : decision.reason;
    return Refuse(client, unseen ? "records_lost" : reason);
  }
  if (!IsFound(rule)) TellCause(client, server.process == client.process ? server.id : 0);
  if (!Connect(client, server, rule, confidence)) return Refuse(client, "no_place");
  client.cause = &server;
  client.refused = "";
  ++server.client_count;
  // A proxy that tells the next one to record nothing hands nothing off.
  if (server.awaits_span && client.request.traceparent && !client.request.traceparent->sampled()) ExpectNoMore(server);
  if (!client.responded && !client.finished) ++server.busy_clients;
  for (const auto& each : rules) each->OnLinked(client);
  Decided(client);
}

void Linker::State::Refuse(Node& client, absl::string_view reason) {
  if (reason.empty()) {
    ++counters.refused_unknown;
  } else {
    ++counters.refused_ambiguous;
    const auto it = std::find_if(counters.refused.begin(), counters.refused.end(),
                                 [reason](const auto& entry) { return entry.first == reason; });
    if (it == counters.refused.end()) {
      counters.refused.emplace_back(reason, 1);
    } else {
      ++it->second;
    }
  }
  client.refused = reason;
  Decided(client);
}

void Linker::State::Decided(Node& client) {
  client.undecided = client.awaits_cause = false;
  client.process->undecided -= client.followed;
  client.verdict = nullptr;
  for (const auto& rule : rules) rule->Forget(client);
  Node& root = RootOf(client);
  --root.blockers;
  CheckReady(root);
}

}  // namespace spantap
