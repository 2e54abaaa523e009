// SPDX-License-Identifier: Apache-2.0
//
// Which incoming request of a process caused an outgoing one, when nothing on the wire says so. Heads in, decisions
// out; README.md has the method.
//
//   incoming, outgoing, responses ──► window of a process ──► timelines ──► assignment ──► gates ──► decisions
//        known causes ──────────────► what its handlers do (learned)  ┘
//
// A decision is made when every incoming request that was open at the outgoing one's moment is over, or Settings::
// limit_ns after that moment; until then the incoming ones that it may be linked to are held (see Released).
//
// One thread, no I/O, no clock, no randomness: time is that of the events, a recording gives the same decisions.
// Cost: amortized over an outgoing request, bounded by the settings. Memory: Settings, per process and in all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/cause/cause_memory.h"
#include "agent/cause/confidence.h"
#include "agent/cause/events.h"

namespace spantap {

class Evidence;

// What decided. Order is that of strength when several hold.
enum class CauseRule : uint8_t {
  kProgram,  // what the handler was known to do next, and no other handler's
  kToken,    // a rare value that both heads carry made the difference
  kJoint,    // several could have sent it; all open handlers together leave one
};

struct CauseSettings {
  uint64_t limit_ns = 2'000'000'000;  // a decision waits no longer
  size_t max_processes = 1024;
  size_t max_incoming = 2048;    // a process, held; beyond it the newest are not followed
  size_t max_outgoing = 4096;    // a process, undecided
  uint32_t max_hypotheses = 32;  // a handler's possible timelines
  uint32_t max_steps = 2400;     // of the search for them
  // Parts of the method, to see what each is worth.
  bool use_tokens = true;
  bool use_end = true;        // when a handler answers tells what it did last
  bool use_adjacency = true;  // threads, loop turns, what happened in between
  bool use_program = true;    // which calls a route makes, in which order
  bool use_gaps = true;
  bool use_order = true;  // first come, first served
  bool use_gates = true;
  // For those who fit the weights of `sureness`: what was known when it was decided how sure a link is.
  std::function<void(uint64_t outgoing, uint64_t incoming, const Evidence& evidence)> on_evidence;
};

struct CauseDecision {
  uint32_t tgid = 0;
  uint64_t outgoing = 0;
  uint64_t incoming = 0;      // the best candidate; 0: none
  Confidence confidence = 0;  // that it is the right one; 0 with no candidate
  CauseRule rule = CauseRule::kProgram;
  absl::string_view reason;  // why the confidence is not above 0.9: a static name; "" if it is
};

struct CauseCounters {
  uint64_t decided = 0;    // outgoing requests, however sure
  uint64_t overflow = 0;   // of these, given up because a bound was reached
  uint64_t timelines = 0;  // hypotheses made
  uint64_t cut_short = 0;  // searches that reached max_steps
  uint64_t forgotten = 0;  // routes or processes that were evicted
  uint64_t recalled = 0;   // processes that began with what another one of their program had learned
};

// Virtual, so that the tests of those who ask can answer.
class CauseFinder {
 public:
  explicit CauseFinder(const CauseSettings& settings);
  virtual ~CauseFinder();

  // Every request is told before its response, and that before its end; all in capture order. Unknown ids are ignored.
  virtual void OnIncoming(uint32_t tgid, IncomingRequest request);
  virtual void OnOutgoing(uint32_t tgid, OutgoingRequest request);
  virtual void OnResponse(uint32_t tgid, uint64_t id, const Moment& at);  // of either: its head was written or read
  // It is over; without a response before, nothing is learned from it.
  virtual void OnOver(uint32_t tgid, uint64_t id, uint64_t ns);
  // The cause of an outgoing request is certain (0: certainly none): no decision will follow, others learn from it.
  virtual void OnKnown(uint32_t tgid, uint64_t outgoing, uint64_t incoming);
  // The process is gone or runs another program: what is open is decided now, what was learned is forgotten.
  virtual void OnProcessEnd(uint32_t tgid);
  virtual void OnTime(uint64_t ns);
  // Decides everything that is open.
  virtual void Flush();

  // Decisions since the last call, in the order they were made. Each outgoing request gets exactly one, unless its
  // cause was told to be known before.
  virtual std::vector<CauseDecision> TakeDecisions();
  // Incoming requests that no decision will name any more, since the last call; each that was told comes up once.
  // A decision never names one that was released by an earlier call.
  virtual std::vector<uint64_t> TakeReleased();

  virtual const CauseCounters& counters() const;

  // Programs are remembered from now on, beginning with those of `memory`. Before anything else is told.
  virtual void Remember(CauseMemory memory);
  // The process runs a program: one hash for all processes, whenever they live, that are expected to do the same. A
  // wrong one does little: of what is remembered only routes and calls with the same hashes are taken over. Again, when
  // more is known of it.
  virtual void OnProgram(uint32_t tgid, uint64_t program);
  // Takes what processes learned into the memory, at most `processes` of them; true: all were asked.
  virtual bool Memorize(size_t processes);
  virtual const CauseMemory& memory() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spantap
