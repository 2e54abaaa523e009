// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "exporter/model/url.h"

namespace spantap {
namespace {

std::string Query(const std::string& query, QueryValues values) {
  std::string out;
  AppendQuery(query, values, &out);
  return out;
}

TEST_CASE("query: credentials go, names stay", "[spans]") {
  struct Row {
    int line;
    const char* query;
    const char* redacted;
    const char* none;
  };
  const Row rows[] = {
      {__LINE__, "", "", ""},
      {__LINE__, "a=1", "a=1", "a="},
      {__LINE__, "a=1&b=2&a=3", "a=1&b=2&a=3", "a=&b=&a="},
      {__LINE__, "sig=x", "sig=REDACTED", "sig="},
      {__LINE__, "Sig=x", "Sig=x", "Sig="},
      {__LINE__, "a=1&Signature=zz&b", "a=1&Signature=REDACTED&b", "a=&Signature="},
      {__LINE__, "AWSAccessKeyId=A&X-Amz-Credential=B&X-Amz-Security-Token=C&X-Amz-Signature=D&X-Goog-Signature=E",
       "AWSAccessKeyId=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&X-Amz-Signature=REDACTED&"
       "X-Goog-Signature=REDACTED",
       "AWSAccessKeyId=&X-Amz-Credential=&X-Amz-Security-Token=&X-Amz-Signature=&X-Goog-Signature="},
      {__LINE__, "a=1;sig=x;y&b=2", "a=1;sig=REDACTED&b=2", "a=&b="},
      {__LINE__, "sig==x=y", "sig=REDACTED", "sig="},
      {__LINE__, "sig", "sig", ""},
      {__LINE__, "&&=&", "&&=&", "="},
      {__LINE__, "sigh=1&xsig=2", "sigh=1&xsig=2", "sigh=&xsig="},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    CHECK(Query(row.query, QueryValues::kRedacted) == row.redacted);
    CHECK(Query(row.query, QueryValues::kNone) == row.none);
  }
}

TEST_CASE("authority: host, port and user information", "[spans]") {
  struct Row {
    int line;
    const char* authority;
    const char* user;
    const char* host;
    int port;
  };
  const Row rows[] = {
      {__LINE__, "a", "", "a", 0},
      {__LINE__, "a:80", "", "a", 80},
      {__LINE__, "a:", "", "a", 0},
      {__LINE__, "a:65535", "", "a", 65535},
      {__LINE__, "a:65536", "", "a", 0},
      {__LINE__, "a:8x", "", "a", 0},
      {__LINE__, "u:p@a:1", "u:p", "a", 1},
      {__LINE__, "u@v@a", "u@v", "a", 0},
      {__LINE__, "[::1]:80", "", "::1", 80},
      {__LINE__, "[::1]", "", "::1", 0},
      {__LINE__, "::1", "", "::1", 0},
      {__LINE__, "[::1", "", "", 0},
      {__LINE__, "", "", "", 0},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const Authority parts = SplitAuthority(row.authority);
    CHECK(parts.user_info == row.user);
    CHECK(parts.host == row.host);
    CHECK(parts.port == row.port);
  }
}

TEST_CASE("target: the four forms", "[spans]") {
  CHECK(SplitTarget("/a/b?c=d?e#f", false).path == "/a/b");
  CHECK(SplitTarget("/a/b?c=d?e#f", false).query == "c=d?e");
  CHECK(SplitTarget("http://h:1", false).path == "/");
  CHECK(SplitTarget("http://h:1?q", false).authority == "h:1");
  CHECK(SplitTarget("http://h:1?q", false).query == "q");
  CHECK(SplitTarget("*", false).path == "*");
  CHECK(SplitTarget("h:443", true).authority == "h:443");
  CHECK(SplitTarget("h:443", true).path.empty());
  CHECK(SplitTarget("/http://x", false).scheme.empty());
}

}  // namespace
}  // namespace spantap
