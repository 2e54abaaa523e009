// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/record_check.h"

#include <cstring>

namespace spantap {
namespace {

// Size of a type's fixed struct; 0: unknown.
size_t FixedSize(uint8_t type) {
  switch (type) {
    case SPANTAP_EVENT_OPEN:
      return sizeof(spantap_open_event);
    case SPANTAP_EVENT_DATA:
      return sizeof(spantap_data_event);
    case SPANTAP_EVENT_END:
      return sizeof(spantap_end_event);
    case SPANTAP_EVENT_FORK:
    case SPANTAP_EVENT_EXEC:
    case SPANTAP_EVENT_EXIT:
      return sizeof(spantap_task_event);
    case SPANTAP_EVENT_PROCESS:
      return sizeof(spantap_process_event);
    case SPANTAP_EVENT_CLOCK:
      return sizeof(spantap_clock_event);
    case SPANTAP_EVENT_LOSS:
      return sizeof(spantap_loss_event);
    default:
      return 0;
  }
}

template <typename T>
T ReadAs(absl::string_view record) {
  T fixed;
  memcpy(&fixed, record.data(), sizeof(T));
  return fixed;
}

}  // namespace

RecordVerdict CheckRecord(absl::string_view record) {
  if (record.size() < sizeof(spantap_event_header) || record.size() > kMaxRecordBytes) {
    return RecordVerdict::kImpossible;
  }
  const auto header = ReadAs<spantap_event_header>(record);
  if (header.size != record.size()) return RecordVerdict::kImpossible;
  const size_t fixed = FixedSize(header.type);
  if (fixed == 0) return RecordVerdict::kUnknown;
  if (record.size() < fixed) return RecordVerdict::kMalformed;
  if (header.type == SPANTAP_EVENT_DATA) {
    const auto data = ReadAs<spantap_data_event>(record);
    const bool inside = data.copied_bytes <= record.size() - fixed && data.copied_bytes <= data.piece_bytes;
    // A position near the end of 64 bits would wrap; no stream is that long.
    const bool wraps = data.position > UINT64_MAX - data.piece_bytes;
    if (!inside || wraps) return RecordVerdict::kMalformed;
  }
  if (header.type == SPANTAP_EVENT_PROCESS) {
    if (ReadAs<spantap_process_event>(record).text_bytes > record.size() - fixed) return RecordVerdict::kMalformed;
  }
  return RecordVerdict::kGood;
}

}  // namespace spantap
