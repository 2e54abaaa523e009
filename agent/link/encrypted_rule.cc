// SPDX-License-Identifier: Apache-2.0
//
// Rule `proxy` over an encrypted connection: what a proxy sends to its application came in over a connection that
// nobody can read, but the proxy at its other end, observed as well, read the same head from whoever called it.
//
//   one open request of a caller has an equal head   0.99
//   several                                          0.99 or 0.98, if the order of requests and the response pair agree
//   the proxy is called by others, too               only if the target is rare
//   none                                             nobody: what this proxy serves besides caused nothing of it
//
// Both proxies keep the order of what they pass on but for new connections: measured, 6 of 3800 out of order at 8
// clients.
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "agent/link/encrypted_legs.h"
#include "agent/link/process_state.h"
#include "agent/link/rules.h"

namespace spantap {

// Requests with equal heads that came in at proxies which call others by encrypted connections.
struct Leg {
  uint64_t key = 0;
  MemberList open;      // server exchanges, unanswered
  MemberList unserved;  // of these, those that nothing was found for
  MemberList waiting;   // clients of the called proxies that are not decided
  MemberList answered;  // of these, in order of their responses
  bool order_guessed = false;
  bool pair_guessed = false;
};

namespace {

constexpr double kSure = 0.99;
constexpr double kAgreed = 0.98;
constexpr int kMaxLooked = 64;

class EncryptedRule final : public InferenceRule {
 public:
  LinkRule rule() const override { return LinkRule::kProxy; }

  LinkDecision Decide(const LinkQuestion& question) override {
    Member& client = question.client;
    if (client.leg != nullptr) return DecideByPair(client);
    if (!question.first || !legs_.Takes(client.process->tgid) || client.request.proxy_marks == 0) {
      return LinkDecision::NotMine();
    }
    const auto it = by_head_.find(client.request.Fingerprint());
    if (client.request.truncated || it == by_head_.end()) return LinkDecision::Exclude("encrypted");
    Leg& leg = *it->second;
    const Choice choice = Choose(leg, client);
    if (choice.too_many) return LinkDecision::Exclude("ambiguous");
    if (choice.open == 0) return LinkDecision::Exclude("encrypted");
    if (choice.open == 1 && TargetIsRare(*choice.first)) return LinkDecision::Link(choice.first, kSure);
    if (legs_.HasStrangers(client.process->tgid)) return LinkDecision::Exclude("encrypted");
    if (choice.open == 1) return LinkDecision::Link(choice.first, kSure);
    if (choice.unserved == nullptr) return LinkDecision::Exclude("ambiguous");
    if (choice.alone && !leg.order_guessed) return LinkDecision::Link(choice.unserved, kSure);
    Queue(leg, *choice.unserved, client);
    return LinkDecision::Later();
  }

  void OnForeign(uint32_t tgid, const ConnectionEnds& ends, Opener opener) override { legs_.Add(tgid, ends, opener); }
  void OnProcessEnd(uint32_t tgid) override { legs_.Forget(tgid); }

  void OnRequest(Member& member) override {
    if (member.role != Role::kServer || member.request.truncated || !legs_.Dials(member.process->tgid)) return;
    auto& leg = by_head_[member.request.Fingerprint()];
    if (leg == nullptr) leg = std::make_unique<Leg>();
    leg->key = member.request.Fingerprint();
    member.leg = leg.get();
    leg->open.PushBack(member.hooks[kSlotLegOpen]);
    leg->unserved.PushBack(member.hooks[kSlotLeg]);
  }

  void OnResponse(Member& member, Wake& wake) override {
    if (member.leg == nullptr) return;
    if (member.role == Role::kServer) return LeavePaired(member, wake);
    member.leg->answered.PushBack(member.hooks[kSlotLegOpen]);
  }

  void OnFinished(Member& member, Wake& wake) override {
    if (member.leg != nullptr && member.role == Role::kServer) LeavePaired(member, wake);
  }

  void OnLinked(Member& client) override {
    Member& cause = *client.cause;
    if (cause.process == client.process) {
      // It went on as it came, in plaintext.
      if (cause.leg != nullptr) Leave(cause);
      return;
    }
    ++client.process->proxy_class.marked;
    client.process->encrypted_least.Add(client.exchange->request_stamp.mono_ns - cause.exchange->request_stamp.mono_ns);
    if (cause.leg != nullptr) cause.hooks[kSlotLeg].Unlink();
  }

  void Forget(Member& client) override {
    if (client.leg != nullptr && client.role == Role::kClient) Leave(client);
  }

 private:
  struct Choice {
    int open = 0;
    bool too_many = false;
    Member* first = nullptr;
    Member* unserved = nullptr;  // the first that nothing was found for
    bool alone = false;          // no other of these is old enough to have come through
  };

  Choice Choose(const Leg& leg, const Member& client) const {
    const uint64_t least = client.process->encrypted_least.value();
    const uint64_t now = client.exchange->request_stamp.mono_ns;
    Choice choice;
    int looked = 0;
    int grown = 0;
    for (const Hook* hook = leg.open.first(); hook->member != nullptr; hook = hook->next) {
      Member& server = *hook->member;
      if (server.id > client.id) break;
      if (++looked > kMaxLooked) {
        choice.too_many = true;
        break;
      }
      if (!IsPossible(server, client)) continue;
      if (++choice.open == 1) choice.first = &server;
      if (!server.hooks[kSlotLeg].linked()) continue;
      if (choice.unserved == nullptr) choice.unserved = &server;
      grown += server.exchange->request_stamp.mono_ns + least <= now;
    }
    choice.alone = grown == 1;
    return choice;
  }

  bool IsPossible(const Member& server, const Member& client) const {
    return server.process != client.process && AddsMarks(server, client) &&
           legs_.Calls(server.process->tgid, client.process->tgid);
  }

  static void Queue(Leg& leg, Member& server, Member& client) {
    client.leg = &leg;
    client.order_choice = server.id;
    client.order_sure = leg.unserved.one() && !leg.order_guessed;
    if (!leg.unserved.one()) leg.order_guessed = true;
    server.hooks[kSlotLeg].Unlink();
    if (leg.unserved.empty()) leg.order_guessed = false;
    leg.waiting.PushBack(client.hooks[kSlotLeg]);
  }

  static LinkDecision DecideByPair(const Member& client) {
    if (client.pair_choice == nullptr || client.pair_choice->id != client.order_choice) {
      return LinkDecision::Exclude("ambiguous");
    }
    return LinkDecision::Link(client.pair_choice, client.order_sure && client.pair_sure ? kSure : kAgreed);
  }

  // The response of `server` is written: unless its own is known, it belongs to one of the responses read before.
  Member* PairOf(Member& server) const {
    Leg& leg = *server.leg;
    if (!server.responded || server.client_count > 0) return nullptr;
    Member* found = nullptr;
    int agreeing = 0;
    int looked = 0;
    for (const Hook* hook = leg.answered.first(); hook->member != nullptr; hook = hook->next) {
      Member& client = *hook->member;
      if (++looked > kMaxLooked) break;
      if (client.id < server.id || !IsPossible(server, client)) continue;
      if (ResponseAgrees(client.response, server.response) && ++agreeing == 1) found = &client;
    }
    if (found == nullptr) return nullptr;
    found->pair_choice = &server;
    found->pair_sure = agreeing == 1 && !leg.pair_guessed;
    if (agreeing > 1) leg.pair_guessed = true;
    found->hooks[kSlotLegOpen].Unlink();
    return found;
  }

  // Clients that no open request can have caused any more are asked for the last time.
  void LeavePaired(Member& server, Wake& wake) {
    Leg& leg = *server.leg;
    Member* const found = PairOf(server);
    if (found != nullptr) wake.push_back(found);
    const Hook& place = server.hooks[kSlotLegOpen];
    const Member* const oldest = leg.open.front() != &server ? leg.open.front() : place.next->member;
    for (const Hook* hook = leg.waiting.first(); hook->member != nullptr; hook = hook->next) {
      if (oldest != nullptr && hook->member->id > oldest->id) break;
      if (hook->member != found) wake.push_back(hook->member);
    }
    Leave(server);
  }

  void Leave(Member& member) {
    Leg& leg = *member.leg;
    member.hooks[kSlotLegOpen].Unlink();
    member.hooks[kSlotLeg].Unlink();
    member.leg = nullptr;
    if (leg.unserved.empty()) leg.order_guessed = false;
    if (leg.answered.empty()) leg.pair_guessed = false;
    if (leg.open.empty() && leg.waiting.empty()) by_head_.erase(leg.key);
  }

  EncryptedLegs legs_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Leg>> by_head_;
};

}  // namespace

std::unique_ptr<InferenceRule> MakeEncryptedRule() { return std::make_unique<EncryptedRule>(); }

}  // namespace spantap
