// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http_head.h"

#include "absl/strings/match.h"

namespace spantap {

absl::string_view HttpHead::Find(absl::string_view lower_name) const {
  for (const HttpHeader& header : headers) {
    if (!absl::EqualsIgnoreCase(header.name, lower_name)) continue;
    // Present but empty is not absent: the caller tells them apart by data().
    return header.value.data() != nullptr ? header.value : absl::string_view("", 0);
  }
  return absl::string_view();
}

int HttpHead::Count(absl::string_view lower_name) const {
  int count = 0;
  for (const HttpHeader& header : headers) count += absl::EqualsIgnoreCase(header.name, lower_name);
  return count;
}

}  // namespace spantap
