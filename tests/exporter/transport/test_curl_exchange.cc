// SPDX-License-Identifier: Apache-2.0
//
// One POST and its end, below OTLP: causes in words, Unix sockets, and HTTP/2 connections that must not stay poisoned.
#include <sys/un.h>
#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "base/clock.h"
#include "exporter/transport/curl_exchange.h"
#include "tests/exporter/transport/http2_server.h"
#include "tests/fakes/fake_collector.h"
#include "tests/fakes/loopback.h"

namespace spantap {
namespace {

using End = CurlExchange::Outcome::End;
using Reaction = Http2Server::Reaction;
using Request = Http2Server::Request;

// Keeps all; stops after `max_body` bytes.
struct KeepingSink final : AnswerSink {
  explicit KeepingSink(size_t limit = 1 << 20) : max_body(limit) {}
  bool AddHeadLine(absl::string_view line) override {
    head.append(line.data(), line.size());
    return head.size() < (64 << 10);
  }
  bool AddBody(absl::string_view bytes) override {
    body.append(bytes.data(), bytes.size());
    return body.size() <= max_body;
  }
  const size_t max_body;
  std::string head, body;
};

std::unique_ptr<CurlExchange> Connect(const std::string& url, bool http2 = false) {
  CurlExchange::Settings settings;
  settings.endpoint =
      ParseEndpoint(url, http2 ? Protocol::kGrpc : Protocol::kHttpProtobuf, EndpointForm::kBase).value();
  settings.http2_only = http2;
  settings.headers = {"Content-Type: application/grpc"};
  return CurlExchange::Create(settings).value();
}

CurlExchange::Outcome PostOnce(const std::string& url, absl::Duration timeout = absl::Seconds(10),
                               const std::string& body = "body", bool http2 = false) {
  KeepingSink sink;
  return Connect(url, http2)->Post(body, "", timeout, sink);
}

// A socket that listens and never accepts: connections succeed until the backlog is full.
class BlackHole {
 public:
  explicit BlackHole(bool full) {
    REQUIRE(listener_.port != 0);
    const sockaddr_in address = Loopback(listener_.port);
    for (int i = 0; full && i < 4; ++i) {
      fillers_.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      (void)connect(fillers_.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
  }
  std::string url() const { return listener_.url(); }

 private:
  LoopbackListener listener_{0, 4096};
  std::vector<UniqueFd> fillers_;
};

TEST_CASE("exchange: why there was no answer, in words", "[transport]") {
  std::string closed;
  {
    FakeCollector gone;
    closed = gone.url();
  }
  struct Row {
    int line;
    CurlExchange::Outcome outcome;
    std::vector<std::string> words;
  };
  const auto fake = [](FakeCollector::Action action, absl::Duration timeout = absl::Seconds(10)) {
    FakeCollector collector({std::move(action)});
    return PostOnce(collector.url(), timeout);
  };
  const absl::Duration short_time = absl::Milliseconds(100);
  const Row rows[] = {
      {__LINE__, PostOnce(closed), {"connection to 127.0.0.1:", "refused", "nothing listens there"}},
      {__LINE__, PostOnce("http://no-such-name.invalid:4318"), {"DNS: the name no-such-name.invalid was not found"}},
      {__LINE__, PostOnce("unix:/tmp/spantap-no-such.sock"), {"/tmp/spantap-no-such.sock", "there is no such socket"}},
      {__LINE__, fake(FakeCollector::Stall(""), short_time), {"no answer from 127.0.0.1:", "within 100ms"}},
      {__LINE__, fake(FakeCollector::Close()), {"closed the connection without an answer"}},
      {__LINE__,
       fake(FakeCollector::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxx", false)),
       {"closed the connection during its answer"}},
      {__LINE__, PostOnce(BlackHole(true).url(), short_time), {"no connection to 127.0.0.1:", "within 50ms"}},
      {__LINE__,
       PostOnce(BlackHole(false).url(), short_time, std::string(30'000'000, 'x')),
       {"took ", " of 30000000 bytes within 100ms"}},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line << ": " << row.outcome.cause);
    CHECK(row.outcome.end == End::kBroken);
    for (const std::string& word : row.words) CHECK(absl::StrContains(row.outcome.cause, word));
  }
  const auto garbage = fake(FakeCollector::Raw("\x15\x03\x01\x02\x02", false));
  INFO(garbage.cause);
  CHECK(garbage.end == End::kGarbage);
  CHECK(absl::StrContains(garbage.cause, "does not answer in HTTP (if it speaks TLS, use https://)"));
}

TEST_CASE("exchange: an answer that comes before the body is read counts", "[transport]") {
  // Reads the head only, answers, and closes with most of the body unread, which makes the kernel send a reset.
  const LoopbackListener listener(1);
  REQUIRE(listener.port != 0);
  std::thread server([&listener] {
    const UniqueFd fd(accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char buffer[4096];
    (void)!recv(fd.get(), buffer, sizeof(buffer), 0);
    const std::string answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    (void)!send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    shutdown(fd.get(), SHUT_WR);
    while (recv(fd.get(), buffer, sizeof(buffer), 0) > 0) {
    }
  });
  const auto outcome = PostOnce(listener.url(), absl::Seconds(10), std::string(30'000'000, 'x'));
  server.join();
  INFO(outcome.cause);
  CHECK(outcome.http_status == 413);
}

TEST_CASE("exchange: a Unix socket", "[transport]") {
  const std::string path = absl::StrCat("/tmp/spantap_test_", getpid(), ".sock");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(listener.get(), 1) == 0);
  std::string head;
  std::thread server([&] {
    const UniqueFd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char buffer[4096];
    while (!absl::StrContains(head, "\r\n\r\nbody")) {
      const ssize_t n = recv(fd.get(), buffer, sizeof(buffer), 0);
      if (n <= 0) return;
      head.append(buffer, static_cast<size_t>(n));
    }
    (void)!send(fd.get(), "HTTP/1.1 204 OK\r\n\r\n", 19, MSG_NOSIGNAL);
  });
  const auto outcome = PostOnce("unix:" + path);
  server.join();
  unlink(path.c_str());
  INFO(outcome.cause);
  CHECK(outcome.end == End::kComplete);
  CHECK(outcome.http_status == 204);
  CHECK(absl::StartsWith(head, "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n"));
}

TEST_CASE("exchange: headers that cannot be sent are refused without their value", "[transport]") {
  CHECK(CheckHeader("Authentication", "token 1\t\xC3\xA4").ok());
  CHECK(CheckHeader("x-empty", "").ok());
  const std::pair<std::string, std::string> rows[] = {{"", "secret"},
                                                      {"a b", "secret"},
                                                      {"a:", "secret"},
                                                      {"a\n", "secret"},
                                                      {"\xC3\xA4", "secret"},
                                                      {std::string(257, 'a'), "secret"},
                                                      {"a", "secret\r\nX: y"},
                                                      {"a", std::string("secret\0", 7)},
                                                      {"a", "secret\x7f"},
                                                      {"a", std::string(20000, 's')},
                                                      {"content-TYPE", "secret"},
                                                      {"Content-Length", "secret"},
                                                      {"Transfer-Encoding", "secret"},
                                                      {"Accept-Encoding", "secret"},
                                                      {"TE", "secret"}};
  for (const auto& [name, value] : rows) {
    INFO(name);
    const absl::Status status = CheckHeader(name, value);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_FALSE(absl::StrContains(status.message(), "secret"));
    CHECK(status.message().size() < 400);
  }
  CHECK(HeaderLines({{"A", "b"}, {"C", ""}}) == std::vector<std::string>{"A: b", "C;"});
}

const h2::Fields kHead = {{":status", "200"}, {"content-type", "application/grpc"}};

Http2Server::Behaviour AtEnd(Http2Server::Moment moment) {
  Http2Server::Behaviour behaviour;
  behaviour.at_end = std::move(moment);
  return behaviour;
}

Reaction Whole(const Request& request) {
  return {h2::Headers(request.stream, kHead, false) + h2::Data(request.stream, "answer") +
          h2::Headers(request.stream, {{"grpc-status", "0"}, {"x-more", "1"}}, true)};
}

TEST_CASE("exchange: HTTP/2 trailers arrive as head lines, and one connection is kept", "[transport]") {
  Http2Server server({AtEnd(Whole)});
  const auto exchange = Connect(server.url(), true);
  for (int i = 0; i < 3; ++i) {
    KeepingSink sink;
    const auto outcome = exchange->Post(std::string(200'000, 'b'), "", absl::Seconds(10), sink);
    INFO(outcome.cause);
    CHECK(outcome.end == End::kComplete);
    CHECK(outcome.http_status == 200);
    CHECK(sink.body == "answer");
    CHECK(absl::StrContains(sink.head, "grpc-status: 0\r\n"));
    CHECK(absl::StrContains(sink.head, "x-more: 1\r\n"));
  }
  REQUIRE(server.requests().size() == 3);
  CHECK(server.requests()[2].connection == 1);
  CHECK(server.requests()[2].body.size() == 200'000);
}

// Each: the first request fails in this way (or not), and the second one must work, within its own time.
TEST_CASE("exchange: what breaks a request does not break the next one", "[transport]") {
  struct Row {
    int line;
    Http2Server::Moment first;
    enum { kFails, kWorks, kEither } first_ends = kFails;  // either: a close may overtake the answer
  };
  const Row rows[] = {
      {__LINE__, [](const Request&) { return Reaction{}; }},  // never answers
      {__LINE__, [](const Request& r) { return Reaction{h2::RstStream(r.stream, 2)}; }},
      {__LINE__,
       [](const Request& r) { return Reaction{h2::Headers(r.stream, kHead, false) + h2::RstStream(r.stream, 8)}; }},
      {__LINE__, [](const Request& r) { return Reaction{h2::Goaway(0, 0)}; }},
      {__LINE__,
       [](const Request& r) {
         return Reaction{h2::Goaway(r.stream, 11), true};
       }},
      {__LINE__, [](const Request& r) { return Reaction{Whole(r).bytes + h2::Goaway(r.stream, 0)}; }, Row::kWorks},
      {__LINE__,
       [](const Request& r) {
         return Reaction{Whole(r).bytes + h2::Goaway(r.stream, 0), true};
       },
       Row::kEither},
      {__LINE__,
       [](const Request& r) {
         return Reaction{Whole(r).bytes, true};
       },
       Row::kEither},
      {__LINE__,
       [](const Request& r) {
         return Reaction{h2::Headers(r.stream, kHead, false), true};
       }},
      {__LINE__,
       [](const Request& r) {
         return Reaction{h2::Headers(r.stream, kHead, false) + h2::Data(r.stream, std::string(16000, 'x'))};
       }},
      {__LINE__, [](const Request&) { return Reaction{"garbage that is no frame at all, really none"}; }},
      {__LINE__,
       [](const Request&) {
         return Reaction{"", true};
       }},
  };
  for (const Row& row : rows) {
    Http2Server server({AtEnd(row.first), AtEnd(Whole)});
    const auto exchange = Connect(server.url(), true);
    KeepingSink first, second;
    const auto broken = exchange->Post("first", "", absl::Milliseconds(150), first);
    INFO("line " << row.line << ": " << broken.cause);
    if (row.first_ends != Row::kEither) CHECK((broken.end == End::kComplete) == (row.first_ends == Row::kWorks));
    CHECK(broken.cause.empty() == (broken.end == End::kComplete));
    const auto next = exchange->Post("second", "", absl::Seconds(5), second);
    INFO(next.cause);
    CHECK(next.end == End::kComplete);
    CHECK(second.body == "answer");
    CHECK(absl::StrContains(second.head, "grpc-status: 0"));
    KeepingSink third;
    CHECK(exchange->Post("third", "", absl::Seconds(5), third).end == End::kComplete);
  }
}

TEST_CASE("exchange: endless HTTP/2 answers are cut off, and the connection given up", "[transport]") {
  const auto endless = [](const std::string& part) {
    return AtEnd([part](const Request& request) {
      std::string bytes = h2::Headers(request.stream, kHead, false);
      for (int i = 0; i < 100; ++i) bytes += part.empty() ? h2::Data(request.stream, std::string(16000, 'x')) : part;
      return Reaction{bytes};
    });
  };
  Http2Server server({endless(""), AtEnd(Whole)});
  const auto exchange = Connect(server.url(), true);
  KeepingSink small(1000);
  const auto outcome = exchange->Post("x", "", absl::Seconds(5), small);
  CHECK(outcome.end == End::kBroken);
  CHECK(absl::StrContains(outcome.cause, "larger than the limit"));
  KeepingSink next;
  CHECK(exchange->Post("x", "", absl::Seconds(5), next).end == End::kComplete);
  CHECK(next.body == "answer");
}

TEST_CASE("exchange: head and trailers over the limit are cut off", "[transport]") {
  const h2::Fields one = {{"x-long", std::string(15000, 'x')}};
  h2::Fields many = kHead;
  for (int i = 0; i < 12; ++i) many.emplace_back(absl::StrCat("x-", i), std::string(8000, 'x'));
  // Over several frames, as 16 KiB is the most that one may have.
  const auto split = [](uint32_t stream, const h2::Fields& fields, char flags) {
    std::string block = h2::Block(fields), bytes;
    for (size_t at = 0; at < block.size(); at += 16000) {
      const bool last = at + 16000 >= block.size();
      bytes += h2::Frame(at == 0 ? h2::kHeaders : h2::kContinuation,
                         static_cast<char>((last ? h2::kEndHeaders : 0) | (at == 0 ? flags : 0)), stream,
                         block.substr(at, 16000));
    }
    return bytes;
  };
  h2::Fields trailers(many.begin() + 2, many.end());
  for (const Http2Server::Moment& moment : std::vector<Http2Server::Moment>{
           [&](const Request& r) { return Reaction{split(r.stream, many, h2::kEndStream)}; },
           [&](const Request& r) {
             return Reaction{h2::Headers(r.stream, kHead, false) + split(r.stream, trailers, h2::kEndStream)};
           },
           [&](const Request& r) {
             std::string interim;
             for (int i = 0; i < 3000; ++i)
               interim += h2::Headers(r.stream, {{":status", "103"}, {"x-early", "12345678901234567890"}}, false);
             return Reaction{interim};
           }}) {
    Http2Server server({AtEnd(moment), AtEnd(Whole)});
    const auto exchange = Connect(server.url(), true);
    KeepingSink sink, next;
    const auto outcome = exchange->Post("x", "", absl::Seconds(2), sink);
    INFO(outcome.cause);
    CHECK(outcome.end != End::kComplete);
    CHECK(sink.head.size() < (80 << 10));
    CHECK(exchange->Post("x", "", absl::Seconds(5), next).end == End::kComplete);
  }
}

TEST_CASE("exchange: a shut window is waited for without burning the processor", "[transport]") {
  Http2Server::Behaviour behaviour;
  behaviour.greeting = h2::Setting(h2::kInitialWindowSize, 0);
  const Http2Server server({behaviour});
  const auto cpu_ns = [] { return ClockNs(CLOCK_THREAD_CPUTIME_ID); };
  const uint64_t before_ns = cpu_ns();
  const auto outcome = PostOnce(server.url(), absl::Milliseconds(400), std::string(1 << 20, 'x'), true);
  INFO(outcome.cause);
  CHECK(absl::StrContains(outcome.cause, " of 1048576 bytes within 400ms"));
  CHECK(cpu_ns() - before_ns < 150'000'000);
}

TEST_CASE("exchange: Cancel, from any thread and at any moment, ends one request at most", "[transport]") {
  FakeCollector collector;
  const auto exchange = Connect(collector.url());
  std::atomic<bool> stop{false};
  std::thread canceller([&] {
    while (!stop) exchange->Cancel();
  });
  for (int i = 0; i < 200; ++i) {
    KeepingSink sink;
    const auto outcome = exchange->Post("x", "", absl::Seconds(5), sink);
    CHECK((outcome.end == End::kComplete || outcome.cause == "cancelled"));
  }
  stop = true;
  canceller.join();
  KeepingSink sink;
  CHECK(exchange->Post("x", "", absl::Seconds(5), sink).end == End::kComplete);
}

TEST_CASE("exchange: a GOAWAY between two requests costs nothing", "[transport]") {
  // As servers do that limit a connection's age: all streams may end, no new ones.
  Http2Server server({AtEnd([](const Request& r) { return Reaction{Whole(r).bytes + h2::Goaway(0x7fffffff, 0)}; })});
  const auto exchange = Connect(server.url(), true);
  for (int i = 0; i < 3; ++i) {
    KeepingSink sink;
    const auto outcome = exchange->Post("x", "", absl::Seconds(5), sink);
    INFO(outcome.cause);
    CHECK(outcome.end == End::kComplete);
    CHECK(sink.body == "answer");
  }
}

TEST_CASE("exchange: a server that does not speak HTTP/2 is named as such", "[transport]") {
  FakeCollector collector({FakeCollector::Answer(400)});
  const auto outcome = PostOnce(collector.url(), absl::Seconds(5), "body", true);
  INFO(outcome.cause);
  CHECK(outcome.end != End::kComplete);
  CHECK(absl::StrContains(outcome.cause, "HTTP/2"));
}

}  // namespace
}  // namespace spantap
