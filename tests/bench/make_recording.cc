// SPDX-License-Identifier: Apache-2.0
//
// Writes a record file of any size: what the agent would capture from a proxy that serves GET requests
// over keep-alive connections, several open at once, each with heads as Envoy writes them.
//
// Used by run.py for the replay bench (an hour of traffic cannot be recorded within a bench, and a
// repeated recording would repeat its request ids, which the linker treats as reused). Deterministic.
// Memory: one record at a time.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/capture/record_file.h"

namespace spantap {
namespace {

constexpr uint32_t kProxy = 1000;
constexpr uint64_t kConnections = 32;  // on either side
constexpr uint64_t kOpenAtOnce = 8;    // requests waiting for the upstream
constexpr uint64_t kStepNs = 40'000;   // one request each: 25,000 a second
constexpr uint64_t kStartNs = 1'000'000'000;
constexpr uint64_t kWallMinusMono = 1'700'000'000'000'000'000;

// One direction pair of one socket of the proxy.
struct Socket {
  uint64_t conn_id = 0;
  uint64_t read_position = 1;
  uint64_t write_position = 1;
};

class Generator {
 public:
  explicit Generator(RecordWriter& writer) : writer_(writer) {
    for (uint64_t i = 0; i < kConnections; ++i) {
      downstream_.push_back({.conn_id = 1 + i});
      upstream_.push_back({.conn_id = 1 + kConnections + i});
    }
  }

  void Run(uint64_t requests) {
    Announce();
    for (uint64_t i = 0; i < requests + kOpenAtOnce; ++i) {
      now_ns_ = kStartNs + i * kStepNs;
      if (i % (1'000'000'000 / kStepNs) == 0) Clock();
      if (i < requests) Forward(i);
      if (i >= kOpenAtOnce) Answer(i - kOpenAtOnce);
    }
  }

 private:
  template <typename T>
  T Event(uint8_t type, uint16_t flags, uint64_t conn_id) {
    T event = {};
    now_ns_ += 100;
    event.header.type = type;
    event.header.flags = flags;
    event.header.mono_ns = now_ns_;
    event.header.conn_id = conn_id;
    event.header.tgid = event.header.tid = kProxy;
    return event;
  }

  // `event` begins with its header; `tail` follows the fixed struct.
  template <typename T>
  void Emit(T event, absl::string_view tail = {}) {
    event.header.size = static_cast<uint32_t>(sizeof(T) + tail.size());
    record_.assign(reinterpret_cast<const char*>(&event), sizeof(T));
    record_.append(tail.data(), tail.size());
    writer_.OnEvent({reinterpret_cast<const spantap_event_header*>(record_.data()), record_});
  }

  void Clock() {
    auto clock = Event<spantap_clock_event>(SPANTAP_EVENT_CLOCK, 0, 0);
    clock.wall_minus_mono_ns = kWallMinusMono;
    Emit(clock);
  }

  void Announce() {
    now_ns_ = kStartNs / 2;
    constexpr char kText[] = "/usr/bin/proxy\0proxy\0";  // and the closing NUL: the third, empty text
    auto process = Event<spantap_process_event>(SPANTAP_EVENT_PROCESS, 0, 0);
    process.start_mono_ns = 1;
    process.listen_port = 8080;
    process.flags = SPANTAP_PROCESS_NAMED;
    process.text_bytes = sizeof(kText);
    Emit(process, {kText, sizeof(kText)});
    for (uint64_t i = 0; i < kConnections; ++i) {
      Open(downstream_[i], SPANTAP_ROLE_ACCEPTED, 8080, 20000 + i);
      Open(upstream_[i], SPANTAP_ROLE_CONNECTED, 40000 + i, 9090);
    }
  }

  void Open(const Socket& socket, uint8_t role, uint64_t local_port, uint64_t peer_port) {
    auto open = Event<spantap_open_event>(SPANTAP_EVENT_OPEN, SPANTAP_F_READ_FROM_START | SPANTAP_F_WRITE_FROM_START,
                                          socket.conn_id);
    const uint8_t loopback[4] = {127, 0, 0, 1};
    memcpy(open.local_addr, loopback, sizeof(loopback));
    memcpy(open.peer_addr, loopback, sizeof(loopback));
    open.family = SPANTAP_FAMILY_INET;
    open.role = role;
    open.local_port = static_cast<uint16_t>(local_port);
    open.peer_port = static_cast<uint16_t>(peer_port);
    open.read_position = socket.read_position;
    open.write_position = socket.write_position;
    open.netns = 1;
    Emit(open);
  }

  void Data(Socket& socket, bool write, absl::string_view bytes) {
    constexpr uint16_t kWholeCall = SPANTAP_F_HEAD | SPANTAP_F_CALL_START | SPANTAP_F_CALL_END;
    auto data =
        Event<spantap_data_event>(SPANTAP_EVENT_DATA, kWholeCall | (write ? SPANTAP_F_WRITE : 0), socket.conn_id);
    uint64_t& position = write ? socket.write_position : socket.read_position;
    data.position = position;
    data.piece_bytes = data.copied_bytes = static_cast<uint32_t>(bytes.size());
    position += bytes.size();
    Emit(data, bytes);
  }

  void Forward(uint64_t i) {
    const std::string head =
        absl::StrCat("GET /api/v1/items/", i, "?page=2&sort=price HTTP/1.1\r\nhost: shop.example\r\n",
                     "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n",
                     "accept: application/json\r\naccept-encoding: gzip, deflate\r\n");
    Data(downstream_[i % kConnections], false, absl::StrCat(head, "\r\n"));
    Data(upstream_[i % kConnections], true,
         absl::StrCat(head, "x-forwarded-proto: http\r\nx-request-id: ", RequestId(i),
                      "\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n\r\n"));
  }

  void Answer(uint64_t i) {
    const bool failed = i % 50 == 7;
    const std::string head = absl::StrCat(failed ? "HTTP/1.1 503 Service Unavailable" : "HTTP/1.1 200 OK",
                                          "\r\nserver: envoy\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
                                          "content-type: application/json\r\ncontent-length: 27\r\n");
    constexpr absl::string_view kBody = "{\"items\":[],\"more\":false}\r\n";
    Data(upstream_[i % kConnections], false, absl::StrCat(head, "\r\n", kBody));
    Data(downstream_[i % kConnections], true, absl::StrCat(head, "x-envoy-upstream-service-time: 1\r\n\r\n", kBody));
  }

  // A version 4 UUID of its own for every request (splitmix64).
  static std::string RequestId(uint64_t i) {
    auto mix = [](uint64_t x) {
      x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
      x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
      return x ^ (x >> 31);
    };
    const uint64_t high = mix(2 * i + 1), low = mix(2 * i + 2);
    return absl::StrFormat("%08x-%04x-4%03x-%04x-%012x", high >> 32, (high >> 16) & 0xffff, high & 0xfff,
                           0x8000 | (low >> 50), low & 0xffffffffffff);
  }

  RecordWriter& writer_;
  std::vector<Socket> downstream_, upstream_;
  std::string record_;
  uint64_t now_ns_ = 0;
};

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  uint64_t requests = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[2], &requests)) {
    fprintf(stderr, "usage: make_recording FILE REQUESTS\n");
    return 2;
  }
  auto writer = spantap::RecordWriter::Create(argv[1], /*with_secrets=*/true);
  if (!writer.ok()) {
    fprintf(stderr, "%s\n", writer.status().ToString().c_str());
    return 1;
  }
  spantap::Generator(**writer).Run(requests);
  const absl::Status closed = (*writer)->Close();
  if (!closed.ok()) fprintf(stderr, "%s\n", closed.ToString().c_str());
  return closed.ok() ? 0 : 1;
}
