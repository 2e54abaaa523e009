// SPDX-License-Identifier: Apache-2.0
//
// Which of an option's values counts. Per option: command line, SPANTAP_* variable, OTEL_* variable (the one for
// traces before the general one), configuration file, default. A list replaces a list, it is not added to it.
//
// A bad value of ours is an InvalidArgument error: where, what, the accepted form. A bad OTEL_* value is a warning,
// and as if it were not set; so is one that contradicts other values.
//
// Used by parse.cc and the fuzzer. No I/O but `outside`; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/cli/draft.h"
#include "agent/cli/sources.h"

namespace spantap {

enum class Rank : uint8_t { kDefault, kFile, kStandard, kVariable, kFlag };

struct Origin {
  Rank rank = Rank::kDefault;
  std::vector<std::string> where = {"default"};  // of each word; the last one of all further words
  const std::string& OfWord(size_t i) const { return where[std::min(i, where.size() - 1)]; }
};
using Origins = std::map<std::string, Origin, std::less<>>;  // by option name

struct Resolved {
  Draft draft;
  Origins origins;                    // of every option that the command takes
  std::vector<std::string> warnings;  // complete messages, one line each
};

absl::StatusOr<Resolved> Resolve(Command command, const RawValues& flags, const RawValues& file,
                                 const Outside& outside);

// SPANTAP_NAME.
std::string VariableName(absl::string_view option);

}  // namespace spantap
