// SPDX-License-Identifier: Apache-2.0
//
// Keeps a flapping disk from flooding the log: a few lines at once, then one in ten seconds, which says how many were
// left out. For the spool's messages (exporter.cc).
//
// One thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spantap {

class LineLimiter {
 public:
  // The line to log; empty: none.
  std::string Pass(uint64_t now_ns, absl::string_view line) {
    const uint64_t earned = (now_ns - since_ns_) / kIntervalNs;
    since_ns_ += earned * kIntervalNs;
    credit_ = std::min<uint64_t>(credit_ + earned, kAtOnce);
    if (credit_ == 0) {
      ++left_out_;
      return "";
    }
    --credit_;
    std::string passed(line);
    if (left_out_ > 0) absl::StrAppend(&passed, " left_out=", left_out_);
    left_out_ = 0;
    return passed;
  }

 private:
  static constexpr uint64_t kIntervalNs = 10'000'000'000;
  static constexpr uint64_t kAtOnce = 6;
  uint64_t since_ns_ = 0;
  uint64_t credit_ = 0;  // the clock's start is long ago: kAtOnce at the first line
  uint64_t left_out_ = 0;
};

}  // namespace spantap
