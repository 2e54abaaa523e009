// SPDX-License-Identifier: Apache-2.0
//
// Values that are good alone and not together, and `spantap check`.
#include <catch2/catch.hpp>

#include "absl/strings/str_format.h"
#include "agent/cli/options.h"
#include "tests/agent/cli/world.h"

namespace spantap::cli_test {
namespace {

constexpr char kCertificate[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
constexpr char kKey[] = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

TEST_CASE("cross checks: what does not go together is named with where it came from", "[cli]") {
  struct Row {
    int line;
    std::vector<const char*> words;
    const char* file;
    const char* expected;
  };
  const Row rows[] = {
      {__LINE__, {"--client-key", "key.pem"}, "", "--client-key: 'key.pem' is given without client-certificate"},
      {__LINE__, {}, "pid: 1\nclient-certificate: cert.pem\n", "f:2: 'cert.pem' is given without client-key"},
      {__LINE__, {"--certificate", "none.pem"}, "", "--certificate: 'none.pem' cannot be read: No such file"},
      {__LINE__, {"--certificate", "key.pem"}, "", "--certificate: 'key.pem' holds no certificate in PEM form"},
      {__LINE__, {}, "\nclient-key: cert.pem\n", "f:2: 'cert.pem' holds no private key in PEM form"},
      {__LINE__,
       {"--queue-spans", "100"},
       "batch-spans: 200",
       "f:1: '200' is more than queue-spans (100, from --queue-spans)"},
      {__LINE__, {"--batch-spans", "9000"}, "", "--batch-spans: '9000' is more than queue-spans (8192, from default)"},
      {__LINE__, {"--retry-initial", "1m"}, "", "--retry-initial: '1m' is more than retry-max (30s, from default)"},
      {__LINE__, {"--spool-rate", "1MiB"}, "", "--spool-rate: '1MiB' is given without spool"},
      {__LINE__, {}, "\n\nspool-age: 1h\n", "f:3: '1h' is given without spool"},
      {__LINE__,
       {"--spool", "/s", "--spool-bytes", "1MiB"},
       "",
       "--spool-bytes: '1MiB' is less than batch-bytes (3500000"},
      {__LINE__, {"--sampler", "always_on", "--sample", "10"}, "", "--sample: '10' has no effect with the sampler"},
      {__LINE__, {"--endpoint", "h:1"}, "", "--endpoint: 'h:1' is no endpoint for http/protobuf"},
      {__LINE__,
       {"--endpoint", "http://a", "--endpoint", "h"},
       "protocol: grpc\n",
       "--endpoint: 'h' is no endpoint for grpc"},
      {__LINE__,
       {"--endpoint", "http://a"},
       "exporter: none\n",
       "--endpoint: 'http://a' contradicts exporter none, from f:1"},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const World world{{}, {{"f", row.file}, {"cert.pem", kCertificate}, {"key.pem", kKey}}};
    std::vector<const char*> words = {"agent", "--config", "f", "--port", "1"};
    if (absl::string_view(row.file).find("pid") != absl::string_view::npos) words = {"agent", "--config", "f"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const std::string error = world.ErrorOf(words);
    CHECK(Has(error, row.expected));
    CHECK(error.find(row.expected) == 0);
    CHECK(Has(error, "; accepted: "));
  }
}

TEST_CASE("cross checks: headers that the protocol cannot send; from a variable they are ignored", "[cli]") {
  const std::string error =
      World().ErrorOf({"agent", "--pid", "1", "--protocol", "grpc", "--header", "x-a=caf\xc3\xa9"});
  CHECK(error.find("--header: 'x-a=(hidden)' cannot be sent: header x-a: gRPC takes printable ASCII; accepted: ") == 0);
  std::string many;
  for (int i = 0; i < 65; ++i) absl::StrAppend(&many, "h", i, "=v,");
  for (const std::string& headers : {std::string("x-a=caf%C3%A9"), std::string("grpc-x=1"), many}) {
    const World world{{{"OTEL_EXPORTER_OTLP_HEADERS", headers}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}}, {}};
    const ParsedCommandLine parsed = world.Must({"agent", "--pid", "1"});
    REQUIRE(parsed.warnings.size() == 1);
    CHECK(parsed.warnings[0].find("OTEL_EXPORTER_OTLP_HEADERS: '") == 0);
    CHECK(parsed.settings.exporter.endpoints.at(0).headers.empty());
  }
}

TEST_CASE("cross checks: defaults follow what is given", "[cli]") {
  const Settings s = World().Settle({"agent", "--pid", "1", "--queue-spans", "100", "--retry-max", "100"});
  CHECK(s.exporter.batch.max_spans == 100);
  CHECK(s.exporter.batch.target_spans == 100);
  CHECK(s.exporter.retry.initial == absl::Milliseconds(100));
  const Settings few = World().Settle({"agent", "--pid", "1", "--batch-spans", "20"});
  CHECK(few.exporter.batch.target_spans == 20);
  const Settings many = World().Settle({"agent", "--pid", "1", "--batch-spans", "5000"});
  CHECK(many.exporter.batch.target_spans == BatchSettings().target_spans);
  const Settings spool = World().Settle({"agent", "--pid", "1", "--spool", "/s", "--spool-bytes", "8MiB"});
  REQUIRE(spool.exporter.spool);
  CHECK(spool.exporter.spool->dir == "/s");
  CHECK(spool.exporter.spool->max_bytes == 8 << 20);
  CHECK_FALSE(s.exporter.spool);
}

TEST_CASE("cross checks: a variable of the specification gives way, with a warning", "[cli]") {
  struct Row {
    int line;
    std::map<std::string, std::string> variables;
    std::vector<const char*> words;
    std::vector<const char*> warnings;  // how they begin
  };
  const Row rows[] = {
      {__LINE__,
       {{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem"}},
       {},
       {"OTEL_EXPORTER_OTLP_CLIENT_KEY: 'key.pem' is given without"}},
      {__LINE__,
       {{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "none.pem"}, {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "cert.pem"}},
       {},
       {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: 'none.pem' cannot be read",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: 'cert.pem' is given without client-key"}},
      {__LINE__,
       {{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"}},
       {"--queue-spans", "100"},
       {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '200' is more than queue-spans (100, from --queue-spans)"}},
      {__LINE__,
       {{"OTEL_BSP_MAX_QUEUE_SIZE", "100"}},
       {"--batch-spans", "200"},
       {"OTEL_BSP_MAX_QUEUE_SIZE: '100' does not go with batch-spans (200, from --batch-spans)"}},
      {__LINE__,
       {{"OTEL_BSP_MAX_QUEUE_SIZE", "100"}, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"}},
       {},
       {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '200' is more than queue-spans (100, from OTEL_BSP_MAX_QUEUE_SIZE)"}},
      {__LINE__,
       {{"OTEL_TRACES_SAMPLER", "always_on"}},
       {"--sample", "10"},
       {"OTEL_TRACES_SAMPLER: 'always_on' does not go with sample (10, from --sample)"}},
      {__LINE__,
       {{"OTEL_TRACES_EXPORTER", "none"}},
       {"--endpoint", "http://u:s3cret@a"},
       {"OTEL_TRACES_EXPORTER: 'none' does not go with endpoint (http://(hidden)@a, from --endpoint)"}},
      {__LINE__,
       {{"OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317"}},
       {},
       {"OTEL_EXPORTER_OTLP_ENDPOINT: 'h:4317' is no endpoint for http/protobuf"}},
      {__LINE__, {{"OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}}, {}, {}},
      {__LINE__, {{"OTEL_TRACES_SAMPLER", "always_on"}, {"OTEL_TRACES_SAMPLER_ARG", "0.1"}}, {}, {}},
      {__LINE__, {{"OTEL_TRACES_SAMPLER_ARG", "0.1"}}, {"--sampler", "always_on"}, {}},
      {__LINE__, {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"}}, {"--exporter", "none"}, {}},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const World world{row.variables, {{"cert.pem", kCertificate}, {"key.pem", kKey}}};
    std::vector<const char*> words = {"agent", "--pid", "1"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const ParsedCommandLine parsed = world.Must(words);
    INFO(absl::StrJoin(parsed.warnings, "\n"));
    REQUIRE(parsed.warnings.size() == row.warnings.size());
    for (size_t i = 0; i < row.warnings.size(); ++i) CHECK(parsed.warnings[i].find(row.warnings[i]) == 0);
  }
}

TEST_CASE("check: settings, their words and origins; no secrets; no target needed", "[cli]") {
  World world;
  world.variables = {{"OTEL_EXPORTER_OTLP_HEADERS", "Authentication=s3cret"},
                     {"SPANTAP_PROXY", "http://me:s3cret@proxy:3128"},
                     {"OTEL_BSP_MAX_QUEUE_SIZE", "lots"}};
  world.files["f.yaml"] = "batch-delay: 250\npid: [1, 2]\n";
  const std::string text = world.Check({"--config", "f.yaml", "--endpoint", "https://me:s3cret@h:1/x?token=s3cret",
                                        "--endpoint", "exact:http://b/y", "--sample=12.5"});
  INFO(text);
  CHECK(text.find("s3cret") == std::string::npos);
  const auto line = [&text](absl::string_view name, absl::string_view value, absl::string_view origin) {
    return Has(text, absl::StrFormat("%-30s %-40s %s\n", name, value, origin));
  };
  CHECK(line("endpoint", "https://(hidden)@h:1/x?(hidden)", "--endpoint"));
  CHECK(line("endpoint", "exact:http://b/y", "--endpoint"));
  CHECK(line("header", "Authentication=(hidden)", "OTEL_EXPORTER_OTLP_HEADERS"));
  CHECK(line("proxy", "http://(hidden)@proxy:3128", "SPANTAP_PROXY"));
  CHECK(line("batch-delay", "250ms", "f.yaml:1"));
  CHECK(line("pid", "1", "f.yaml:2"));
  CHECK(line("pid", "2", "f.yaml:2"));
  CHECK(line("queue-spans", "8192", "default"));
  CHECK(line("sample", "12.5", "--sample"));
  CHECK(line("spool", "(not set)", "default"));
  CHECK(Has(text, "\nwarning: OTEL_BSP_MAX_QUEUE_SIZE: 'lots' is not a whole number; accepted: "));
  CHECK(Has(World().Check({"--protocol", "grpc"}), "http://localhost:4317"));
}

TEST_CASE("check: every option of agent is shown, no other", "[cli]") {
  const std::string text = absl::StrCat("\n", World().Check());
  for (const Option& option : Options()) {
    INFO(option.name);
    const bool shown = text.find(absl::StrFormat("\n%-30s ", option.name)) != std::string::npos;
    CHECK(shown == ((option.commands & static_cast<unsigned>(Command::kAgent)) != 0));
  }
}

TEST_CASE("check: an error as in a run", "[cli]") {
  CHECK(World().ErrorOf({"check", "--sample", "lots"}).find("--sample: 'lots' is not a number") == 0);
  CHECK(Has(World().ErrorOf({"check", "--json"}), "--json"));
  const World world{{{"SPANTAP_CONFIG", "f"}}, {{"f", "sampel: 1\n"}}};
  CHECK(world.ErrorOf({"check"}).find("f:1: no such option 'sampel'") == 0);
}

}  // namespace
}  // namespace spantap::cli_test
