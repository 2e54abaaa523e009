// SPDX-License-Identifier: Apache-2.0
//
// The gRPC transport against a real socket: what it sends, and how each way to answer badly, frame by frame, is judged.
#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "base/clock.h"
#include "exporter/transport/otlp_grpc.h"
#include "tests/exporter/transport/grpc_bytes.h"
#include "tests/exporter/transport/http2_server.h"
#include "tests/fakes/fake_collector.h"

namespace spantap {
namespace {

using Kind = SendResult::Kind;
using Reaction = Http2Server::Reaction;
using Request = Http2Server::Request;

const h2::Fields kHead = {{":status", "200"}, {"content-type", "application/grpc"}};

std::unique_ptr<Transport> Connect(const std::string& url, Compression compression = Compression::kNone,
                                   std::vector<std::pair<std::string, std::string>> headers = {}) {
  TransportSettings settings;
  settings.endpoint = ParseEndpoint(url, Protocol::kGrpc, EndpointForm::kBase).value();
  settings.compression = compression;
  settings.headers = std::move(headers);
  return MakeOtlpGrpc(settings).value();
}

Reaction Answer(const Request& request, const std::string& message, const h2::Fields& trailers) {
  return {h2::Headers(request.stream, kHead, false) + h2::Data(request.stream, GrpcMessage(message)) +
          h2::Headers(request.stream, trailers, true)};
}
Reaction Ok(const Request& request) { return Answer(request, "", {{"grpc-status", "0"}}); }
Reaction TrailersOnly(const Request& request, const h2::Fields& trailers) {
  h2::Fields fields = kHead;
  fields.insert(fields.end(), trailers.begin(), trailers.end());
  return {h2::Headers(request.stream, fields, true)};
}

Http2Server::Behaviour AtEnd(Http2Server::Moment moment) {
  Http2Server::Behaviour behaviour;
  behaviour.at_end = std::move(moment);
  return behaviour;
}
// Frames made from the stream's number, written when the request is there.
template <typename Frames>
Http2Server::Behaviour Raw(Frames frames, bool close = false) {
  return AtEnd([=](const Request& request) { return Reaction{frames(request.stream), close}; });
}

SendResult SendOnce(Http2Server::Behaviour behaviour, const std::string& body = "body",
                    absl::Duration timeout = absl::Seconds(10)) {
  Http2Server server({std::move(behaviour)});
  return Connect(server.url())->Send(body, timeout);
}

TEST_CASE("grpc: the request is as gRPC wants it", "[transport]") {
  Http2Server server({AtEnd(Ok)});
  const auto transport = Connect(server.url(), Compression::kNone,
                                 {{"Authentication", "token 1"}, {"X-Empty", ""}, {"Trace-Bin", "\x01\xff"}});
  const std::string body("\x0a\0\xff binary", 10);
  const SendResult result = transport->Send(body, absl::Seconds(7));
  INFO(result.message);
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.http_status == 200);
  CHECK(result.grpc_status == 0);
  REQUIRE(server.requests().size() == 1);
  Request request = server.requests()[0];
  CHECK(request.body == std::string("\0\0\0\0\x0a", 5) + body);
  CHECK(request.headers[":method"] == "POST");
  CHECK(request.headers[":scheme"] == "http");
  CHECK(request.headers[":path"] == "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  CHECK(absl::StrCat("http://", request.headers[":authority"]) == server.url());
  CHECK(request.headers["te"] == "trailers");
  CHECK(request.headers["content-type"] == "application/grpc");
  CHECK(request.headers["grpc-timeout"] == "7000m");
  CHECK(request.headers["grpc-accept-encoding"] == "identity");
  CHECK(request.headers["authentication"] == "token 1");
  CHECK(request.headers["trace-bin"] == "Af8");
  CHECK(request.headers.count("x-empty") == 1);
  CHECK(absl::StartsWith(request.headers["user-agent"], "spantap/"));
  for (const char* absent : {"grpc-encoding", "content-encoding", "expect", "connection", "transfer-encoding"}) {
    CHECK(request.headers.count(absent) == 0);
  }
}

TEST_CASE("grpc: the compressed flag says what the message is", "[transport]") {
  std::string large;
  for (int i = 0; i < 20'000; ++i) large += absl::StrCat("span ", i % 100, ";");
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    Http2Server server({AtEnd(Ok)});
    const auto transport = Connect(server.url(), compression);
    CHECK(transport->Send(large, absl::Seconds(10)).kind == Kind::kAcknowledged);
    CHECK(transport->Send("tiny", absl::Seconds(10)).kind == Kind::kAcknowledged);
    REQUIRE(server.requests().size() == 2);
    Request request = server.requests()[0];
    CHECK(request.headers["grpc-encoding"] == (compression == Compression::kGzip ? "gzip" : "zstd"));
    CHECK(request.body[0] == 1);
    CHECK(request.body.substr(1, 4) == h2::Number(request.body.size() - 5, 4));
    CHECK(request.body.size() < large.size() / 2);
    const std::string magic = compression == Compression::kGzip ? "\x1f\x8b" : "\x28\xb5\x2f\xfd";
    CHECK(request.body.substr(5, magic.size()) == magic);
    CHECK(server.requests()[1].body == GrpcMessage("tiny"));
  }
}

TEST_CASE("grpc: metadata that gRPC cannot carry is refused", "[transport]") {
  TransportSettings settings;
  settings.endpoint = ParseEndpoint("http://127.0.0.1:1", Protocol::kGrpc, EndpointForm::kBase).value();
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"grpc-timeout", "1S"},
                                                                                    {"Grpc-Whatever", "x"},
                                                                                    {"TE", "gzip"},
                                                                                    {"x y", "z"},
                                                                                    {"x", "sesame\xff"},
                                                                                    {"x", "a\nb"}}) {
    INFO(name);
    settings.headers = {{name, value}};
    const absl::Status status = MakeOtlpGrpc(settings).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_FALSE(absl::StrContains(status.message(), "sesame"));
  }
}

TEST_CASE("grpc: every status, in trailers and in an answer of trailers only", "[transport]") {
  uint32_t status = 0;
  const auto fields = [&status] {
    return h2::Fields{{"grpc-status", absl::StrCat(status)}, {"grpc-message", "it%20is so"}};
  };
  Http2Server server({AtEnd([&](const Request& request) {
    return request.stream % 4 == 1 ? Answer(request, "", fields()) : TrailersOnly(request, fields());
  })});
  const auto transport = Connect(server.url());
  for (; status <= 16; ++status) {
    INFO(status);
    const bool retry = status == 1 || status == 4 || status == 10 || status == 11 || status == 14 || status == 15;
    const Kind expected = retry ? Kind::kRetry : status == 8 ? Kind::kTooLarge : Kind::kDropGrpc;
    const SendResult in_trailers = transport->Send("x", absl::Seconds(10));
    CHECK(in_trailers.kind == (status == 0 ? Kind::kAcknowledged : expected));
    CHECK(in_trailers.grpc_status == static_cast<int>(status));
    const SendResult only = transport->Send("x", absl::Seconds(10));
    CHECK(only.kind == (status == 0 ? Kind::kDropResponse : expected));  // OK without a message
    CHECK(only.grpc_status == static_cast<int>(status));
    if (status != 0) CHECK(absl::EndsWith(only.message, ": it is so"));
  }
  const auto requests = server.requests();
  REQUIRE(requests.size() == 34);
  for (const Request& request : requests) CHECK(request.connection == 1);
}

TEST_CASE("grpc: RetryInfo and partial success arrive", "[transport]") {
  for (const char* status : {"8", "14"}) {
    for (const bool padding : {false, true}) {
      const SendResult result = SendOnce(AtEnd([=](const Request& request) {
        return TrailersOnly(
            request, {{"grpc-status", status}, {"grpc-status-details-bin", Base64(StatusWithRetryInfo(5), padding)}});
      }));
      CHECK(result.kind == Kind::kRetry);
      CHECK(result.retry_after == absl::Seconds(5));
    }
  }
  const SendResult result = SendOnce(AtEnd([](const Request& request) {
    return Answer(request, PartialSuccess(3, "three"), {{"grpc-status", "0"}});
  }));
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.rejected == 3);
  CHECK(result.message == "three");
}

TEST_CASE("grpc: a stream or connection that ends without a status is retried", "[transport]") {
  const auto head = [](uint32_t s) { return h2::Headers(s, kHead, false); };
  const auto half = [head](uint32_t s) { return head(s) + h2::Data(s, GrpcMessage("")); };
  struct Row {
    int line;
    Http2Server::Behaviour behaviour;
  };
  std::vector<Row> rows = {
      {__LINE__, Raw([](uint32_t) { return std::string(); }, true)},
      {__LINE__, Raw(head, true)},
      {__LINE__, Raw(half, true)},
      {__LINE__, Raw([](uint32_t) { return h2::Goaway(0, 0); }, true)},
      {__LINE__, Raw([](uint32_t) { return h2::Goaway(0, 0); })},
      {__LINE__, Raw([](uint32_t) { return h2::Goaway(0, 11); }, true)},
      {__LINE__, Raw([half](uint32_t s) { return half(s) + h2::Goaway(0, 2); }, true)},
      {__LINE__, Raw([head](uint32_t s) { return head(s) + h2::Frame(h2::kData, 0, s, "").substr(0, 5); }, true)},
  };
  for (uint32_t code = 1; code <= 13; ++code) {
    if (code == 7) continue;  // REFUSED_STREAM: curl itself asks again, see below
    rows.push_back({__LINE__, Raw([code](uint32_t s) { return h2::RstStream(s, code); })});
    rows.push_back({__LINE__, Raw([=](uint32_t s) { return head(s) + h2::RstStream(s, code); })});
    rows.push_back({__LINE__, Raw([=](uint32_t s) { return half(s) + h2::RstStream(s, code); })});
  }
  for (Row& row : rows) {
    Http2Server server({std::move(row.behaviour), AtEnd(Ok)});
    const auto transport = Connect(server.url());
    const SendResult result = transport->Send("x", absl::Seconds(10));
    INFO("line " << row.line << ": " << result.message);
    CHECK(result.kind == Kind::kRetry);
    CHECK_FALSE(result.message.empty());
    CHECK(transport->Send("x", absl::Seconds(10)).kind == Kind::kAcknowledged);
  }
}

TEST_CASE("grpc: a status that came before a reset counts", "[transport]") {
  for (const uint32_t code : {0u, 2u, 8u}) {
    const SendResult result = SendOnce(AtEnd([code](const Request& request) {
      Reaction reaction = TrailersOnly(request, {{"grpc-status", "13"}});
      reaction.bytes += h2::RstStream(request.stream, code);
      return reaction;
    }));
    INFO(code << ": " << result.message);
    CHECK(result.kind == Kind::kDropGrpc);
  }
}

TEST_CASE("grpc: a refusal before the request is all sent", "[transport]") {
  for (const bool reset : {false, true}) {
    Http2Server::Behaviour behaviour;
    behaviour.at_headers = [reset](const Request& request) {
      Reaction reaction = TrailersOnly(request, {{"grpc-status", "8"}, {"grpc-message", "too large"}});
      if (reset) reaction.bytes += h2::RstStream(request.stream, 0);
      return reaction;
    };
    const SendResult result = SendOnce(behaviour, std::string(2'000'000, 'x'));
    INFO(result.message);
    CHECK(result.kind == Kind::kTooLarge);  // libcurl 7.88 loses the answer itself if RST_STREAM comes with it
    if (!reset) CHECK(result.grpc_status == 8);
  }
}

TEST_CASE("grpc: GOAWAY loses no span, and the next request has a connection of its own", "[transport]") {
  enum { kLater, kBehind, kBefore } moment = kLater;
  const auto server_for = [&moment](const Request& request) {
    Reaction reaction = Ok(request);
    const std::string goaway = h2::Goaway(request.stream, 0);
    if (moment == kLater) reaction.later = goaway;
    if (moment == kBehind) reaction.bytes += goaway;
    if (moment == kBefore) reaction.bytes = goaway + reaction.bytes;
    return reaction;
  };
  for (const auto now : {kLater, kBehind, kBefore}) {
    moment = now;
    Http2Server server({AtEnd(server_for)});
    const auto transport = Connect(server.url());
    for (int i = 0; i < 2; ++i) {
      const SendResult result = transport->Send("x", absl::Seconds(10));
      INFO(moment << ": " << result.message);
      // libcurl 7.88 loses the trailers if GOAWAY is read together with them: sent again, rather than lost.
      CHECK((result.kind == Kind::kAcknowledged || (moment != kLater && result.kind == Kind::kRetry)));
      absl::SleepFor(absl::Milliseconds(30));
    }
    const auto requests = server.requests();
    REQUIRE(requests.size() == 2);
    CHECK(requests[0].connection == 1);
    CHECK(requests[1].connection == 2);
  }
}

TEST_CASE("grpc: windows and frame sizes of any size, also when they shrink on the way", "[transport]") {
  struct Row {
    int line;
    std::string greeting;
    uint32_t step;
    size_t body;
    uint32_t later;  // a new initial window after the first DATA frame; 0: none
  };
  const Row rows[] = {
      {__LINE__, h2::Setting(h2::kInitialWindowSize, 1), 1, 300, 0},
      {__LINE__, h2::Setting(h2::kInitialWindowSize, 100), 100, 20'000, 0},
      {__LINE__, h2::Setting(h2::kInitialWindowSize, 65'535), 0, 100'000, 10},
      {__LINE__, h2::Setting(h2::kInitialWindowSize, 1'000'000), 0, 2'000'000, 10'000},
      {__LINE__, h2::Setting(h2::kInitialWindowSize, 0x7fffffff), 0, 3'500'000, 0},
      {__LINE__, h2::Setting(h2::kMaxFrameSize, 0xffffff), 0, 3'500'000, 0},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    Http2Server::Behaviour behaviour = AtEnd(Ok);
    behaviour.greeting = row.greeting;
    behaviour.window_step = row.step;
    bool changed = false;
    behaviour.at_data = [&](const Request&) {
      if (row.later == 0 || changed) return Reaction{};
      changed = true;
      return Reaction{h2::Setting(h2::kInitialWindowSize, row.later)};
    };
    Http2Server server({behaviour});
    std::string body(row.body, 'x');
    for (size_t i = 0; i < body.size(); i += 97) body[i] = static_cast<char>(i);
    const SendResult result = Connect(server.url())->Send(body, absl::Seconds(20));
    INFO(result.message);
    CHECK(result.kind == Kind::kAcknowledged);
    REQUIRE(server.requests().size() == 1);
    CHECK(server.requests()[0].body.substr(5) == body);
  }
}

TEST_CASE("grpc: a window that never opens ends at the timeout", "[transport]") {
  Http2Server::Behaviour behaviour = AtEnd(Ok);
  behaviour.greeting = h2::Setting(h2::kInitialWindowSize, 0);
  const uint64_t started_ns = MonoNs();
  CHECK(SendOnce(behaviour, std::string(100'000, 'x'), absl::Milliseconds(100)).kind == Kind::kRetry);
  CHECK(MonoNs() - started_ns < 2'000'000'000);
}

TEST_CASE("grpc: garbage in the place of frames is no answer", "[transport]") {
  struct Row {
    int line;
    Http2Server::Behaviour behaviour;
  };
  std::vector<Row> rows;
  for (const std::string& greeting :
       {std::string("hello, this is a printer\r\n"), std::string(64, '\xff'),
        std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), h2::Frame(h2::kSettings, 0, 0, "12345"),
        h2::Frame(h2::kSettings, 0, 1, ""), h2::Frame(h2::kData, 0, 0, "x"),
        h2::Setting(h2::kInitialWindowSize, 0xffffffff), h2::Setting(h2::kMaxFrameSize, 1)}) {
    rows.push_back({__LINE__, {}});
    rows.back().behaviour.greeting = greeting;
  }
  const auto raw = [&rows](int line, auto frames) { rows.push_back({line, Raw(frames)}); };
  raw(__LINE__, [](uint32_t s) { return h2::Frame(h2::kHeaders, h2::kEndHeaders, s, "\xff\xff\xff\xff\xff\xff\xff"); });
  raw(__LINE__, [](uint32_t s) { return h2::Frame(h2::kHeaders, h2::kEndHeaders, s + 1, h2::Block(kHead)); });
  raw(__LINE__, [](uint32_t s) { return h2::Headers(s, {{"content-type", "application/grpc"}}, true); });
  raw(__LINE__, [](uint32_t s) { return h2::Headers(s, {{":status", "abc"}}, true); });
  raw(__LINE__, [](uint32_t s) { return h2::Headers(s, {{":status", "200"}, {"A B", "\n"}}, true); });
  raw(__LINE__, [](uint32_t s) { return h2::Data(s, "before the head"); });
  raw(__LINE__, [](uint32_t s) { return h2::WindowUpdate(s, 0x7fffffff) + h2::WindowUpdate(s, 0x7fffffff); });
  raw(__LINE__, [](uint32_t s) { return h2::WindowUpdate(s, 0); });
  raw(__LINE__, [](uint32_t s) { return h2::Number(0xffffff, 3) + std::string(6, '\0') + std::string(20'000, 'x'); });
  raw(__LINE__, [](uint32_t s) { return h2::Frame(h2::kContinuation, 0, s, "x"); });
  raw(__LINE__, [](uint32_t s) { return h2::Frame(5, h2::kEndHeaders, s, h2::Number(2, 4) + h2::Block(kHead)); });
  for (Row& row : rows) {
    const SendResult result = SendOnce(std::move(row.behaviour), "x", absl::Milliseconds(300));
    INFO("line " << row.line << ": " << result.message);
    CHECK(result.kind == Kind::kRetry);
    CHECK(result.message.size() < 600);
  }
}

TEST_CASE("grpc: limits of the answer", "[transport]") {
  const auto send = [](auto frames) { return SendOnce(Raw(frames), "x", absl::Milliseconds(500)); };
  SendResult result = send([](uint32_t s) {
    std::string bytes = h2::Headers(s, kHead, false);
    for (int i = 0; i < 10; ++i) bytes += h2::Data(s, std::string(10'000, 'x'));
    return bytes;
  });
  CHECK(result.kind == Kind::kDropResponse);
  CHECK(absl::StrContains(result.message, "limit"));
  // Header after header, in the head and in the trailers.
  for (const bool trailers : {false, true}) {
    INFO(trailers);
    result = send([=](uint32_t s) {
      h2::Fields many = trailers ? h2::Fields{} : kHead;
      for (int i = 0; i < 100; ++i) many.emplace_back(absl::StrCat("x-", i), std::string(1'000, 'y'));
      const std::string block = h2::Block(many);
      std::string bytes = trailers ? h2::Headers(s, kHead, false) + h2::Data(s, GrpcMessage("")) : "";
      bytes += h2::Frame(h2::kHeaders, trailers ? h2::kEndStream : 0, s, block.substr(0, 16'000));
      for (size_t at = 16'000; at < block.size(); at += 16'000) {
        bytes += h2::Frame(h2::kContinuation, at + 16'000 >= block.size() ? h2::kEndHeaders : 0, s,
                           block.substr(at, 16'000));
      }
      return bytes;
    });
    INFO(result.message);
    CHECK(result.kind != Kind::kAcknowledged);
    CHECK(result.kind != Kind::kTooLarge);
  }
}

TEST_CASE("grpc: what stands at the port is not gRPC", "[transport]") {
  SECTION("a collector's HTTP port") {
    FakeCollector collector({FakeCollector::Answer(400)});
    const SendResult result = Connect(collector.url())->Send("x", absl::Seconds(5));
    INFO(result.message);
    CHECK(result.kind == Kind::kRetry);
    CHECK(absl::StrContains(result.message, "4317"));
  }
  SECTION("HTTP/2 without gRPC") {
    const SendResult result = SendOnce(Raw([](uint32_t s) {
      return h2::Headers(s, {{":status", "200"}, {"content-type", "text/html"}}, false) + h2::Data(s, "<html>", true);
    }));
    CHECK(result.kind == Kind::kDropResponse);
    CHECK(absl::StrContains(result.message, "4317"));
  }
  SECTION("nothing") {
    std::string url;
    {
      FakeCollector gone;
      url = gone.url();
    }
    const SendResult result = Connect(url)->Send("x", absl::Seconds(5));
    CHECK(result.kind == Kind::kRetry);
    CHECK(absl::StrContains(result.message, "refused"));
    CHECK_FALSE(absl::StrContains(result.message, "4317"));
  }
}

TEST_CASE("grpc: a request without an answer ends at its timeout, or when cancelled", "[transport]") {
  Http2Server silent({Http2Server::Behaviour{}, AtEnd(Ok)});
  const auto transport = Connect(silent.url());
  uint64_t started_ns = MonoNs();
  CHECK(transport->Send("x", absl::Milliseconds(50)).kind == Kind::kRetry);
  CHECK(MonoNs() - started_ns < 2'000'000'000);
  CHECK(transport->Send("x", absl::Seconds(10)).kind == Kind::kAcknowledged);

  Http2Server mute({Http2Server::Behaviour{}});
  const auto cancelled = Connect(mute.url());
  started_ns = MonoNs();
  std::thread canceller([&cancelled] {
    absl::SleepFor(absl::Milliseconds(30));
    cancelled->Cancel();
  });
  CHECK(cancelled->Send("x", absl::Seconds(10)).kind == Kind::kRetry);
  canceller.join();
  CHECK(MonoNs() - started_ns < 2'000'000'000);
}

}  // namespace
}  // namespace spantap
