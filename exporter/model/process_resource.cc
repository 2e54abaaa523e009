// SPDX-License-Identifier: Apache-2.0
#include "exporter/model/process_resource.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

// /proc says so about a replaced binary; the program is still the same one to people.
absl::string_view ExecutableName(absl::string_view path) {
  path = absl::StripSuffix(path, " (deleted)");
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string ResourceValue(const ResourceAttributes& attributes, absl::string_view wanted) {
  for (const auto& [key, value] : attributes) {
    if (key == wanted) return value;
  }
  return "";
}

std::string ServiceOfExecutable(absl::string_view path, uint16_t listen_port) {
  const absl::string_view name = ExecutableName(path);
  if (name.empty()) return std::string(kUnknownService);
  return listen_port != 0 ? absl::StrCat(name, ":", listen_port) : std::string(name);
}

void AddExecutable(absl::string_view path, AttributeBlob* attributes) {
  if (path.empty()) return;
  attributes->AddString("process.executable.name", ExecutableName(path));
  attributes->AddString("process.executable.path", path);
}

void AddSdk(AttributeBlob* attributes) {
  attributes->AddString("telemetry.sdk.name", "spantap");
  attributes->AddString("telemetry.sdk.language", "cpp");
  attributes->AddString("telemetry.sdk.version", SPANTAP_VERSION);
}

}  // namespace spantap
