// SPDX-License-Identifier: Apache-2.0
//
// The variables of embedded mode: what each means, and that a bad value is as if unset, and said.
#include <catch2/catch.hpp>

#include <map>

#include "absl/strings/match.h"
#include "exporter/embedded/settings.h"

namespace spantap {
namespace {

using Variables = std::map<std::string, std::string>;

EmbeddedEnvironment Read(const Variables& variables) {
  return ReadEmbeddedEnvironment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

const TransportSettings& Transport(const EmbeddedEnvironment& read) { return read.settings.exporter.endpoints.at(0); }

TEST_CASE("embedded: without variables, to the local collector", "[embedded]") {
  const EmbeddedEnvironment read = Read({});
  CHECK(read.usable.ok());
  CHECK(read.warnings.empty());
  CHECK(read.settings.exports);
  CHECK_FALSE(read.settings.disabled);
  CHECK(Transport(read).endpoint.url == "http://localhost:4318/v1/traces");
  CHECK(read.settings.exporter.drain == absl::Seconds(2));
  CHECK(read.settings.log.empty());
  const EmbeddedEnvironment grpc = Read({{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}});
  CHECK(grpc.usable.ok());
  CHECK(absl::StartsWith(Transport(grpc).endpoint.url, "http://localhost:4317/"));
}

TEST_CASE("embedded: the variable for traces counts before the general one", "[embedded]") {
  const EmbeddedEnvironment read = Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1"},
                                         {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:2/x"},
                                         {"OTEL_EXPORTER_OTLP_HEADERS", "a=general"},
                                         {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b%20c"},
                                         {"OTEL_EXPORTER_OTLP_TIMEOUT", "1000"},
                                         {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"}});
  CHECK(read.usable.ok());
  CHECK(Transport(read).endpoint.url == "http://traces:2/x");
  CHECK(Transport(read).headers == std::vector<std::pair<std::string, std::string>>{{"a", "b c"}});
  CHECK(read.settings.exporter.request_timeout == absl::Seconds(1));  // the other was not understood
  REQUIRE(read.warnings.size() == 1);
  CHECK(absl::StartsWith(read.warnings[0], "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: 'soon' is not a whole number"));
}

TEST_CASE("embedded: every other variable", "[embedded]") {
  const EmbeddedEnvironment read = Read({
      {"OTEL_SDK_DISABLED", "True"},
      {"OTEL_TRACES_EXPORTER", "none"},
      {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"},
      {"OTEL_EXPORTER_OTLP_INSECURE", "true"},
      {"OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC"},
      {"OTEL_EXPORTER_OTLP_ENDPOINT", "plain:4317"},
      {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"},
      {"OTEL_BSP_SCHEDULE_DELAY", "250"},
      {"OTEL_BSP_EXPORT_TIMEOUT", "30000"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", "2048"},
      {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"},
      {"OTEL_ATTRIBUTE_COUNT_LIMIT", "7"},
      {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8"},
      {"OTEL_SPAN_EVENT_COUNT_LIMIT", "9"},
      {"OTEL_SPAN_LINK_COUNT_LIMIT", "10"},
      {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "11"},
      {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "12"},
      {"OTEL_SERVICE_NAME", "shop"},
      {"OTEL_RESOURCE_ATTRIBUTES", "a=b"},
      {"SPANTAP_DRAIN", "300"},
      {"SPANTAP_LOG", "stderr"},
  });
  CHECK(read.usable.ok());
  CHECK(read.warnings.empty());
  const EmbeddedSettings& settings = read.settings;
  const ExporterSettings& exporter = settings.exporter;
  CHECK((settings.disabled && !settings.exports));
  CHECK((settings.service_name == "shop" && settings.resource_attributes == "a=b" && settings.log == "stderr"));
  CHECK(Transport(read).compression == Compression::kGzip);
  CHECK(absl::StartsWith(Transport(read).endpoint.url, "http://plain:4317/"));
  CHECK(exporter.request_timeout == absl::Hours(1));
  CHECK(exporter.batch.max_delay == absl::Milliseconds(250));
  CHECK(exporter.retry.give_up == absl::Seconds(30));
  CHECK((exporter.queue.max_spans == 2048 && exporter.batch.max_spans == 100 && exporter.batch.target_spans == 100));
  const SpanLimits& limits = exporter.limits;
  CHECK((limits.attributes == 7 && limits.value_characters == 8 && limits.events == 9 && limits.links == 10));
  CHECK((limits.event_attributes == 11 && limits.link_attributes == 12));
  CHECK(exporter.drain == absl::Milliseconds(300));
}

TEST_CASE("embedded: what cannot be understood is ignored, and secrets are not repeated", "[embedded]") {
  const Variables bad = {
      {"OTEL_SDK_DISABLED", "1"},           {"OTEL_TRACES_EXPORTER", "console"},
      {"OTEL_EXPORTER_OTLP_PROTOCOL", "x"}, {"OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"},
      {"OTEL_BSP_SCHEDULE_DELAY", "-1"},    {"OTEL_BSP_MAX_QUEUE_SIZE", "0"},
      {"OTEL_RESOURCE_ATTRIBUTES", "a"},    {"OTEL_EXPORTER_OTLP_HEADERS", "s3cret"},
      {"SPANTAP_DRAIN", "60001"},           {"OTEL_SPAN_LINK_COUNT_LIMIT", "4294967296"},
  };
  const EmbeddedEnvironment read = Read(bad);
  CHECK(read.usable.ok());
  CHECK(read.warnings.size() == bad.size());
  for (const std::string& warning : read.warnings) CHECK_FALSE(absl::StrContains(warning, "s3cret"));
  CHECK((read.settings.exports && !read.settings.disabled && Transport(read).headers.empty()));
  CHECK(read.settings.exporter.queue.max_spans == SpanQueue::Limits().max_spans);
}

TEST_CASE("embedded: an endpoint or file that cannot be used is nowhere, not somewhere else", "[embedded]") {
  CHECK_FALSE(Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector"}}).usable.ok());
  CHECK_FALSE(Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://h"}, {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/none/ca.pem"}})
                  .usable.ok());
}

}  // namespace
}  // namespace spantap
