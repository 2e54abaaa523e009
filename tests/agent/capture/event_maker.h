// SPDX-License-Identifier: Apache-2.0
//
// Capture events for tests: records as the kernel programs make them, in memory of their own.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "agent/capture/event_source.h"

namespace spantap {

// A record with the alignment that sources guarantee.
class EventRecord {
 public:
  template <typename T>
  EventRecord(const T& fixed, const std::string& payload)
      : words_((sizeof(T) + payload.size() + 7) / 8), size_(sizeof(T) + payload.size()) {
    const std::string record = std::string(reinterpret_cast<const char*>(&fixed), sizeof(T)) + payload;
    memcpy(words_.data(), record.data(), record.size());
    header().size = static_cast<uint32_t>(size_);
  }
  spantap_event_header& header() { return *reinterpret_cast<spantap_event_header*>(words_.data()); }
  char* bytes() { return reinterpret_cast<char*>(words_.data()); }
  size_t size() const { return size_; }
  EventView view() { return {&header(), absl::string_view(bytes(), size_)}; }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

struct DataSpec {
  uint64_t conn_id = 1;
  uint64_t position = 0;
  uint32_t true_bytes = 0;  // 0: as many as copied
  uint16_t flags = SPANTAP_F_CALL_START | SPANTAP_F_CALL_END;
  uint64_t mono_ns = 1;
};

inline EventRecord MakeData(const DataSpec& spec, const std::string& bytes) {
  spantap_data_event event = {};
  event.header.type = SPANTAP_EVENT_DATA;
  event.header.flags = spec.flags;
  event.header.mono_ns = spec.mono_ns;
  event.header.conn_id = spec.conn_id;
  event.header.tgid = event.header.tid = 100;
  event.position = spec.position;
  event.copied_bytes = static_cast<uint32_t>(bytes.size());
  event.piece_bytes = std::max(event.copied_bytes, spec.true_bytes);
  return EventRecord(event, bytes);
}

inline EventRecord MakeOpen(uint64_t conn_id, uint8_t role, bool from_start, uint64_t mono_ns = 1) {
  spantap_open_event event = {};
  event.header.type = SPANTAP_EVENT_OPEN;
  event.header.flags = from_start ? SPANTAP_F_READ_FROM_START | SPANTAP_F_WRITE_FROM_START : 0;
  event.header.mono_ns = mono_ns;
  event.header.conn_id = conn_id;
  event.header.tgid = event.header.tid = 100;
  event.family = SPANTAP_FAMILY_INET;
  event.role = role;
  event.local_port = 8080;
  event.peer_port = 40000;
  return EventRecord(event, "");
}

inline EventRecord MakeEnd(uint64_t conn_id, uint8_t reason, uint16_t flags, uint64_t read, uint64_t written,
                           uint64_t mono_ns = 1) {
  spantap_end_event event = {};
  event.header.type = SPANTAP_EVENT_END;
  event.header.flags = flags;
  event.header.mono_ns = mono_ns;
  event.header.conn_id = conn_id;
  event.header.tgid = 100;
  event.read_position = read;
  event.write_position = written;
  event.reason = reason;
  return EventRecord(event, "");
}

}  // namespace spantap
