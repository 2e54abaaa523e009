// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing at a place in a file, whole or not at all. Errors are errno values; no signal gets out, a file
// size limit (SIGXFSZ) included. Used by the spool, under its lock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "exporter/spool/segment_scan.h"

namespace spantap {

// 0 or errno; EIO if the file ends before.
int ReadAt(int fd, uint64_t offset, size_t bytes, std::string* ret);
int WriteAt(int fd, uint64_t offset, const std::vector<absl::string_view>& pieces);

// A segment file as the scan sees it; its size is that of now.
class FileBytes : public ByteSource {
 public:
  explicit FileBytes(int fd);  // borrowed
  uint64_t size() const override { return size_; }
  bool Read(uint64_t offset, size_t bytes, std::string* ret) override;

 private:
  const int fd_;
  uint64_t size_ = 0;
};

}  // namespace spantap
