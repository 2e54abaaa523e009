// SPDX-License-Identifier: Apache-2.0
//
// Makes records and hellos byte by byte from ring_layout.h, so that tests can make wrong ones, too.
// Values; one thread.
#pragma once

#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/handoff/ring_layout.h"
#include "spantap/spantap.h"

namespace spantap::handoff_test {

template <typename T>
std::string BytesOf(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::string Attr(uint16_t key, uint8_t type, absl::string_view name, absl::string_view value) {
  spantap_attr_record record = {key, type, static_cast<uint8_t>(name.size()), static_cast<uint32_t>(value.size())};
  return BytesOf(record) + std::string(name) + std::string(value);
}
inline std::string Text(uint16_t key, absl::string_view value) { return Attr(key, SPANTAP_STRING, "", value); }
inline std::string Named(absl::string_view name, absl::string_view value) {
  return Attr(SPANTAP_KEY_NAMED, SPANTAP_STRING, name, value);
}
inline std::string Number(uint16_t key, int64_t value) { return Attr(key, SPANTAP_INT, "", BytesOf(value)); }

inline std::string Event(uint64_t time, absl::string_view name, uint16_t count, const std::string& attrs) {
  const spantap_event_record record = {time, static_cast<uint16_t>(name.size()), count,
                                       static_cast<uint32_t>(attrs.size())};
  return BytesOf(record) + std::string(name) + attrs;
}
inline std::string Link(uint8_t id, absl::string_view state, uint16_t count, const std::string& attrs) {
  spantap_link_record record = {};
  record.trace_id[0] = record.span_id[0] = id;
  record.flags = 0xff;
  record.remote = 1;
  record.trace_state_bytes = static_cast<uint16_t>(state.size());
  record.attr_count = count;
  record.attr_bytes = static_cast<uint32_t>(attrs.size());
  return BytesOf(record) + std::string(state) + attrs;
}

struct RecordMaker {
  spantap_span_record fixed = {};
  std::string name = "GET /a", state, message, attrs, events, links;

  explicit RecordMaker(uint64_t number = 1) {
    fixed.record.type = SPANTAP_RECORD_SPAN;
    fixed.trace_id[15] = 1;
    std::memcpy(fixed.span_id, &number, sizeof(number));
    fixed.kind = SPANTAP_SERVER;
    fixed.flags = SPANTAP_SAMPLED;
    fixed.start_unix_ns = 1000;
    fixed.end_unix_ns = 2000;
  }
  RecordMaker& With(const std::string& attr) {
    attrs += attr;
    ++fixed.attr_count;
    return *this;
  }
  std::string Make() const {
    spantap_span_record head = fixed;
    head.name_bytes = static_cast<uint16_t>(name.size());
    head.trace_state_bytes = static_cast<uint16_t>(state.size());
    head.status_message_bytes = static_cast<uint16_t>(message.size());
    std::string rest = name + state + message + attrs + events + links;
    rest.resize((sizeof(head) + rest.size() + 7) / 8 * 8 - sizeof(head));
    head.record.bytes = static_cast<uint32_t>(sizeof(head) + rest.size());
    return BytesOf(head) + rest;
  }
};

inline std::string HelloPacket(uint32_t ring_bytes = 0, uint32_t count = 0, const std::string& attrs = "") {
  const spantap_hello hello = {SPANTAP_HELLO_MAGIC, SPANTAP_HANDOFF_VERSION, ring_bytes, count,
                               static_cast<uint32_t>(attrs.size())};
  return BytesOf(hello) + attrs;
}

}  // namespace spantap::handoff_test
