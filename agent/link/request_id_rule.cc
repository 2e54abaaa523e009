// SPDX-License-Identifier: Apache-2.0
//
// Rule `request-id`: the outgoing x-request-id is that of exactly one open incoming request. How sure
// depends on how rare the id is: in a mesh one id belongs to a whole trace, and an application may be
// called by it several times; a constant is no id at all.
#include "agent/link/process_state.h"
#include "agent/link/rules.h"

namespace spantap {
namespace {

// Recent requests with this id, the cause included, and what a link is worth then.
constexpr uint8_t kUnique = 1;
constexpr uint8_t kRare = 8;
constexpr double kUniqueConfidence = 0.99;
constexpr double kRareConfidence = 0.95;

class RequestIdRule final : public InferenceRule {
 public:
  LinkRule rule() const override { return LinkRule::kRequestId; }

  LinkDecision Decide(const LinkQuestion& question) override {
    const uint64_t id = question.client.request.request_id_hash;
    if (id == 0 || question.narrowed.size() != 1) return LinkDecision::NotMine();
    Member* const server = question.narrowed[0];
    if (server->request.request_id_hash != id) return LinkDecision::NotMine();
    if (server->request_id_seen <= kUnique) return LinkDecision::Link(server, kUniqueConfidence);
    if (server->request_id_seen <= kRare) return LinkDecision::Link(server, kRareConfidence);
    return LinkDecision::NotMine();
  }

  void OnRequest(Member& member) override {
    if (member.role != Role::kServer || member.request.request_id_hash == 0) return;
    member.request_id_seen = member.process->request_ids.Add(member.request.request_id_hash);
  }
};

}  // namespace

std::unique_ptr<InferenceRule> MakeRequestIdRule() { return std::make_unique<RequestIdRule>(); }

}  // namespace spantap
