// SPDX-License-Identifier: Apache-2.0
//
// What no option can say alone: values that contradict each other, files that are not there, an endpoint that its
// protocol cannot use. And the defaults that follow another option's value.
//
// Used by resolve.cc. Reads files through `outside`; otherwise pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/resolve.h"

namespace spantap {

struct Contradiction {
  std::vector<const char*> options;  // who is to blame, the most first
  std::string why;                   // of the first one's word: "is more than ..."
  size_t word = 0;                   // which word of the first
};

// Defaults that would contradict given values follow them; the default endpoint.
void AdaptDefaults(Command command, const Origins& origins, Draft& draft);

// The first one found; nullopt: everything fits.
std::optional<Contradiction> FindContradiction(const Draft& draft, const Origins& origins, const Outside& outside);

// Of an endpoint's word. InvalidArgument: the protocol cannot use it.
absl::StatusOr<Endpoint> EndpointOf(const Draft& draft, absl::string_view word);

}  // namespace spantap
