// SPDX-License-Identifier: Apache-2.0
//
// Runs a few threads of real code one after the other, in every order of their steps, with every value that C11's
// memory model lets a load see; used by the tests of this folder.
//
// A step is an atomic access of shared memory, or a system call that two sides see; threads are fibers that stop before
// each. Orders that differ only in steps that do not depend on each other are tried once (sleep sets). Plain accesses
// need no order of their own: one that is not ordered by happens-before with another is a data race, and that is a
// finding. One operating system's thread. Memory: the choices of the present run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace spantap::model {

constexpr int kMaxThreads = 5;

struct Step {
  uintptr_t where = 0;
  bool writes = false;
};

class Explorer {
 public:
  struct Result {
    uint64_t runs = 0;    // interleavings that were tried to their end
    uint64_t pruned = 0;  // whose remaining steps others have tried
    uint64_t steps = 0;
    bool whole = true;    // nothing is left to try
    std::string failure;  // of the first run that fails, with its steps
  };
  // begin() spawns the threads, end() looks at what they left. Ends with the first failure, or after `max_runs`.
  Result Explore(uint64_t max_runs, const std::function<void()>& begin, const std::function<void()>& end);
  // The same with random choices.
  Result Sample(uint64_t runs, uint64_t seed, const std::function<void()>& begin, const std::function<void()>& end);

  // ---- of a run's begin()
  // `may_die`: it ends before any of its steps, once; then on_death() is called.
  void Spawn(int thread, std::function<void()> body, bool may_die = false, std::function<void()> on_death = {});

  // ---- of a thread
  int thread() const { return running_; }  // -1: none, between runs
  void Before(Step step);                  // returns when it is this step's turn
  void Await(Step step, std::function<bool()> ready);
  int Choose(int count);  // 0..count-1
  void Note(std::string what);
  void Fail(const std::string& what);
  bool failed() const { return !failure_.empty(); }
  bool dead(int thread) const { return fibers_[thread].dead; }
  bool over(int thread) const { return fibers_[thread].over || fibers_[thread].dead; }
  void Enter();  // a fiber's first function

 private:
  struct Option {
    int thread = 0;
    bool dies = false;
    Step step;
  };
  struct Fiber {
    std::function<void()> body, on_death;
    std::function<bool()> ready;
    Step next;
    bool used = false, begun = false, over = false, dead = false, may_die = false;
  };
  struct Node {  // a choice: between threads' steps, or between `count` values
    std::vector<Option> options, asleep;
    size_t chosen = 0;
    int count = 0;
  };

  bool RunOnce(const std::function<void()>& begin);  // false: pruned
  Node* Next();
  std::vector<Option> Runnable() const;
  void Take(const Option& option);
  void SwitchTo(int thread);
  void SwitchBack();
  bool Backtrack();

  std::vector<Node> path_;
  size_t depth_ = 0;
  std::vector<Option> asleep_;
  Fiber fibers_[kMaxThreads];
  int running_ = -1;
  uint64_t steps_ = 0;
  uint64_t random_ = 0;  // 0: every choice in turn
  std::string failure_;
  std::vector<std::string> notes_;
};

Explorer& TheExplorer();

}  // namespace spantap::model
