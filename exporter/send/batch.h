// SPDX-License-Identifier: Apache-2.0
//
// A batch: one encoded ExportTraceServiceRequest and how many spans it holds. The one form from the batcher to the
// wire and to the disk.
//
// A movable value; belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace spantap {

struct Batch {
  std::string request;
  uint64_t spans = 0;
  std::optional<uint64_t> spool_id = {};  // it lies on disk, as this entry of the spool
};

}  // namespace spantap
