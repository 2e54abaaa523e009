// SPDX-License-Identifier: Apache-2.0
#include "tests/model/explorer.h"

#include <setjmp.h>
#include <ucontext.h>

#include <cstdlib>

namespace spantap::model {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
// A context begins a fiber; from then on jumps are enough, and cost no system call.
ucontext_t contexts[kMaxThreads], scheduler;
jmp_buf at[kMaxThreads], at_scheduler;
alignas(64) char stacks[kMaxThreads][kStackBytes];

void FiberMain() { TheExplorer().Enter(); }

uint64_t NextRandom(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

}  // namespace

Explorer& TheExplorer() {
  static Explorer& explorer = *new Explorer();
  return explorer;
}

// ---------------------------------------------------------------- fibers

void Explorer::Spawn(int thread, std::function<void()> body, bool may_die, std::function<void()> on_death) {
  Fiber& fiber = fibers_[thread];
  fiber = Fiber();
  fiber.body = std::move(body);
  fiber.on_death = std::move(on_death);
  fiber.used = true;
  fiber.may_die = may_die;
  fiber.next.where = reinterpret_cast<uintptr_t>(&fiber);  // its beginning
  getcontext(&contexts[thread]);
  contexts[thread].uc_stack.ss_sp = stacks[thread];
  contexts[thread].uc_stack.ss_size = kStackBytes;
  contexts[thread].uc_link = &scheduler;
  makecontext(&contexts[thread], FiberMain, 0);
}

void Explorer::Enter() {
  fibers_[running_].body();
  fibers_[running_].over = true;
  _longjmp(at_scheduler, 1);
}

void Explorer::SwitchTo(int thread) {
  running_ = thread;
  if (_setjmp(at_scheduler) == 0) {
    if (fibers_[thread].begun) _longjmp(at[thread], 1);
    fibers_[thread].begun = true;
    setcontext(&contexts[thread]);
  }
  running_ = -1;
}

void Explorer::SwitchBack() {
  if (_setjmp(at[running_]) == 0) _longjmp(at_scheduler, 1);
}

void Explorer::Before(Step step) {
  fibers_[running_].next = step;
  SwitchBack();
}

void Explorer::Await(Step step, std::function<bool()> ready) {
  fibers_[running_].ready = std::move(ready);
  Before(step);
  fibers_[running_].ready = nullptr;
}

void Explorer::Note(std::string what) { notes_.push_back(std::to_string(running_) + " " + std::move(what)); }

void Explorer::Fail(const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = what + "; the steps (thread, access):";
  for (const std::string& note : notes_) failure_ += "\n  " + note;
}

// ---------------------------------------------------------------- choices

// The choice that is due: that of this run's past, or a new one.
Explorer::Node* Explorer::Next() {
  if (depth_ == path_.size()) path_.emplace_back();
  return &path_[depth_++];
}

int Explorer::Choose(int count) {
  if (count <= 1) return 0;
  if (random_ != 0) return static_cast<int>(NextRandom(&random_) % static_cast<uint64_t>(count));
  Node* node = Next();
  node->count = count;
  return static_cast<int>(node->chosen);
}

std::vector<Explorer::Option> Explorer::Runnable() const {
  std::vector<Option> options;
  for (int thread = 0; thread < kMaxThreads; ++thread) {
    const Fiber& fiber = fibers_[thread];
    if (!fiber.used || fiber.over || fiber.dead) continue;
    if (!fiber.ready || fiber.ready()) options.push_back({thread, false, fiber.next});
    if (fiber.may_die) options.push_back({thread, true, {1, true}});
  }
  return options;
}

namespace {

// Deaths end connections: they are steps of one place that many look at.
bool Depend(int a_thread, const Step& a, int b_thread, const Step& b) {
  return a_thread == b_thread || (a.where == b.where && (a.writes || b.writes));
}

}  // namespace

void Explorer::Take(const Option& option) {
  ++steps_;
  Fiber& fiber = fibers_[option.thread];
  if (!option.dies) return SwitchTo(option.thread);
  running_ = option.thread;
  Note("dies");
  fiber.dead = true;
  if (fiber.on_death) fiber.on_death();
  running_ = -1;
}

bool Explorer::RunOnce(const std::function<void()>& begin) {
  depth_ = 0;
  asleep_.clear();
  notes_.clear();
  for (Fiber& fiber : fibers_) fiber.used = false;
  begin();
  for (;;) {
    const std::vector<Option> runnable = Runnable();
    if (failed()) return true;
    if (runnable.empty()) break;
    if (random_ != 0) {
      // Deaths are rare, so that what comes before them has a chance.
      const Option& option = runnable[NextRandom(&random_) % runnable.size()];
      if (!option.dies || NextRandom(&random_) % 8 == 0) Take(option);
      continue;
    }
    Node* node = Next();
    if (node->options.empty()) {
      node->asleep = asleep_;
      for (const Option& option : runnable) {
        bool sleeps = false;
        for (const Option& other : asleep_) sleeps |= other.thread == option.thread && other.dies == option.dies;
        if (!sleeps) node->options.push_back(option);
      }
      if (node->options.empty()) {
        path_.pop_back();
        return false;
      }
    }
    const Option option = node->options[node->chosen];
    asleep_.clear();
    for (const Option& other : node->asleep) {
      if (!Depend(other.thread, other.step, option.thread, option.step)) asleep_.push_back(other);
    }
    for (size_t i = 0; i < node->chosen; ++i) {
      const Option& other = node->options[i];
      if (!Depend(other.thread, other.step, option.thread, option.step)) asleep_.push_back(other);
    }
    Take(option);
  }
  for (int thread = 0; thread < kMaxThreads; ++thread) {
    if (fibers_[thread].used && !over(thread)) Fail("a thread waits for ever");
  }
  return true;
}

bool Explorer::Backtrack() {
  while (!path_.empty()) {
    Node& last = path_.back();
    const size_t count = last.count != 0 ? static_cast<size_t>(last.count) : last.options.size();
    if (++last.chosen < count) return true;
    path_.pop_back();
  }
  return false;
}

Explorer::Result Explorer::Explore(uint64_t max_runs, const std::function<void()>& begin,
                                   const std::function<void()>& end) {
  Result result;
  path_.clear();
  failure_.clear();
  random_ = 0;
  steps_ = 0;
  bool more = true;
  for (; more && result.runs < max_runs && !failed(); more = Backtrack()) {
    if (!RunOnce(begin)) {
      ++result.pruned;
      continue;
    }
    ++result.runs;
    if (!failed()) end();
  }
  result.whole = !more;
  result.steps = steps_;
  result.failure = failure_;
  return result;
}

Explorer::Result Explorer::Sample(uint64_t runs, uint64_t seed, const std::function<void()>& begin,
                                  const std::function<void()>& end) {
  Result result;
  failure_.clear();
  random_ = seed * 2 + 1;
  steps_ = 0;
  result.whole = false;
  for (; result.runs < runs && !failed(); ++result.runs) {
    RunOnce(begin);
    if (!failed()) end();
  }
  result.steps = steps_;
  result.failure = failure_;
  return result;
}

}  // namespace spantap::model
