// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/cause/simulated.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr uint64_t kStartNs = 1'000'000'000;
constexpr size_t kRuntimeThreads = 4;

}  // namespace

SimulatedServer::SimulatedServer(const ServerPlan& plan) : plan_(plan), random_(plan.seed) {
  const size_t threads = plan.kind == ServerPlan::kLoop      ? 1
                         : plan.kind == ServerPlan::kRuntime ? kRuntimeThreads
                                                             : plan.clients;
  for (size_t i = 0; i < threads; ++i) {
    Cpu& cpu = cpus_.emplace_back();
    cpu.at.tid = static_cast<uint32_t>(plan.tgid * 1000 + i);
    cpu.at.counted = true;
    cpu.at.ns = kStartNs;
  }
  for (size_t i = 0; i < plan.clients; ++i) client_cpus_.push_back(&cpus_[i % threads]);
}

void SimulatedServer::At(uint64_t ns, std::function<void()> run) { queue_.push({ns, entries_++, std::move(run)}); }

// What a read or a timer wakes.
void SimulatedServer::Wake(uint64_t ns, Cpu* home, Task task) {
  At(ns, [this, ns, home, task = std::move(task)]() mutable {
    Cpu* cpu = home;
    if (plan_.kind == ServerPlan::kRuntime) {
      for (Cpu& other : cpus_) {
        if (other.at.ns < cpu->at.ns) cpu = &other;
      }
    }
    cpu->arrived.push_back(std::move(task));
    if (cpu->running) return;
    cpu->running = true;
    Turn(*cpu, std::max(ns, cpu->at.ns), true);
  });
}

// One return of epoll_wait and all that is done before the next.
void SimulatedServer::Turn(Cpu& cpu, uint64_t ns, bool slept) {
  cpu.at.ns = ns;
  ++cpu.at.turn;
  cpu.at.burst += slept;
  for (Task& task : cpu.arrived) cpu.ready.push_back(std::move(task));
  cpu.arrived.clear();
  for (size_t left = cpu.ready.size(); left > 0; --left) {
    const Task task = std::move(cpu.ready.front());
    cpu.ready.pop_front();
    cpu.at.ns += Between(5'000, 20'000);
    task(cpu);
  }
  At(cpu.at.ns, [this, &cpu] {
    if (!cpu.ready.empty() || !cpu.arrived.empty()) return Turn(cpu, cpu.at.ns + 2'000, false);
    cpu.running = false;
  });
}

void SimulatedServer::Later(Cpu& cpu, int hop, Task task) {
  if (plan_.kind == ServerPlan::kRuntime && random_() % 8 == 0) {  // another thread takes it over
    Cpu& other = cpus_[random_() % cpus_.size()];
    if (&other != &cpu) {
      return At(cpu.at.ns + Between(5'000, 40'000), [&other, task = std::move(task), ns = cpu.at.ns + 5'000] {
        other.at.ns = std::max(other.at.ns, ns);
        task(other);
      });
    }
  }
  if (hop == 0 || plan_.kind != ServerPlan::kLoop) return task(cpu);
  cpu.ready.push_back([this, hop, task = std::move(task)](Cpu& later) { Later(later, hop - 1, task); });
}

Moment SimulatedServer::Mark(Cpu& cpu, bool read) {
  cpu.at.ns += Between(1'000, 6'000);
  ++(read ? cpu.at.reads : cpu.at.writes);
  return cpu.at;
}

void SimulatedServer::Arrive(uint64_t ns, size_t client) {
  if (started_ >= plan_.calm + plan_.busy) return;
  ++started_;
  Wake(ns, client_cpus_[client], [this, client](Cpu& cpu) {
    Job& job = jobs_.emplace_back();
    job.id = ++ids_;
    job.route = &plan_.routes[random_() % plan_.routes.size()];
    job.cpu = &cpu;
    if (plan_.tokens) job.tokens.push_back(random_());
    Told told_one;
    told_one.kind = Told::kIncoming;
    told_one.incoming = {job.id, Mark(cpu, true), job.route->route, job.tokens};
    told_one.ns = told_one.incoming.at.ns;
    told.push_back(told_one);
    (void)client;
    Proceed(job, cpu);
  });
}

void SimulatedServer::Proceed(Job& job, Cpu& cpu) {
  static const Stage kJustReply;
  const bool last = job.stage >= job.route->stages.size();
  const Stage& stage = last ? kJustReply : job.route->stages[job.stage];
  Later(cpu, stage.hop, [this, &job, &stage](Cpu& later) {
    if (stage.wait_ns == 0) return Start(job, later);
    const uint64_t ns = later.at.ns + stage.wait_ns + Between(0, stage.wait_spread_ns);
    Wake(ns, &later, [this, &job](Cpu& woken) { Start(job, woken); });
  });
}

void SimulatedServer::Start(Job& job, Cpu& cpu) {
  if (job.stage >= job.route->stages.size() || job.route->stages[job.stage].calls.empty()) return Reply(job, cpu);
  const Stage& stage = job.route->stages[job.stage];
  job.outstanding = stage.calls.size();
  for (const uint64_t call : stage.calls) {
    Backend& backend = backends_[call];
    if (!backend.idle.empty()) {
      const uint64_t connection = backend.idle.back();
      backend.idle.pop_back();
      Send(&job, call, connection, cpu);
    } else if (backend.open < plan_.pool) {
      ++backend.open;
      Send(&job, call, ++connections_, cpu);
    } else {
      backend.waiting.push_back(&job);
    }
  }
}

void SimulatedServer::Send(Job* job, uint64_t call, uint64_t connection, Cpu& cpu) {
  Told one;
  one.kind = Told::kOutgoing;
  one.outgoing.id = ++ids_;
  one.outgoing.at = Mark(cpu, false);
  one.outgoing.call = call;
  one.outgoing.connection = connection;
  one.outgoing.destination = call;
  if (job != nullptr) one.outgoing.tokens = job->tokens;
  one.ns = one.outgoing.at.ns;
  truth[one.outgoing.id] = job == nullptr ? 0 : job->id;
  told.push_back(one);
  const uint64_t latency = Between(plan_.least_latency_ns, plan_.most_latency_ns);
  Wake(cpu.at.ns + latency, job == nullptr ? &cpu : job->cpu,
       [this, job, call, connection, id = one.outgoing.id](Cpu& woken) { Answer(job, id, call, connection, woken); });
}

void SimulatedServer::Answer(Job* job, uint64_t id, uint64_t call, uint64_t connection, Cpu& cpu) {
  Told one;
  one.kind = Told::kResponse;
  one.id = id;
  one.at = Mark(cpu, true);
  one.ns = one.at.ns;
  told.push_back(one);
  one.kind = Told::kOver;
  told.push_back(one);
  Backend& backend = backends_[call];
  if (backend.waiting.empty()) {
    backend.idle.push_back(connection);
  } else {
    Job* const next = backend.waiting.front();
    backend.waiting.pop_front();
    if (plan_.kind == ServerPlan::kThreads && next->cpu != &cpu) {
      Wake(cpu.at.ns + 15'000, next->cpu, [=, this](Cpu& woken) { Send(next, call, connection, woken); });
    } else {
      Send(next, call, connection, cpu);
    }
  }
  if (job == nullptr || --job->outstanding > 0) return;
  ++job->stage;
  Proceed(*job, cpu);
}

void SimulatedServer::Reply(Job& job, Cpu& cpu) {
  Told one;
  one.kind = Told::kResponse;
  one.id = job.id;
  one.at = Mark(cpu, false);
  one.ns = one.at.ns;
  told.push_back(one);
  one.kind = Told::kOver;
  told.push_back(one);
  if (++done_ == plan_.calm) {
    calm_until_ns = cpu.at.ns;
    for (size_t i = 0; i < plan_.clients; ++i) Arrive(cpu.at.ns + Between(50'000, 3'000'000), i);
  } else {
    size_t client = 0;
    while (client_cpus_[client] != job.cpu && plan_.kind == ServerPlan::kThreads) ++client;
    Arrive(cpu.at.ns + Between(50'000, 1'000'000), client);
  }
}

void SimulatedServer::Background(uint64_t ns) {
  if (done_ >= plan_.calm + plan_.busy) return;
  Wake(ns, &cpus_[0], [this](Cpu& cpu) {
    Backend& backend = backends_[99];
    if (backend.open++ == 0) backend.idle.push_back(++connections_);
    const uint64_t connection = backend.idle.empty() ? ++connections_ : backend.idle.back();
    if (!backend.idle.empty()) backend.idle.pop_back();
    Send(nullptr, 99, connection, cpu);
    Background(cpu.at.ns + plan_.background_ns);
  });
}

// In order of time, with ids in that order, as they are told.
void SimulatedServer::Finish() {
  std::stable_sort(told.begin(), told.end(), [](const Told& a, const Told& b) { return a.ns < b.ns; });
  std::map<uint64_t, uint64_t> ids;
  for (Told& one : told) {
    one.tgid = plan_.tgid;
    if (one.kind == Told::kIncoming) one.incoming.id = ids.try_emplace(one.incoming.id, ids.size() + 1).first->second;
    if (one.kind == Told::kOutgoing) one.outgoing.id = ids.try_emplace(one.outgoing.id, ids.size() + 1).first->second;
  }
  for (Told& one : told) one.id = one.id == 0 ? 0 : ids.at(one.id);
  Truth known;
  for (const auto& [outgoing, incoming] : truth) known[ids.at(outgoing)] = incoming == 0 ? 0 : ids.at(incoming);
  truth = std::move(known);
}

void SimulatedServer::Run() {
  Arrive(kStartNs, 0);
  if (plan_.background_ns != 0) Background(kStartNs + plan_.background_ns);
  while (!queue_.empty()) {
    const Entry entry = queue_.top();
    queue_.pop();
    now_ns_ = entry.ns;
    entry.run();
  }
  Finish();
}

}  // namespace spantap
