// SPDX-License-Identifier: Apache-2.0
//
// A spool that keeps a witness: each batch whose Append() returned OK is written down by its span indexes, one line
// "SEED FIRST-LAST,FIRST-LAST" in a file of its own, after Append() and before anybody else learns of it. What the
// file holds when the process is killed was acknowledged to disk, whatever the spool itself believes later.
//
// Stands between the exporter and the real spool; any thread, as the spool.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "exporter/spool/spool.h"

namespace spantap {

class AuditSpool final : public Spool {
 public:
  AuditSpool(std::unique_ptr<Spool> spool, const std::string& path);

  uint64_t recovered_spans() const override { return spool_->recovered_spans(); }
  absl::Status Append(absl::string_view request, uint64_t spans) override;
  std::optional<Entry> Take() override { return spool_->Take(); }
  bool Done(uint64_t id) override { return spool_->Done(id); }
  void PutBack(uint64_t id) override { spool_->PutBack(id); }
  Stats stats() const override { return spool_->stats(); }

 private:
  const std::unique_ptr<Spool> spool_;
  UniqueFd file_;
};

}  // namespace spantap
