// SPDX-License-Identifier: Apache-2.0
//
// Simulated proxies and applications whose true links are known here and nowhere in what the linker
// sees. Whatever is claimed above 0.9 must be right, in every run.
#include <catch2/catch.hpp>

#include <deque>
#include <string>
#include <vector>

#include "tests/agent/link/truth.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kProcess = 100;

struct Proxy {
  int connections = 16;
  int workers = 1;
  double same_target = 0.7;
  double delayed = 0.1;  // a request waits for a connection of the pool, others overtake it
  double retried = 0.0;
  double local = 0.0;  // answered by the proxy itself
  double lost = 0.0;   // an inner response was not seen
  double mirrored = 0.0;
  bool marks = true;  // adds x-forwarded-proto
};

struct Flow {
  Exchange* in = nullptr;
  Exchange* out = nullptr;
  std::string target;
  uint32_t worker = 0;
  int tries = 0;
  uint16_t status = 200;
  std::string length;
  enum { kRead, kSent, kAnswered } phase = kRead;
};

Score RunProxy(const Proxy& proxy, uint64_t seed, int requests) {
  Dice dice(seed);
  World world(LinkSettings{}, seed);
  Truth truth;
  std::vector<Exchange*> strays;  // mirrored or lost, ended late
  std::deque<Flow> flows;
  int made = 0;
  const Headers head = {{"Host", "h"}, {"User-Agent", "wrk"}};
  const auto out_head = [&] {
    Headers headers = head;
    if (proxy.marks) headers.push_back({"x-forwarded-proto", "http"});
    return headers;
  };
  while (made < requests || !flows.empty()) {
    const uint32_t worker = 1 + static_cast<uint32_t>(dice.Below(proxy.workers));
    for (int burst = dice.Below(4); burst > 0 && made < requests; --burst) {
      if (static_cast<int>(flows.size()) >= proxy.connections) break;
      Flow flow;
      ++made;
      flow.worker = worker;
      flow.target = dice(proxy.same_target) ? "/" : dice(0.5) ? "/b" : "/item/" + std::to_string(made);
      flow.in = world.Read(kProcess, worker, flow.target, head);
      flows.push_back(flow);
    }
    for (Flow& flow : flows) {
      if (flow.worker != worker || flow.phase != Flow::kRead || dice(proxy.delayed)) continue;
      flow.length = dice(0.5) ? "5" : "70";
      if (flow.tries == 0 && dice(proxy.local)) {
        flow.status = 404;
        flow.phase = Flow::kAnswered;
        continue;
      }
      flow.out = world.Write(kProcess, worker, flow.target, out_head());
      truth[flow.out->id] = flow.in->id;
      ++flow.tries;
      flow.phase = Flow::kSent;
      if (dice(proxy.mirrored)) {
        strays.push_back(world.Write(kProcess, worker, flow.target, out_head()));
        truth[strays.back()->id] = flow.in->id;
      }
    }
    for (size_t turn = flows.size(); turn > 0; --turn) {
      Flow& flow = flows[static_cast<size_t>(dice.Below(static_cast<int>(flows.size())))];
      if (flow.worker != worker || flow.phase != Flow::kSent || !dice(0.3)) continue;
      flow.status = dice(proxy.retried) ? 503 : 200;
      if (dice(proxy.lost)) {
        strays.push_back(flow.out);
      } else {
        world.Answer(flow.out, worker, flow.status, {{"content-length", flow.length}});
      }
      flow.out = nullptr;
      flow.phase = flow.status == 503 && flow.tries < 3 ? Flow::kRead : Flow::kAnswered;
    }
    for (size_t i = 0; i < flows.size();) {
      Flow& flow = flows[i];
      if (flow.worker != worker || flow.phase != Flow::kAnswered || dice(0.1)) {
        ++i;
        continue;
      }
      world.Answer(flow.in, worker, flow.status, {{"content-length", flow.length}});
      flows.erase(flows.begin() + static_cast<std::ptrdiff_t>(i));
    }
    while (strays.size() > 5) {
      if (proxy.mirrored > 0) {
        world.Answer(strays.front());
      } else {
        world.Finish(strays.front(), ExchangeError::kUnfinished);
      }
      strays.erase(strays.begin());
    }
    world.Pass(dice(0.1) ? 1 : 0);
  }
  for (Exchange* stray : strays) world.Finish(stray, ExchangeError::kUnfinished);
  world.End();
  return Judge(world, truth);
}

// Applications: each request makes calls one after the other, each waiting for the one before.
struct App {
  enum Kind { kThreads, kLoop, kAnyThread } kind = kThreads;
  int clients = 8;
  int threads = 4;  // of kAnyThread
};

Score RunApp(const App& app, uint64_t seed, int requests) {
  Dice dice(seed);
  World world(LinkSettings{}, seed);
  Truth truth;
  struct Work {
    Exchange* in = nullptr;
    Exchange* call = nullptr;
    int calls_left = 0;
    uint32_t tid = 0;
  };
  std::vector<Work> works(static_cast<size_t>(app.clients));
  int made = 0;
  bool busy = true;
  const auto tid_of = [&](size_t slot) -> uint32_t {
    if (app.kind == App::kLoop) return 1;
    if (app.kind == App::kThreads) return 10 + static_cast<uint32_t>(slot);
    return 1 + static_cast<uint32_t>(dice.Below(app.threads));
  };
  while (busy) {
    busy = made < requests;
    const size_t slot = static_cast<size_t>(dice.Below(app.clients));
    for (const Work& work : works) busy |= work.in != nullptr;
    Work& work = works[slot];
    if (work.in == nullptr) {
      if (made++ >= requests) continue;
      work.in = world.Read(kProcess, tid_of(slot), "/route" + std::to_string(dice.Below(3)), {{"user-agent", "lib"}});
      work.calls_left = dice.Below(4);
    } else if (work.call != nullptr) {
      world.Answer(work.call, tid_of(slot));
      work.call = nullptr;
    } else if (work.calls_left-- > 0) {
      // Now and then a call has the very head that requests come with.
      work.call =
          world.Write(kProcess, tid_of(slot), "/route" + std::to_string(dice.Below(6)), {{"user-agent", "lib"}});
      truth[work.call->id] = work.in->id;
    } else {
      world.Answer(work.in, tid_of(slot));
      work.in = nullptr;
    }
    world.Pass(0);
  }
  world.End();
  return Judge(world, truth);
}

}  // namespace

TEST_CASE("truth: proxies", "[link][truth]") {
  struct Row {
    int line;
    Proxy proxy;
    double coverage;  // at least
  };
  const Row rows[] = {
      {__LINE__, {.connections = 1}, 1.0},
      {__LINE__, {.connections = 4}, 0.7},
      {__LINE__, {.connections = 16}, 0.4},
      {__LINE__, {.connections = 16, .workers = 2}, 0.4},
      {__LINE__, {.connections = 16, .same_target = 0}, 0.6},
      {__LINE__, {.connections = 16, .delayed = 0.5}, 0.3},
      {__LINE__, {.connections = 16, .retried = 0.2}, 0.2},
      {__LINE__, {.connections = 16, .local = 0.1}, 0.4},
      {__LINE__, {.connections = 16, .lost = 0.05}, 0.2},
      {__LINE__, {.connections = 16, .mirrored = 0.1}, 0.3},
      {__LINE__, {.connections = 4, .workers = 2, .retried = 0.1, .local = 0.05, .lost = 0.02, .marks = false}, 0.1},
      {__LINE__, {.connections = 16, .same_target = 1, .marks = false}, 0.1},
  };
  for (const Row& row : rows) {
    Total total;
    for (uint64_t seed = 1; seed <= 10; ++seed) total.Add(RunProxy(row.proxy, seed, 500));
    CAPTURE(row.line, total.sum.clients, total.sum.right, total.sum.wrong, total.coverage());
    CHECK(total.sum.wrong == 0);
    CHECK(total.coverage() >= row.coverage);
  }
}

TEST_CASE("truth: applications", "[link][truth]") {
  struct Row {
    int line;
    App app;
    double coverage;
  };
  const Row rows[] = {
      {__LINE__, {App::kThreads, 1, 1}, 1.0},   {__LINE__, {App::kThreads, 8, 1}, 0.9},
      {__LINE__, {App::kThreads, 64, 1}, 0.9},  {__LINE__, {App::kLoop, 1, 1}, 1.0},
      {__LINE__, {App::kLoop, 8, 1}, 0.0},      {__LINE__, {App::kAnyThread, 2, 2}, 0.0},
      {__LINE__, {App::kAnyThread, 8, 4}, 0.0}, {__LINE__, {App::kAnyThread, 32, 16}, 0.0},
  };
  for (const Row& row : rows) {
    Total total;
    for (uint64_t seed = 1; seed <= 10; ++seed) total.Add(RunApp(row.app, seed, 500));
    CAPTURE(row.line, total.sum.clients, total.sum.right, total.sum.wrong, total.coverage());
    CHECK(total.sum.wrong == 0);
    CHECK(total.coverage() >= row.coverage);
  }
}

}  // namespace spantap::link_test
