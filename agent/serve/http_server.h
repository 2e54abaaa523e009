// SPDX-License-Identifier: Apache-2.0
//
// Serves one handler on one listening socket, from one thread that never blocks on a peer: a request is handled when
// its whole head is there, so however slow or many the clients are, they cost a bounded buffer each and delay nobody.
// README.md says why this is no library.
//
// Start() and Stop() on one thread; the handler runs on the server's thread, which takes no signals. Memory:
// max_connections times (8 KiB and one answer).
#pragma once

#include <poll.h>

#include <cstdint>
#include <list>
#include <thread>
#include <vector>

#include "agent/serve/http_connection.h"
#include "base/unique_fd.h"

namespace spantap {

class HttpServer {
 public:
  struct Limits {
    size_t max_connections = 64;
    uint64_t exchange_ns = 3'000'000'000;  // from accept() to the end of the answer
    uint64_t evict_ns = 250'000'000;       // how long the oldest connection is safe when there is no more room
  };

  struct Stats {
    uint64_t requests = 0;
    uint64_t evicted = 0;    // made room for another
    uint64_t timed_out = 0;  // over exchange_ns
    uint64_t gone = 0;       // closed or reset by the peer before its answer was sent
  };

  HttpServer(UniqueFd listener, const Limits& limits);
  ~HttpServer();  // Stop()

  // False: no thread or no descriptor to be had.
  bool Start(HttpConnection::Handler handler);
  // Returns at once, whatever the clients do (after the handler, if it is at work). Idempotent.
  void Stop();
  // Server thread, that is, the handler; anyone once it has stopped.
  const Stats& stats() const { return stats_; }

 private:
  void Run();
  std::list<HttpConnection>::iterator Victim(uint64_t now_ns);
  bool MayAccept(uint64_t now_ns);
  void FillPoll(uint64_t now_ns);
  int TimeoutMs(uint64_t now_ns);
  void Accept(uint64_t now_ns);
  void StepAll(uint64_t now_ns);

  const Limits limits_;
  UniqueFd listener_;
  UniqueFd wake_;
  HttpConnection::Handler handler_;
  std::thread thread_;

  // The server thread's own.
  std::list<HttpConnection> connections_;  // oldest first
  std::vector<pollfd> poll_;               // wake, listener, connections_ in order
  uint64_t accept_after_ns_ = 0;           // out of descriptors: a rest
  Stats stats_;
};

}  // namespace spantap
