// SPDX-License-Identifier: Apache-2.0
#include "exporter/embedded/source.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "exporter/intake/hello.h"
#include "exporter/intake/welcome.h"

namespace spantap {

std::unique_ptr<Source> Source::Make(absl::string_view hello, const ProducerFacts& facts, UniqueFd* producer_end) {
  const std::optional<Hello> wish = ParseHello(hello);
  int ends[2] = {-1, -1};
  if (!wish || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return nullptr;
  UniqueFd ours(ends[0]), theirs(ends[1]);
  RingMemory memory(RingBytes(wish->ring_bytes));
  // A child that had the ring would keep its memory for as long as it lives.
  if (!memory.valid() || madvise(memory.ring(), SPANTAP_RING_HEADER_BYTES + memory.data_bytes(), MADV_DONTFORK) != 0 ||
      !SendWelcome(ours.get(), 0, memory.data_bytes(), memory.fd())) {
    return nullptr;
  }
  memory.CloseFd();
  *producer_end = std::move(theirs);
  return absl::WrapUnique(new Source(std::move(memory), std::move(ours), MakeProducerResource(*wish, facts, {})));
}

Source::Source(RingMemory memory, UniqueFd connection, std::shared_ptr<const Resource> resource)
    : RingIntake(std::move(memory), std::move(resource)), connection_(std::move(connection)) {}

bool Source::ProducerGone() const {
  char byte = 0;
  const ssize_t size = recv(connection_.get(), &byte, 1, MSG_DONTWAIT);
  return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace spantap
