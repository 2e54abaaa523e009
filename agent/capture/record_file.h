// SPDX-License-Identifier: Apache-2.0
//
// Record files: captured events as they came, for replay, bug reports and tests.
//
// Layout: "SPANTAP1", u32 event version, u32 bytes of this file header (16), then records: the
// contract's structs as they are, each padded to 8 bytes. Files of earlier versions replay; what their records lack
// is 0. A record never lies across the end: a cut file
// replays up to its last whole record. Little endian.
//
// One thread. Mode 0600. Values of secret headers, and body bytes, are overwritten before they reach the
// disk unless `with_secrets` (redactor.h). Memory: one buffer of some 100 KiB each; no memory map,
// because a file that shrinks while it is replayed would kill us.
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
  // Creates or truncates `path`. A symbolic link and another user's file are refused: whoever made
  // them could read along. Devices and pipes are written as they are.
  static absl::StatusOr<std::unique_ptr<RecordWriter>> Create(const std::string& path, bool with_secrets);
  ~RecordWriter() override;
  void OnEvent(const EventView& event) override;
  void OnTime(uint64_t mono_ns) override;
  // Flushes and reports the first write error, if any ("cannot write FILE: No space left on device
  // after N records"). Without it the destructor flushes, and nobody hears of an error.
  absl::Status Close();
  // The first write error so far; nothing is written after it.
  const absl::Status& status() const;
  uint64_t records() const;  // taken; after an error: that reached the file

 private:
  struct State;
  explicit RecordWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Replays a file. A cut file delivers its whole records; then Truncated() is true. So does a file in
// which a record's size is impossible: what follows it cannot be found.
//
// OnTime() is called with the time of each event right before it, where that is later than all before:
// what a replay yields does not depend on how many events a Poll() delivers.
//
// Counters: drops and conditions are those of the last LOSS record; delivered counts the kernel's
// records (types below SPANTAP_EVENT_PROCESS); drop_malformed counts records of either side that
// contradict the contract or have an unknown type. captured is the sum of delivered and drops, so that
// the books balance for a cut file as well: of records behind the cut nobody knows.
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
  uint64_t records() const;  // whole records read, of all kinds

 private:
  struct State;
  explicit ReplaySource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spantap
