// SPDX-License-Identifier: Apache-2.0
//
// Rule `calm`: exactly one incoming request is open in the process, so it caused what is sent now.
//
// Not for a proxy, whose own health checks would be taken for somebody's request: there the heads must
// agree. Nor for heads that the process has been seen to send with nothing open (polls, exports): at
// least kAloneMin times and in more than a tenth of all cases; once may be a request that was open
// before we came.
#include "agent/link/process_state.h"
#include "agent/link/rules.h"

namespace spantap {
namespace {

constexpr double kConfidence = 0.99;
constexpr uint32_t kAloneMin = 2;
constexpr uint32_t kAloneShare = 10;

Background::Cell& CellOf(ProcessState& process, const Member& client) {
  const uint64_t key = HashCombine(client.request.method_target, client.request.host);
  Background::Cell& cell = process.background.cells[key % process.background.cells.size()];
  if (cell.key != key) cell = {key, 0, 0};
  return cell;
}

class CalmRule final : public InferenceRule {
 public:
  LinkRule rule() const override { return LinkRule::kCalm; }

  LinkDecision Decide(const LinkQuestion& question) override {
    const ProcessState& process = question.process;
    if (!question.first || process.unanswered != 1 || process.open_count != 1) return LinkDecision::NotMine();
    if (process.proxy_class.may_be_proxy(process.arrivals)) return LinkDecision::Exclude("other_head");
    Member* const server = process.open.front();
    if (server->id > question.client.id) return LinkDecision::NotMine();
    const Background::Cell& cell = CellOf(question.process, question.client);
    if (cell.alone >= kAloneMin && cell.alone * kAloneShare > cell.total) return LinkDecision::Exclude("background");
    return LinkDecision::Link(server, kConfidence);
  }

  void OnRequest(Member& member) override {
    if (member.role != Role::kClient) return;
    Background::Cell& cell = CellOf(*member.process, member);
    ++cell.total;
    if (member.process->open_count == 0) ++cell.alone;
    if (cell.total == 1024) cell.total /= 2, cell.alone /= 2;
  }
};

}  // namespace

std::unique_ptr<InferenceRule> MakeCalmRule() { return std::make_unique<CalmRule>(); }

}  // namespace spantap
