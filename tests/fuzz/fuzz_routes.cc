// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: request heads to tokens and routes. Any text: both stay within their bounds, say the same twice,
// and do not mind how a target's bytes are escaped.
//
// Input: heads with an empty line between them; of each the first line is method and target, the others are headers.
// All go through one table, so that places become crowded. Corpus: tests/data/fuzz_routes.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/cause/request_target.h"
#include "agent/cause/routes.h"
#include "agent/cause/segment_template.h"
#include "agent/cause/tokens.h"

namespace spantap {
namespace {

void Require(bool ok) {
  if (!ok) std::abort();
}

HttpHead ReadHead(absl::string_view& input) {
  HttpHead head;
  head.is_request = true;
  absl::string_view line = TakePart(input, '\n');
  head.method = TakePart(line, ' ');
  head.target = line;
  while (!input.empty() && head.headers.size() < kMaxHeaders) {
    line = TakePart(input, '\n');
    if (line.empty()) break;
    const absl::string_view name = TakePart(line, ':');
    head.headers.push_back({name, line});
  }
  return head;
}

void CheckTokens(const TokenReader& reader, const HttpHead& head, TokenCounts& counts) {
  const TokenList tokens = reader.Read(head);
  Require(tokens.size() <= TokenReader::kMaxTokens && tokens == reader.Read(head));
  Require(std::adjacent_find(tokens.begin(), tokens.end(), std::greater_equal<>()) == tokens.end());
  for (int i = 0; i < 100; ++i) counts.Add(tokens);
  for (const uint64_t token : tokens) Require(counts.ShareOf(token) > 0 && counts.ShareOf(token) <= 1);
}

void CheckSegments(absl::string_view path) {
  while (!path.empty()) {
    const absl::string_view segment = TakePart(path, '/');
    char buffer[kMaxSegmentBytes];
    const absl::string_view text = SegmentTemplate(segment, buffer);
    Require(text.size() <= segment.size() && text.empty() == segment.empty());
  }
}

// The same head with every byte of its target escaped that does not part it.
std::string Escaped(absl::string_view target) {
  std::string text;
  for (const char c : target) {
    const bool keep = absl::string_view("/?#&=;,:%").find(c) != absl::string_view::npos;
    absl::StrAppend(&text, keep ? absl::StrCat(absl::string_view(&c, 1))
                                : absl::StrCat("%", absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2)));
  }
  return text;
}

void Run(absl::string_view input) {
  const TokenReader reader({.on = true, .headers = {"cookie", "x-tenant"}, .key = 42});
  TokenCounts counts;
  RouteTable table;
  while (!input.empty()) {
    HttpHead head = ReadHead(input);
    CheckTokens(reader, head, counts);
    CheckSegments(head.target);
    const uint64_t route = table.RouteOf(head, head.headers.size());
    Require(route != 0 && route == table.RouteOf(head, head.headers.size()));
    Require(table.nodes() <= RouteTable::kMaxNodes && table.bytes() <= 64 * 1024);
    // An escape that is in the text would be cut off from its digits.
    const absl::string_view target = head.target;
    if (target.empty() || target[0] != '/' || target.find('%') != absl::string_view::npos) continue;
    const std::string escaped = Escaped(target);
    const TokenList before = reader.Read(head);
    head.target = escaped;
    Require(reader.Read(head) == before);
  }
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
