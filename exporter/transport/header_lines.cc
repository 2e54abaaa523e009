// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/transport/curl_exchange.h"

namespace spantap {
namespace {

constexpr size_t kMaxName = 256;
constexpr size_t kMaxValue = 16 << 10;

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
}

}  // namespace

absl::Status CheckHeader(absl::string_view name, absl::string_view value) {
  if (name.empty() || name.size() > kMaxName || !std::all_of(name.begin(), name.end(), IsTokenChar)) {
    return absl::InvalidArgumentError("header: the name is no HTTP token: use NAME=VALUE");
  }
  if (value.size() > kMaxValue) {
    return absl::InvalidArgumentError(
        absl::StrCat("header ", name, ": its value is longer than ", kMaxValue, " bytes"));
  }
  for (const char c : value) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t') {
      return absl::InvalidArgumentError(absl::StrCat("header ", name, ": its value has a control character"));
    }
  }
  for (const char* ours : {"Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Expect",
                           "Accept-Encoding", "Connection", "Upgrade", "TE"}) {
    if (absl::EqualsIgnoreCase(name, ours)) {
      return absl::InvalidArgumentError(absl::StrCat("header ", name, ": set by the exporter itself"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> HeaderLines(const std::vector<std::pair<std::string, std::string>>& headers) {
  std::vector<std::string> lines;
  lines.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    // curl's way to say "with an empty value"; a bare colon would remove the header.
    lines.push_back(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value));
  }
  return lines;
}

}  // namespace spantap
