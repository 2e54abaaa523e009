// SPDX-License-Identifier: Apache-2.0
//
// The disk's system calls as seen by a test: fault_io.cc defines the C library's functions anew for this program, so
// that the code under test is the one that ships. Without a hook they do what they always do. One thread.
#pragma once

#include <functional>

namespace spantap {

enum class IoCall { kOpen, kRead, kWrite, kSyncData, kSync, kTruncate, kUnlink, kRename };

// What becomes of a call: an errno, or one of these.
constexpr int kProceed = 0;
constexpr int kDieBefore = -1;  // SIGKILL, the call has not happened
constexpr int kDieHalf = -2;    // half of the bytes are written (others: as kDieAfter)
constexpr int kDieAfter = -3;
constexpr int kShort = -4;  // half of the bytes are read or written, and that is what is returned

// Null: no faults. Calls that concern a spool's files and all others of those functions alike.
inline std::function<int(IoCall)> io_hook;

struct ScopedIoHook {
  explicit ScopedIoHook(std::function<int(IoCall)> hook) { io_hook = std::move(hook); }
  ~ScopedIoHook() { io_hook = nullptr; }
};

}  // namespace spantap
