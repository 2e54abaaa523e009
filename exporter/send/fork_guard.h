// SPDX-License-Identifier: Apache-2.0
//
// Whether this process is a fork()ed child of the one that armed the guard. The word lies on a page that the kernel
// clears in children (MADV_WIPEONFORK), so the question costs a load and no system call; where that cannot be had,
// process ids are compared. vfork() and CLONE_VM children share the page: they may only exec.
//
// Arm() on one thread before others ask; InChild() on any thread and in signal handlers.
#pragma once

#include <sys/types.h>

#include <atomic>

namespace spantap {

class ForkGuard {
 public:
  ForkGuard() = default;
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;
  ~ForkGuard();

  // This process owns what is guarded from now on. In a child: the child does.
  void Arm();
  // False if never armed.
  bool InChild() const;

 private:
  std::atomic<std::atomic<int>*> word_{nullptr};  // on its own page; cleared in children
  std::atomic<pid_t> owner_{0};                   // 0: not armed
};

}  // namespace spantap
