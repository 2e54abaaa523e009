// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1 beyond the suite: inference, limits, chunk data never seen, hidden ends, resumption.
#include <catch2/catch.hpp>

#include "agent/protocols/http1_infer.h"
#include "tests/agent/protocols/parser_suite.h"

namespace spantap {
namespace {

const WireProtocol& Http1() {
  Verdict verdict;
  return *InferProtocol("GET / HTTP/1.1\r\n", false, &verdict);
}
ParserCase Requests() { return {0, "", true, "", "", MessageContext::Request::kOrdinary, true}; }
ParserCase Responses(MessageContext::Request pending = MessageContext::Request::kOrdinary) {
  return {0, "", false, "", "", pending, true};
}

TEST_CASE("infer: first bytes", "[infer]") {
  struct Row {
    int line;
    absl::string_view bytes;
    Verdict first;
    Verdict resumed;
  };
  const Row rows[] = {
      {__LINE__, "", Verdict::kNeedMore, Verdict::kNo},
      {__LINE__, "G", Verdict::kNeedMore, Verdict::kNo},
      {__LINE__, "GET ", Verdict::kNeedMore, Verdict::kNo},
      {__LINE__, "GET /", Verdict::kRequest, Verdict::kRequest},
      {__LINE__, "\r\nGET /", Verdict::kRequest, Verdict::kNo},
      {__LINE__, "BREW /pot", Verdict::kRequest, Verdict::kNo},
      {__LINE__, "BREW /pot HTTP/1.1\r\n", Verdict::kRequest, Verdict::kRequest},
      {__LINE__, "ET / HTTP/1.1\r\n", Verdict::kRequest, Verdict::kNo},
      {__LINE__, "CONNECT h:1", Verdict::kRequest, Verdict::kRequest},
      {__LINE__, "FOO http", Verdict::kNeedMore, Verdict::kNo},
      {__LINE__, "FOO http://h/", Verdict::kRequest, Verdict::kNo},
      {__LINE__, "EHLO h", Verdict::kNeedMore, Verdict::kNo},
      {__LINE__, "EHLO host", Verdict::kNo, Verdict::kNo},
      {__LINE__, "PRI * HTTP/2.0\r\n", Verdict::kNo, Verdict::kNo},
      {__LINE__, "HTTP/1.", Verdict::kNeedMore, Verdict::kNo},
      {__LINE__, "HTTP/1.1", Verdict::kResponse, Verdict::kNo},
      {__LINE__, "HTTP/1.1 200 ", Verdict::kResponse, Verdict::kResponse},
      {__LINE__, "HTTP/1.1 2xx ", Verdict::kResponse, Verdict::kNo},
      {__LINE__, "HTTP/2 200", Verdict::kNo, Verdict::kNo},
      {__LINE__, "{\"a\":1}", Verdict::kNo, Verdict::kNo},
      {__LINE__, "abcdefghijabcdefghijabcdefghijabcdefghij", Verdict::kNo, Verdict::kNo},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line, row.bytes);
    CHECK(InferHttp1(row.bytes) == row.first);
    CHECK(InferResumedHttp1(row.bytes) == row.resumed);
  }
  CHECK(ForeignProtocol(absl::string_view("\x16\x03\x01\x00", 4)) == absl::string_view("tls"));
  CHECK(ForeignProtocol("PRI * HTTP/2.0\r\n") == absl::string_view("http/2"));
  CHECK(ForeignProtocol("GET / HTTP/1.1") == nullptr);
  CHECK(ProtocolNames() == "http/1,fastcgi");
}

TEST_CASE("http1: a head of almost 64 KiB is whole, a longer one is cut", "[parser]") {
  for (const size_t value : {65'000u, 66'000u}) {
    ParserRun run(Http1(), Requests());
    const std::string wire = "GET /x HTTP/1.1\r\nA: b\r\nC: " + std::string(value, 'v') + "\r\n\r\n";
    for (size_t at = 0; at < wire.size(); at += 4096) run.Feed(wire.substr(at, 4096));
    CHECK(run.log.heads == 1);
    CHECK(absl::StrContains(run.log.text, "truncated") == (value > kMaxHeadBytes));
    CHECK(absl::StrContains(run.log.text, "  A=b\n"));
  }
}

TEST_CASE("http1: headers beyond the limit are counted", "[parser]") {
  std::string wire = "GET /x HTTP/1.1\r\n";
  for (size_t i = 0; i < kMaxHeaders + 5; ++i) absl::StrAppend(&wire, "H", i, ": ", i, "\r\n");
  ParserRun run(Http1(), Requests());
  run.Feed(wire + "\r\n");
  CHECK(absl::StrContains(run.log.text, absl::StrCat("  H", kMaxHeaders - 1, "=", kMaxHeaders - 1, "\n  dropped 5\n")));
}

TEST_CASE("http1: a head's views stay valid when it is moved", "[parser]") {
  struct Keep final : ParserSink {
    void OnMessageBegin(uint64_t, bool) override {}
    void OnHead(HttpHead h) override { head = std::move(h); }
    void OnMessageEnd(uint64_t, uint64_t, BodyEnd) override {}
    void OnLost(LossReason) override {}
    void OnOpaque(const char*) override {}
    HttpHead head;
  } sink;
  FakeContext context;
  const auto parser = Http1().make(true, false, sink, context);
  {
    const std::string wire = "GET /x HTTP/1.1\r\nHost: one\r\nEmpty:\r\nhost: two\r\n\r\n";
    parser->Feed({0, true, true}, wire);
  }
  const HttpHead moved = std::move(sink.head);
  CHECK(moved.target == "/x");
  CHECK(moved.Find("host") == "one");
  CHECK(moved.Count("host") == 2);
  CHECK(moved.Find("empty").data() != nullptr);
  CHECK(moved.Find("empty").empty());
  CHECK(moved.Find("absent").data() == nullptr);
}

TEST_CASE("http1: chunk data never seen counts like chunk data seen", "[parser]") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = "20\r\n" + std::string(0x20, 'x') + "\r\n5\r\nabcde\r\n0\r\n\r\n";
  ParserRun fed(Http1(), Responses());
  fed.Feed(head + body);
  for (size_t begin = 4; begin < 4 + 0x20; ++begin) {
    for (size_t end = begin + 1; end <= 4 + 0x20; ++end) {
      ParserRun run(Http1(), Responses());
      run.Feed(head + body.substr(0, begin));
      CHECK(run.parser->BoringUntil() == head.size() + 4 + 0x20 - 1);
      run.Skip(end - begin, false);
      run.Feed(body.substr(end));
      if (run.log.text != fed.log.text) {
        CAPTURE(begin, end);
        REQUIRE(run.log.text == fed.log.text);
      }
    }
  }
}

TEST_CASE("http1: a huge length is no work", "[parser]") {
  ParserRun run(Http1(), Responses());
  run.Feed("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n");
  for (int i = 0; i < 3; ++i) run.Skip(uint64_t{1} << 62, false);
  CHECK(!absl::StrContains(run.log.text, "lost"));
}

TEST_CASE("http1: a hidden end is guessed at a last chunk, else at the next head", "[parser]") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const bool last_chunk : {true, false}) {
    ParserRun run(Http1(), Responses());
    run.Feed(head + "10\r\nab");
    run.context.pending = MessageContext::Request::kUnknown;
    run.Skip(100, true);
    uint64_t bytes = 0;
    CHECK(run.parser->EndHidden(&bytes));
    run.Feed(last_chunk ? "x\r\n0\r\n\r\n" : "more", false, true);
    CHECK(absl::StrContains(run.log.text, "guessed") == last_chunk);
    CHECK(run.parser->EndHidden(&bytes) == !last_chunk);
    // While no request is open, a head-like piece belongs to the body.
    run.context.may_begin = false;
    run.Feed("HTTP/1.1 299 Evil\r\n\r\n");
    CHECK(run.log.heads == 1);
    run.context.may_begin = true;
    run.context.pending = MessageContext::Request::kOrdinary;
    run.Feed("HTTP/1.1 204 No\r\n\r\n");
    CHECK(run.log.heads == 2);
    CHECK(absl::StrContains(run.log.text, "guessed"));
    CHECK(!absl::StrContains(run.log.text, "lost"));
  }
}

TEST_CASE("http1: resumes at a call's start only, with a head only", "[parser]") {
  ParserRun run(Http1(), Requests(), true);
  run.Feed("tail GET /no HTTP/1.1\r\n\r\n");
  run.Feed("GET /no HTTP/1.1\r\n\r\n", false, true);
  run.Feed("GET /yes HTTP/1.1\r\n\r\n");
  CHECK(run.log.heads == 1);
  CHECK(absl::StrContains(run.log.text, "/yes"));
  run.Skip(10, false);
  CHECK(absl::EndsWith(run.log.text, "lost gap\n"));
  run.Feed("GET /again HTTP/1.1\r\n\r\n");
  CHECK(absl::StrContains(run.log.text, "resume"));
  run.Feed("no method: x");
  CHECK(absl::EndsWith(run.log.text, "lost invalid\n"));
}

TEST_CASE("http1: invalid heads", "[parser]") {
  for (const absl::string_view wire :
       {"GET  HTTP/1.1\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "GET /\r\n\r\n", "GET / RTSP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "(x) / HTTP/1.1\r\n\r\n"}) {
    ParserRun run(Http1(), Requests());
    run.Feed(wire);
    CAPTURE(wire);
    CHECK(run.log.heads == 0);
    CHECK(absl::EndsWith(run.log.text, "lost invalid\n"));
  }
  for (const absl::string_view wire :
       {"HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 xx x\r\n\r\n", "HTTP/2.0 200 x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"}) {
    ParserRun run(Http1(), Responses());
    run.Feed(wire);
    CAPTURE(wire);
    CHECK(run.log.heads == 0);
    CHECK(absl::EndsWith(run.log.text, "lost invalid\n"));
  }
}

}  // namespace
}  // namespace spantap
