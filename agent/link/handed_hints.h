// SPDX-License-Identifier: Apache-2.0
//
// What the attributes of a handed-off span say of its request: for choosing among exchanges that connection and time
// leave equal. Both the stable semantic conventions' names and Envoy's are understood.
//
// Used by handed_spans.cc, only where it is needed. Pure; views into the span. Cost: one look at each attribute.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "agent/connections/exchange.h"
#include "exporter/model/attributes.h"

namespace spantap {

struct HandedHints {
  absl::string_view path;        // without the query; empty: not known
  absl::string_view request_id;  // empty: not known
  int64_t status = 0;            // 0: not known
};

HandedHints ReadHints(const AttributeBlob& attributes);

// False if something that both know differs.
bool Agrees(const HandedHints& hints, const Exchange& exchange);

}  // namespace spantap
