// SPDX-License-Identifier: Apache-2.0
//
// What outlives a process: images, their bytes, the store, and what a finder makes of them.
#include <catch2/catch.hpp>

#include <cstring>

#include "agent/cause/image_bytes.h"
#include "agent/cause/store.h"
#include "tests/agent/cause/learned_maker.h"

namespace spantap::cause_test {
namespace {

constexpr uint64_t kProgram = 0x1234;

// What is left of a life of `calm` requests.
CauseMemory Lived(int calm, bool swapped = false, CauseMemory before = {}) {
  CauseFinder finder({});
  finder.Remember(std::move(before));
  finder.OnProgram(Server::kTgid, kProgram);
  Server(finder, swapped).Calm(calm);
  finder.OnProcessEnd(Server::kTgid);
  return finder.memory();
}

Server::Score BusyAtOnce(CauseMemory memory, bool swapped = false, int pairs = 6) {
  CauseFinder finder({});
  finder.Remember(std::move(memory));
  finder.OnProgram(Server::kTgid, kProgram);
  return Server(finder, swapped).Busy(pairs);
}

CauseMemory MemoryOf(std::initializer_list<LearnedImage> images) {
  CauseMemory memory;
  uint64_t program = 0;
  for (const LearnedImage& image : images) memory.Add(++program, image);
  return memory;
}

// With a checksum that fits.
std::string Summed(std::string bytes) {
  const uint64_t sum = StoreChecksum(bytes);
  return bytes.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
}

}  // namespace

TEST_CASE("memory: an image and a store survive the way through bytes", "[cause]") {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const LearnedImage image = RandomImage(seed, seed % 63, 1 + seed % 40);
    const std::string bytes = EncodeImage(image);
    const auto again = DecodeImage(bytes);
    REQUIRE(again);
    CHECK(*again == image);
    CHECK(EncodeImage(*again) == bytes);
  }
  const CauseMemory memory = MemoryOf({RandomImage(1, 4, 3), RandomImage(2, 62, 128), RandomImage(3, 0, 1)});
  const std::string file = WriteStore(memory.Entries());
  const auto read = ReadStore(file);
  REQUIRE(read.ok());
  CHECK(read->size() == 3);
  CHECK(read->Find(2) == RandomImage(2, 62, 128));
  CHECK(WriteStore(read->Entries()) == file);
}

TEST_CASE("memory: a file that is cut off or has a wrong byte is rejected whole", "[cause]") {
  const std::string file = WriteStore(MemoryOf({RandomImage(4, 5, 3), RandomImage(5, 2, 2)}).Entries());
  for (size_t size = 0; size < file.size(); ++size) CHECK_FALSE(ReadStore(file.substr(0, size)).ok());
  for (size_t at = 0; at < file.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string wrong = file;
      wrong[at] = static_cast<char>(wrong[at] ^ flip);
      CHECK_FALSE(ReadStore(wrong).ok());
    }
  }
  CHECK_FALSE(ReadStore(file + "x").ok());
  CHECK_FALSE(ReadStore(std::string(kMaxStoreBytes + 1, 'x')).ok());
}

TEST_CASE("memory: bytes with a fitting checksum are either an image or rejected", "[cause]") {
  const std::string image = EncodeImage(RandomImage(6, 3, 2));
  size_t taken = 0;
  for (size_t at = 0; at < image.size(); ++at) {
    for (int value = 0; value < 256; value += 5) {
      std::string wrong = image;
      wrong[at] = static_cast<char>(value);
      const auto read = DecodeImage(wrong);
      if (!read) continue;
      ++taken;
      CHECK(EncodeImage(*read) == wrong);
    }
    CHECK_FALSE(DecodeImage(image.substr(0, at)));
  }
  CHECK(taken > 0);
}

TEST_CASE("memory: a file of a later version, or with a program that is none, says so", "[cause]") {
  std::string file = WriteStore(MemoryOf({RandomImage(7, 3, 2)}).Entries());
  file.resize(file.size() - 8);
  std::string later = file;
  later[8] = 2;
  CHECK(ReadStore(Summed(later)).status().message() == "it has version 2, known is 1");
  std::string many = file;
  many[13] = 5;
  CHECK(ReadStore(Summed(many)).status().message() == "it has too many programs");
  std::string long_image = file;
  long_image[27] = 0x7f;
  CHECK(ReadStore(Summed(long_image)).status().message() == "program 0 of it is invalid");
  CHECK(ReadStore(Summed(file + "more")).status().message() == "there is something behind its end");
  CHECK(ReadStore("none").status().message() == "it is no link memory");
  CHECK(ReadStore(Summed(file)).ok());
}

TEST_CASE("memory: counts that would spoil the sums are no image", "[cause]") {
  LearnedImage image = RandomImage(8, 3, 1);
  image.routes[0].contexts.assign(1, {Last::kCall, 1, kReply, false, 8, 4, {}, {}});
  CHECK(DecodeImage(EncodeImage(image)));
  for (const float wrong : {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    LearnedImage bad = image;
    bad.routes[0].contexts[0].seen = wrong;
    CHECK_FALSE(DecodeImage(EncodeImage(bad)));
    bad = image;
    bad.routes[0].states[0].next[0].second = wrong;
    CHECK_FALSE(DecodeImage(EncodeImage(bad)));
  }
  image.routes[0].contexts[0].immediate = 9;  // more than all
  CHECK_FALSE(DecodeImage(EncodeImage(image)));
  image.routes[0].contexts[0].immediate = 4;
  image.routes[0].contexts[0].next = 3;  // a call that is not there
  CHECK_FALSE(DecodeImage(EncodeImage(image)));
}

TEST_CASE("memory: merged, the better known counts, the rest is kept while there is room", "[cause]") {
  LearnedImage old;
  old.calls = {10, 20};
  Bag bag;
  bag.Add(1);
  old.routes = {{1, {{{}, false, {{0, 5}, {kReply, 200}}}}, {}, {}}, {2, {{bag.words(), true, {{1, 3}}}}, {}, {}}};
  LearnedImage now;
  now.calls = {20, 30};
  now.routes = {{1, {{{}, false, {{1, 9}, {kReply, 49}}}}, {}, {}}};
  SECTION("too little is known now") {
    const LearnedImage merged = Merge(now, old);
    REQUIRE(merged.routes.size() == 2);
    CHECK(merged.calls == std::vector<uint64_t>{20, 30, 10});
    CHECK(merged.routes[0].states[0].next[0] == std::pair<Label, float>(2, 5));  // its call has another number
    CHECK(merged.routes[1].route == 2);
    CHECK(Bag::Of(merged.routes[1].states[0].bag).count(0) == 1);
    CHECK(merged.routes[1].states[0].next[0] == std::pair<Label, float>(0, 3));
  }
  SECTION("what is known now is enough to be recalled") {
    now.routes[0].states[0].next[1].second = 50;
    CHECK(Merge(now, old).routes[0] == now.routes[0]);
  }
  const LearnedImage crowded = Merge(RandomImage(1, 62, 120), RandomImage(2, 62, 120));
  CHECK(crowded.routes.size() == 128);
  CHECK(crowded.calls.size() == kOtherLabel);
  CHECK(DecodeImage(EncodeImage(crowded)) == crowded);
}

TEST_CASE("memory: programs and bytes are bounded, what was learned longest ago goes first", "[cause]") {
  CauseMemory memory;
  for (uint64_t program = 1; program <= CauseMemory::kMaxPrograms + 10; ++program) {
    memory.Add(program, RandomImage(1, 2, 1));
    memory.Add(1, RandomImage(2, 2, 1));
  }
  CHECK(memory.size() == CauseMemory::kMaxPrograms);
  CHECK_FALSE(memory.Find(1).empty());
  CHECK(memory.Find(2).empty());
  LearnedImage large;
  large.routes.resize(1);
  large.routes[0].contexts.resize(LearnedImage::kMaxContexts, {Last::kRequest, 0, kReply, false, 1, 1, {}, {}});
  for (uint64_t program = 1; program <= 400; ++program) memory.Add(program, large);
  CHECK(memory.bytes() <= CauseMemory::kMaxBytes);
  CHECK(memory.size() < 400);
  const std::string file = WriteStore(memory.Entries());
  CHECK(file.size() <= kMaxStoreBytes);
  CHECK(ReadStore(file).ok());
}

TEST_CASE("memory: what was learned in the calm draws links in the next life at once", "[cause]") {
  const CauseMemory memory = Lived(60);
  CHECK(memory.size() == 1);
  const auto file = ReadStore(WriteStore(memory.Entries()));
  REQUIRE(file.ok());
  const Server::Score with = BusyAtOnce(*file), without = BusyAtOnce({});
  CHECK(with.calls == 12);
  CHECK(with.right >= 10);
  CHECK(with.wrong == 0);
  CHECK(without.right == 0);
}

TEST_CASE("memory: a worker begins with what another worker of its server has learned", "[cause]") {
  const bool same = GENERATE(true, false);
  CauseFinder finder({});
  finder.OnProgram(Server::kTgid, kProgram);
  finder.OnProgram(Server::kTgid + 1, same ? kProgram : kProgram + 1);
  Server server(finder);
  server.Calm(60);
  finder.TakeDecisions();
  server.RunAs(Server::kTgid + 1);
  const Server::Score score = server.Busy(6);
  CHECK(score.calls == 12);
  CHECK((score.right >= 10) == same);
  CHECK(score.wrong == 0);
  CHECK(finder.counters().recalled == (same ? 1 : 0));
  CHECK(finder.memory().size() == 0);  // nobody asked for a memory
}

TEST_CASE("memory: what is remembered counts for fifty observations, and the new soon for more", "[cause]") {
  const CauseMemory old = Lived(4000);
  CHECK(old.Find(kProgram).routes[0].replies() > 1000);
  // The program has changed: each route makes the other's call.
  const CauseMemory little = Lived(2, true, old);
  const LearnedImage image = little.Find(kProgram);
  for (const RouteImage& route : image.routes) {
    for (const StateImage& state : route.states) {
      float total = 0;
      for (const auto& [label, seen] : state.next) total += seen;
      CHECK(total <= kMostRecalled + 2);
    }
    for (const ContextImage& context : route.contexts) CHECK(context.seen <= kMostRecalled + 2);
  }
  CauseFinder finder({});
  finder.Remember(old);
  finder.OnProgram(Server::kTgid, kProgram);
  Server server(finder, true);
  server.Calm(400);
  finder.TakeDecisions();
  const Server::Score score = server.Busy(100);
  CHECK(score.wrong == 0);
  CHECK(score.named > score.calls / 2);  // named, not stated: its threads tell nothing
}

TEST_CASE("memory: another program's memory takes nothing and gives nothing", "[cause]") {
  CauseMemory memory;
  memory.Add(kProgram, RandomImage(9, 62, 100));
  const CauseMemory after = Lived(60, false, memory);
  const LearnedImage image = after.Find(kProgram);
  CHECK(image.routes[0].route == Server::kRoutes[0]);
  CHECK(image.routes[1].route == Server::kRoutes[1]);
  CHECK(image.calls[0] == Server::kCalls[0]);
  CHECK(image.calls[1] == Server::kCalls[1]);
  CHECK(BusyAtOnce(after).right >= 10);

  CauseFinder finder({});
  finder.Remember(Lived(60));
  finder.OnProgram(Server::kTgid, kProgram + 1);
  CHECK(Server(finder).Busy(6).right == 0);
  CHECK(finder.counters().recalled == 0);
}

TEST_CASE("memory: processes are asked a few at a time, and only with a program", "[cause]") {
  CauseFinder finder({});
  finder.Remember({});
  Server(finder).Calm(60);
  CHECK(finder.Memorize(1));
  CHECK(finder.memory().size() == 0);
  finder.OnProgram(Server::kTgid, kProgram);
  finder.OnIncoming(8, {1'000'000, {}, 1, {}});
  CHECK_FALSE(finder.Memorize(1));
  CHECK(finder.Memorize(1));
  CHECK(finder.memory().size() == 1);
}

}  // namespace spantap::cause_test
