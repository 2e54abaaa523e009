// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/secret_words.h"

#include <catch2/catch.hpp>

namespace spantap {
namespace {

std::string Hidden(std::string message) {
  SecretWords({{"Authorization", "Bearer 0123456789abcdef"}, {"x-tenant", "shop"}, {"empty", ""}}).HideIn(&message);
  return message;
}

TEST_CASE("secret words: a repeated header value is taken out of a message, whole, in part or cut off", "[transport]") {
  CHECK(Hidden("HTTP 401: bad Bearer 0123456789abcdef!") == "HTTP 401: bad (hidden)!");
  CHECK(Hidden("0123456789abcdef and 0123456789abcdef") == "(hidden) and (hidden)");
  CHECK(Hidden("your token was 0123456789abc") == "your token was (hidden)");
  CHECK(Hidden("you sent Bearer 01234") == "you sent (hidden)");
  CHECK(Hidden("0123456789") == "(hidden)");
}

TEST_CASE("secret words: other text stays, short values included", "[transport]") {
  for (const char* text : {"", "HTTP 503", "no such tenant: shop", "Bearer token expected", "0123456"}) {
    CHECK(Hidden(text) == text);
  }
}

}  // namespace
}  // namespace spantap
