// SPDX-License-Identifier: Apache-2.0
//
// Rule `wire`: the outgoing traceparent continues the trace of exactly one open incoming request, or
// repeats its parent-id verbatim (nginx, HAProxy, applications that copy headers). Several of the same
// trace: the linker has narrowed the question to them, and the other rules choose.
#include "agent/link/process_state.h"
#include "agent/link/rules.h"

namespace spantap {
namespace {

class WireRule final : public InferenceRule {
 public:
  LinkRule rule() const override { return LinkRule::kWire; }

  LinkDecision Decide(const LinkQuestion& question) override {
    const auto& outgoing = question.client.request.traceparent;
    if (!outgoing) return LinkDecision::NotMine();
    Member* verbatim = nullptr;
    int verbatims = 0;
    int same_trace = 0;
    Member* last = nullptr;
    for (Member* server : question.narrowed) {
      const auto& incoming = server->request.traceparent;
      if (!incoming || incoming->trace_id != outgoing->trace_id) continue;
      ++same_trace;
      last = server;
      if (incoming->parent_id != outgoing->parent_id) continue;
      ++verbatims;
      verbatim = server;
    }
    if (verbatims == 1) return LinkDecision::Link(verbatim, 1.0);
    if (same_trace == 1) return LinkDecision::Link(last, 1.0);
    return LinkDecision::NotMine();
  }
};

}  // namespace

std::unique_ptr<InferenceRule> MakeWireRule() { return std::make_unique<WireRule>(); }

}  // namespace spantap
