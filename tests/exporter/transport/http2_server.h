// SPDX-License-Identifier: Apache-2.0
//
// A plaintext HTTP/2 server that answers as it is told, well or badly, frame by frame (RFC 9113). It writes literal
// HPACK and reads requests with libnghttp2's HPACK decoder. For the tests of the gRPC transport.
//
// A thread for each connection: moments may come at the same time. Keeps each complete request.
#pragma once

#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/unique_fd.h"
#include "tests/fakes/loopback.h"

namespace spantap {

namespace h2 {

enum Type : char {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9
};
constexpr char kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr uint16_t kInitialWindowSize = 4, kMaxFrameSize = 5;

inline std::string Number(uint64_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text.push_back(static_cast<char>(value >> shift));
  return text;
}
inline std::string Frame(char type, char flags, uint32_t stream, const std::string& payload) {
  return Number(payload.size(), 3) + type + flags + Number(stream, 4) + payload;
}
// A literal without indexing, neither part in Huffman's code (RFC 7541, section 6.2.2).
inline std::string Literal(const std::string& text) {
  if (text.size() < 127) return std::string(1, static_cast<char>(text.size())) + text;
  std::string head = "\x7f";
  size_t rest = text.size() - 127;
  for (; rest >= 128; rest >>= 7) head.push_back(static_cast<char>(rest % 128 + 128));
  return head + static_cast<char>(rest) + text;
}
using Fields = std::vector<std::pair<std::string, std::string>>;
inline std::string Block(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) block += std::string(1, '\0') + Literal(name) + Literal(value);
  return block;
}
inline std::string Headers(uint32_t stream, const Fields& fields, bool end_stream) {
  return Frame(kHeaders, static_cast<char>(kEndHeaders | (end_stream ? kEndStream : 0)), stream, Block(fields));
}
inline std::string Data(uint32_t stream, const std::string& bytes, bool end_stream = false) {
  return Frame(kData, end_stream ? kEndStream : 0, stream, bytes);
}
inline std::string RstStream(uint32_t stream, uint32_t code) { return Frame(kRstStream, 0, stream, Number(code, 4)); }
inline std::string Goaway(uint32_t last_stream, uint32_t code) {
  return Frame(kGoaway, 0, 0, Number(last_stream, 4) + Number(code, 4));
}
inline std::string Setting(uint16_t id, uint32_t value) {
  return Frame(kSettings, 0, 0, Number(id, 2) + Number(value, 4));
}
inline std::string WindowUpdate(uint32_t stream, uint32_t bytes) {
  return Frame(kWindowUpdate, 0, stream, Number(bytes, 4));
}

}  // namespace h2

class Http2Server {
 public:
  struct Request {
    std::map<std::string, std::string> headers;
    std::string body;
    bool complete = false;
    int connection = 0;
    uint32_t stream = 0;
  };
  // What is written at one moment of a request; nothing: {}.
  struct Reaction {
    std::string bytes = {};
    bool close = false;
    std::string later = {};  // some milliseconds after `bytes`
  };
  using Moment = std::function<Reaction(const Request&)>;
  struct Behaviour {
    std::string greeting = h2::Frame(h2::kSettings, 0, 0, "");
    Moment at_headers = nullptr;
    Moment at_data = nullptr;  // after each DATA frame
    Moment at_end = nullptr;   // END_STREAM seen
    uint32_t window_step = 0;  // how much is allowed after each DATA frame; 0: as much as came
  };

  // The n-th connection is served by the n-th behaviour, all further ones by the last.
  explicit Http2Server(std::vector<Behaviour> behaviours) : behaviours_(std::move(behaviours)) {
    thread_ = std::thread([this] { Serve(); });
  }
  ~Http2Server() {
    stop_ = true;
    thread_.join();
  }
  std::string url() const { return listener_.url(); }
  std::vector<Request> requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

 private:
  struct Connection {
    UniqueFd fd;
    const Behaviour& behaviour;
    nghttp2_hd_inflater* inflater = nullptr;
    std::map<uint32_t, Request> open = {};
    std::string block = {};
    int number = 0;
  };

  bool Read(Connection& connection, std::string* bytes, size_t size) const {
    bytes->resize(size);
    for (size_t done = 0; done < size;) {
      pollfd poll_fd = {connection.fd.get(), POLLIN, 0};
      if (stop_) return false;
      if (poll(&poll_fd, 1, 20) <= 0) continue;
      const ssize_t n = recv(connection.fd.get(), bytes->data() + done, size - done, 0);
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }
  bool Write(const Connection& connection, const std::string& bytes) const {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = send(connection.fd.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }
  // False: the connection is to be closed.
  bool React(const Connection& connection, const Moment& moment, const Request& request) const {
    if (moment == nullptr) return true;
    const Reaction reaction = moment(request);
    if (!Write(connection, reaction.bytes)) return false;
    if (!reaction.later.empty()) {
      absl::SleepFor(absl::Milliseconds(20));
      if (!Write(connection, reaction.later)) return false;
    }
    return !reaction.close;
  }

  void Serve() {
    std::vector<std::thread> threads;
    while (!stop_) {
      pollfd poll_fd = {listener_.fd.get(), POLLIN, 0};
      if (poll(&poll_fd, 1, 20) <= 0) continue;
      const int fd = accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC);
      threads.emplace_back([this, fd, number = threads.size() + 1] { ServeConnection(fd, number); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void ServeConnection(int fd, size_t number) {
    Connection connection = {UniqueFd(fd), behaviours_[std::min(number, behaviours_.size()) - 1]};
    const timeval send_limit = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof(send_limit));
    const int at_once = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
    connection.number = static_cast<int>(number);
    nghttp2_hd_inflate_new(&connection.inflater);
    std::string bytes;
    if (Read(connection, &bytes, 24) && Write(connection, connection.behaviour.greeting)) {
      while (ServeFrame(connection)) {
      }
    }
    nghttp2_hd_inflate_del(connection.inflater);
  }

  bool ServeFrame(Connection& connection) {
    std::string head, payload;
    if (!Read(connection, &head, 9)) return false;
    const auto byte = [&head](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(head[i])); };
    if (!Read(connection, &payload, byte(0) << 16 | byte(1) << 8 | byte(2))) return false;
    const char type = head[3], flags = head[4];
    const uint32_t stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
    switch (type) {
      case h2::kSettings:
        return (flags & h2::kAck) != 0 || Write(connection, h2::Frame(h2::kSettings, h2::kAck, 0, ""));
      case h2::kHeaders:
      case h2::kContinuation:
        return ServeHeaders(connection, stream, flags, payload);
      case h2::kData:
        return ServeData(connection, stream, flags, payload);
      case h2::kRstStream:
        connection.open.erase(stream);
        return true;
      default:
        return type != h2::kGoaway;
    }
  }

  // Clients neither pad nor give priorities here; curl does give one (flag 0x20).
  bool ServeHeaders(Connection& connection, uint32_t stream, char flags, const std::string& payload) {
    connection.block += payload.substr((flags & 0x20) != 0 ? 5 : 0);
    if ((flags & h2::kEndHeaders) == 0) return true;
    Request& request = connection.open[stream];
    request.stream = stream;
    request.connection = connection.number;
    const auto* in = reinterpret_cast<const uint8_t*>(connection.block.data());
    for (size_t left = connection.block.size();;) {
      nghttp2_nv field;
      int what = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(connection.inflater, &field, &what, in, left, 1);
      if (used < 0) return false;
      in += used;
      left -= static_cast<size_t>(used);
      if ((what & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        request.headers[std::string(reinterpret_cast<char*>(field.name), field.namelen)].assign(
            reinterpret_cast<char*>(field.value), field.valuelen);
      }
      if ((what & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(connection.inflater);
    connection.block.clear();
    return React(connection, connection.behaviour.at_headers, request);
  }

  bool ServeData(Connection& connection, uint32_t stream, char flags, const std::string& payload) {
    const auto found = connection.open.find(stream);
    if (found == connection.open.end()) return true;
    Request& request = found->second;
    request.body += payload;
    const uint32_t step = connection.behaviour.window_step != 0 ? connection.behaviour.window_step
                                                                : static_cast<uint32_t>(payload.size());
    if (!payload.empty() && !Write(connection, h2::WindowUpdate(0, step) + h2::WindowUpdate(stream, step)))
      return false;
    if (!React(connection, connection.behaviour.at_data, request)) return false;
    if ((flags & h2::kEndStream) == 0) return true;
    request.complete = true;
    const Request copy = request;
    connection.open.erase(found);
    {
      absl::MutexLock lock(&mutex_);
      requests_.push_back(copy);
    }
    return React(connection, connection.behaviour.at_end, copy);
  }

  const std::vector<Behaviour> behaviours_;
  LoopbackListener listener_;
  std::atomic<bool> stop_{false};
  absl::Mutex mutex_;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace spantap
