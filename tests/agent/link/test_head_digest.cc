// SPDX-License-Identifier: Apache-2.0
//
// What two heads must have in common to be one request, passed on: their targets in whatever form.
#include <catch2/catch.hpp>

#include "agent/link/head_digest.h"
#include "tests/agent/link/world.h"

namespace spantap::link_test {
namespace {

uint64_t Digest(const std::string& target) { return DigestHead(MakeHead({"GET", target}, {})).method_target; }

TEST_CASE("head digest: a target in absolute form is that of the origin", "[link]") {
  struct Row {
    int line;
    const char* target;
    const char* form;    // what OriginForm() makes of it
    const char* passed;  // how a proxy sends it on
  };
  const Row row = GENERATE(values<Row>({
      {__LINE__, "/a?b", "/a?b", "/a?b"},
      {__LINE__, "http://h:1/a?b", "/a?b", "/a?b"},
      {__LINE__, "http://h", "/", "/"},
      {__LINE__, "http://h/", "/", "/"},
      {__LINE__, "http://h?u=/a", "?u=/a", "/?u=/a"},
      {__LINE__, "http://h?", "?", "/?"},
      {__LINE__, "http://h/a?u=http://i/b", "/a?u=http://i/b", "/a?u=http://i/b"},
      {__LINE__, "*", "*", "*"},
      {__LINE__, "", "", ""},
      {__LINE__, "://", "/", "/"},
  }));
  CAPTURE(row.line);
  CHECK(OriginForm(row.target) == row.form);
  CHECK(Digest(row.target) == Digest(row.passed));
  CHECK(Digest(row.target) != Digest("/a"));
}

}  // namespace
}  // namespace spantap::link_test
