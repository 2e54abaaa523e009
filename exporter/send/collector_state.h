// SPDX-License-Identifier: Apache-2.0
//
// What a person is told about the collector: one line when it goes down, comes back or refuses spans,
// with the cause; never more than one line of a kind in ten seconds, however it flaps.
//
// Used by Route on the sender's thread; logs through the given function only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/transport/transport.h"

namespace spantap {

class CollectorState {
 public:
  CollectorState(std::string endpoint, std::function<void(absl::string_view)> log);

  // An answer that took the spans, `rejected` of them excepted.
  void Accepted(uint64_t now_ns, const SendResult& result, uint64_t rejected);
  // An answer that must not be retried: `dropped` spans are lost.
  void Refused(uint64_t now_ns, const SendResult& result, uint64_t dropped);
  // No answer, or one that asks to come again.
  void Unavailable(uint64_t now_ns, const SendResult& result);
  // A request of `bytes` was too large; it is sent again in pieces.
  void TooLarge(uint64_t now_ns, const SendResult& result, uint64_t bytes);
  // A batch was given up after its time.
  void GaveUp(uint64_t now_ns, uint64_t dropped);

 private:
  enum class State : uint8_t { kUp, kDown, kRefusing };
  void Enter(State state, uint64_t now_ns, absl::string_view action, absl::string_view cause);

  const std::string endpoint_;
  const std::function<void(absl::string_view)> log_;
  State state_ = State::kUp;              // as it is
  State told_ = State::kUp;               // as last logged; differs while the rate limit holds a line back
  int told_status_ = 0;                   // HTTP and gRPC status last logged as refusing, in one number
  uint64_t since_ns_ = 0;                 // of state_
  std::array<uint64_t, 3> told_ns_ = {};  // last line of each state; 0: none
  uint64_t partial_ns_ = 0;               // last line on a partial success
  uint64_t too_large_ns_ = 0;             // last line on batches that are split
  uint64_t gave_up_ns_ = 0;               // last line on batches given up
  uint64_t changes_untold_ = 0;
};

}  // namespace spantap
