// SPDX-License-Identifier: Apache-2.0
//
// Istio's extension provider in the configuration file.
#include <catch2/catch.hpp>

#include "tests/agent/cli/world.h"

namespace spantap::cli_test {
namespace {

// As in Istio's documentation, indented as it is there.
constexpr char kHttp[] = R"(opentelemetry:
  port: 4318
  service: opentelemetry-collector.observability.svc.cluster.local
  http:
    path: "/v1/traces"
    timeout: 5s
    headers:
    - name: "custom-header"
      value: "custom value"
  resource_detectors:
    environment: {}
)";
constexpr char kGrpc[] = R"(opentelemetry:
  port: 4317
  service: observability/opentelemetry-collector.observability.svc.cluster.local
  grpc:
    timeout: 0.25s
    initialMetadata: [{name: token, envName: TOKEN}]
)";

TEST_CASE("Istio: HTTP as it is written there", "[cli]") {
  const Settings s = World{{}, {{"f", kHttp}}}.Settle({"agent", "--config", "f", "--pid", "1"});
  REQUIRE(s.exporter.endpoints.size() == 1);
  const TransportSettings& transport = s.exporter.endpoints[0];
  CHECK(transport.endpoint.protocol == Protocol::kHttpProtobuf);
  CHECK(transport.endpoint.url == "http://opentelemetry-collector.observability.svc.cluster.local:4318/v1/traces");
  CHECK(transport.headers == std::vector<std::pair<std::string, std::string>>{{"custom-header", "custom value"}});
  CHECK(s.exporter.request_timeout == absl::Seconds(5));
  const std::string check = World{{}, {{"f", kHttp}}}.Check({"--config", "f"});
  CHECK(Has(check, "custom-header=(hidden)"));
  CHECK(Has(check, "f:6\n"));
}

TEST_CASE("Istio: gRPC, namespace before the host, a value from a variable", "[cli]") {
  const World world{{{"TOKEN", "t"}}, {{"f", kGrpc}}};
  const Settings s = world.Settle({"agent", "--config", "f", "--pid", "1"});
  const TransportSettings& transport = s.exporter.endpoints.at(0);
  CHECK(transport.endpoint.protocol == Protocol::kGrpc);
  CHECK(Has(transport.endpoint.for_people, "opentelemetry-collector.observability.svc.cluster.local:4317"));
  CHECK(transport.headers == std::vector<std::pair<std::string, std::string>>{{"token", "t"}});
  CHECK(s.exporter.request_timeout == absl::Milliseconds(250));
}

TEST_CASE("Istio: a path of its own is taken as it is", "[cli]") {
  const World world{{}, {{"f", "opentelemetry: {service: h, port: 80, http: {path: adapt/api/traces}}\n"}}};
  CHECK(world.Settle({"agent", "--config", "f", "--pid", "1"}).exporter.endpoints.at(0).endpoint.url ==
        "http://h:80/adapt/api/traces");
}

TEST_CASE("Istio: fields without effect are said to be so", "[cli]") {
  const World world{{}, {{"f", "opentelemetry:\n  service: h\n  port: 1\n  maxTagLength: 256\n"}}};
  const ParsedCommandLine parsed = world.Must({"agent", "--config", "f", "--pid", "1"});
  REQUIRE(parsed.warnings.size() == 1);
  CHECK(parsed.warnings[0] == "f:4: opentelemetry.maxTagLength has no effect in this version");
}

TEST_CASE("Istio: mistakes are named with their line", "[cli]") {
  struct Row {
    int line;
    const char* text;
    const char* expected;
  };
  const Row rows[] = {
      {__LINE__, "opentelemetry: 1\n", "f:1: expected a mapping"},
      {__LINE__, "opentelemetry: {service: h}\n", "f:1: opentelemetry needs service and port"},
      {__LINE__, "opentelemetry:\n  service: h\n  prot: 1\n", "f:3: no such field 'prot'; accepted: service, port"},
      {__LINE__, "opentelemetry:\n  service: http://h\n  port: 1\n", "f:2: service is [NAMESPACE/]HOST"},
      {__LINE__, "opentelemetry:\n  service: h\n  port: 70000\n", "f:3: port is 1 to 65535"},
      {__LINE__, "opentelemetry: {service: h, port: 1, http: {}}\n", "f:1: http needs path"},
      {__LINE__, "opentelemetry: {service: h, port: 1, http: {path: /x, timeout: soon}}\n",
       "f:1: timeout is a duration"},
      {__LINE__, "opentelemetry: {service: h, port: 1, http: {path: /x}, grpc: {}}\n", "f:1: http and grpc exclude"},
      {__LINE__, "opentelemetry: {service: h, port: 1, http: {path: /x, headers: {}}}\n", "f:1: headers are a list"},
      {__LINE__, "opentelemetry: {service: h, port: 1, grpc: {initialMetadata: [{name: a, envName: NO}]}}\n",
       "f:1: envName names"},
      {__LINE__, "opentelemetry: {service: h, port: 1, grpc: {initialMetadata: [{name: 'a b', value: s3cret}]}}\n",
       "f:1: '(hidden)'"},
      {__LINE__, "endpoint: http://h\nopentelemetry: {service: h, port: 1}\n", "f:2: endpoint is given twice"},
      {__LINE__, "opentelemetry: {service: h, port: 1}\nprotocol: grpc\n", "f:2: protocol is given twice"},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const std::string error = World{{}, {{"f", row.text}}}.ErrorOf({"agent", "--config", "f", "--pid", "1"});
    INFO(error);
    CHECK(error.find(row.expected) == 0);
    CHECK(error.find("s3cret") == std::string::npos);
  }
}

}  // namespace
}  // namespace spantap::cli_test
