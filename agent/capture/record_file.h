// SPDX-License-Identifier: Apache-2.0
//
// Record files: captured events as they came, for replay, bug reports and tests.
//
// Layout: "SPANTAP1", u32 event version, u32 header bytes, then records: the contract's structs as they
// are, each padded to 8 bytes. A record never lies across the end: a cut file replays up to its last
// whole record. Little endian.
//
// One thread. Mode 0600. Values of secret headers are overwritten by '*' of equal length before they
// reach the disk unless `with_secrets` (redactor.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/event_source.h"

namespace spantap {

class RecordWriter final : public EventSink {
 public:
  // Creates or truncates `path`.
  static absl::StatusOr<std::unique_ptr<RecordWriter>> Create(const std::string& path, bool with_secrets);
  ~RecordWriter() override;
  void OnEvent(const EventView& event) override;
  void OnTime(uint64_t mono_ns) override;
  // Flushes and reports the first write error, if any ("disk full after N records").
  absl::Status Close();
  uint64_t records() const;

 private:
  struct State;
  explicit RecordWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Replays a file. A cut file delivers its whole records; then Truncated() is true.
class ReplaySource final : public EventSource {
 public:
  static absl::StatusOr<std::unique_ptr<ReplaySource>> Open(const std::string& path);
  ~ReplaySource() override;
  absl::StatusOr<int> Poll(EventSink& sink, int timeout_ms) override;
  bool Finished() const override;
  void Order(uint64_t conn_id, const spantap_order& order) override;
  SourceCounters Counters() const override;
  void StopCapture() override;
  bool Truncated() const;

 private:
  struct State;
  explicit ReplaySource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spantap
