// SPDX-License-Identifier: Apache-2.0
//
// One connection of the listener: a request head in, an answer out, then closed. Nothing here blocks.
//
//   kReading --whole head, or too much--> kWriting --all written--> kLingering --peer closed, or enough--> kDone
//
// Lingering reads and forgets what the peer still sends (a body, a second request): closing with unread bytes would
// reset the connection and take the answer away from the peer.
//
// Server thread only. Memory: kHeadBytes and one answer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "agent/serve/http_message.h"
#include "base/unique_fd.h"

namespace spantap {

class HttpConnection {
 public:
  static constexpr size_t kHeadBytes = 8192;
  static constexpr size_t kLingerBytes = 64 << 10;
  using Handler = std::function<HttpResponse(absl::string_view path)>;

  HttpConnection(UniqueFd fd, uint64_t now_ns) : fd_(std::move(fd)), accepted_ns_(now_ns) {}

  int fd() const { return fd_.get(); }
  short wanted() const;  // events for poll()
  uint64_t accepted_ns() const { return accepted_ns_; }
  bool answered() const { return state_ == State::kLingering || state_ == State::kDone; }

  // poll() says that something can be done. False: the connection is over.
  [[nodiscard]] bool Step(const Handler& handler);

 private:
  enum class State : uint8_t { kReading, kWriting, kLingering, kDone };
  void Read(const Handler& handler);
  void Answer(const Handler& handler);
  void Write();
  void Linger();

  UniqueFd fd_;
  uint64_t accepted_ns_;
  State state_ = State::kReading;
  bool gone_ = false;
  std::string head_;
  std::string answer_;
  size_t written_ = 0;
  size_t lingered_ = 0;
};

}  // namespace spantap
