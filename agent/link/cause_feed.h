// SPDX-License-Identifier: Apache-2.0
//
// What the cause finder (agent/cause) is told of an exchange, in its words: heads become moments, hashes of routes and
// calls, and tokens. The linker owns one; the finder decides behind it, see cause_join.cc.
//
// Event thread only. Memory: a RouteTable per followed process (ProcessState::routes), and the finder's own bounds.
#pragma once

#include <cstdint>
#include <memory>

#include "agent/cause/cause_finder.h"
#include "agent/cause/tokens.h"
#include "agent/link/linker.h"
#include "agent/link/node.h"

namespace spantap {

LinkRule RuleOf(CauseRule rule);
inline bool IsFound(LinkRule rule) { return rule >= LinkRule::kProgram && rule <= LinkRule::kJoint; }

class CauseFeed {
 public:
  // `finder` may be null: then the real one is made.
  CauseFeed(const LinkSettings& settings, std::unique_ptr<CauseFinder> finder);

  // The exchange's head is complete; the exchange is followed from now on (Node::followed).
  void OnRequest(Node& node);
  // Ignored for what is not followed.
  void OnResponse(const Node& node);
  void OnOver(const Node& node);

  CauseFinder& finder() { return *finder_; }
  const CauseFinder& finder() const { return *finder_; }

 private:
  IncomingRequest IncomingOf(const Node& server) const;
  OutgoingRequest OutgoingOf(const Node& client) const;

  TokenReader tokens_;
  std::unique_ptr<CauseFinder> finder_;
};

}  // namespace spantap
