// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/fork_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace spantap {
namespace {

size_t PageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

// nullptr: not to be had.
std::atomic<int>* WipedWord() {
  void* page = mmap(nullptr, PageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (madvise(page, PageBytes(), MADV_WIPEONFORK) == 0) return new (page) std::atomic<int>(0);
  munmap(page, PageBytes());
  return nullptr;
}

}  // namespace

ForkGuard::~ForkGuard() {
  if (std::atomic<int>* word = word_.load(); word != nullptr) munmap(word, PageBytes());
}

void ForkGuard::Arm() {
  if (word_.load() == nullptr) word_.store(WipedWord());
  if (std::atomic<int>* word = word_.load(); word != nullptr) word->store(1);
  owner_.store(getpid());
}

bool ForkGuard::InChild() const {
  const pid_t owner = owner_.load(std::memory_order_acquire);
  if (owner == 0) return false;
  const std::atomic<int>* word = word_.load(std::memory_order_acquire);
  return word != nullptr ? word->load(std::memory_order_relaxed) == 0 : getpid() != owner;
}

}  // namespace spantap
