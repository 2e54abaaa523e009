// SPDX-License-Identifier: Apache-2.0
//
// A small simulated server: clients send requests, handlers run their programs on an event loop, on a thread each or on
// the threads of a runtime, and call backends through pools. What comes out is what the kernel would have counted and
// the cause finder would be told, in order of time; which handler made a call is known to the test alone (`truth`).
//
// Discrete events, seeded: the same settings give the same list. One thread; memory: the list.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <vector>

#include "agent/cause/events.h"

namespace spantap {

// One call of the CauseFinder's interface.
struct Told {
  enum Kind : uint8_t { kIncoming, kOutgoing, kResponse, kOver, kKnown, kTime, kProcessEnd };
  Kind kind = kTime;
  uint32_t tgid = 1;
  uint64_t ns = 0;
  uint64_t id = 0;
  IncomingRequest incoming;
  OutgoingRequest outgoing;
  Moment at;           // of a response
  uint64_t cause = 0;  // of kKnown
};
using ToldList = std::vector<Told>;
using Truth = std::map<uint64_t, uint64_t>;  // outgoing -> incoming; 0: nobody's

struct Stage {
  std::vector<uint64_t> calls;  // sent at once, all awaited
  int hop = 1;                  // turns of the loop after what came before
  uint64_t wait_ns = 0;         // a timer before
  uint64_t wait_spread_ns = 0;
};

struct RoutePlan {
  uint64_t route = 1;
  std::vector<Stage> stages;  // the last without calls: the reply's hop and timer
};

struct ServerPlan {
  enum Kind : uint8_t { kLoop, kThreads, kRuntime };
  Kind kind = kLoop;
  uint32_t tgid = 1;
  std::vector<RoutePlan> routes;
  size_t pool = 64;     // connections to a backend
  bool tokens = false;  // each request has a value of its own, that its calls carry
  size_t calm = 300;    // requests, one at a time
  size_t clients = 8;   // then
  size_t busy = 1500;   // requests
  uint64_t least_latency_ns = 500'000, most_latency_ns = 4'000'000;
  uint64_t background_ns = 0;  // a call that no handler makes, this often
  uint64_t seed = 1;
};

class SimulatedServer {
 public:
  explicit SimulatedServer(const ServerPlan& plan);
  void Run();

  ToldList told;
  Truth truth;
  uint64_t calm_until_ns = 0;

 private:
  struct Cpu {
    Moment at;
    std::deque<std::function<void(Cpu&)>> ready, arrived;
    bool running = false;
  };
  using Task = std::function<void(Cpu&)>;
  struct Job {
    uint64_t id = 0;
    const RoutePlan* route = nullptr;
    size_t stage = 0, outstanding = 0;
    Cpu* cpu = nullptr;
    TokenList tokens;
  };
  struct Backend {
    std::vector<uint64_t> idle;
    size_t open = 0;
    std::deque<Job*> waiting;
  };
  struct Entry {
    uint64_t ns, number;
    std::function<void()> run;
    bool operator<(const Entry& other) const { return ns != other.ns ? ns > other.ns : number > other.number; }
  };

  void At(uint64_t ns, std::function<void()> run);
  void Wake(uint64_t ns, Cpu* home, Task task);
  void Turn(Cpu& cpu, uint64_t ns, bool slept);
  void Later(Cpu& cpu, int hop, Task task);
  void Arrive(uint64_t ns, size_t client);
  void Proceed(Job& job, Cpu& cpu);
  void Start(Job& job, Cpu& cpu);
  void Send(Job* job, uint64_t call, uint64_t connection, Cpu& cpu);
  void Answer(Job* job, uint64_t id, uint64_t call, uint64_t connection, Cpu& cpu);
  void Reply(Job& job, Cpu& cpu);
  void Background(uint64_t ns);
  Moment Mark(Cpu& cpu, bool read);
  uint64_t Between(uint64_t least, uint64_t most) { return least + random_() % (most - least + 1); }
  void Finish();

  const ServerPlan plan_;
  std::mt19937_64 random_;
  std::priority_queue<Entry> queue_;
  uint64_t entries_ = 0;
  std::deque<Cpu> cpus_;
  std::deque<Job> jobs_;
  std::map<uint64_t, Backend> backends_;
  std::vector<Cpu*> client_cpus_;
  size_t started_ = 0, done_ = 0;
  uint64_t ids_ = 0, connections_ = 0, now_ns_ = 0;
};

}  // namespace spantap
