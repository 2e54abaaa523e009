// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/ring_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace spantap {
namespace {

// Of Linux 6.3; what is passed on must not be a way to run code. Older kernels refuse the flag.
constexpr unsigned kNoExecSeal = 0x0008U;
// No F_SEAL_FUTURE_WRITE: producers could not map it then.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int MakeMemfd() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int fd = memfd_create("spantap-ring", kFlags | kNoExecSeal);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create("spantap-ring", kFlags);
}

}  // namespace

RingMemory::RingMemory(uint64_t data_bytes) : fd_(MakeMemfd()), data_bytes_(data_bytes) {
  const auto size = static_cast<off_t>(SPANTAP_RING_HEADER_BYTES + data_bytes);
  // fallocate() says if there is no memory; a fault later on could only say SIGBUS.
  if (!fd_.valid() || ftruncate(fd_.get(), size) != 0 || fallocate(fd_.get(), 0, 0, size) != 0) return;
  if (fcntl(fd_.get(), F_ADD_SEALS, kSeals) != 0) return;
  void* memory =
      mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (memory == MAP_FAILED) return;
  ring_ = static_cast<spantap_ring*>(memory);
  ring_->magic = SPANTAP_RING_MAGIC;
  ring_->version = SPANTAP_HANDOFF_VERSION;
  ring_->header_bytes = SPANTAP_RING_HEADER_BYTES;
  ring_->data_bytes = data_bytes;
}

RingMemory::RingMemory(RingMemory&& other) noexcept
    : fd_(std::move(other.fd_)), ring_(std::exchange(other.ring_, nullptr)), data_bytes_(other.data_bytes_) {}

RingMemory::~RingMemory() {
  if (ring_ != nullptr) munmap(ring_, SPANTAP_RING_HEADER_BYTES + data_bytes_);
}

}  // namespace spantap
