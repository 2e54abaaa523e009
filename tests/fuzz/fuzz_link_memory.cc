// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: the file of --link-memory. Any bytes: ReadStore() takes them all or says no, and what it takes it
// writes again as it was; behind a checksum that fits, too. An image that is taken is merged and recalled by a process
// without harm: its decisions stay numbers.
//
// Input: byte 0 odd: a checksum is put behind the rest; the rest: a file, whose first program is recalled, too.
// Corpus: tests/data/fuzz_link_memory.
#include <cmath>
#include <cstdlib>
#include <string>

#include "agent/cause/image_bytes.h"
#include "agent/cause/store.h"
#include "tests/agent/cause/learned_maker.h"

namespace spantap {
namespace {

void Require(bool ok) {
  if (!ok) std::abort();
}

void Recall(const CauseMemory& memory, uint64_t program, const LearnedImage& image) {
  CauseFinder finder((CauseSettings()));
  finder.Remember(memory);
  finder.OnProgram(cause_test::Server::kTgid, program);
  cause_test::Server server(finder);
  server.Calm(2);
  server.Busy(2);
  // Routes and calls that the image knows.
  uint64_t id = 1'000'000;
  Moment at;
  at.tid = 70;
  for (const RouteImage& route : image.routes) {
    at.ns = 10'000'000'000 + ++id;
    finder.OnIncoming(cause_test::Server::kTgid, {id, at, route.route, {}});
    for (const uint64_t call : image.calls) {
      OutgoingRequest request;
      request.id = ++id;
      request.at = at;
      request.call = call;
      request.connection = request.destination = 5;
      finder.OnOutgoing(cause_test::Server::kTgid, request);
      if (id > 1'000'100) break;
    }
  }
  finder.Flush();
  for (const CauseDecision& decision : finder.TakeDecisions()) {
    Require(decision.confidence >= 0 && decision.confidence <= 1);
  }
  while (!finder.Memorize(1)) {
  }
  const LearnedImage now = finder.memory().Find(program);
  Require(DecodeImage(EncodeImage(now)) == now);
}

void Run(absl::string_view input) {
  if (input.empty()) return;
  std::string file(input.substr(1));
  if (input[0] & 1) {
    const uint64_t sum = StoreChecksum(file);
    file.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  }
  const absl::StatusOr<CauseMemory> memory = ReadStore(file);
  if (!memory.ok()) return;
  const auto entries = memory->Entries();
  Require(memory->size() <= CauseMemory::kMaxPrograms && memory->bytes() <= CauseMemory::kMaxBytes);
  const std::string again = WriteStore(entries);
  const absl::StatusOr<CauseMemory> second = ReadStore(again);
  Require(second.ok() && WriteStore(second->Entries()) == again);
  if (entries.empty()) return;
  const LearnedImage image = memory->Find(entries[0].first);
  Require(DecodeImage(EncodeImage(Merge(image, image))).has_value());
  Recall(*memory, entries[0].first, image);
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
