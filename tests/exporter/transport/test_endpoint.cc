// SPDX-License-Identifier: Apache-2.0
//
// Endpoints as people write them: what is appended, what is refused, what is shown.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "exporter/transport/endpoint.h"

namespace spantap {
namespace {

constexpr char kMethod[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

TEST_CASE("endpoint: of a base, the path is appended once", "[transport]") {
  const std::pair<const char*, const char*> rows[] = {
      {"http://localhost:4318", "http://localhost:4318/v1/traces"},
      {"http://localhost:4318/", "http://localhost:4318/v1/traces"},
      {"HTTP://localhost:4318", "http://localhost:4318/v1/traces"},
      {"https://otel.example.com", "https://otel.example.com/v1/traces"},
      {"http://h/prefix", "http://h/prefix/v1/traces"},
      {"http://h/prefix///", "http://h/prefix/v1/traces"},
      {"http://h:1/v1/traces", "http://h:1/v1/traces"},
      {"http://h:1/adapt_x/api/otlp/v1/traces/", "http://h:1/adapt_x/api/otlp/v1/traces"},
      {"http://h/a?token=x#f", "http://h/a/v1/traces?token=x"},
      {"http://[::1]:4318", "http://[::1]:4318/v1/traces"},
      {"http://user:pass@h", "http://user:pass@h/v1/traces"},
      {"unix:/run/otel.sock", "http://localhost/v1/traces"},
  };
  for (const auto& [text, url] : rows) {
    INFO(text);
    for (const Protocol protocol : {Protocol::kHttpProtobuf, Protocol::kHttpJson}) {
      const auto endpoint = ParseEndpoint(text, protocol, EndpointForm::kBase);
      REQUIRE(endpoint.ok());
      CHECK(endpoint->url == url);
      CHECK(endpoint->protocol == protocol);
    }
  }
}

TEST_CASE("endpoint: of a signal, the path is taken as it is", "[transport]") {
  const std::pair<const char*, const char*> rows[] = {
      {"http://h:4318", "http://h:4318/"},          {"http://h:4318/", "http://h:4318/"},
      {"http://h/v1/traces", "http://h/v1/traces"}, {"http://h/own/path/", "http://h/own/path/"},
      {"http://h/x?k=v", "http://h/x?k=v"},         {"unix:/run/otel.sock", "http://localhost/v1/traces"},
  };
  for (const auto& [text, url] : rows) {
    INFO(text);
    const auto endpoint = ParseEndpoint(text, Protocol::kHttpProtobuf, EndpointForm::kSignal);
    REQUIRE(endpoint.ok());
    CHECK(endpoint->url == url);
  }
}

TEST_CASE("endpoint: gRPC has one path, and takes HOST:PORT", "[transport]") {
  struct Row {
    const char* text;
    bool insecure;
    std::string url;
    const char* for_people;
  };
  const Row rows[] = {
      {"http://h:4317", false, "http://h:4317", "http://h:4317"},
      {"https://h:4317/", true, "https://h:4317", "https://h:4317"},
      {"http://h:4317/v1/traces?x=y#z", false, "http://h:4317", "http://h:4317"},
      {"https://h", false, "https://h", "https://h"},
      {"h:4317", false, "https://h:4317", "https://h:4317"},
      {"h:4317", true, "http://h:4317", "http://h:4317"},
      {"[::1]:4317", true, "http://[::1]:4317", "http://[::1]:4317"},
      {"unix:/run/otel.sock", false, "http://localhost", "unix:/run/otel.sock"},
      {"unix:///run/otel.sock", false, "http://localhost", "unix:/run/otel.sock"},
  };
  for (const Row& row : rows) {
    for (const EndpointForm form : {EndpointForm::kBase, EndpointForm::kSignal}) {
      INFO(row.text);
      const auto endpoint = ParseEndpoint(row.text, Protocol::kGrpc, form, row.insecure);
      REQUIRE(endpoint.ok());
      CHECK(endpoint->url == row.url + kMethod);
      CHECK(endpoint->for_people == row.for_people);
    }
  }
}

TEST_CASE("endpoint: Unix sockets", "[transport]") {
  const auto endpoint = ParseEndpoint("unix:/run/otel.sock", Protocol::kHttpProtobuf, EndpointForm::kBase);
  REQUIRE(endpoint.ok());
  CHECK(endpoint->unix_path == "/run/otel.sock");
  CHECK(endpoint->for_people == "unix:/run/otel.sock");
  CHECK(ParseEndpoint("unix:/" + std::string(106, 'x'), Protocol::kGrpc, EndpointForm::kBase).ok());
  const std::string long_path = "unix:/" + std::string(107, 'x');
  for (const std::string& bad : {std::string("unix:"), std::string("unix:/"), std::string("unix:relative"),
                                 std::string("unix:/a\0b", 9), long_path}) {
    INFO(bad);
    CHECK_FALSE(ParseEndpoint(bad, Protocol::kHttpProtobuf, EndpointForm::kBase).ok());
  }
}

TEST_CASE("endpoint: what is refused names the accepted form and no secret", "[transport]") {
  for (const std::string& bad : std::vector<std::string>{
           "", "localhost", "ftp://h", "file:///etc/passwd", "grpc://h:4317", "http://", "http:///x", "http://h:99999",
           "http://h:0", "http://h:x", "http://h a/", "http://h\n", "http://h/\x01", std::string("http://h\0x", 10),
           "http://" + std::string(3000, 'a'), "htt p://user:hunter2@h"}) {
    INFO(bad);
    for (const Protocol protocol : {Protocol::kHttpProtobuf, Protocol::kGrpc}) {
      const auto endpoint = ParseEndpoint(bad, protocol, EndpointForm::kBase);
      REQUIRE_FALSE(endpoint.ok());
      CHECK(absl::StrContains(endpoint.status().message(), "http://HOST:PORT"));
      CHECK_FALSE(absl::StrContains(endpoint.status().message(), "hunter2"));
      CHECK(endpoint.status().message().size() < 500);
    }
  }
  CHECK_FALSE(ParseEndpoint("localhost:4318", Protocol::kHttpProtobuf, EndpointForm::kBase).ok());
}

TEST_CASE("endpoint: what is shown has no credentials", "[transport]") {
  const auto endpoint =
      ParseEndpoint("http://user:secret@h:4318/p?token=secret#s", Protocol::kHttpProtobuf, EndpointForm::kBase);
  REQUIRE(endpoint.ok());
  CHECK(endpoint->for_people == "http://h:4318/p/v1/traces");
  CHECK(UrlWithoutSecrets("https://a:b@c/d?e#f") == "https://c/d");
  CHECK(UrlWithoutSecrets("no url with secret") == "(no URL)");
  CHECK(ParseEndpoint("http://user:secret@h:4317", Protocol::kGrpc, EndpointForm::kBase)->for_people ==
        "http://h:4317");
}

}  // namespace
}  // namespace spantap
