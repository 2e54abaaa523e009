// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/cause/request_target.h"
#include "agent/cause/segment_template.h"

namespace spantap {
namespace {

std::string TemplateOf(absl::string_view segment) {
  char buffer[kMaxSegmentBytes];
  return std::string(SegmentTemplate(segment, buffer));
}

struct Row {
  const char* segment;
  const char* wanted;
};

TEST_CASE("segment template: ids are seen at first sight", "[cause]") {
  const Row rows[] = {
      {"7", "*"},
      {"1042", "*"},
      {"-17", "-*"},
      {"3.14", "*"},
      {"550e8400-e29b-41d4-a716-446655440000", "*"},
      {"abcdefab-cdef-abcd-efab-cdefabcdefab", "*"},
      {"{550E8400-E29B-41D4-A716-446655440000}", "{*}"},
      {"order-550e8400-e29b-41d4-a716-446655440000", "order-*"},
      {"550e8400-e29b-41d4-a716-446655440000.pdf", "*.pdf"},
      {"507f1f77bcf86cd799439011", "*"},
      {"d41d8cd98f00b204e9800998ecf8427e", "*"},
      {"deadbeef", "*"},
      {"abc12de", "*"},
      {"dQw4w9WgXcQ", "*"},
      {"01ARZ3NDEKTSV4RRFFQ69G5FAV", "*"},
      {"V1StGXR8_Z5jdHi6B-myT", "*-myT"},
      {"dGhlIHF1aWNrIGJyb3duIGZveA==", "*=="},
      {"qLmTzXvBnRwKdPsHg", "*"},
      {"aZbYcXdWeVfU", "*"},
      {"xkcdqwrt", "*"},
      {"2026-11-21", "*"},
      {"20261121", "*"},
      {"2026-11-21T19:38:47.123Z", "*"},
      {"2026_11", "*"},
      {"192.168.10.7", "*"},
      {"24h", "*"},
      {"item-123", "item-*"},
      {"item_7", "item_*"},
      {"item-123-a", "item-*-a"},
      {"user123", "user*"},
      {"ORD10017", "ORD*"},
      {"app.3f9a1c2b.js", "app.*.js"},
      {"chunk-2f3e4d5c.7.css", "chunk-*.css"},
      {"photo_1920x1080.jpg", "photo_*.jpg"},
      {"report-2026-11-21.pdf", "report-*.pdf"},
      {"alice@example.com", "*"},
      {"how-to-link-requests-without-any-headers", "*"},
  };
  for (const Row& row : rows) {
    INFO(row.segment);
    CHECK(TemplateOf(row.segment) == row.wanted);
  }
}

TEST_CASE("segment template: words stay", "[cause]") {
  for (const char* word : {"r1",
                           "r12",
                           "v1",
                           "v12",
                           "v1beta1",
                           "v2alpha3",
                           "api",
                           "users",
                           "oauth2",
                           "s3",
                           "k8s",
                           "i18n",
                           "b2b",
                           "e2e",
                           "a11y",
                           "p2p",
                           "log4j",
                           "ipv4",
                           "utf8",
                           "2fa",
                           "3d",
                           "4xx",
                           "base64",
                           "EC2",
                           "S3",
                           "index.html",
                           "logo.png",
                           "jquery.min.js",
                           "favicon.ico",
                           "sign-up",
                           "terms-and-conditions",
                           "end-of-life-policy",
                           "get_all_users_by_group_name",
                           "AggregatedDiscoveryService",
                           "getHTTPResponseCode",
                           "ListOrganizationalUnitsForParentAccounts",
                           "xmlhttp",
                           "rhythm",
                           "@me",
                           ".well-known",
                           "~alice",
                           "caf\xc3\xa9",
                           "\xe4\xba\xac\xe9\x83\xbd",
                           "en-US",
                           "SELECT",
                           "cafe",
                           "decade",
                           "stock",
                           "reviews",
                           "price",
                           "+",
                           "a b",
                           "..",
                           "$metadata"}) {
    INFO(word);
    CHECK(TemplateOf(word) == word);
  }
  CHECK(TemplateOf("").empty());
}

TEST_CASE("segment template: total, and no longer than the segment", "[cause]") {
  CHECK(TemplateOf(std::string(kMaxSegmentBytes, 'o')) == std::string(kMaxSegmentBytes, 'o'));
  CHECK(TemplateOf(std::string(kMaxSegmentBytes + 1, 'o')) == "*");
  std::mt19937_64 random(11);
  for (int i = 0; i < 100'000; ++i) {
    std::string segment(1 + random() % kMaxSegmentBytes, '\0');
    const bool text = i % 2 == 0;
    for (char& c : segment) c = text ? "ab9A-_.*f0"[random() % 10] : static_cast<char>(random());
    const std::string once = TemplateOf(segment);
    if (once.empty() || once.size() > segment.size()) FAIL(segment);
  }
}

TEST_CASE("segment template: random ids of usual kinds are never words", "[cause]") {
  std::mt19937_64 random(3);
  const auto draw = [&random](absl::string_view alphabet, size_t size) {
    std::string text(size, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    return text;
  };
  const absl::string_view base62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  int words = 0;
  for (int i = 0; i < 10'000; ++i) {
    CHECK(TemplateOf(absl::StrCat(random())) == "*");
    if (TemplateOf(draw("0123456789abcdef", 24)) != "*") FAIL();
    if (TemplateOf(draw("0123456789ABCDEF", 8)) != "*") FAIL();
    words += TemplateOf(draw(base62, 22)) != "*";
  }
  CHECK(words < 100);
}

TEST_CASE("request target: parts", "[cause]") {
  const auto split = [](absl::string_view target) {
    const RequestTarget parts = SplitTarget(target);
    return absl::StrCat(parts.path, " ", parts.query);
  };
  CHECK(split("/a/b?c=d?e") == "/a/b c=d?e");
  CHECK(split("/a#b?c") == "/a ");
  CHECK(split("https://h:1/a?b") == "/a b");
  CHECK(split("http://h?b=/c") == " b=/c");
  CHECK(split("h:443") == "h:443 ");
  CHECK(split("*") == "* ");
  CHECK(split("/a?to=http://h/b") == "/a to=http://h/b");
  CHECK(split("") == " ");
  char four[4];
  CHECK(Unescape("%41%42%43%44%45", four) == "ABCD");
  CHECK(Unescape("ABCDE", four) == "ABCD");
  CHECK(Unescape("a%4", four) == "a%4");
}

}  // namespace
}  // namespace spantap
