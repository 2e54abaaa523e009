// SPDX-License-Identifier: Apache-2.0
//
// Makes records of the kernel contract from text, as the capture would: positions, pieces of calls,
// flags, times. For tests of everything behind the event source.
//
//   EventBuilder events;
//   events.Open(7, {.role = SPANTAP_ROLE_ACCEPTED});
//   events.Read(7, "GET / HTTP/1.1\r\n\r\n");
//   events.Write(7, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
//   events.Closed(7);
//   for (const auto& record : events.records()) table.OnEvent(record.View());
//
// Time starts at 1 s and advances by `step_ns` per record. One thread. Memory: all records made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/capture/event_source.h"
#include "bpf/events.h"

namespace spantap {

// One record, owned.
struct BuiltEvent {
  std::vector<uint64_t> words;  // aligned storage
  size_t size = 0;

  EventView View() const {
    const auto* header = reinterpret_cast<const spantap_event_header*>(words.data());
    return {header, absl::string_view(reinterpret_cast<const char*>(words.data()), size)};
  }
  spantap_event_header& header() { return *reinterpret_cast<spantap_event_header*>(words.data()); }
  spantap_data_event& data() { return *reinterpret_cast<spantap_data_event*>(words.data()); }
};

struct OpenOptions {
  uint8_t role = SPANTAP_ROLE_UNKNOWN;
  uint8_t family = SPANTAP_FAMILY_INET;
  uint16_t local_port = 8080;
  uint16_t peer_port = 40000;
  uint64_t read_position = 1000;
  uint64_t write_position = 5000;
  bool from_start = true;  // both directions
  uint64_t unix_pair = 0;
  bool dialled = false;  // by the current process and thread, with the counters of Counted()
};

class EventBuilder {
 public:
  // The process and thread that the next records come from.
  EventBuilder& As(uint32_t tgid, uint32_t tid = 0) {
    tgid_ = tgid;
    tid_ = tid != 0 ? tid : tgid;
    return *this;
  }
  // The thread's counters for the next data records (and dialled connections); Uncounted() ends it.
  EventBuilder& Counted(const spantap_turns& turns) {
    counted_ = true;
    turns_ = turns;
    return *this;
  }
  EventBuilder& Uncounted() {
    counted_ = false;
    turns_ = {};
    return *this;
  }
  EventBuilder& At(uint64_t mono_ns) {
    now_ns_ = mono_ns;
    return *this;
  }
  EventBuilder& Step(uint64_t ns) {
    step_ns_ = ns;
    return *this;
  }
  uint64_t now_ns() const { return now_ns_; }

  void Open(uint64_t conn_id, const OpenOptions& options = {}) {
    spantap_open_event event = {};
    event.header = Header(SPANTAP_EVENT_OPEN, conn_id);
    if (options.from_start) event.header.flags |= SPANTAP_F_READ_FROM_START | SPANTAP_F_WRITE_FROM_START;
    event.family = options.family;
    event.role = options.role;
    event.local_port = options.local_port;
    event.peer_port = options.peer_port;
    event.local_addr[0] = event.peer_addr[0] = 127;
    event.local_addr[3] = event.peer_addr[3] = 1;
    event.read_position = options.read_position;
    event.write_position = options.write_position;
    event.unix_pair = options.unix_pair;
    if (options.dialled) event.dialled_by = tgid_;
    if (options.dialled && counted_) {
      event.header.flags |= SPANTAP_F_COUNTED;
      event.turns = turns_;
    }
    position(conn_id, false) = options.read_position;
    position(conn_id, true) = options.write_position;
    Add(event);
  }

  // One call, wholly copied.
  void Read(uint64_t conn_id, absl::string_view bytes) { Call(conn_id, false, bytes); }
  void Write(uint64_t conn_id, absl::string_view bytes) { Call(conn_id, true, bytes); }
  void Call(uint64_t conn_id, bool write, absl::string_view bytes) {
    DataPiece(conn_id, write, bytes, bytes.size(), true, true);
  }
  // One call of a body: only its first and last bytes are copied.
  void BodyCall(uint64_t conn_id, bool write, absl::string_view bytes, size_t first = SPANTAP_BODY_FIRST,
                size_t last = SPANTAP_BODY_LAST) {
    if (bytes.size() <= first + last) return Call(conn_id, write, bytes);
    DataPiece(conn_id, write, bytes.substr(0, first), bytes.size() - last, true, false);
    SameTime();
    DataPiece(conn_id, write, bytes.substr(bytes.size() - last), last, false, true);
  }
  // A piece of `true_bytes` of which `copied` is seen.
  void DataPiece(uint64_t conn_id, bool write, absl::string_view copied, uint64_t true_bytes, bool call_start,
                 bool call_end) {
    spantap_data_event event = {};
    event.header = Header(SPANTAP_EVENT_DATA, conn_id);
    if (write) event.header.flags |= SPANTAP_F_WRITE;
    if (call_start) event.header.flags |= SPANTAP_F_CALL_START;
    if (call_end) event.header.flags |= SPANTAP_F_CALL_END;
    if (counted_) event.header.flags |= SPANTAP_F_COUNTED;
    event.turns = turns_;
    event.position = position(conn_id, write);
    event.piece_bytes = static_cast<uint32_t>(true_bytes);
    event.copied_bytes = static_cast<uint32_t>(copied.size());
    position(conn_id, write) += true_bytes;
    Add(event, copied);
  }
  // Bytes that pass without a record.
  void Miss(uint64_t conn_id, bool write, uint64_t bytes) { position(conn_id, write) += bytes; }
  // The next record carries the time of the last one, as the pieces of one call do.
  void SameTime() { now_ns_ -= step_ns_; }

  void Eof(uint64_t conn_id) { End(conn_id, SPANTAP_END_EOF); }
  void Shutdown(uint64_t conn_id) { End(conn_id, SPANTAP_END_SHUTDOWN); }
  void Reset(uint64_t conn_id) { End(conn_id, SPANTAP_END_RESET, 104); }
  void Closed(uint64_t conn_id) { End(conn_id, SPANTAP_END_CLOSED); }
  void End(uint64_t conn_id, uint8_t reason, uint32_t error = 0) {
    spantap_end_event event = {};
    event.header = Header(SPANTAP_EVENT_END, conn_id);
    if (reason == SPANTAP_END_SHUTDOWN) event.header.flags |= SPANTAP_F_WRITE;
    event.read_position = position(conn_id, false);
    event.write_position = position(conn_id, true);
    event.reason = reason;
    event.error = error;
    Add(event);
  }
  void Task(uint8_t type, uint32_t other_tgid = 0, absl::string_view comm = "test") {
    spantap_task_event event = {};
    event.header = Header(type, 0);
    event.other_tgid = other_tgid;
    std::memcpy(event.comm, comm.data(), std::min<size_t>(comm.size(), SPANTAP_COMM_LEN - 1));
    Add(event);
  }
  void Exit() { Task(SPANTAP_EVENT_EXIT); }
  // Who the current process is.
  void Process(absl::string_view exe, absl::string_view service = "", absl::string_view attributes = "") {
    spantap_process_event event = {};
    event.header = Header(SPANTAP_EVENT_PROCESS, 0);
    if (!service.empty()) event.flags = SPANTAP_PROCESS_NAMED;
    std::string text;
    for (absl::string_view part : {exe, service, attributes}) text.append(part.data(), part.size()).push_back('\0');
    event.text_bytes = static_cast<uint32_t>(text.size());
    Add(event, text);
  }
  void Clock(uint64_t wall_minus_mono_ns) {
    spantap_clock_event event = {};
    event.header = Header(SPANTAP_EVENT_CLOCK, 0);
    event.wall_minus_mono_ns = wall_minus_mono_ns;
    Add(event);
  }

  std::vector<BuiltEvent>& records() { return records_; }
  uint64_t& position(uint64_t conn_id, bool write) { return positions_[{conn_id, write}]; }

  void SendTo(EventSink& sink) const {
    for (const BuiltEvent& record : records_) sink.OnEvent(record.View());
  }

 private:
  spantap_event_header Header(uint8_t type, uint64_t conn_id) {
    spantap_event_header header = {};
    header.type = type;
    header.mono_ns = now_ns_;
    header.conn_id = conn_id;
    header.tgid = tgid_;
    header.tid = tid_;
    return header;
  }
  template <typename T>
  void Add(T& event, absl::string_view payload = {}) {
    now_ns_ += step_ns_;
    event.header.size = static_cast<uint32_t>(sizeof(T) + payload.size());
    BuiltEvent built;
    built.size = event.header.size;
    built.words.resize((built.size + 7) / 8);
    std::memcpy(built.words.data(), &event, sizeof(T));
    if (!payload.empty()) {
      std::memcpy(reinterpret_cast<char*>(built.words.data()) + sizeof(T), payload.data(), payload.size());
    }
    records_.push_back(std::move(built));
  }

  uint32_t tgid_ = 100;
  uint32_t tid_ = 100;
  bool counted_ = false;
  spantap_turns turns_ = {};
  uint64_t now_ns_ = 1'000'000'000;
  uint64_t step_ns_ = 1'000'000;
  std::map<std::pair<uint64_t, bool>, uint64_t> positions_;
  std::vector<BuiltEvent> records_;
};

}  // namespace spantap
