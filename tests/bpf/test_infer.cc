// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "bpf/infer.h"

namespace {

spantap_guess Infer(const std::string& text) {
  __u8 bytes[SPANTAP_INFER_BYTES] = {};
  const size_t length = std::min<size_t>(text.size(), SPANTAP_INFER_BYTES);
  std::copy_n(text.begin(), length, bytes);
  return ::spantap_infer(bytes, static_cast<__u32>(length));
}

struct Row {
  int line;
  std::string bytes;
  spantap_guess expected;
};

const Row kRows[] = {
    {__LINE__, "GET / HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "POST http://a/ HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "OPTIONS * HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "CONNECT host:443 HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "CONNECT [::1]:443 HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "M-SEARCH * HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "HEAD / HTTP/1.1\r\n", SPANTAP_INFER_REQUEST},
    {__LINE__, "PRI * HTTP/2.0\r\n", SPANTAP_INFER_PREFACE},
    {__LINE__, "HTTP/1.1 200 OK\r\n", SPANTAP_INFER_RESPONSE},
    {__LINE__, "HTTP/1.0 404 Not Found", SPANTAP_INFER_RESPONSE},
    {__LINE__, "HTTP/1.", SPANTAP_INFER_RESPONSE},
    // Prefixes may still become one.
    {__LINE__, "G", SPANTAP_INFER_REQUEST},
    {__LINE__, "GET", SPANTAP_INFER_REQUEST},
    {__LINE__, "GET ", SPANTAP_INFER_REQUEST},
    {__LINE__, "H", SPANTAP_INFER_RESPONSE},
    {__LINE__, "HT", SPANTAP_INFER_RESPONSE},
    {__LINE__, "HE", SPANTAP_INFER_REQUEST},
    // Empty lines before a message are skipped; alone they begin nothing.
    {__LINE__, "\r\nGET / HTTP/1.1", SPANTAP_INFER_REQUEST},
    {__LINE__, "\r\n", SPANTAP_INFER_NO},
    {__LINE__, "", SPANTAP_INFER_NO},
    // What bodies look like.
    {__LINE__, "1000\r\nabcdef", SPANTAP_INFER_NO},
    {__LINE__, "0\r\n\r\n", SPANTAP_INFER_NO},
    {__LINE__, "<!DOCTYPE html>", SPANTAP_INFER_NO},
    {__LINE__, "{\"key\": 1}", SPANTAP_INFER_NO},
    {__LINE__, "Get / HTTP/1.1", SPANTAP_INFER_NO},
    {__LINE__, "GET\t/ HTTP/1.1", SPANTAP_INFER_NO},
    {__LINE__, "GET  / HTTP/1.1", SPANTAP_INFER_NO},
    {__LINE__, "OK = done", SPANTAP_INFER_NO},
    {__LINE__, "HTTP/2 200", SPANTAP_INFER_NO},
    {__LINE__, "HTTP:/", SPANTAP_INFER_NO},
    {__LINE__, std::string("\x16\x03\x01\x02\x00\x01", 6), SPANTAP_INFER_NO},
    // FastCGI: whole record headers only.
    {__LINE__, std::string("\x01\x01\x00\x01\x00\x08\x00\x00", 8), SPANTAP_INFER_FCGI_REQUEST},
    {__LINE__, std::string("\x01\x01\x12\x00\x00\x08\x05\x00\x00\x01\x01\x00", 12), SPANTAP_INFER_FCGI_REQUEST},
    {__LINE__, std::string("\x01\x01\x00\x01\x00\x08\x00", 7), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x01\x01\x00\x00\x00\x08\x00\x00", 8), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x01\x01\x00\x01\x00\x09\x00\x00", 8), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x01\x01\x00\x01\x00\x08\x00\x01", 8), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x02\x01\x00\x01\x00\x08\x00\x00", 8), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x01\x04\x00\x01\x00\x08\x00\x00", 8), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x01\x05\x00\x01\x00\x00\x00\x00", 8), SPANTAP_INFER_NO},
    {__LINE__, std::string("\x01\x06\x00\x01\x10\x00\x03\x00Status: ", 16), SPANTAP_INFER_FCGI_RESPONSE},
    {__LINE__, std::string("\x01\x07\x00\x01\x00\x05\x03\x00PHP", 11), SPANTAP_INFER_FCGI_RESPONSE},
    {__LINE__, std::string("\x01\x03\x00\x01\x00\x08\x00\x00", 8), SPANTAP_INFER_FCGI_RESPONSE},
    {__LINE__, std::string(16, '\0'), SPANTAP_INFER_NO},
    {__LINE__, std::string(16, 'A'), SPANTAP_INFER_NO},
    {__LINE__, std::string(16, '\xff'), SPANTAP_INFER_NO},
};

}  // namespace

TEST_CASE("infer: what begins like an HTTP/1 or FastCGI message", "[infer]") {
  for (const Row& row : kRows) {
    INFO("line " << row.line << ": " << row.bytes);
    CHECK(Infer(row.bytes) == row.expected);
  }
}

TEST_CASE("infer: every prefix of a message start is taken for one", "[infer]") {
  for (const std::string& start : {std::string("GET /path HTTP/1"), std::string("HTTP/1.1 200 OK\r"),
                                   std::string("PROPFIND /a HTTP"), std::string("CONNECT a:443 HT")}) {
    for (size_t length = 1; length <= start.size(); ++length) {
      INFO(start.substr(0, length));
      CHECK(Infer(start.substr(0, length)) != SPANTAP_INFER_NO);
    }
  }
}
