// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: the HTTP/1 parser and the connection table, fed with a readable script. Any
// segmentation, any gaps, any bytes: the calls to the sinks keep their order, views stay inside, and
// the whole is bounded. A script is a list of lines, each an operation and its text ("\r\n" is written
// as it is on the wire, "~" at a line's end joins the next line to it):
//
//   >text  read in one call       }text  read, more of the call follows     )N  N bytes read unseen
//   <text  written in one call    {text  written, more of the call follows  (N  N bytes written unseen
//   E end of input   S shut down   R reset   X closed
//
// A first line beginning with "J": the connection is joined while open. Corpus: tests/data/fuzz_http1.
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "tests/agent/connections/exchange_log.h"

namespace spantap {
namespace {

void Operation(EventBuilder& events, char operation, absl::string_view text) {
  uint32_t count = 0;
  switch (operation) {
    case '>':
    case '<':
      return events.Call(1, operation == '<', text);
    case '}':
    case '{':
      return events.DataPiece(1, operation == '{', text, text.size(), true, false);
    case ')':
    case '(':
      if (absl::SimpleAtoi(text, &count)) events.Miss(1, operation == '(', count);
      return;
    case 'E':
      return events.Eof(1);
    case 'S':
      return events.Shutdown(1);
    case 'R':
      return events.Reset(1);
    case 'X':
      return events.Closed(1);
    default:
      return;
  }
}

void CheckHead(const HttpHead& head) {
  const char* const begin = head.text.get();
  const char* const end = begin + head.text_bytes;
  const auto inside = [&](absl::string_view v) {
    return v.empty() || (v.data() >= begin && v.data() + v.size() <= end);
  };
  bool good = head.text_bytes <= kMaxHeadBytes && head.headers.size() <= kMaxHeaders;
  good = good && inside(head.method) && inside(head.target);
  for (const HttpHeader& header : head.headers) good = good && inside(header.name) && inside(header.value);
  if (!good) std::abort();
}

void Run(absl::string_view script) {
  EventBuilder events;
  const bool from_start = script.empty() || script[0] != 'J';
  events.Open(1, {.from_start = from_start});
  while (!script.empty()) {
    size_t end = script.find('\n');
    while (end != absl::string_view::npos && end > 0 && (script[end - 1] == '\r' || script[end - 1] == '~')) {
      end = script.find('\n', end + 1);
    }
    const absl::string_view line = script.substr(0, end);
    script.remove_prefix(end == absl::string_view::npos ? script.size() : end + 1);
    if (!line.empty()) Operation(events, line[0], line.substr(1));
  }
  TestTable t;
  t.Send(events);
  t.table.OnTime(events.now_ns() + 2'000'000'000);
  t.table.FinishAll(events.now_ns());
  if (!t.log.failures.empty() || t.counters().exchanges != t.log.finished.size()) std::abort();
  for (const auto& exchange : t.log.finished) {
    CheckHead(exchange->request);
    if (exchange->response) CheckHead(*exchange->response);
  }
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
