// SPDX-License-Identifier: Apache-2.0
//
// The YAML configuration file: a mapping whose keys are the options' names and whose values are scalars, or lists
// for repeatable options; and `opentelemetry:` with the fields of Istio's extension provider (istio_provider.h).
//
// Strict: an unknown key or a wrong type is an error that names FILE:LINE and the accepted form. Pure but for the
// variables that `outside` gives; any thread. Text is untrusted, at most kMaxFileBytes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/cli/sources.h"

namespace spantap {

struct ConfigFile {
  RawValues values;
  std::vector<std::string> warnings;  // what is understood and has no effect here
};

// `name` is used in messages only.
absl::StatusOr<ConfigFile> ParseConfigFile(const std::string& name, absl::string_view text, const Outside& outside);

}  // namespace spantap
