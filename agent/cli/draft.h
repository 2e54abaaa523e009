// SPDX-License-Identifier: Apache-2.0
//
// What the options store one by one, before it is put together: the fields of Settings where an option is one field,
// and the parts of what several options make (an endpoint needs protocol, headers, files). The rows of the table
// write and read it; finish.cc makes Settings of it. Its initial values are the defaults that --help names.
//
// Values; any thread.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/settings.h"
#include "exporter/spool/spool.h"
#include "exporter/transport/settings.h"

namespace spantap {

// The names of OTEL_TRACES_SAMPLER.
enum class Sampler : uint8_t {
  kAlwaysOn,
  kAlwaysOff,
  kRatio,
  kParentAlwaysOn,
  kParentAlwaysOff,
  kParentRatio,
};
inline bool NeedsRatio(Sampler sampler) { return sampler == Sampler::kRatio || sampler == Sampler::kParentRatio; }

// Before the URL of an endpoint: its path is taken as it is (EndpointForm::kSignal).
inline constexpr absl::string_view kExactPath = "exact:";

struct Draft {
  Settings settings;

  bool exports = true;                 // --exporter
  std::vector<std::string> endpoints;  // as written
  TransportSettings transport;         // of each endpoint, but for `endpoint`
  Protocol protocol = Protocol::kHttpProtobuf;
  bool insecure = false;

  std::string spool_dir;  // empty: no spool
  Spool::Settings spool;

  Sampler sampler = Sampler::kParentRatio;
  double sample_ratio = 1.0;
  std::string default_service_name;
};

}  // namespace spantap
