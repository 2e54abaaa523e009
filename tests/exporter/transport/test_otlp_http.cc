// SPDX-License-Identifier: Apache-2.0
//
// The transport against a real socket: what it sends, and how each way to answer badly is judged.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include <libdeflate.h>
#include <zstd.h>

#include "exporter/transport/otlp_http.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "tests/fakes/fake_collector.h"

namespace spantap {
namespace {

using Kind = SendResult::Kind;

std::unique_ptr<Transport> Connect(const std::string& endpoint,
                                   std::vector<std::pair<std::string, std::string>> headers = {},
                                   Protocol protocol = Protocol::kHttpProtobuf) {
  TransportSettings settings;
  settings.endpoint = ParseEndpoint(endpoint, protocol, EndpointForm::kBase).value();
  settings.headers = std::move(headers);
  return MakeTransport(settings).value();
}

SendResult SendOnce(FakeCollector::Action action, absl::Duration timeout = absl::Seconds(10)) {
  FakeCollector collector({std::move(action)});
  return Connect(collector.url())->Send("body", timeout);
}

std::string ClosedPort() {
  FakeCollector collector;
  return collector.url();
}

TEST_CASE("http: the request is as the specification wants it", "[transport]") {
  FakeCollector collector;
  const auto transport = Connect(collector.url() + "/prefix", {{"Authentication", "token 1"}, {"X-Empty", ""}});
  const std::string body("\x0a\0\xff binary", 10);
  const SendResult result = transport->Send(body, absl::Seconds(10));
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.http_status == 200);
  const auto requests = collector.requests();
  REQUIRE(requests.size() == 1);
  const std::string& head = requests[0].head;
  INFO(head);
  CHECK(absl::StartsWith(head, "POST /prefix/v1/traces HTTP/1.1\r\n"));
  CHECK(absl::StrContains(head, "\r\nContent-Type: application/x-protobuf\r\n"));
  CHECK(absl::StrContains(head, "\r\nContent-Length: 10\r\n"));
  CHECK(absl::StrContains(head, "\r\nAuthentication: token 1\r\n"));
  CHECK(absl::StrContains(head, "\r\nX-Empty:\r\n"));
  CHECK(absl::StrContains(
      head, "\r\nUser-Agent: spantap/" SPANTAP_VERSION " OTel-OTLP-Exporter-Cpp/" SPANTAP_VERSION "\r\n"));
  CHECK_FALSE(absl::StrContains(head, "Expect"));
  CHECK_FALSE(absl::StrContains(head, "Accept-Encoding"));
  CHECK_FALSE(absl::StrContains(head, "Content-Encoding"));
  CHECK(requests[0].body == body);
}

TEST_CASE("http: a large body goes out whole and without 100-continue", "[transport]") {
  FakeCollector collector;
  const std::string body(3'500'000, 'b');
  CHECK(Connect(collector.url())->Send(body, absl::Seconds(20)).kind == Kind::kAcknowledged);
  REQUIRE(collector.requests().size() == 1);
  CHECK(collector.requests()[0].body == body);
}

// A request of one resource with `spans` spans.
opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest SomeRequest(int spans) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  auto* scope = request.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < spans; ++i) {
    auto* span = scope->add_spans();
    span->set_trace_id("0123456789abcdef");
    span->set_span_id("01234567");
    span->set_name(absl::StrCat("GET /item/", i));
    span->set_start_time_unix_nano(1'800'000'000'000'000'000u + static_cast<uint64_t>(i));
  }
  return request;
}

std::string Inflate(const std::string& coding, const std::string& bytes) {
  std::string out(1 << 20, '\0');
  size_t size = 0;
  if (coding == "zstd") {
    size = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
    CHECK_FALSE(ZSTD_isError(size));
  } else {
    libdeflate_decompressor* gzip = libdeflate_alloc_decompressor();
    CHECK(libdeflate_gzip_decompress(gzip, bytes.data(), bytes.size(), out.data(), out.size(), &size) ==
          LIBDEFLATE_SUCCESS);
    libdeflate_free_decompressor(gzip);
  }
  out.resize(ZSTD_isError(size) ? 0 : size);
  return out;
}

TEST_CASE("http: compressed bodies say so, small ones go as they are", "[transport]") {
  const std::pair<Compression, std::string> rows[] = {{Compression::kGzip, "gzip"}, {Compression::kZstd, "zstd"}};
  const std::string body = SomeRequest(500).SerializeAsString();
  const std::string small = SomeRequest(2).SerializeAsString();
  for (const auto& [compression, coding] : rows) {
    FakeCollector collector;
    TransportSettings settings;
    settings.endpoint = ParseEndpoint(collector.url(), Protocol::kHttpProtobuf, EndpointForm::kBase).value();
    settings.compression = compression;
    const auto transport = MakeTransport(settings).value();
    for (const std::string& sent : {body, small, body}) {
      CHECK(transport->Send(sent, absl::Seconds(10)).kind == Kind::kAcknowledged);
    }
    const auto requests = collector.requests();
    REQUIRE(requests.size() == 3);
    for (const size_t i : {0, 2}) {
      CHECK(absl::StrContains(requests[i].head, absl::StrCat("\r\nContent-Encoding: ", coding, "\r\n")));
      CHECK(requests[i].body.size() < body.size() / 2);
      CHECK(Inflate(coding, requests[i].body) == body);
    }
    CHECK_FALSE(absl::StrContains(requests[1].head, "Content-Encoding"));
    CHECK(requests[1].body == small);
  }
}

TEST_CASE("http: JSON goes out as such, also compressed, and its answers are read", "[transport]") {
  FakeCollector collector({FakeCollector::Answer(200, "Content-Type: application/json\r\n", "{}"),
                           FakeCollector::Answer(200, "Content-Type: application/json\r\n",
                                                 R"({"partialSuccess":{"rejectedSpans":"1","errorMessage":"one"}})")});
  TransportSettings settings;
  settings.endpoint = ParseEndpoint(collector.url(), Protocol::kHttpJson, EndpointForm::kBase).value();
  auto plain = MakeTransport(settings).value();
  CHECK(plain->Send(SomeRequest(1).SerializeAsString(), absl::Seconds(10)).kind == Kind::kAcknowledged);
  const SendResult bad = plain->Send("\xff no request", absl::Seconds(10));
  CHECK(bad.kind == Kind::kDropResponse);
  plain.reset();  // the fake serves one connection at a time
  settings.compression = Compression::kGzip;
  const SendResult result =
      MakeTransport(settings).value()->Send(SomeRequest(200).SerializeAsString(), absl::Seconds(10));
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.rejected == 1);
  CHECK(result.message == "one");
  const auto requests = collector.requests();
  REQUIRE(requests.size() == 2);
  INFO(requests[0].body);
  CHECK(absl::StrContains(requests[0].head, "\r\nContent-Type: application/json\r\n"));
  CHECK(absl::StrContains(requests[0].body, R"("traceId":"30313233343536373839616263646566")"));
  CHECK(absl::StrContains(requests[0].body, R"("startTimeUnixNano":"1800000000000000000")"));
  CHECK(absl::StrContains(Inflate("gzip", requests[1].body), R"("name":"GET /item/199")"));
}

TEST_CASE("http: one connection is kept, also after errors; a closed one is replaced", "[transport]") {
  FakeCollector collector(
      {FakeCollector::Answer(200), FakeCollector::Answer(503, "", "busy"), FakeCollector::Answer(400),
       FakeCollector::Raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false), FakeCollector::Answer(200)});
  const auto transport = Connect(collector.url());
  for (const Kind expected :
       {Kind::kAcknowledged, Kind::kRetry, Kind::kDropHttp, Kind::kAcknowledged, Kind::kAcknowledged}) {
    CHECK(transport->Send("x", absl::Seconds(10)).kind == expected);
  }
  const auto requests = collector.requests();
  REQUIRE(requests.size() == 5);
  for (size_t i = 0; i < 4; ++i) CHECK(requests[i].connection == 1);
  CHECK(requests[4].connection == 2);
}

TEST_CASE("http: partial success and Retry-After arrive", "[transport]") {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(3);
  response.mutable_partial_success()->set_error_message("three are bad");
  SendResult result =
      SendOnce(FakeCollector::Answer(200, "Content-Type: application/x-protobuf\r\n", response.SerializeAsString()));
  CHECK(result.kind == Kind::kAcknowledged);
  CHECK(result.rejected == 3);
  CHECK(result.message == "three are bad");
  result = SendOnce(FakeCollector::Answer(429, "Retry-After: 2\r\n"));
  CHECK(result.kind == Kind::kRetry);
  CHECK(result.retry_after == absl::Seconds(2));
  const std::string date =
      absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now() + absl::Seconds(60), absl::UTCTimeZone());
  result = SendOnce(FakeCollector::Answer(503, "Retry-After: " + date + "\r\n"));
  REQUIRE(result.retry_after.has_value());
  CHECK(*result.retry_after > absl::Seconds(55));
  CHECK(*result.retry_after <= absl::Seconds(60));
}

TEST_CASE("http: no answer is retried", "[transport]") {
  struct Row {
    int line;
    FakeCollector::Action action;
  };
  const Row rows[] = {
      {__LINE__, FakeCollector::Close()},
      {__LINE__, FakeCollector::Raw("HTTP/1.1 20", false)},
      {__LINE__, FakeCollector::Raw("HTTP/1.1 200 OK\r\nContent-Le", false)},
      {__LINE__, FakeCollector::Raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", false)},
      {__LINE__, FakeCollector::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", false)},
      {__LINE__, FakeCollector::Raw("HTTP/1.1 100 Continue\r\n\r\n", false)},
      {__LINE__, FakeCollector::Raw("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf", false)},
  };
  for (const Row& row : rows) {
    const SendResult result = SendOnce(row.action);
    INFO("line " << row.line << ": " << result.message);
    CHECK(result.kind == Kind::kRetry);
    CHECK_FALSE(result.message.empty());
  }
  const SendResult refused = Connect(ClosedPort())->Send("x", absl::Seconds(10));
  CHECK(refused.kind == Kind::kRetry);
  CHECK(refused.http_status == 0);
  INFO(refused.message);
  CHECK(absl::StrContains(refused.message, "127.0.0.1"));
  CHECK(Connect("http://no-such-name.invalid:4318")->Send("x", absl::Seconds(10)).kind == Kind::kRetry);
}

TEST_CASE("http: an answer that is no valid one is not retried", "[transport]") {
  CHECK(SendOnce(FakeCollector::Answer(200, "", "<html>hello</html>")).kind == Kind::kDropResponse);
  CHECK(SendOnce(FakeCollector::Raw("SSH-2.0-OpenSSH_9.2\r\n", false)).kind == Kind::kDropResponse);
  CHECK(SendOnce(FakeCollector::Raw("-ERR unknown command\r\n", false)).kind == Kind::kDropResponse);
  CHECK(SendOnce(FakeCollector::Answer(400)).kind == Kind::kDropHttp);
  CHECK(SendOnce(FakeCollector::Raw("HTTP/1.1 400 Bad\r\nContent-Length: 10\r\n\r\nhalf", false)).kind ==
        Kind::kDropHttp);
}

TEST_CASE("http: a token that the answer repeats is not in the message", "[transport]") {
  constexpr char kText[] = "Content-Type: text/plain\r\n";
  FakeCollector collector({FakeCollector::Answer(401, kText, "no such user: Bearer 0123456789abcdef")});
  const auto transport = Connect(collector.url(), {{"Authorization", "Bearer 0123456789abcdef"}});
  const SendResult result = transport->Send("x", absl::Seconds(10));
  CHECK(absl::EndsWith(result.message, ": no such user: (hidden)"));
}

TEST_CASE("http: a redirect is not followed, and no header goes elsewhere", "[transport]") {
  FakeCollector other;
  FakeCollector collector({FakeCollector::Answer(307, "Location: " + other.url() + "/v1/traces\r\n")});
  const SendResult result = Connect(collector.url(), {{"Authentication", "secret"}})->Send("x", absl::Seconds(10));
  CHECK(result.kind == Kind::kDropHttp);
  CHECK(result.http_status == 307);
  CHECK(other.requests().empty());
}

TEST_CASE("http: endless answers are cut off", "[transport]") {
  const std::string big(1 << 16, 'x');
  SendResult result = SendOnce(FakeCollector::Endless("HTTP/1.1 200 OK\r\n\r\n", big));
  CHECK(result.kind == Kind::kDropResponse);
  result = SendOnce(FakeCollector::Endless("HTTP/1.1 503 Busy\r\nRetry-After: 4\r\n\r\n", big));
  CHECK(result.kind == Kind::kRetry);
  CHECK(result.retry_after == absl::Seconds(4));
  result = SendOnce(FakeCollector::Endless("HTTP/1.1 200 OK\r\n", "X-Header: " + std::string(1000, 'x') + "\r\n"));
  CHECK(result.kind == Kind::kDropResponse);
  result = SendOnce(FakeCollector::Endless("HTTP/1.1 200 OK\r\nX-Endless: ", big));
  INFO(result.message);
  CHECK(result.kind == Kind::kDropResponse);
  CHECK(absl::StrContains(result.message, "larger than the limit"));
  result = SendOnce(FakeCollector::Endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"));
  CHECK(result.kind == Kind::kDropResponse);
  result = SendOnce(FakeCollector::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"));
  CHECK(result.kind == Kind::kDropResponse);
}

TEST_CASE("http: a silent or slow collector costs the timeout, no more", "[transport]") {
  for (const char* start : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"}) {
    const uint64_t start_ns = MonoNs();
    const SendResult result = SendOnce(FakeCollector::Stall(start), absl::Milliseconds(200));
    INFO(start << ": " << result.message);
    CHECK(result.kind == Kind::kRetry);
    CHECK(MonoNs() - start_ns >= 190'000'000);
    CHECK(MonoNs() - start_ns < 5'000'000'000);
  }
}

TEST_CASE("http: Cancel ends a request at once, and the next one works", "[transport]") {
  FakeCollector collector({FakeCollector::Stall(""), FakeCollector::Answer(200)});
  const auto transport = Connect(collector.url());
  const uint64_t start_ns = MonoNs();
  std::thread canceller([&] {
    while (collector.requests().empty()) std::this_thread::yield();
    transport->Cancel();
  });
  const SendResult result = transport->Send("x", absl::Seconds(60));
  canceller.join();
  CHECK(result.kind == Kind::kRetry);
  CHECK(result.message == "cancelled");
  CHECK(MonoNs() - start_ns < 5'000'000'000);
  CHECK(transport->Send("x", absl::Seconds(10)).kind == Kind::kAcknowledged);
}

TEST_CASE("http: the environment's proxies are ignored, a configured one is used", "[transport]") {
  FakeCollector proxy;
  FakeCollector collector;
  setenv("http_proxy", proxy.url().c_str(), 1);
  setenv("all_proxy", proxy.url().c_str(), 1);
  CHECK(Connect(collector.url())->Send("x", absl::Seconds(10)).kind == Kind::kAcknowledged);
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  CHECK(proxy.requests().empty());
  TransportSettings settings;
  settings.endpoint = ParseEndpoint(collector.url(), Protocol::kHttpProtobuf, EndpointForm::kBase).value();
  settings.proxy = proxy.url();
  CHECK(MakeTransport(settings).value()->Send("x", absl::Seconds(10)).kind == Kind::kAcknowledged);
  CHECK(proxy.requests().size() == 1);
  CHECK(collector.requests().size() == 1);
}

TEST_CASE("http: the description has no credentials", "[transport]") {
  CHECK(Connect("http://user:secret@localhost:4318/p?token=secret")->Describe() == "http://localhost:4318/p/v1/traces");
}

}  // namespace
}  // namespace spantap
