// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/header_list.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "exporter/model/resource_attributes.h"

namespace spantap {

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseHeaderList(absl::string_view text) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (absl::string_view member : absl::StrSplit(text, ',')) {
    member = absl::StripAsciiWhitespace(member);
    if (member.empty()) continue;
    if (member.find(';') != absl::string_view::npos) {
      return absl::InvalidArgumentError("has a ';' (properties are not supported)");
    }
    const size_t equals = member.find('=');
    if (equals == 0 || equals == absl::string_view::npos) {
      return absl::InvalidArgumentError("has a part that is not NAME=VALUE");
    }
    auto& [name, value] = headers.emplace_back();
    if (!PercentDecode(absl::StripAsciiWhitespace(member.substr(0, equals)), &name) ||
        !PercentDecode(absl::StripAsciiWhitespace(member.substr(equals + 1)), &value)) {
      return absl::InvalidArgumentError("has a '%' without two hexadecimal digits");
    }
  }
  return headers;
}

}  // namespace spantap
