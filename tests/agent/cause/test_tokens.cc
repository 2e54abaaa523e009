// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/cause/tokens.h"
#include "tests/agent/cause/request_of.h"

namespace spantap {
namespace {

constexpr uint64_t kKey = 0x1234567890abcdefu;

TokenReader Reader(std::vector<std::string> headers = {}, uint64_t key = kKey) {
  return TokenReader({.headers = std::move(headers), .key = key});
}

TokenList TokensOf(absl::string_view target) { return Reader().Read(RequestOf(target)); }

// The token of a value: what a path of one segment has.
uint64_t Token(absl::string_view value) {
  const TokenList tokens = TokensOf(absl::StrCat("/", value));
  REQUIRE(tokens.size() == 1);
  return tokens[0];
}

TokenList Tokens(std::initializer_list<absl::string_view> values) {
  TokenList list;
  for (const absl::string_view value : values) list.push_back(Token(value));
  std::sort(list.begin(), list.end());
  return list;
}

bool Has(const TokenList& tokens, absl::string_view value) {
  return std::binary_search(tokens.begin(), tokens.end(), Token(value));
}

TEST_CASE("tokens: where a value stands makes no difference", "[cause]") {
  CHECK(TokensOf("/orders/8817") == Tokens({"orders", "8817"}));
  CHECK(TokensOf("/?order=8817&page=2&kind=new") == Tokens({"8817", "new"}));
  CHECK(TokensOf("/orders?8817") == Tokens({"orders", "8817"}));
  CHECK(TokensOf("/cart;jsessionid=5A3F/;x") == Tokens({"cart", "5A3F"}));
  CHECK(TokensOf("/a/b/c?d=e").empty());
  CHECK(TokensOf("/8817/8817?x=8817") == Tokens({"8817"}));
  CHECK(TokensOf("//orders///8817/") == Tokens({"orders", "8817"}));
}

TEST_CASE("tokens: every form of target, and none", "[cause]") {
  CHECK(TokensOf("http://shop.example:80/orders/8817?q=red") == TokensOf("/orders/8817?q=red"));
  CHECK(TokensOf("http://shop.example").empty());
  CHECK(TokensOf("http://shop.example?u=/a/8817") == Tokens({"%2fa%2F8817"}));
  CHECK(TokensOf("/go?to=http://shop.example/8817") == Tokens({"go", "http:%2F%2Fshop.example%2F8817"}));
  CHECK(TokensOf("/orders#8817") == Tokens({"orders"}));
  for (const absl::string_view none : {"", "*", "/", "?", "=", "/?", "?&&=&", "%", "/%", "://", "//", ";;=;", ","}) {
    INFO(none);
    CHECK(TokensOf(none).empty());
  }
}

TEST_CASE("tokens: spellings of one value agree, values do not", "[cause]") {
  CHECK(Token("a%20b") == Token("a b"));
  CHECK(TokensOf("/?q=a+b") == Tokens({"a%20b"}));
  CHECK(TokensOf("/?q=x%2By%3d%3D") == TokensOf("/x+y=="));
  CHECK(Token("%E4%BA%AC%e9%83%bd") == Token("\xe4\xba\xac\xe9\x83\xbd"));
  CHECK(Token("%2525") == Token("%2525"));
  CHECK(Token("%2541") != Token("A1"));  // decoded once
  CHECK(Token("100%") == Token("100%25"));
  CHECK(Token("a%zz") == Token("a%25zz"));
  CHECK(Token("aB") != Token("ab"));
  CHECK(TokensOf("/x%2f").size() == 1);
  CHECK(TokensOf("/%41").empty());  // one byte
}

TEST_CASE("tokens: a list is one value and its parts", "[cause]") {
  const TokenList list = TokensOf("/?ids=17,4211,%2Cred%2c 8");
  CHECK(list.size() == 4);
  for (const absl::string_view part : {"17", "4211", "red"}) CHECK(Has(list, part));
  CHECK(TokensOf("/?ids=17,4211") == TokensOf("/?ids=17%2C4211"));
  CHECK(TokensOf("/?ids=17,4211") != Tokens({"17", "4211"}));
}

TEST_CASE("tokens: headers are read only if they are named", "[cause]") {
  const HttpHead head = RequestOf("/", "GET",
                                  {{"Cookie", "sid=8817; theme=\"dark\";x"},
                                   {"Authorization", "Bearer abc"},
                                   {"X-Tenant", "acme,blue"},
                                   {"x-tenant", "second"}});
  CHECK(Reader().Read(head).empty());
  CHECK(Reader({"cookie"}).Read(head) == Tokens({"8817", "dark"}));
  CHECK(Reader({"authorization"}).Read(head) == Tokens({"Bearer abc"}));
  const TokenList tenant = Reader({"x-tenant", "x-none"}).Read(head);
  CHECK(tenant.size() == 4);
  for (const absl::string_view part : {"acme", "blue", "second"}) CHECK(Has(tenant, part));
}

TEST_CASE("tokens: the key, the switch, responses", "[cause]") {
  const HttpHead head = RequestOf("/orders/8817");
  CHECK(Reader({}, 1).Read(head) == Reader({}, 1).Read(head));
  const TokenList a = Reader({}, 1).Read(head);
  const TokenList b = Reader({}, 2).Read(head);
  for (const uint64_t token : a) CHECK_FALSE(std::binary_search(b.begin(), b.end(), token));
  CHECK(TokenReader({.on = false, .headers = {}, .key = 1}).Read(head).empty());
  HttpHead response = RequestOf("/orders/8817");
  response.is_request = false;
  CHECK(Reader().Read(response).empty());
}

TEST_CASE("tokens: the longest are kept, however many there are", "[cause]") {
  std::string target;
  for (int i = 0; i < 40; ++i) absl::StrAppend(&target, "/", std::string(2 + i * 7 % 40, 'a'));
  const TokenList tokens = TokensOf(target);
  CHECK(tokens.size() == TokenReader::kMaxTokens);
  CHECK(std::is_sorted(tokens.begin(), tokens.end()));
  for (int bytes = 2; bytes < 42; ++bytes) {
    INFO(bytes);
    CHECK(Has(tokens, std::string(bytes, 'a')) == (bytes >= 26));
  }
  // The first of equal length.
  std::string equal;
  for (int i = 100; i < 200; ++i) absl::StrAppend(&equal, "/", i);
  CHECK(Has(TokensOf(equal), "115"));
  CHECK_FALSE(Has(TokensOf(equal), "116"));
}

TEST_CASE("tokens: what is too much is not looked at", "[cause]") {
  std::string many;
  for (size_t i = 0; i < 2 * TokenReader::kMaxValues; ++i) absl::StrAppend(&many, "/ab");
  CHECK(TokensOf(absl::StrCat(many, "/8817")) == Tokens({"ab"}));
  const std::string slashes(TokenReader::kMaxValues, '/');
  CHECK(TokensOf(absl::StrCat(slashes, "8817")).empty());
  const std::string commas(TokenReader::kMaxValues, ',');
  CHECK_FALSE(Has(TokensOf(absl::StrCat("/", commas, "8817")), "8817"));
  // Long values are cut, escaped or not.
  const std::string end(TokenReader::kMaxValueBytes, 'x');
  CHECK(TokensOf(absl::StrCat("/", end, "1")) == TokensOf(absl::StrCat("/%78", end, "2")));
  CHECK(TokensOf(absl::StrCat("/?a=", end, "1")) == Tokens({end}));
}

TEST_CASE("token counts: never less than the true share", "[cause]") {
  TokenCounts counts;
  std::map<uint64_t, double> truth;  // with the same fading
  double requests = 0;
  std::mt19937_64 random(7);
  const auto hash = [](uint64_t id) { return (id + 1) * 0x9e3779b97f4a7c15u ^ (id + 1) * 0xc2b2ae3d27d4eb4fu << 7; };
  for (int i = 0; i < 20'000; ++i) {
    TokenList tokens = {hash(0), hash(1 + random() % 3), hash(10 + random() % 300), hash(1000 + random() % 100'000)};
    std::sort(tokens.begin(), tokens.end());
    counts.Add(tokens);
    for (const uint64_t token : tokens) ++truth[token];
    if (++requests == 2048) {
      requests /= 2;
      for (auto& [token, count] : truth) count /= 2;
    }
    if (i % 997 != 0) continue;
    for (const auto& [token, count] : truth) {
      if (counts.ShareOf(token) < count / requests || counts.ShareOf(token) > 1) FAIL(i);
    }
  }
  CHECK(counts.ShareOf(hash(0)) == 1);
  for (int one = 1; one < 4; ++one) CHECK(counts.ShareOf(hash(one)) == Approx(1.0 / 3).epsilon(0.15));
  // One of 300: rarer than the 1 % that decides, and not much more common than it is.
  double worst = 0, unseen = 0;
  for (int one = 10; one < 310; ++one) worst = std::max(worst, counts.ShareOf(hash(one)));
  for (int one = 0; one < 1000; ++one) unseen += counts.ShareOf(hash(500'000 + one)) / 1000;
  INFO(worst << " " << unseen);
  CHECK(worst < 0.012);
  CHECK(unseen < 0.004);
}

TEST_CASE("token counts: careful at first, forgetful later", "[cause]") {
  TokenCounts counts;
  CHECK(counts.ShareOf(1) == 1);
  counts.Add({42});
  CHECK(counts.ShareOf(42) == 1);
  CHECK(counts.ShareOf(77) == 0.5);
  for (int i = 0; i < 1000; ++i) counts.Add({42});
  for (int i = 0; i < 20'000; ++i) counts.Add({});
  CHECK(counts.ShareOf(42) < 0.002);
  CHECK(counts.ShareOf(42) > 0);
}

}  // namespace
}  // namespace spantap
