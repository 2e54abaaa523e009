// SPDX-License-Identifier: Apache-2.0
//
// `spantap record`: events go to the record file instead of the pipeline.
// Event thread only.
#pragma once

#include <cstdint>
#include <memory>

#include "agent/capture/event_source.h"
#include "agent/capture/record_file.h"

namespace spantap {

class Recording final : public EventSink {
 public:
  explicit Recording(std::unique_ptr<RecordWriter> writer) : writer_(std::move(writer)) {}
  void OnEvent(const EventView& event) override;
  void OnTime(uint64_t mono_ns) override { writer_->OnTime(mono_ns); }

  RecordWriter& writer() { return *writer_; }
  // Of the records written, those that the kernel captured (the file holds others too).
  uint64_t captured() const { return captured_; }

 private:
  std::unique_ptr<RecordWriter> writer_;
  uint64_t captured_ = 0;
};

}  // namespace spantap
