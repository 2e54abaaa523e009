// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: any order of calls of the cause finder, with any numbers. Whatever it is told: one decision for
// each outgoing request that is not known, no cause that was released or never told, each incoming one released once,
// and nothing left when the processes have ended.
//
// Input: records of 8 bytes. kind and process, a time step, a thread and counters, a connection, and two that pick what
// was told before. A few kinds take huge values. Corpus: tests/data/fuzz_causes.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "agent/cause/cause_finder.h"

namespace spantap {
namespace {

constexpr size_t kRecord = 8;
constexpr size_t kMaxRecords = 4096;

void Require(bool ok) {
  if (!ok) std::abort();
}

class Stream {
 public:
  explicit Stream(const CauseSettings& settings) : settings_(settings), finder_(settings) {}

  void Run(const uint8_t* data, size_t size) {
    for (size_t i = 0; i < kMaxRecords && size >= kRecord; ++i, data += kRecord, size -= kRecord) {
      Step(data);
      Take();
    }
    finder_.Flush();
    Take();
    for (const uint64_t id : outgoing_) Require(decided_.count(id) + known_.count(id) > 0);
    for (const uint32_t tgid : processes_) finder_.OnProcessEnd(tgid);
    Take();
    for (const auto& [id, tgid] : incoming_) Require(gone_.count(id) == 1);
  }

 private:
  void Step(const uint8_t* b) {
    const uint32_t tgid = b[0] >> 5;
    now_ns_ += static_cast<uint64_t>(b[1]) * b[1] * 500;
    switch (b[0] & 31) {
      case 0 ... 6:
        return Incoming(tgid, b);
      case 7 ... 15:
        return Outgoing(tgid, b);
      case 16 ... 22:
        return finder_.OnResponse(tgid, Pick(b), At(b));
      case 23 ... 25:
        return finder_.OnOver(tgid, Pick(b), At(b).ns);
      case 26:
        return Known(tgid, b);
      case 27:
        return finder_.OnTime(At(b).ns);
      case 28:
        now_ns_ += b[6] == 255 ? uint64_t{b[7]} << 56 : uint64_t{b[7]} << 24;  // a jump
        return finder_.OnTime(now_ns_);
      case 29:
        if (b[6] == 255) now_ns_ = static_cast<uint64_t>(0) - b[7];
        return finder_.OnTime(now_ns_);
      case 30:
        return finder_.OnProcessEnd(tgid);
      default:
        return finder_.Flush();
    }
  }

  // Late by up to 30 us, or at any time.
  Moment At(const uint8_t* b) {
    Moment at;
    const uint64_t back = b[2] >= 0xf0 ? uint64_t{b[2]} << 40 : b[2] % 4 * 10'000u;
    at.ns = b[2] >= 0xf8 ? now_ns_ + back : now_ns_ - back;
    at.tid = b[3] & 7;
    at.counted = (b[3] & 8) == 0;
    uint32_t* const counters = counters_[at.tid];
    if (b[3] & 16) ++counters[0];
    if (b[3] & 32) ++counters[1];
    if (b[3] == 0xff) counters[b[4] % 4] = 0xffffff00u + b[5];
    at.turn = counters[0], at.burst = counters[1];
    at.reads = ++counters[2], at.writes = ++counters[3];
    return at;
  }

  TokenList Tokens(uint8_t b) {
    if (b < 128) return {};
    if (b == 255) return {0, 1, UINT64_MAX};
    return {static_cast<uint64_t>(b) * 0x9e3779b97f4a7c15ull};
  }

  uint64_t Pick(const uint8_t* b) const {
    if (b[6] == 255) return ids_ + b[7];  // not told yet
    const uint64_t back = b[6] < 64 ? b[6] % 8u : b[6] * 4u + b[7] % 4u;
    return ids_ > back ? ids_ - back : 0;
  }

  void Incoming(uint32_t tgid, const uint8_t* b) {
    IncomingRequest request;
    request.id = ++ids_;
    request.at = At(b);
    request.route = b[4] < 240 ? b[4] % 4 : b[4] * 256u + b[5];
    request.tokens = Tokens(b[7]);
    incoming_[request.id] = tgid;
    processes_.insert(tgid);
    finder_.OnIncoming(tgid, std::move(request));
  }

  void Outgoing(uint32_t tgid, const uint8_t* b) {
    OutgoingRequest request;
    request.id = ++ids_;
    request.at = At(b);
    request.dialled = b[5] > 200;
    request.call = b[4] < 240 ? b[4] % 8 : b[4] * 256u + b[5];
    request.connection = b[6] % 16;
    request.destination = b[4];
    request.tokens = Tokens(b[7]);
    outgoing_.insert(request.id);
    of_[request.id] = tgid;
    finder_.OnOutgoing(tgid, std::move(request));
  }

  void Known(uint32_t tgid, const uint8_t* b) {
    const uint64_t outgoing = Pick(b);
    if (outgoing_.count(outgoing) != 0 && decided_.count(outgoing) == 0 && of_[outgoing] == tgid)
      known_.insert(outgoing);
    finder_.OnKnown(tgid, outgoing, b[4] == 0 ? 0 : ids_ - b[5] % 32u);
  }

  void Take() {
    for (const CauseDecision& decision : finder_.TakeDecisions()) {
      const uint64_t id = decision.outgoing;
      Require(outgoing_.count(id) == 1 && of_[id] == decision.tgid && known_.count(id) == 0);
      Require(decided_.insert(id).second);
      Require(decision.confidence >= 0 && decision.confidence <= 1);
      Require(!settings_.use_gates || decision.reason.empty() == (decision.confidence > 0.9));
      if (decision.incoming == 0) {
        Require(decision.confidence == 0);
        continue;
      }
      const auto cause = incoming_.find(decision.incoming);
      Require(cause != incoming_.end() && cause->second == decision.tgid && gone_.count(decision.incoming) == 0);
    }
    for (const uint64_t id : finder_.TakeReleased()) Require(incoming_.count(id) == 1 && gone_.insert(id).second);
  }

  const CauseSettings settings_;
  CauseFinder finder_;
  uint64_t now_ns_ = 1'000'000'000;
  uint64_t ids_ = 0;
  uint32_t counters_[8][4] = {};
  std::map<uint64_t, uint32_t> incoming_, of_;
  std::set<uint64_t> outgoing_, known_, decided_, gone_;
  std::set<uint32_t> processes_;
};

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  spantap::CauseSettings settings;
  settings.max_processes = 5;
  settings.max_incoming = 1 + (data[0] & 31);
  settings.max_outgoing = 8 + (data[0] & 0xe0);
  spantap::Stream(settings).Run(data + 1, size - 1);
  return 0;
}
