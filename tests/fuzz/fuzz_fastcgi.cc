// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: the FastCGI parser and the connection table. Any segmentation, any gaps, any bytes: the calls to
// the sinks keep their order, views stay inside, and the whole is bounded. The input is a list of operations, each a
// byte, a length of two bytes (low byte first) and so many bytes:
//
//   0 read in one call    2 read, more of the call follows    4 N bytes read unseen
//   1 written             3 written, more follows             5 N bytes written unseen      6 end (by N)
//
// The first byte's lowest bit: the connection is joined while open. Corpus: tests/data/fuzz_fastcgi.
#include <algorithm>
#include <cstdlib>

#include "tests/agent/connections/exchange_log.h"

namespace spantap {
namespace {

void End(EventBuilder& events, size_t how) {
  constexpr uint8_t kReasons[] = {SPANTAP_END_EOF, SPANTAP_END_SHUTDOWN, SPANTAP_END_RESET, SPANTAP_END_CLOSED};
  events.End(1, kReasons[how % 4], how % 4 == 2 ? 104 : 0);
}

void Operation(EventBuilder& events, uint8_t operation, size_t count, absl::string_view bytes) {
  const bool write = (operation & 1) != 0;
  if (operation < 2) return events.Call(1, write, bytes);
  if (operation < 4) return events.DataPiece(1, write, bytes, bytes.size(), true, false);
  if (operation < 6) return events.Miss(1, write, count);
  End(events, count);
}

void CheckHead(const HttpHead& head) {
  const char* const begin = head.text.get();
  const char* const end = begin + head.text_bytes;
  const auto inside = [&](absl::string_view v) {
    return v.empty() || (v.data() >= begin && v.data() + v.size() <= end);
  };
  bool good = head.text_bytes <= kMaxHeadBytes + 1 && head.headers.size() <= kMaxHeaders;
  good = good && inside(head.method) && inside(head.target) && inside(head.client);
  for (const HttpHeader& header : head.headers) good = good && inside(header.name) && inside(header.value);
  good = good && (head.is_request || head.status == 0 || (head.status >= 100 && head.status <= 999));
  if (!good) std::abort();
}

void Run(absl::string_view input) {
  EventBuilder events;
  events.Open(1, {.from_start = input.empty() || (input[0] & 1) == 0});
  if (!input.empty()) input.remove_prefix(1);
  while (input.size() >= 3) {
    const auto operation = static_cast<uint8_t>(static_cast<uint8_t>(input[0]) % 7);
    const size_t count = static_cast<uint8_t>(input[1]) | static_cast<size_t>(static_cast<uint8_t>(input[2])) << 8;
    input.remove_prefix(3);
    const size_t size = operation < 4 ? std::min(count, input.size()) : 0;
    if (operation >= 4 || size > 0) Operation(events, operation, count, input.substr(0, size));
    input.remove_prefix(size);
  }
  TestTable t;
  t.Send(events);
  t.table.OnTime(events.now_ns() + 2'000'000'000);
  t.table.FinishAll(events.now_ns());
  if (!t.log.failures.empty() || t.counters().exchanges != t.log.finished.size()) std::abort();
  for (const auto& exchange : t.log.finished) {
    CheckHead(exchange->request);
    if (!exchange->response) continue;
    CheckHead(*exchange->response);
    if (exchange->response->stream != exchange->request.stream) std::abort();
  }
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
