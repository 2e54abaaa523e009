// SPDX-License-Identifier: Apache-2.0
//
// One producer of this process as its reader sees it: the reader's end of the connection, the ring, how far it is read.
//
// Made by the thread that connects, then used by the worker's thread only. Memory: the ring. Nothing of it is in a
// forked child but the descriptor: the child's producers make rings of their own.
#pragma once

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "exporter/intake/producer_resource.h"
#include "exporter/intake/ring_intake.h"

namespace spantap {

class Source final : public RingIntake {
 public:
  // nullptr if it is no hello, or memory or descriptors are not to be had; else *producer_end is what the producer
  // gets.
  static std::unique_ptr<Source> Make(absl::string_view hello, const ProducerFacts& facts, UniqueFd* producer_end);

  // Whether the producer has closed its end. One system call.
  bool ProducerGone() const;

  bool ended = false;  // the producer has gone: what lies in the ring is the rest

 private:
  Source(RingMemory memory, UniqueFd connection, std::shared_ptr<const Resource> resource);

  UniqueFd connection_;
};

}  // namespace spantap
