// SPDX-License-Identifier: Apache-2.0
#include "tests/model/kernel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

namespace spantap::model {
namespace {

constexpr int kConnectionFd = 1000, kMemoryFd = 2000;
constexpr uintptr_t kPlace = 1;  // the same for all calls, as for deaths
constexpr uint64_t kSaidBytes = kDataBytes;
uint64_t now_ns;

}  // namespace

Kernel& TheKernel() {
  static Kernel& kernel = *new Kernel();
  return kernel;
}

void Kernel::Reset() {
  *this = Kernel();
  now_ns = 1;
}

void Kernel::OneStep(bool writes) {
  TheExplorer().Before({kPlace, writes});
  TheMemory().Acquire(clock_);
  if (writes) TheMemory().Release(&clock_);
}

// ---------------------------------------------------------------- agents

void Kernel::Listen() {
  OneStep(true);
  listener_ = TheExplorer().thread();
  TheExplorer().Note("listens");
}

void Kernel::StopListening() {
  OneStep(true);
  listener_ = -1;
}

Kernel::Rings Kernel::Look() {
  OneStep(false);
  Rings rings;
  for (int i = 0; i < used_; ++i) {
    if (connections_[i].agent != TheExplorer().thread() || connections_[i].agent_closed) continue;
    rings.attached |= 1u << i;
    if (connections_[i].producer_closed) rings.ended |= 1u << i;
  }
  return rings;
}

void Kernel::Close(int ring) {
  OneStep(true);
  connections_[ring].agent_closed = true;
  TheExplorer().Note("closes its connection");
}

void Kernel::AgentDied(int thread) {
  if (listener_ == thread) listener_ = -1;
  for (Connection& connection : connections_) connection.agent_closed |= connection.agent == thread;
  TheMemory().Release(&clock_);
}

void Kernel::ProducerDied() {
  for (Connection& connection : connections_) connection.producer_closed = true;
  TheMemory().Release(&clock_);
}

// ---------------------------------------------------------------- the producer

int Kernel::Connect() {
  OneStep(true);
  return listener_ >= 0 ? 0 : -1;
}

bool Kernel::Send() {
  OneStep(true);
  if (listener_ < 0) return false;
  if (used_ == kRings) {
    TheExplorer().Fail("too many rings for the model");
    return false;
  }
  connections_[used_++].agent = listener_;
  TheExplorer().Note("attaches");
  return true;
}

int Kernel::ReceiveRing() { return used_ - 1; }

bool Kernel::AgentGone(int ring) {
  OneStep(false);
  return connections_[ring].agent_closed;
}

void Kernel::CloseProducerEnd(int ring) {
  OneStep(true);
  connections_[ring].producer_closed = true;
}

namespace {
int attempt;  // the producer's connection and ring; -1: not attached
}  // namespace

int Kernel::ProducersAgent() const { return attempt < 0 ? -1 : connections_[attempt].agent; }

}  // namespace spantap::model

using spantap::model::TheKernel;
using spantap::model::TheMemory;

extern "C" {

int model_socket(int, int, int) {
  spantap::model::attempt = -1;
  return spantap::model::kConnectionFd;
}
int model_connect(int, const struct sockaddr*, socklen_t) { return TheKernel().Connect(); }
ssize_t model_send(int, const void*, size_t bytes, int) {
  if (!TheKernel().Send()) return -1;
  spantap::model::attempt = TheKernel().ReceiveRing();
  return static_cast<ssize_t>(bytes);
}
ssize_t model_recvmsg(int, struct msghdr* message, int) {
  const spantap_welcome welcome = {SPANTAP_WELCOME_MAGIC, SPANTAP_HANDOFF_VERSION, 0, spantap::model::kSaidBytes};
  memcpy(message->msg_iov[0].iov_base, &welcome, sizeof(welcome));
  cmsghdr* header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = spantap::model::kMemoryFd;
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  message->msg_flags = 0;
  return sizeof(welcome);
}
ssize_t model_recv(int, void*, size_t, int) {
  if (TheKernel().AgentGone(spantap::model::attempt)) return 0;
  errno = EAGAIN;
  return -1;
}
int model_fcntl(int, int command, ...) {
  return command == F_GET_SEALS ? F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL : -1;
}
off_t model_lseek(int, off_t, int) { return SPANTAP_RING_HEADER_BYTES + spantap::model::kSaidBytes; }
void* model_mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (fd < 0) return mmap(at, bytes, protection, flags, fd, offset);
  const int ring = spantap::model::attempt;
  TheMemory().Map(ring, true);
  return TheMemory().ring(ring);
}
int model_munmap(void* at, size_t bytes) {
  const int ring = TheMemory().RingOf(at);
  if (ring < 0) return munmap(at, bytes);
  TheMemory().Map(ring, false);
  return 0;
}
int model_madvise(void* at, size_t bytes, int advice) {
  return TheMemory().RingOf(at) < 0 ? madvise(at, bytes, advice) : 0;
}
int model_close(int fd) {
  if (fd == spantap::model::kConnectionFd && spantap::model::attempt >= 0) {
    TheKernel().CloseProducerEnd(spantap::model::attempt);
  }
  return 0;
}
int model_getsockopt(int, int, int, void* value, socklen_t*) {
  const uint64_t cookie = 1;
  memcpy(value, &cookie, sizeof(cookie));
  return 0;
}
// Long enough between two looks that every attempt is due.
int model_clock_gettime(clockid_t, struct timespec* now) {
  spantap::model::now_ns += 1'500'000'000;
  now->tv_sec = static_cast<time_t>(spantap::model::now_ns / 1'000'000'000);
  now->tv_nsec = static_cast<long>(spantap::model::now_ns % 1'000'000'000);
  return 0;
}
}
