// SPDX-License-Identifier: Apache-2.0
//
// The place for inference: which open server exchange of a process caused this client exchange, when
// no id says so. Candidates in, decision with evidence out. Each rule is one implementation; the
// linker asks them in order and takes the first that decides (rules.cc is the list).
//
// Pure with respect to its inputs: no I/O, no clock. Event thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "agent/connections/exchange.h"
#include "agent/link/linked_exchange.h"

namespace spantap {

struct Candidate {
  const Exchange* server = nullptr;  // a server exchange of the same process
  bool open_at_request = false;      // its response had not begun when the child's head was written
  uint32_t client_count = 0;         // client exchanges already linked to it
};

struct LinkQuestion {
  const Exchange* client = nullptr;
  // Server exchanges whose interval contains the client's first byte, oldest request first.
  absl::Span<const Candidate> candidates;
  // False while the client's response, or the candidates' responses, may still bring evidence. The
  // linker asks again when something changed, at the latest with final = true.
  bool final = false;
};

struct LinkDecision {
  enum class State : uint8_t { kNotMine, kLater, kLinked, kRefused } state = State::kNotMine;
  size_t candidate = 0;    // index, for kLinked
  LinkRule rule = LinkRule::kNone;
  double confidence = 0;
  const char* reason = ""; // for kRefused: why nothing is claimed; counted by this static name
};

class InferenceRule {
 public:
  virtual ~InferenceRule() = default;
  virtual LinkRule rule() const = 0;
  virtual LinkDecision Decide(const LinkQuestion& question) = 0;
  // Everything a rule may learn from, in capture order.
  virtual void OnRequest(const Exchange&) {}
  virtual void OnResponse(const Exchange&) {}
  virtual void OnFinished(const Exchange&) {}
};

}  // namespace spantap
