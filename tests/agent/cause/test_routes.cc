// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/cause/routes.h"
#include "tests/agent/cause/request_of.h"

namespace spantap {
namespace {

constexpr uint64_t kPort = 8080;
// 1536 nodes, each 24 bytes and a control byte, in a table of 2047.
constexpr size_t kMaxTableBytes = 52 * 1024;

uint64_t Route(RouteTable& table, absl::string_view target, absl::string_view method = "GET", uint64_t place = kPort) {
  return table.RouteOf(RequestOf(target, method), place);
}

uint64_t FreshRoute(absl::string_view target, absl::string_view method = "GET", uint64_t place = kPort) {
  RouteTable table;
  return Route(table, target, method, place);
}

void CheckBounds(const RouteTable& table) {
  CHECK(table.nodes() <= RouteTable::kMaxNodes);
  CHECK(table.bytes() <= kMaxTableBytes);
}

// A word that no shape tells from an id.
std::string Name(uint64_t number) {
  static const char* const kSyllables[] = {"bo", "ky", "fi", "go", "lu", "ma", "ne", "ri", "so", "tu"};
  std::string name;
  for (int i = 0; i < 6; ++i, number /= 10) name += kSyllables[number % 10];
  return name;
}

TEST_CASE("routes: stable between runs", "[cause]") {
  CHECK(FreshRoute("/users/42/orders/7") == 0x230821616139628fu);
  CHECK(FreshRoute("/", "POST", 0) == 0xb3711fa47249b3f2u);
}

TEST_CASE("routes: one for a template", "[cause]") {
  const char* const same[][3] = {
      {"/users/42/orders/7", "/users/1/orders/99?x=y", "/users/550e8400-e29b-41d4-a716-446655440000/orders/0"},
      {"/static/app.3f9a1c2b.js", "/static/app.0011aabb.js", "http://cdn.example/static/app.99999999.js"},
      {"/r3", "/r3?q=1042", "/r3/"},
      {"/r3/1000", "/r3/1299", "//r3//1042#x"},
      {"/stock/1000", "/stock/1299", "/stock/1042;v=1"},
      {"/a%20b", "/a b", "/a+b"},
      {"/", "", "http://h"},
  };
  for (const auto& row : same) {
    INFO(row[0]);
    CHECK(FreshRoute(row[0]) == FreshRoute(row[1]));
    CHECK(FreshRoute(row[0]) == FreshRoute(row[2]));
  }
}

TEST_CASE("routes: what makes a difference", "[cause]") {
  const std::vector<uint64_t> routes = {
      FreshRoute("/r1"),
      FreshRoute("/r2"),
      FreshRoute("/r1/1000"),
      FreshRoute("/r1", "POST"),
      FreshRoute("/r1", "GET", kPort + 1),
      FreshRoute("/r1/r2"),
      FreshRoute("/r2/r1"),
      FreshRoute("/r1r2"),
      FreshRoute("/static/app.3f9a1c2b.js"),
      FreshRoute("/static/vendor.3f9a1c2b.js"),
      FreshRoute("/static/app.3f9a1c2b.css"),
      FreshRoute("/pkg.v1.Shop/GetItem", "POST"),
      FreshRoute("/pkg.v1.Shop/ListItems", "POST"),
      FreshRoute("/pkg.v2.Shop/GetItem", "POST"),
      FreshRoute("/pkg.Mp3ToMp4Service/Base64To64", "POST"),
      FreshRoute("/pkg.Mp3ToMp4Service/Base64To32", "POST"),
      FreshRoute("h:443", "CONNECT"),
  };
  CHECK(std::set<uint64_t>(routes.begin(), routes.end()).size() == routes.size());
  CHECK(FreshRoute("/r1", "FOO") == FreshRoute("/r1", "BAR"));  // made-up methods are one
}

TEST_CASE("routes: depth is bounded", "[cause]") {
  std::string path;
  for (size_t i = 0; i < RouteTable::kMaxSegments; ++i) absl::StrAppend(&path, "/s");
  CHECK(FreshRoute(path) != FreshRoute(path + "/a"));
  CHECK(FreshRoute(path + "/a") == FreshRoute(path + "/b/c"));
}

TEST_CASE("routes: the traffic of the accuracy bench is templated from the first request", "[cause]") {
  RouteTable table;
  std::set<uint64_t> routes;
  for (int i = 0; i < 3000; ++i) routes.insert(Route(table, absl::StrCat("/r", 1 + i % 6, "/", 1000 + i % 300)));
  CHECK(routes.size() == 6);
}

// How many routes `count` paths make, and that the table holds its bounds.
size_t Routes(size_t count, const std::function<std::string(uint64_t)>& path) {
  RouteTable table;
  std::set<uint64_t> routes;
  for (size_t i = 0; i < count; ++i) routes.insert(Route(table, path(i)));
  CheckBounds(table);
  return routes.size();
}

TEST_CASE("routes: 10,000 ids of any kind do not make 10,000 routes", "[cause]") {
  std::mt19937_64 random(5);
  constexpr size_t kPlace = RouteTable::kMaxChildren + 1;
  CHECK(Routes(10'000, [&](uint64_t) { return absl::StrCat("/users/", random(), "/orders"); }) == 1);
  CHECK(Routes(10'000, [&](uint64_t) { return absl::StrCat("/t/", absl::Hex(random(), absl::kZeroPad16)); }) == 1);
  CHECK(Routes(10'000, [](uint64_t i) { return absl::StrCat("/users/", Name(i), "/orders"); }) == kPlace);
  CHECK(Routes(10'000, [](uint64_t i) { return absl::StrCat("/tags/", Name(i), "-", i); }) == kPlace);
  CHECK(Routes(10'000, [](uint64_t i) { return absl::StrCat("/", Name(i)); }) == kPlace);
  CHECK(Routes(10'000, [](uint64_t i) { return absl::StrCat("/", Name(i % 100), "/", Name(i / 100), "/", Name(i)); }) <
        RouteTable::kMaxNodes);
  // Names drawn as they are in life: few often, most seldom.
  std::geometric_distribution<int> often(0.05);
  CHECK(Routes(10'000, [&](uint64_t i) { return absl::StrCat("/", Name(i % 2 == 0 ? often(random) : i)); }) <= kPlace);
}

TEST_CASE("routes: hostile paths keep to the bounds", "[cause]") {
  std::mt19937_64 random(9);
  RouteTable table;
  std::set<uint64_t> routes;
  for (int i = 0; i < 200'000; ++i) {
    std::string path;
    for (uint64_t left = 1 + random() % 16; left > 0; --left) absl::StrAppend(&path, "/", Name(random() % 40));
    routes.insert(Route(table, path, i % 3 == 0 ? "GET" : "POST", random() % 1000));
  }
  CheckBounds(table);
  INFO(routes.size());
  CHECK(routes.size() < 40 * RouteTable::kMaxNodes);
  // What was known before stays, what is new counts as an id.
  CHECK(Route(table, absl::StrCat("/", Name(1), "x")) == Route(table, absl::StrCat("/", Name(2), "x")));
}

TEST_CASE("routes: a place that is crowded stays so, and its neighbours do not mind", "[cause]") {
  RouteTable table;
  const uint64_t other = Route(table, "/items/new");
  for (uint64_t i = 0; i <= RouteTable::kMaxChildren; ++i) Route(table, absl::StrCat("/users/", Name(i), "/orders"));
  const uint64_t id = Route(table, "/users/4711/orders");
  for (uint64_t i = 0; i < 100; ++i) CHECK(Route(table, absl::StrCat("/users/", Name(i), "/orders")) == id);
  CHECK(Route(table, absl::StrCat("/users/", Name(1), "/invoices")) != id);
  CHECK(Route(table, "/items/new") == other);
  CHECK(other == FreshRoute("/items/new"));
  CHECK(table.nodes() < 12);  // what was behind the names is forgotten
}

TEST_CASE("routes: handlers that were in use outlive a scanner", "[cause]") {
  RouteTable table;
  std::set<uint64_t> used;
  for (int i = 0; i < 20 * RouteTable::kKeepHits; ++i) {
    used.insert(Route(table, absl::StrCat("/", Name(i % 20), "/", i)));
  }
  REQUIRE(used.size() == 20);
  for (uint64_t i = 0; i < 5000; ++i) Route(table, absl::StrCat("/", Name(1000 + i), ".php"));
  std::set<uint64_t> after;
  for (int i = 0; i < 20; ++i) after.insert(Route(table, absl::StrCat("/", Name(i), "/4711")));
  CHECK(after == used);
  CHECK(Route(table, "/wp-admin") == Route(table, "/cgi-bin"));
}

TEST_CASE("routes: calm traffic gives the same hashes in any order", "[cause]") {
  std::vector<std::string> paths;
  for (int i = 0; i < 2000; ++i) {
    const char* const kWords[] = {"users", "orders", "carts", "stock", "reviews", "price", "login", "health"};
    paths.push_back(
        absl::StrCat("/api/", kWords[i % 8], "/", i, i % 3 == 0 ? "/" : "", i % 3 == 0 ? kWords[i % 5] : ""));
  }
  std::vector<std::string> shuffled = paths;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937_64(1));
  RouteTable one, two;
  for (const std::string& path : paths) Route(one, path);
  for (const std::string& path : shuffled) Route(two, path);
  for (const std::string& path : paths) {
    if (Route(one, path) != Route(two, path) || Route(one, path) != FreshRoute(path)) FAIL(path);
  }
  CHECK(one.nodes() == two.nodes());
}

TEST_CASE("routes: places beyond the bound are one", "[cause]") {
  RouteTable table;
  std::set<uint64_t> routes;
  for (uint64_t place = 0; place < 10'000; ++place) routes.insert(Route(table, "/a", "GET", place));
  CHECK(routes.size() == RouteTable::kMaxPlaces + 1);
  CHECK(Route(table, "/a", "GET", 7) == FreshRoute("/a", "GET", 7));
  CheckBounds(table);
}

}  // namespace
}  // namespace spantap
