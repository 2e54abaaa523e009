// SPDX-License-Identifier: Apache-2.0
//
// FastCGI: the cases of the parser suite, and what is beyond it: inference, parameters, limits, numbers of requests.
#include <catch2/catch.hpp>

#include "agent/protocols/fastcgi_head.h"
#include "agent/protocols/fastcgi_record.h"
#include "tests/agent/protocols/fastcgi_wire.h"
#include "tests/agent/protocols/parser_suite.h"

namespace spantap {
namespace {

using Request = MessageContext::Request;

const WireProtocol& FastCgi() {
  Verdict verdict;
  const WireProtocol* protocol = InferProtocol(FcgiBegin(), false, &verdict);
  REQUIRE(protocol != nullptr);
  REQUIRE(protocol->name == absl::string_view("fastcgi"));
  return *protocol;
}

const std::string kGet = FcgiRequest({{"REQUEST_METHOD", "GET"},
                                      {"SCRIPT_FILENAME", "/srv/secret.php"},
                                      {"CONTENT_LENGTH", ""},
                                      {"REQUEST_URI", "/a?b=c"},
                                      {"DB_PASSWORD", "hunter2"},
                                      {"HTTP_HOST", "shop"},
                                      {"HTTP_X_REQUEST_ID", "r-1"},
                                      {"HTTP_EMPTY", ""}});
const std::string kGetExpected = R"(begin 0
head GET /a?b=c HTTP/1.0
  host=shop
  x-request-id=r-1
  empty=
)";

std::string EndAt(size_t position, size_t body, const char* how) {
  return absl::StrCat("end ", position, " body ", body, " ", how, "\n");
}

std::vector<ParserCase> RequestCases() {
  std::vector<ParserCase> cases;
  // Without a body it is over with its head: a server may never read the empty STDIN.
  cases.push_back({__LINE__, "without a body", true, kGet, kGetExpected + EndAt(kGet.size() - 8, 0, "exact")});
  const std::string post = FcgiRequest({{"REQUEST_METHOD", "POST"},
                                        {"REQUEST_URI", "/in"},
                                        {"CONTENT_LENGTH", "5"},
                                        {"HTTP_CONTENT_LENGTH", "5"},
                                        {"CONTENT_TYPE", "text/plain"},
                                        {"SERVER_NAME", "shop.example"}},
                                       "hello");
  cases.push_back({__LINE__, "a body of known length, in one record", true, post,
                   "begin 0\nhead POST /in HTTP/1.0\n  content-length=5\n  content-type=text/plain\n  "
                   "host=shop.example\n" +
                       EndAt(post.size() - 8 - 5, 5, "exact")});
  const std::string pairs = FcgiPairs({{"SCRIPT_NAME", "/x.php"}, {"PATH_INFO", "/y"}, {"QUERY_STRING", "z"}}, true) +
                            FcgiPairs({{"REQUEST_METHOD", "PUT"}, {"HTTP_TRANSFER_ENCODING", "chunked"}});
  std::string split = FcgiRecord(9, 0, FcgiPairs({{"FCGI_MAX_CONNS", ""}})) + FcgiBegin(258);
  const size_t begin = split.size() - 16;
  for (size_t i = 0; i < pairs.size(); i += 7) split += FcgiRecord(4, 258, pairs.substr(i, 7), i % 3);
  split += FcgiRecord(4, 258, "", 1) + FcgiRecord(5, 258, "ab") + FcgiRecord(5, 258, "cde", 2) + FcgiRecord(5, 258, "");
  cases.push_back({__LINE__, "parameters over many records, a body until the empty record", true, split,
                   absl::StrCat("begin ", begin, "\nhead PUT /x.php/y?z HTTP/1.0\n  transfer-encoding=chunked\n",
                                EndAt(split.size(), 5, "exact"))});
  return cases;
}

std::vector<ParserCase> ResponseCases() {
  std::vector<ParserCase> cases;
  const std::string plain = FcgiAnswer("X-Powered-By: PHP\r\nContent-type: text/html\r\n\r\nhello");
  cases.push_back(
      {__LINE__, "without a status", false, plain,
       "begin 0\nhead 200 HTTP/1.0\n  X-Powered-By=PHP\n  Content-type=text/html\n" + EndAt(plain.size(), 5, "exact")});
  const std::string status = FcgiRecord(7, 1, "PHP message: oops", 7) + FcgiRecord(6, 1, "Status: 404 Not ") +
                             FcgiRecord(6, 1, "Found\nA:b\n\n12", 4) + FcgiRecord(6, 1, "345") + FcgiRecord(6, 1, "") +
                             FcgiEnd();
  cases.push_back({__LINE__, "a status, in pieces, behind a log line", false, status,
                   "begin 0\nhead 404 HTTP/1.0\n  A=b\n" + EndAt(status.size(), 5, "exact")});
  const std::string found = FcgiAnswer("Location: /b\r\n\r\n");
  cases.push_back({__LINE__, "a location alone", false, found,
                   "begin 0\nhead 302 HTTP/1.0\n  Location=/b\n" + EndAt(found.size(), 0, "exact")});
  const std::string nothing = FcgiEnd(1, 2);
  cases.push_back({__LINE__, "no answer at all", false, nothing,
                   "begin 0\nhead 0 HTTP/1.0 truncated\n" + EndAt(nothing.size(), 0, "aborted")});
  return cases;
}

ParserCase Requests() { return {0, "", true, "", "", Request::kOrdinary, true}; }
ParserCase Responses(Request pending = Request::kOrdinary) { return {0, "", false, "", "", pending, true}; }

}  // namespace

TEST_CASE("fastcgi: the parser suite", "[parser]") {
  for (const ParserCase& c : RequestCases()) RunParserSuite(FastCgi(), c);
  for (const ParserCase& c : ResponseCases()) RunParserSuite(FastCgi(), c);
}

TEST_CASE("fastcgi: first bytes", "[infer]") {
  const std::string begin = FcgiBegin(), answer = FcgiAnswer("Status: 200\r\n\r\n"), log = FcgiRecord(7, 1, "x");
  struct Row {
    int line;
    std::string bytes;
    Verdict first;
    Verdict resumed;
    bool awaited;
  };
  const Row rows[] = {
      {__LINE__, "", Verdict::kNeedMore, Verdict::kNo, false},
      {__LINE__, begin.substr(0, 1), Verdict::kNeedMore, Verdict::kNo, false},
      {__LINE__, begin.substr(0, 7), Verdict::kNeedMore, Verdict::kNo, false},
      {__LINE__, begin.substr(0, 8), Verdict::kRequest, Verdict::kRequest, false},
      {__LINE__, begin, Verdict::kRequest, Verdict::kRequest, false},
      {__LINE__, begin.substr(0, 8) + std::string("\0\4", 2), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, FcgiBegin(0), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, FcgiRecord(1, 1, "123456789"), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, FcgiRecord(9, 0, "ab"), Verdict::kRequest, Verdict::kNo, false},
      {__LINE__, FcgiRecord(4, 1, "ab"), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, FcgiRecord(5, 1, ""), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, answer, Verdict::kResponse, Verdict::kResponse, true},
      {__LINE__, answer.substr(0, 8), Verdict::kNeedMore, Verdict::kNo, true},
      {__LINE__, answer.substr(0, 12), Verdict::kNeedMore, Verdict::kNo, true},
      {__LINE__, FcgiAnswer("<html><body>"), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, log, Verdict::kNo, Verdict::kNo, true},
      {__LINE__, FcgiEnd(), Verdict::kNo, Verdict::kNo, true},
      {__LINE__, "\2" + begin.substr(1), Verdict::kNo, Verdict::kNo, false},
      {__LINE__, "GET / HTTP/1.1", Verdict::kNo, Verdict::kNo, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line, row.bytes);
    CHECK(InferFastCgi(row.bytes, false) == row.first);
    CHECK(InferFastCgi(row.bytes, true) == row.resumed);
    CHECK(MayBeginFastCgiAnswer(row.bytes) == row.awaited);
    CHECK(ForeignProtocol(row.bytes) == nullptr);
  }
}

TEST_CASE("fastcgi: what no request says is not kept", "[parser]") {
  HttpHead head;
  REQUIRE(BuildCgiRequest(FcgiPairs({{"REQUEST_METHOD", "GET"},
                                     {"REQUEST_URI", "/"},
                                     {"DB_PASSWORD", "hunter2"},
                                     {"HTTPS", "on"},
                                     {"REMOTE_ADDR", "10.0.0.7"},
                                     {"SERVER_NAME", "_"}}),
                          false, &head));
  CHECK(absl::string_view(head.text.get(), head.text_bytes).find("hunter2") == absl::string_view::npos);
  CHECK(head.headers.empty());
  CHECK(head.scheme == "https");
  CHECK(head.client == "10.0.0.7");
  CHECK(head.protocol == "fastcgi");
}

TEST_CASE("fastcgi: parameters that are none", "[parser]") {
  const std::string good = FcgiPairs({{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/a"}, {"HTTP_A", "b"}});
  // Every end missing: no head if it is said to be whole, and never a value that was not sent.
  for (size_t size = 0; size < good.size(); ++size) {
    HttpHead whole, cut;
    const bool at_pair = size == FcgiPairs({{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/a"}}).size();
    CHECK(BuildCgiRequest(absl::string_view(good).substr(0, size), false, &whole) == at_pair);
    if (!BuildCgiRequest(absl::string_view(good).substr(0, size), true, &cut)) continue;
    CHECK(cut.method == "GET");
    CHECK(cut.target == "/a");
    CHECK(cut.truncated);
    CHECK(cut.headers.empty());
  }
  HttpHead head;
  CHECK_FALSE(BuildCgiRequest(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8), false, &head));
  CHECK_FALSE(BuildCgiRequest(FcgiPairs({{"REQUEST_METHOD", "GET"}}), false, &head));
}

TEST_CASE("fastcgi: a status that is none, or interim", "[parser]") {
  for (const char* status : {"Status: 100 Continue\n", "Status: 42\n", "Status: \n", "Status: abc\n"}) {
    const HttpHead head = BuildCgiResponse(status, false);
    CHECK((head.status == 0 || head.status == 200));
    CHECK(head.status != 100);
  }
}

TEST_CASE("fastcgi: a head beyond the window is cut, and its end is found all the same", "[parser]") {
  const std::string pairs = FcgiPairs({{"REQUEST_METHOD", "GET"},
                                       {"REQUEST_URI", "/a"},
                                       {"HTTP_HOST", "h"},
                                       {"HTTP_COOKIE", std::string(5000, 'c')},
                                       {"HTTP_LAST", "l"}});
  const std::string wire = FcgiBegin() + FcgiRecord(4, 1, pairs) + FcgiRecord(4, 1, "") + FcgiRecord(5, 1, "");
  for (const bool within_call : {true, false}) {
    ParserRun run(FastCgi(), Requests());
    run.Feed(wire.substr(0, 4096), true, false);
    run.Skip(wire.size() - 4096 - 64, within_call);
    run.Feed(wire.substr(wire.size() - 64), false, true);
    run.Feed(kGet);
    const std::string first = "begin 0\nhead GET /a HTTP/1.0 truncated\n  host=h\n";
    CHECK(absl::StartsWith(run.log.text, first + EndAt(wire.size(), 0, "guessed")));
    CHECK(run.log.heads == 2);
  }
}

TEST_CASE("fastcgi: a head over 64 KiB is cut", "[parser]") {
  std::string wire = FcgiBegin() + FcgiRecord(4, 1, FcgiPairs({{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/a"}}));
  for (int i = 0; i < 3; ++i) wire += FcgiRecord(4, 1, FcgiPairs({{"HTTP_A", std::string(30000, 'v')}}));
  ParserRun run(FastCgi(), Requests());
  run.Feed(wire + FcgiRecord(4, 1, "") + FcgiRecord(5, 1, "") + kGet);
  CHECK(run.log.heads == 2);
  CHECK(absl::StrContains(run.log.text, "truncated"));
  ParserRun answer(FastCgi(), Responses());
  answer.Feed(FcgiRecord(6, 1, "Status: 500\r\nA: " + std::string(60000, 'v')) +
              FcgiRecord(6, 1, std::string(20000, 'v')) + FcgiEnd());
  CHECK(absl::StrContains(answer.log.text, "head 500 HTTP/1.0 truncated\n"));
}

TEST_CASE("fastcgi: body bytes never seen", "[parser]") {
  const std::string head = "Content-Length: 60000\r\n\r\n";
  const std::string wire =
      FcgiRecord(6, 1, head + std::string(30000, 'a'), 3) + FcgiRecord(6, 1, std::string(30000, 'b')) + FcgiEnd();
  ParserRun run(FastCgi(), Responses());
  run.Feed(wire.substr(0, 4096), true, false);
  CHECK(run.parser->BoringUntil() == 8 + head.size() + 30000 - 1);
  run.Skip(20000, false);  // inside the record
  run.Feed(wire.substr(24096));
  CHECK(run.log.text == "begin 0\nhead 200 HTTP/1.0\n  Content-Length=60000\n" + EndAt(wire.size(), 60000, "exact"));

  ParserRun lost(FastCgi(), Responses());
  lost.Feed(wire.substr(0, 4096), true, false);
  lost.context.pending = Request::kUnknown;  // it is being answered, and no other waits
  lost.Skip(wire.size() - 4096 - 64, true);  // over the border of a record
  lost.Feed(wire.substr(wire.size() - 64), false, true);
  CHECK(absl::StrContains(lost.log.text, absl::StrCat("end ", wire.size(), " body ")));
  CHECK(absl::StrContains(lost.log.text, "guessed"));
}

TEST_CASE("fastcgi: a client that leaves with all that was promised", "[parser]") {
  for (const bool whole : {true, false}) {
    ParserRun run(FastCgi(), Responses());
    run.Feed(FcgiRecord(6, 1, absl::StrCat("Content-Length: 4\r\n\r\ndon", whole ? "e" : "")));
    run.parser->End(true);
    CHECK(absl::StrContains(run.log.text, whole ? "body 4 exact" : "body 3 aborted"));
  }
}

TEST_CASE("fastcgi: requests in turn on one connection are multiplexed", "[parser]") {
  ParserRun run(FastCgi(), Requests());
  run.Feed(FcgiBegin(1) + FcgiBegin(2));
  CHECK(run.log.text == "opaque multiplexed\n");
  ParserRun answers(FastCgi(), Responses());
  answers.Feed(FcgiRecord(6, 1, "A: b\n\n") + FcgiRecord(6, 2, "A: b\n\n"));
  CHECK(absl::StrContains(answers.log.text, "opaque multiplexed\n"));
}

TEST_CASE("fastcgi: an aborted request, and one that follows an open body", "[parser]") {
  const FcgiParams open = {{"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/a"}, {"CONTENT_LENGTH", "9"}};
  const std::string begun = FcgiBegin() + FcgiRecord(4, 1, FcgiPairs(open)) + FcgiRecord(4, 1, "");
  ParserRun aborted(FastCgi(), Requests());
  aborted.Feed(begun + FcgiRecord(5, 1, "abc") + FcgiRecord(2, 1, "") + kGet);
  CHECK(absl::StrContains(aborted.log.text, "body 3 aborted"));
  CHECK(aborted.log.heads == 2);
  ParserRun next(FastCgi(), Requests());
  next.Feed(begun + FcgiRecord(5, 1, "abc") + kGet);
  CHECK(absl::StrContains(next.log.text, "body 3 guessed"));
  CHECK(next.log.heads == 2);
}

TEST_CASE("fastcgi: joined, the next head is found at a call's start", "[parser]") {
  ParserRun requests(FastCgi(), Requests(), true);
  requests.Feed(FcgiRecord(5, 1, "") + kGet);  // not at the start of the call
  CHECK(requests.log.text.empty());
  requests.Feed(kGet.substr(0, 8));
  requests.Feed(kGet.substr(8));
  CHECK(absl::StrContains(requests.log.text, "resume "));
  CHECK(requests.log.heads == 1);
  ParserRun responses(FastCgi(), Responses(), true);
  responses.Feed(FcgiRecord(7, 1, "log") + FcgiAnswer("A: b\r\n\r\n"));
  CHECK(responses.log.heads == 1);
  ParserRun unknown(FastCgi(), Responses(Request::kUnknown), true);
  unknown.Feed(FcgiRecord(7, 1, "log") + FcgiAnswer("A: b\r\n\r\n"));
  CHECK(unknown.log.heads == 0);
}

}  // namespace spantap
