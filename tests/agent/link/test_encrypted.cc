// SPDX-License-Identifier: Apache-2.0
//
// Two proxies with an unreadable connection between them: the far one's request to its application hangs below the
// request that the near one read; and where that cannot be known, nothing is claimed.
#include <catch2/catch.hpp>

#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

constexpr uint32_t kNear = 100;
constexpr uint32_t kFar = 200;
const Headers kPlain = {{"Host", "shop"}, {"User-Agent", "curl/8"}, {"Accept", "*/*"}};

Headers Sent(char trace) {
  Headers head = kPlain;
  head.push_back({"x-forwarded-proto", "http"});
  head.push_back({"x-request-id", std::string(8, trace) + "-aaaa-4aaa-8aaa-aaaaaaaaaaaa"});
  head.push_back({"traceparent", Parent(trace, trace)});
  return head;
}

bool IsRefused(const World& world, uint64_t id, absl::string_view reason) {
  return !world[id].parent_span_id.valid() && world[id].refused == reason;
}

}  // namespace

TEST_CASE("encrypted: the only open request with this head", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(kNear, kFar));
  Exchange* in = world.Read(kNear, 1, "/x", kPlain);
  Exchange* other = world.Read(kNear, 1, "/y", kPlain);
  Exchange* out = world.Write(kFar, 7, "/x", Sent('a'));
  for (Exchange* exchange : {out, in, other}) world.Answer(exchange);
  world.End();
  CHECK(world.IsChild(3, 1));
  CHECK(world[3].rule == LinkRule::kProxy);
  CHECK(world[3].confidence == 0.99);
  CHECK(FormatHex(world[1].trace_id) == std::string(32, 'a'));
  CHECK(FormatHex(world[3].span_id) == std::string(16, 'a'));
}

TEST_CASE("encrypted: equal heads need order and responses to agree", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(kNear, kFar));
  Exchange* a = world.Read(kNear, 1, "/x", kPlain);
  Exchange* b = world.Read(kNear, 1, "/x", kPlain);
  Exchange* of_a = world.Write(kFar, 7, "/x", Sent('a'));
  Exchange* of_b = world.Write(kFar, 7, "/x", Sent('b'));
  SECTION("they do") {
    world.Answer(of_b);
    world.Answer(b);
    world.Answer(of_a);
    world.Answer(a);
    world.End();
    CHECK(world.IsChild(3, 1));
    CHECK(world.IsChild(4, 2));
    CHECK(world[3].confidence >= 0.9);
    CHECK(world[4].confidence >= 0.9);
  }
  SECTION("they do not") {
    world.Answer(of_b);
    world.Answer(a);
    world.Answer(of_a);
    world.Answer(b);
    world.End();
    CHECK(IsRefused(world, 3, "ambiguous"));
    CHECK(IsRefused(world, 4, "ambiguous"));
  }
}

TEST_CASE("encrypted: what the far proxy serves besides caused nothing of it", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(kNear, kFar));
  Exchange* outbound = world.Read(kFar, 7, "/elsewhere", kPlain);
  Exchange* out = world.Write(kFar, 7, "/x", Sent('a'));
  world.Answer(out);
  world.Answer(outbound);
  world.End();
  CHECK(IsRefused(world, 2, "encrypted"));
}

TEST_CASE("encrypted: callers that nobody observes", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(kNear, kFar));
  world.Encrypt(world.Connect(0, kFar));
  const auto pass = [&world](const std::string& target) {
    Exchange* in = world.Read(kNear, 1, target, kPlain);
    Exchange* out = world.Write(kFar, 7, target, Sent('a'));
    const uint64_t id = out->id;
    world.Answer(out);
    world.Answer(in);
    return id;
  };
  std::vector<uint64_t> ids;
  for (int i = 0; i < 80; ++i) ids.push_back(pass("/x"));
  const uint64_t rare = pass("/x/8841");
  world.End();
  // Until so many requests were seen that "rare" means something, and long before "/x" is not.
  for (const uint64_t id : ids) CHECK(IsRefused(world, id, "encrypted"));
  CHECK(world.IsChild(rare, rare - 1));
}

TEST_CASE("encrypted: a near proxy that does not call this one", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(kNear, 300));
  world.Encrypt(world.Connect(400, kFar));
  Exchange* in = world.Read(kNear, 1, "/x", kPlain);
  Exchange* out = world.Write(kFar, 7, "/x", Sent('a'));
  world.Answer(out);
  world.Answer(in);
  world.End();
  CHECK(IsRefused(world, 2, "encrypted"));
}

TEST_CASE("encrypted: one process is gone, another has its number", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(kNear, kFar));
  world.linker().OnProcessEnd(kNear);
  Exchange* in = world.Read(kNear, 1, "/x", kPlain);
  Exchange* out = world.Write(kFar, 7, "/x", Sent('a'));
  world.Answer(out);
  world.Answer(in);
  world.End();
  CHECK(IsRefused(world, 2, "encrypted"));
}

TEST_CASE("encrypted: the server's address is translated, the client's is mapped", "[link][encrypted]") {
  World world;
  Tcp tcp = world.Connect(kNear, kFar);
  tcp.server.endpoint.local_port = 15006;
  ConnectionEnds& ends = tcp.server.endpoint;
  ends.family = SPANTAP_FAMILY_INET6;
  const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  std::memcpy(ends.peer_addr, mapped, sizeof(mapped));
  world.Encrypt(tcp);
  Exchange* in = world.Read(kNear, 1, "/x", kPlain);
  Exchange* out = world.Write(kFar, 7, "/x", Sent('a'));
  world.Answer(out);
  world.Answer(in);
  world.End();
  CHECK(world.IsChild(2, 1));
}

TEST_CASE("encrypted: an application that also serves TLS is none of this rule's business", "[link][encrypted]") {
  World world;
  world.Encrypt(world.Connect(0, kFar));
  Exchange* in = world.Read(kFar, 1, "/x", kPlain);
  Exchange* out = world.Write(kFar, 1, "/call", {{"Host", "db"}});
  world.Answer(out);
  world.Answer(in);
  world.End();
  CHECK(world[2].refused != "encrypted");
}

}  // namespace spantap::link_test
