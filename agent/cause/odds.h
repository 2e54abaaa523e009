// SPDX-License-Identifier: Apache-2.0
//
// How much more likely a sight is if the step is really this handler's than if some other open handler had done it.
// That is what makes steps comparable at any load: the busier a process, the more strangers look near, the less
// nearness tells.
//
//   true      a mixture: the handler goes straight on (as often as this context does), or waits for something and comes
//   back
//             after this context's gaps
//   stranger  measured all the time on handlers that are known not to have done it
//
// A context is (route, what was last, what is next). What is learned of contexts holds at any load; what strangers and
// immediate steps look like is relearned as the load changes. One per process; event thread. Memory: kMaxContexts of
// 100 bytes, and 12 KiB.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/cause/steps.h"

namespace spantap {

using Label = uint8_t;                    // a call's number in its process
inline constexpr Label kReply = 63;       // instead of a call: the handler replies
inline constexpr size_t kMaxLabels = 63;  // different calls of a process

struct StepContext {
  uint16_t route = 0;
  Last last = Last::kRequest;
  Label last_label = 0;  // of the call that was sent or answered
  Label next = 0;
  bool dequeued = false;  // the call went out on a connection that had just become free: it may have waited for that
  bool dialled = false;   // a connection was dialled for the call: that may take turns of the loop of its own
  bool reuses = false;    // as `dequeued`, but there are connections enough: it hardly waited for that

  // What is learned of a step, learned of its variant with a dialled connection, but never of waiting for one.
  uint32_t key() const {
    return static_cast<uint32_t>(route) << 16 | static_cast<uint32_t>(last) << 14 | last_label << 8 | next << 1 |
           dialled;
  }
  // Steps of one kind look alike.
  size_t kind() const { return (static_cast<size_t>(last) * 2 + (next == kReply)) * 2 + dequeued; }
};
inline constexpr size_t kStepKinds = 12;

struct ContextImage;

class Odds {
 public:
  static constexpr size_t kMaxContexts = 1024;
  struct Parts {
    bool adjacency = true;
    bool gaps = true;
  };
  explicit Odds(Parts parts) : parts_(parts) {}

  struct Context;
  // What is known of a context, to be asked several times: good until something is learned.
  class View {
   public:
    uint8_t hop() const { return hop_; }  // turns that the step always takes, or kAnyHop
    uint32_t key() const { return context_.key(); }

   private:
    friend class Odds;
    StepContext context_;
    const Context* learned_ = nullptr;
    uint8_t hop_ = kAnyHop;
  };
  View ViewOf(const StepContext& context) const;
  double Of(const View& view, bool dequeued, bool reuses, const Sight& sight) const;

  // Turns that this step always takes, or kAnyHop.
  uint8_t HopOf(const StepContext& context) const;
  // Natural logarithm of true to stranger, within +-6, less what is not known about the context (up to -12).
  double Of(const StepContext& context, const Sight& sight) const;
  // How often the step has been seen, and the share of those that followed at once.
  double SeenOf(const StepContext& context) const;
  double ImmediateShare(const StepContext& context) const;
  // Whether the step usually follows at once.
  bool Immediate(const StepContext& context) const;
  // How long it takes to go on, if it does not at once; null: never seen.
  const std::array<float, kGaps>* GapsOf(const StepContext& context) const;
  // Where the end of the step is to be looked for.
  struct Reach {
    uint8_t hop = kAnyHop;     // in exactly this turn of the loop, unless it waited for a connection
    uint64_t ns = UINT64_MAX;  // or at most this much later
  };
  Reach ReachOf(const StepContext& context) const;

  // `lasting`: weight for what holds at any load; `present`: for what immediate steps look like now.
  void LearnTrue(const StepContext& context, const Sight& sight, double lasting, double present);
  void LearnStranger(const StepContext& context, const Sight& sight);
  void ForgetRoute(uint16_t route);

  // What was learned of a route's contexts, in a fixed order, and back, at most as kMostRecalled observations each.
  std::vector<ContextImage> Export(uint16_t route) const;
  void Import(const StepContext& context, const ContextImage& image);

  struct Context {
    float seen = 0;
    float immediate = 0;
    std::array<float, kHops> hops = {};  // of the immediate ones
    std::array<float, kGaps> gaps = {};  // of the others
    uint8_t hop = kAnyHop;               // what `hops` come to: turns that the step always takes
  };

 private:
  struct Kind {
    std::array<float, kGaps> gaps = {};
    std::array<std::array<float, kNearness>, kGapBands> nearness = {};
    std::array<float, kGapBands> bands = {};  // sums of nearness
    float total = 0;
    void Add(const Sight& sight, float weight);
    double Gap(uint8_t gap) const;
    double Nearness(const Sight& sight) const;
  };
  // Of P(sight | immediate) and of P(gap | delayed) to strangers.
  double ImmediateRatio(const StepContext& context, const Sight& sight) const;
  double DelayedRatio(const StepContext& context, const Context* learned, const Sight& sight) const;
  double StrangerGap(size_t kind, uint8_t gap) const;
  double StrangerNearness(size_t kind, const Sight& sight) const;
  static uint8_t UsualHop(const Context& learned);
  const Context* Find(const StepContext& context) const;
  double Of(const StepContext& context, const Context* learned, const Sight& sight) const;

  const Parts parts_;
  absl::flat_hash_map<uint32_t, Context> contexts_;
  std::array<Kind, kStepKinds> immediate_;
  std::array<Kind, kStepKinds> strangers_;
  Kind all_strangers_;
};

}  // namespace spantap
