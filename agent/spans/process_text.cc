// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/process_text.h"

#include <algorithm>

#include "absl/strings/strip.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace spantap {
namespace {

absl::string_view TakeText(absl::string_view* texts) {
  const size_t end = texts->find('\0');
  const absl::string_view text = texts->substr(0, end);
  texts->remove_prefix(end == absl::string_view::npos ? texts->size() : end + 1);
  return text;
}

}  // namespace

ProcessText SplitText(const spantap_process_event& event, absl::string_view record) {
  const size_t offset = std::min(record.size(), sizeof(event));
  absl::string_view texts = record.substr(offset, event.text_bytes);
  ProcessText text;
  text.exe = TakeText(&texts);
  text.service_name = TakeText(&texts);
  text.resource_attributes = TakeText(&texts);
  return text;
}

absl::string_view ExecutablePath(absl::string_view exe) { return absl::StripSuffix(exe, " (deleted)"); }

uint64_t ProgramOf(const spantap_process_event& event, absl::string_view record) {
  const ProcessText text = SplitText(event, record);
  const absl::string_view exe = ExecutablePath(text.exe);
  const absl::string_view name = event.flags & SPANTAP_PROCESS_NAMED ? text.service_name : absl::string_view();
  const uint64_t hash = XXH3_64bits_withSeed(exe.data(), exe.size(), event.listen_port);
  return XXH3_64bits_withSeed(name.data(), name.size(), hash);
}

}  // namespace spantap
