// SPDX-License-Identifier: Apache-2.0
//
// Rule `thread`: in a thread-per-request process, a request is sent by the thread that read the one
// which caused it, before that thread reads another.
//
// Whether a process is of that kind is learned from what every request shows, without any link: of the
// requests that overlapped with another one, the share answered by the thread that read them, with no
// other request read by it in between. Threads and blocking Java give 1.00, Node, asyncio and Go 0 to
// 0.1 (measured), so above 0.97 of at least 16 the rule holds, and below it never does.
//
// Before 16 are known, a request is claimed only when its own four moments prove the nesting: one
// thread read the request, sent ours, read our response and wrote the answer, with no other request
// read by it in between; and only while no thread of the process has ever taken a second request
// before answering the first, or answered what another had read. An event loop with one thread breaks this
// with its second concurrent request, before it can mislead; one with several threads breaks it when two
// requests meet on one of them, and as long as they do not, thread identity is right there, too; a
// runtime that moves requests between threads (Go) answers most of them elsewhere. What is left was
// simulated: 14 wrong claims in 300 starts of a process that runs everything on any of two threads
// (225,000 requests). Waiting for four clean requests would leave one, and break the first traces of
// every thread-per-request application.
//
// Never for a proxy: "last read on this thread" was right for 4 % of Envoy's requests at 16 connections.
#include "agent/link/processes.h"
#include "agent/link/rules.h"

namespace spantap {
namespace {

constexpr uint32_t kKnown = 16;
constexpr double kThreadShare = 0.97;
constexpr double kConfidence = 0.99;
constexpr double kNestedConfidence = 0.98;

ThreadState* FindThread(ProcessState& process, uint32_t tid) {
  const auto it = process.threads.find(tid);
  return it == process.threads.end() ? nullptr : it->second.get();
}

// The request that the thread works on, if that is sure.
Member* HeldBy(const ThreadState* thread) {
  if (thread == nullptr || !thread->held.one()) return nullptr;
  Member* const server = thread->held.front();
  return server->id == thread->last_read ? server : nullptr;
}

bool Nested(const Member& client, const Member& server) {
  const uint32_t tid = server.exchange->request_stamp.tid;
  return client.responded && client.exchange->response_stamp.tid == tid && server.exchange->response_stamp.tid == tid;
}

class ThreadRule final : public InferenceRule {
 public:
  LinkRule rule() const override { return LinkRule::kThread; }

  LinkDecision Decide(const LinkQuestion& question) override {
    ProcessState& process = question.process;
    const ThreadClass& learned = process.thread_class;
    // One open request needs no thread (rule `calm`).
    if (process.proxy_class.is_proxy()) return LinkDecision::NotMine();
    if (question.first && process.open_count <= 1) return LinkDecision::NotMine();
    Member* const server = HeldBy(FindThread(process, question.client.exchange->request_stamp.tid));
    if (server == nullptr || !Allowed(question, server)) return LinkDecision::NotMine();
    if (learned.kept.total >= kKnown) {
      if (learned.kept.value() > kThreadShare) return LinkDecision::Link(server, kConfidence);
      return LinkDecision::NotMine();
    }
    if (learned.broken > 0) return LinkDecision::NotMine();
    if (server->responded) {
      return Nested(question.client, *server) ? LinkDecision::Link(server, kNestedConfidence) : Doubt();
    }
    if (!question.first) return Doubt();
    server->waiters.PushBack(question.client.hooks[kSlotWaiter]);
    return LinkDecision::Later();
  }

  void OnRequest(Member& member) override {
    ProcessState& process = *member.process;
    if (member.role != Role::kServer) return;
    ThreadState* const thread = ThreadOf(process, member.exchange->request_stamp.tid);
    if (thread == nullptr) return;
    if (!thread->held.empty() && member.exchange->pipelined_behind == 0) ++process.thread_class.broken;
    thread->held.PushBack(member.hooks[kSlotThread]);
    thread->last_read = member.id;
  }

  void OnResponse(Member& member, Wake& wake) override {
    if (member.role != Role::kServer) return;
    ThreadClass& learned = member.process->thread_class;
    const uint32_t tid = member.exchange->request_stamp.tid;
    const ThreadState* const thread = FindThread(*member.process, tid);
    const bool own = member.exchange->response_stamp.tid == tid;
    if (!own) ++learned.broken;
    const bool overlapped = member.overlapped || member.process->arrivals != member.arrival;
    if (overlapped) learned.kept.Add(own && thread != nullptr && thread->last_read == member.id);
    // It is still held while its waiters are asked; the linker takes it off behind them.
    WakeWaiters(member, wake);
  }

  void OnFinished(Member& member, Wake& wake) override {
    if (member.role != Role::kServer) return;
    WakeWaiters(member, wake);
  }

  void Forget(Member& client) override { client.hooks[kSlotWaiter].Unlink(); }

 private:
  static LinkDecision Doubt() { return LinkDecision::Refuse("thread_unknown"); }

  static bool Allowed(const LinkQuestion& question, const Member* server) {
    if (question.narrowed.empty()) return true;
    for (const Member* candidate : question.narrowed) {
      if (candidate == server) return true;
    }
    return false;
  }

  static void WakeWaiters(Member& server, Wake& wake) {
    for (const Hook* hook = server.waiters.first(); hook->member != nullptr; hook = hook->next) {
      wake.push_back(hook->member);
    }
  }
};

}  // namespace

std::unique_ptr<InferenceRule> MakeThreadRule() { return std::make_unique<ThreadRule>(); }

}  // namespace spantap
