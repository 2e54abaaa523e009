// SPDX-License-Identifier: Apache-2.0
//
// Batches on disk: what does not fit in memory or is unsent at the end waits here and is sent oldest first. One
// batch is one encoded ExportTraceServiceRequest. README.md of this folder has the format of a segment.
//
// Promises: Append() returns OK only when the batch is on disk (fdatasync); a batch is deleted only by Done() or by
// a limit, and each loss is reported; kill -9 at any instant loses no batch whose Append() returned and brings back
// at most the one that was taken and not done. Damaged segments are moved aside, counted, never fatal.
//
// Any thread (one mutex; disk I/O happens under it). One process: the folder is locked. Memory: one batch, and some
// ten bytes for each batch on disk (at most max_batches).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spantap {

enum class SpoolLoss : uint8_t { kEvicted, kExpired, kDamaged };  // over max_bytes; over max_age; unreadable

class Spool {
 public:
  struct Settings {
    std::string dir;                           // made (0700) if its parent exists
    uint64_t max_bytes = 512 << 20;            // of all segments; the oldest batches are given up for new ones
    absl::Duration max_age = absl::Hours(24);  // of a batch, by the wall clock; times ahead of it count as now
    uint64_t segment_bytes = 8 << 20;          // a new segment begins at this size; at most max_bytes / 8
    uint64_t max_batches = 1 << 18;            // bounds the memory: the oldest are given up
    std::function<absl::Time()> clock;         // wall time, for ages; null: the system's
  };
  // A batch that was counted (by recovered_spans() or Append()) is lost. Called with the spool's lock held.
  using LossFn = std::function<void(SpoolLoss, uint64_t spans)>;
  using LogFn = std::function<void(absl::string_view)>;

  // Scans what earlier runs left. Not OK: the folder cannot be made, locked (another process has it) or written.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(const Settings& settings, LossFn lost, LogFn log);
  virtual ~Spool();

  // Found intact by Open(). Limits are applied later, by Append() and Take(), so that these were counted before.
  virtual uint64_t recovered_spans() const = 0;

  // Not OK (disk full, read-only, I/O error): the batch is not there, the spool can be used on; tried again each time.
  // ResourceExhausted: larger than max_bytes. InvalidArgument: `spans` is not what the request holds, or 0.
  virtual absl::Status Append(absl::string_view request, uint64_t spans) = 0;

  struct Entry {
    uint64_t id = 0;  // of this spool object; ascending with age
    std::string request;
    uint64_t spans = 0;
  };
  // The oldest batch not taken yet. It stays on disk until Done(id). nullopt: none.
  virtual std::optional<Entry> Take() = 0;
  // Settled (acknowledged, or refused for good): delete it. A limit may have deleted it before: then false, and the
  // loss has been reported.
  virtual bool Done(uint64_t id) = 0;
  // Not settled: it will be taken again.
  virtual void PutBack(uint64_t id) = 0;

  struct Stats {
    uint64_t batches = 0, spans = 0, bytes = 0, segments = 0;
    uint64_t damaged_segments = 0;  // moved aside, with those of earlier runs found now
    uint64_t damaged_bytes = 0;     // the whole files
    uint64_t append_errors = 0;
    uint64_t other_errors = 0;    // reading, marking as done, deleting
    uint64_t torn_segments = 0;   // found by Open(): cut where a write had been interrupted
    uint64_t newer_segments = 0;  // found by Open(): of a newer format, left as they are
  };
  virtual Stats stats() const = 0;
};

}  // namespace spantap
