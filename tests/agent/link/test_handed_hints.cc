// SPDX-License-Identifier: Apache-2.0
//
// What the attributes of a handed-off span say of its request, whatever the convention, and whether an exchange agrees.
#include <catch2/catch.hpp>

#include "agent/link/handed_hints.h"
#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

TEST_CASE("handed hints: a path agrees with a target in whatever form", "[link]") {
  struct Row {
    int line;
    const char *key, *value;
    const char* target;
    bool agree;
  };
  const Row row = GENERATE(values<Row>({
      {__LINE__, "url.path", "/a", "/a?b", true},
      {__LINE__, "url.path", "/a", "/b", false},
      {__LINE__, "url.path", "/a", "/a/", false},
      {__LINE__, "url.path", "", "/a", true},  // says nothing
      {__LINE__, "url.full", "http://h:1/a?b#c", "/a", true},
      {__LINE__, "http.url", "http://h/a", "http://h/a?b", true},
      {__LINE__, "http.target", "/a?b", "/a?c", true},
      {__LINE__, "url.full", "http://h", "/", true},
      {__LINE__, "url.path", "/", "http://h?b", true},  // both forms of the empty path
      {__LINE__, "url.full", "http://h?b", "/", true},
      {__LINE__, "url.full", "http://h?b", "/a", false},
      {__LINE__, "url.path", "*", "*", true},
      {__LINE__, "url.query", "/a", "/b", true},
  }));
  CAPTURE(row.line);
  AttributeBlob attributes;
  attributes.AddString(row.key, row.value);
  Exchange exchange;
  exchange.request = MakeHead({"GET", row.target}, {});
  CHECK(Agrees(ReadHints(attributes), exchange) == row.agree);
}

TEST_CASE("handed hints: a status agrees as a number or a text, and with what has no answer", "[link]") {
  AttributeBlob number, text, nonsense;
  number.AddInt("http.response.status_code", 404);
  text.AddString("http.status_code", "404");
  nonsense.AddString("http.status_code", "teapot");
  Exchange exchange;
  exchange.request = MakeHead({"GET", "/"}, {});
  for (const AttributeBlob* some : {&number, &text, &nonsense}) CHECK(Agrees(ReadHints(*some), exchange));
  exchange.response = MakeHead({"HTTP/1.1"}, {});
  exchange.response->status = 200;
  CHECK_FALSE(Agrees(ReadHints(number), exchange));
  CHECK_FALSE(Agrees(ReadHints(text), exchange));
  CHECK(Agrees(ReadHints(nonsense), exchange));
}

}  // namespace
}  // namespace spantap::link_test
