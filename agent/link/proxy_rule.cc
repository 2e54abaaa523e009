// SPDX-License-Identifier: Apache-2.0
//
// Rule `proxy`: the outgoing head is an incoming one passed on. It must agree in method, target and
// every end-to-end header apart from those that proxies add or rewrite (head_digest.cc has the list).
//
//   one open request agrees           0.99, less while the process is not known to pass on every head
//   several agree (crowd.h)           order and response pair: above the threshold only if they propose
//                                     the same one and at least one of the two is no guess
//   headers added, or path rewritten  lowered, and only if no other open request could be meant
//
// An application can send, by coincidence, the head that another of its requests came with (GET / in,
// GET / out, the same client library at both ends). So agreement counts fully only if the target is
// rare, the outgoing head shows a proxy's marks, or nearly all outgoing heads of the process agree.
#include <algorithm>

#include "absl/strings/match.h"
#include "agent/link/processes.h"
#include "agent/link/rules.h"

namespace spantap {
namespace {

constexpr double kSure = 0.99;
constexpr double kLikely = 0.95;  // one candidate, the process not known well
// Measured: none wrong of 90,000 where order and pair agreed, guesses or not.
constexpr double kBothSure = 0.99;   // order and pair, neither a guess
constexpr double kPairSure = 0.98;   // order agrees, but was a guess
constexpr double kOrderSure = 0.98;  // the pair agrees, but was a guess
constexpr double kFirstOnes = 0.98;  // order and pair, neither a guess, of a process not known yet
constexpr double kHeadersAdded = 0.95;
constexpr double kPathRewritten = 0.92;
constexpr double kDoubt = 0.8;  // never drawn at the default threshold

constexpr uint32_t kKnown = 16;      // outgoing heads until the share of agreeing ones is believed
constexpr uint64_t kDistrust = 256;  // incoming requests for which a lost response spoils order and pair
constexpr int kMaxLooked = 64;       // open requests looked at for a head that is not equal
constexpr size_t kMinPathBytes = 4;  // "/x" in common says nothing
constexpr uint16_t kMinHeaders = 2;  // nor does an empty set of headers

bool ThreadClassKnown(const ProcessState& process) {
  return process.thread_class.kept.total >= kKnown && process.thread_class.kept.value() > 0.97;
}

// The worth of one open request that agrees.
double SingleConfidence(const Member& server, const Member& client, const ProcessState& process) {
  if (process.open_count == 1) return kSure;
  const Share& agrees = process.proxy_class.agrees;
  const bool marks = AddsMarks(server, client);
  if (TargetIsRare(server)) return kSure;
  if (agrees.total >= kKnown && agrees.value() < 0.9) return kDoubt;
  if (agrees.total < kKnown && !marks && (agrees.total < kKnown / 2 || agrees.value() < 1)) return kDoubt;
  // Another request was sent for it and is not answered: a mirror, a hedge, or coincidence.
  if (server.busy_clients > 0) return marks ? kLikely : kDoubt;
  if (marks || (agrees.total >= kKnown && agrees.value() >= 0.98)) return kSure;
  return kLikely;
}

// The agreement of order and pair. Null pair: the response was not seen to be passed on.
double CrowdConfidence(const Member& client, const ProcessState& process) {
  if (client.pair_choice == nullptr) return kDoubt;
  if (!client.turns_sure && client.order_choice != client.pair_choice->id) return kDoubt;
  const ProxyClass& learned = process.proxy_class;
  if (!learned.one_thread() || process.arrivals < learned.distrust_until) return kDoubt;
  const bool known = learned.agrees.total >= kKnown;
  const bool passes_on = known && learned.agrees.value() >= 0.9;
  // A process's first requests: the response passed on at once says as much as a known habit.
  if (!known && learned.agrees.value() >= 1 && client.order_sure && client.pair_sure) return kFirstOnes;
  if (!passes_on && !AddsMarks(*client.pair_choice, client)) return kDoubt;
  if (client.turns_sure) return client.by_pool ? kPairSure : kBothSure;
  if (client.order_sure && client.pair_sure) return kBothSure;
  if (client.pair_sure) return kPairSure;
  return client.order_sure && !learned.fans_out ? kOrderSure : kDoubt;
}

class ProxyRule final : public InferenceRule {
 public:
  LinkRule rule() const override { return LinkRule::kProxy; }

  LinkDecision Decide(const LinkQuestion& question) override {
    Member& client = question.client;
    if (!question.first) return DecideInCrowd(question);
    ProcessState& process = question.process;
    if (process.open_count == 0) return LinkDecision::NotMine();
    if (!question.narrowed.empty()) return DecideNarrowed(question);
    Crowd* const crowd = FindCrowd(client);
    const bool agrees = crowd != nullptr && crowd->open_count > 0;
    if (!agrees) return DecideNear(question);
    process.proxy_class.agrees.Add(true);
    if (Contradicted(question, *crowd)) return LinkDecision::NotMine();
    if (crowd->open_count > 1) {
      process.proxy_class.crowded_at = process.arrivals;
      QueueClient(*crowd, client);
      return LinkDecision::Later();
    }
    Member* const server = crowd->open.front();
    if (AddsMarks(*server, client)) ++process.proxy_class.marked;
    const double confidence = SingleConfidence(*server, client, process);
    // Too early to say what kind of process this is: the responses will tell.
    if (confidence <= kDoubt && process.proxy_class.agrees.total < kKnown) {
      QueueClient(*crowd, client);
      return LinkDecision::Later();
    }
    return LinkDecision::Link(server, confidence);
  }

  void OnRequest(Member& member) override {
    CountHead(*member.process, member.exchange->request_stamp, member.role == Role::kServer);
    if (member.role != Role::kServer) {
      member.free_ns = member.process->free_connections.Find(member.exchange->endpoint.conn_id);
      return;
    }
    member.target_seen = member.process->targets.Add(member.request.method_target);
    if (member.request.truncated) return;
    const uint64_t key = member.request.Fingerprint();
    auto& crowd = member.process->crowds[key];
    if (crowd == nullptr) crowd = std::make_unique<Crowd>();
    crowd->key = key;
    EnterCrowd(*crowd, member);
  }

  void OnResponse(Member& member, Wake& wake) override {
    CountHead(*member.process, member.exchange->response_stamp, member.role == Role::kClient);
    CountThreads(member);
    if (member.role == Role::kClient) {
      Answered(member);
      return;
    }
    LearnBack(member);
    if (member.crowd == nullptr) return;
    // The answer to a request that is known to be its own explains it, or else one of those that wait.
    if (!member.answered || !ResponseAgrees(member.last_answer, member.response)) {
      if (Member* const client = PairResponse(member)) wake.push_back(client);
    }
    Leave(member, wake);
  }

  void OnFinished(Member& member, Wake& wake) override {
    if (member.role == Role::kClient) {
      const ProcessState& process = *member.process;
      if (member.responded && process.proxy_class.is_proxy()) {
        member.process->free_connections.Note(member.exchange->endpoint.conn_id, member.exchange->end_ns);
      }
      if (member.responded) return;
      // A response that was not seen may have been another's than the one that seems to follow.
      const Exchange& exchange = *member.exchange;
      if (exchange.had_gap || exchange.error == ExchangeError::kUnfinished) {
        member.process->proxy_class.distrust_until = member.process->arrivals + kDistrust;
      }
      Answered(member);
    } else if (member.crowd != nullptr) {
      Leave(member, wake);
    }
  }

  void OnLinked(Member& client) override {
    if (client.cause->busy_clients > 1) client.process->proxy_class.fans_out = true;
    MarkServed(*client.cause);
    LearnHop(client);
    if (!client.by_pool) client.process->proxy_class.habit.Learn(client);
  }

  void Forget(Member& client) override {
    Crowd* const crowd = client.crowd;
    ForgetClient(client);
    if (crowd != nullptr) DropIfEmpty(*client.process, *crowd);
  }

 private:
  static LinkDecision DecideInCrowd(const LinkQuestion& question) {
    const Member& client = question.client;
    const double confidence = CrowdConfidence(client, question.process);
    if (confidence <= kDoubt) return LinkDecision::Refuse("ambiguous");
    return LinkDecision::Link(client.pair_choice, confidence);
  }

  // Only requests that share an id with the outgoing one can be meant.
  static LinkDecision DecideNarrowed(const LinkQuestion& question) {
    Member* found = nullptr;
    for (Member* server : question.narrowed) {
      if (server->request.Fingerprint() != question.client.request.Fingerprint()) continue;
      if (found != nullptr) return LinkDecision::NotMine();
      found = server;
    }
    return found != nullptr ? LinkDecision::Link(found, kLikely) : LinkDecision::NotMine();
  }

  // No open request has this head. One that differs in added headers, in a header or two, or in the
  // front part of its path?
  static LinkDecision DecideNear(const LinkQuestion& question) {
    const Member& client = question.client;
    Member* best = nullptr;
    double confidence = 0;
    int equally_near = 0;
    int looked = 0;
    for (const Hook* hook = question.process.open.first(); hook->member != nullptr; hook = hook->next) {
      Member& server = *hook->member;
      if (server.responded || server.id > client.id) continue;
      if (++looked > kMaxLooked) break;
      const double near = Nearness(server, client);
      if (near == 0) continue;
      if (near > confidence) {
        best = &server;
        confidence = near;
        equally_near = 1;
      } else if (near == confidence) {
        ++equally_near;
      }
    }
    ProxyClass& learned = question.process.proxy_class;
    learned.agrees.Add(best != nullptr);
    if (best == nullptr || looked > kMaxLooked) return LinkDecision::NotMine();
    if (equally_near > 1) return LinkDecision::Refuse("ambiguous");
    // Half a head in common is a coincidence in an application.
    if (confidence < kSure && !learned.is_proxy() && !AddsMarks(*best, client)) return LinkDecision::NotMine();
    return LinkDecision::Link(best, confidence);
  }

  static double Nearness(const Member& server, const Member& client) {
    const HeadDigest& in = server.request;
    const HeadDigest& out = client.request;
    if (in.method_target == out.method_target) {
      // A chunked body that the proxy collected gets a length.
      if (in.headers == out.headers && in.content_length < 0) return kSure;
      if (in.truncated || out.truncated) return kDoubt;
      return in.header_count > 0 && KeepsHeaders(*server.exchange, *client.exchange) ? kHeadersAdded : 0;
    }
    if (in.truncated || out.truncated || in.headers != out.headers || in.header_count < kMinHeaders) return 0;
    if (server.exchange->request.method != client.exchange->request.method) return 0;
    return PathsRelated(server.exchange->request.target, client.exchange->request.target) ? kPathRewritten : 0;
  }

  // Every end-to-end line of `server` is in `client` again. Rare, so it may cost.
  static bool KeepsHeaders(const Exchange& server, const Exchange& client) {
    const auto is_in = [](const HttpHeader& wanted, const HttpHead& head) {
      return std::any_of(head.headers.begin(), head.headers.end(), [&wanted](const HttpHeader& header) {
        return header.value == wanted.value && absl::EqualsIgnoreCase(header.name, wanted.name);
      });
    };
    return std::all_of(server.request.headers.begin(), server.request.headers.end(), [&](const HttpHeader& header) {
      return !IsEndToEnd(header.name) || is_in(header, client.request);
    });
  }

  // One path is the other with something in front: "/api/v1/item/7" and "/item/7".
  static bool PathsRelated(absl::string_view a, absl::string_view b) {
    a = OriginForm(a);
    b = OriginForm(b);
    if (a.size() < b.size()) std::swap(a, b);
    return b.size() >= kMinPathBytes && b[0] == '/' && absl::EndsWith(a, b);
  }

  static Crowd* FindCrowd(const Member& client) {
    if (client.request.truncated) return nullptr;
    const auto it = client.process->crowds.find(client.request.Fingerprint());
    return it == client.process->crowds.end() ? nullptr : it->second.get();
  }

  // A thread-per-request application, which has not shown itself as a proxy, and another thread than
  // that of the agreeing request: coincidence. Several agreeing ones: the thread knows better.
  static bool Contradicted(const LinkQuestion& question, const Crowd& crowd) {
    if (question.process.proxy_class.marked > 0 || !ThreadClassKnown(question.process)) return false;
    if (crowd.open_count > 1) return true;
    return crowd.open.front()->exchange->request_stamp.tid != question.client.exchange->request_stamp.tid;
  }

  static void CountThreads(const Member& member) {
    ProxyClass& learned = member.process->proxy_class;
    if (member.exchange->response_stamp.tid == member.exchange->request_stamp.tid) {
      ++learned.same_thread;
    } else {
      learned.crosses = true;
    }
  }

  static void LearnHop(const Member& client) {
    const HeadStamp& in = client.cause->exchange->request_stamp;
    const HeadStamp& out = client.exchange->request_stamp;
    if (!in.counted || !out.counted || in.tid != out.tid || client.exchange->dial) return;
    client.process->proxy_class.hop.Add(out.turns.turn - in.turns.turn);
  }

  static void LearnBack(const Member& server) {
    const HeadStamp& out = server.exchange->response_stamp;
    if (!server.answered || server.client_count != 1 || !out.counted || out.tid != server.answer_tid) return;
    server.process->proxy_class.back.Add(out.turns.turn - server.answer_turn);
  }

  // The client has its response, or has failed: its cause may be answered, or sent again.
  static void Answered(Member& client) {
    if (client.cause != nullptr) {
      if (client.cause->busy_clients > 0) --client.cause->busy_clients;
      client.cause->answered |= client.responded;
      if (client.responded) {
        const HeadStamp& stamp = client.exchange->response_stamp;
        client.cause->last_answer = client.response;
        client.cause->answer_turn = stamp.turns.turn;
        client.cause->answer_tid = stamp.counted ? stamp.tid : 0;
      }
      if (!client.cause->responded && MayBeRetried(client)) MarkServable(*client.cause);
    } else {
      ClientAnswered(client);
    }
  }

  static void Leave(Member& server, Wake& wake) {
    Crowd& crowd = *server.crowd;
    LeaveCrowd(crowd, server);
    if (crowd.first_used) TakeHopeless(crowd, crowd.first, wake);
    for (const auto& lane : crowd.more) TakeHopeless(crowd, *lane, wake);
    DropIfEmpty(*server.process, crowd);
  }

  static void DropIfEmpty(ProcessState& process, Crowd& crowd) {
    if (crowd.open_count == 0 && crowd.clients == 0) process.crowds.erase(crowd.key);
  }
};

}  // namespace

std::unique_ptr<InferenceRule> MakeProxyRule() { return std::make_unique<ProxyRule>(); }

}  // namespace spantap
