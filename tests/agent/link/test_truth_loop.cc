// SPDX-License-Identifier: Apache-2.0
//
// A simulated proxy with one event loop and a pool of upstream connections, as Envoy has them: what is read in a turn
// is written in the next one, mostly in order; a request takes a free connection, or waits for one; equal heads only.
#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "tests/agent/link/truth.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kProxy = 100;
constexpr uint32_t kWorker = 1;

struct Shape {
  size_t clients = 8;
  size_t pool = 64;           // connections to the upstream, at most
  bool latest_first = true;   // which free one is taken
  double targets = 1;         // how many different heads
  double out_of_order = 0.1;  // of turns that write three or more
  double early = 0;           // written in the turn it was read: its connection was in the poll's result already
  double slow = 0.7;          // an upstream lets a turn pass
  double fails = 0;           // answered with 503, and sent again
  double local = 0;           // answered by the proxy
  double lost = 0;            // a head that is not seen
};

struct Upstream {
  Tcp tcp;
};

struct Request {
  Exchange* in = nullptr;
  Exchange* out = nullptr;
  Upstream* upstream = nullptr;
  std::string target;
  size_t client = 0;
  int tries = 0;
  uint16_t status = 200;
};

class Loop {
 public:
  Loop(const Shape& shape, uint64_t seed) : shape_(shape), dice_(seed), world_(LinkSettings{}, seed) {
    for (size_t i = 0; i < shape.clients; ++i) idle_clients_.push_back(i);
  }

  Score Run(int requests) {
    for (int calm = 0; calm < 40; ++calm) One();
    truth_.clear();
    for (int made = 0; made < requests || idle_clients_.size() < shape_.clients;) {
      world_.Turn(++turn_);
      std::vector<Request> due = std::exchange(due_, {});
      // What the poll found, in any order: new connections, requests, responses.
      Connect();
      while (made < requests && !idle_clients_.empty() && dice_(0.4)) {
        Read();
        ++made;
        if (dice_(0.5)) Respond();
      }
      while (!sent_.empty() && !dice_(shape_.slow)) Respond();
      WriteAll(due);
      world_.Pass(0);
    }
    world_.End();
    return Judge(world_, truth_);
  }

 private:
  // A request while nothing else is open.
  void One() {
    Read();
    while (idle_clients_.size() < shape_.clients) {
      world_.Turn(++turn_);
      std::vector<Request> due = std::exchange(due_, {});
      Connect();
      if (due.empty()) Respond();
      WriteAll(due);
    }
  }

  void Read() {
    Request request;
    request.client = idle_clients_.front();
    idle_clients_.pop_front();
    request.target = "/" + std::to_string(dice_.Below(static_cast<int>(shape_.targets)));
    request.in = world_.Read(kProxy, kWorker, request.target, {{"host", "h"}});
    if (dice_(shape_.local)) {
      due_.push_back(request);
    } else {
      Send(request);
    }
  }

  void Send(Request request) {
    if (!free_.empty()) {
      request.upstream = shape_.latest_first ? free_.back() : free_.front();
      shape_.latest_first ? free_.pop_back() : free_.pop_front();
      dice_(shape_.early) ? Write(request) : due_.push_back(request);
      return;
    }
    waiting_.push_back(request);
    if (pool_.size() >= shape_.pool) return;
    pool_.push_back(std::make_unique<Upstream>());
    pool_.back()->tcp = world_.Connect(kProxy, 0);
    pool_.back()->tcp.client.dial = world_.Dial(kWorker);
    dialled_.push_back(pool_.back().get());
  }

  void Connect() {
    for (Upstream* upstream : std::exchange(dialled_, {})) {
      if (waiting_.empty()) {
        upstream->tcp.client.dial.reset();
        free_.push_back(upstream);
      } else {
        Request request = waiting_.front();
        waiting_.pop_front();
        request.upstream = upstream;
        Write(request);
      }
    }
  }

  void Write(Request request) {
    request.out = world_.Write(request.upstream->tcp.client, kWorker, request.target,
                               {{"host", "h"}, {"x-forwarded-proto", "http"}});
    truth_[request.out->id] = request.in->id;
    sent_.push_back(request);
  }

  void Respond() {
    if (sent_.empty()) return;
    const auto it = sent_.begin() + dice_.Below(static_cast<int>(sent_.size()));
    Request request = *it;
    sent_.erase(it);
    request.status = request.tries < 2 && dice_(shape_.fails) ? 503 : 200;
    if (dice_(shape_.lost)) {
      world_.Miss(kWorker);
      world_.Finish(request.out, ExchangeError::kUnfinished);
    } else {
      world_.Answer(request.out, kWorker, request.status);
    }
    free_.push_back(request.upstream);
    if (!waiting_.empty()) {
      Request next = waiting_.front();
      waiting_.pop_front();
      next.upstream = free_.back();
      free_.pop_back();
      due_.push_back(next);
    }
    request.out = nullptr;
    request.upstream = nullptr;
    if (request.status == 200) return due_.push_back(request);
    ++request.tries;
    Send(request);
  }

  void WriteAll(std::vector<Request>& due) {
    if (due.size() > 2 && dice_(shape_.out_of_order)) {
      const auto middle = due.begin() + 1 + dice_.Below(static_cast<int>(due.size()) - 1);
      std::rotate(due.begin() + 1, middle, due.end());
    }
    for (Request& request : due) {
      if (request.upstream != nullptr) {
        Write(request);
      } else {
        world_.Answer(request.in, kWorker, request.status);
        idle_clients_.push_back(request.client);
      }
    }
  }

  const Shape shape_;
  Dice dice_;
  World world_;
  Truth truth_;
  uint32_t turn_ = 0;
  std::deque<size_t> idle_clients_;
  std::vector<std::unique_ptr<Upstream>> pool_;
  std::deque<Upstream*> free_;
  std::vector<Upstream*> dialled_;
  std::deque<Request> waiting_;
  std::vector<Request> sent_;
  std::vector<Request> due_;  // written in the next turn
};

}  // namespace

TEST_CASE("truth: event loops with equal heads", "[link][truth]") {
  struct Row {
    int line;
    Shape shape;
    double coverage;  // at least
  };
  const Row rows[] = {
      {__LINE__, {.clients = 2}, 0.95},
      {__LINE__, {}, 0.9},
      {__LINE__, {.targets = 3}, 0.95},
      {__LINE__, {.clients = 16, .out_of_order = 0.5}, 0.7},
      {__LINE__, {.latest_first = false}, 0.6},
      {__LINE__, {.early = 0.01}, 0.7},
      {__LINE__, {.clients = 16, .pool = 4}, 0.2},
      {__LINE__, {.pool = 2, .targets = 2}, 0.2},
      {__LINE__, {.fails = 0.1}, 0.1},
      {__LINE__, {.local = 0.1}, 0.3},
      {__LINE__, {.targets = 2, .lost = 0.01}, 0.05},
      {__LINE__, {.clients = 12, .pool = 6, .targets = 2, .early = 0.01, .fails = 0.03, .local = 0.03}, 0.05},
  };
  for (const Row& row : rows) {
    Total total;
    for (uint64_t seed = 1; seed <= 10; ++seed) total.Add(Loop(row.shape, seed).Run(500));
    CAPTURE(row.line, total.sum.clients, total.sum.right, total.sum.wrong, total.coverage());
    CHECK(total.sum.wrong == 0);
    CHECK(total.coverage() >= row.coverage);
  }
}

}  // namespace spantap::link_test
