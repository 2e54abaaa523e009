// SPDX-License-Identifier: Apache-2.0
#include "agent/view/escape.h"

#include "exporter/model/attributes.h"

namespace spantap {
namespace {

constexpr char kHex[] = "0123456789abcdef";

}  // namespace

void AppendEscaped(absl::string_view untrusted, size_t max_bytes, std::string* out) {
  for (unsigned char c : untrusted.substr(0, max_bytes)) {
    if (c >= 0x20 && c < 0x7f && c != '\\') {
      out->push_back(static_cast<char>(c));
    } else if (c == '\\') {
      out->append("\\\\");
    } else {
      out->append({'\\', 'x', kHex[c >> 4], kHex[c & 15]});
    }
  }
  if (untrusted.size() > max_bytes) out->append("...");
}

void AppendJsonString(absl::string_view untrusted, std::string* out) {
  std::string storage;
  // A character cut in half here is repaired below.
  const absl::string_view text = RepairUtf8(untrusted.substr(0, kMaxAttributeValueBytes), &storage);
  out->push_back('"');
  for (unsigned char c : text) {
    // DEL is legal in JSON, but no terminal should see it.
    if (c < 0x20 || c == 0x7f) {
      out->append({'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]});
      continue;
    }
    if (c == '"' || c == '\\') out->push_back('\\');
    out->push_back(static_cast<char>(c));
  }
  out->push_back('"');
}

}  // namespace spantap
