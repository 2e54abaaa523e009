// SPDX-License-Identifier: Apache-2.0
//
// The OTEL_* variables: what each means, and that a bad value is a warning and nothing else.
#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/match.h"
#include "agent/cli/options.h"
#include "agent/cli/resolve.h"
#include "tests/agent/cli/world.h"

namespace spantap::cli_test {
namespace {

struct Row {
  int line;
  const char* variable;
  const char* option;
  std::vector<std::pair<const char*, std::vector<std::string>>> good;  // text -> what `check` shows
  std::vector<const char*> bad;
};

using Shown = std::vector<std::string>;

// clang-format off
// Those with a form for traces and a general one: `#` stands for "" and "TRACES_".
const std::vector<Row>& ExporterRows() {
  static const auto& rows = *new std::vector<Row>{
    {__LINE__, "#PROTOCOL", "protocol", {{"grpc", {"grpc"}}, {"HTTP/JSON", {"http/json"}}}, {"http", "thrift"}},
    {__LINE__, "#HEADERS", "header",
     {{"a=b", {"a=b"}}, {" a = b , c = d%2Ce ,", {"a=b", "c=d,e"}}, {"Authorization=Bearer%20x", {"Authorization=Bearer x"}}, {"x%2Dy=1=2", {"x-y=1=2"}}},
     {"s3cret", "a=s3cret;p=1", "a=s3cret,b", "a=%zz", "a=%4", "=s3cret", "a=s3cret%0d%0ab", "a b=s3cret", "content-length=3"}},
    {__LINE__, "#TIMEOUT", "timeout", {{"1", {"1ms"}}, {"30000", {"30s"}}, {"0", {"1h"}}}, {"-1", "5s", "1.5", "3600001", "x"}},
    {__LINE__, "#COMPRESSION", "compression", {{"gzip", {"gzip"}}, {"None", {"none"}}}, {"lz4"}},
    {__LINE__, "#INSECURE", "insecure", {{"true", {"on"}}, {"TRUE", {"on"}}, {"False", {"off"}}}, {"1", "on", "yes"}},
    {__LINE__, "#CERTIFICATE", "certificate", {{"cert.pem", {"cert.pem"}}}, {"missing.pem", "key.pem"}},
  };
  return rows;
}

const std::vector<Row>& PlainRows() {
  static const auto& rows = *new std::vector<Row>{
    {__LINE__, "OTEL_EXPORTER_OTLP_ENDPOINT", "endpoint", {{"http://u:p@h:1/x", {"http://u:p@h:1/x"}}}, {"h", "ftp://h", "http://"}},
    {__LINE__, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "endpoint", {{"http://h:1/x", {"exact:http://h:1/x"}}}, {"h", "ftp://h", "http://"}},
    {__LINE__, "OTEL_TRACES_EXPORTER", "exporter", {{"otlp", {"otlp"}}, {"none", {"none"}}}, {"console", "otlp,zipkin"}},
    {__LINE__, "OTEL_BSP_SCHEDULE_DELAY", "batch-delay", {{"5000", {"5s"}}}, {"0", "-1", "1s", "3600001"}},
    {__LINE__, "OTEL_BSP_EXPORT_TIMEOUT", "retry-give-up", {{"30000", {"30s"}}, {"0", {"168h"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_BSP_MAX_QUEUE_SIZE", "queue-spans", {{"2048", {"2048"}}}, {"0", "-1", "many"}},
    {__LINE__, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "batch-spans", {{"512", {"512"}}}, {"0", "-1", "8193"}},
    {__LINE__, "OTEL_RESOURCE_ATTRIBUTES", "resource-attribute", {{"a=b,c=%2C", {"a=b", "c=,"}}}, {"a", "a=b,c", "a=%4", "%3D=x"}},
    {__LINE__, "OTEL_SERVICE_NAME", "default-service-name", {{"shop", {"shop"}}}, {"a\nb"}},
    {__LINE__, "OTEL_TRACES_SAMPLER", "sampler", {{"always_off", {"always_off"}}, {"ParentBased_Always_On", {"parentbased_always_on"}}}, {"jaeger_remote", "xray"}},
    {__LINE__, "OTEL_TRACES_SAMPLER_ARG", "sample", {{"0.25", {"25"}}, {"1", {"100"}}, {"0.07", {"7"}}}, {"2", "-0.1", "nan", "25%"}},
    {__LINE__, "OTEL_SDK_DISABLED", "disabled", {{"true", {"on"}}, {"false", {"off"}}}, {"1", "yes"}},
    {__LINE__, "OTEL_LOG_LEVEL", "log-level", {{"DEBUG", {"debug"}}}, {"trace"}},
    {__LINE__, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "attribute-count-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_ATTRIBUTE_COUNT_LIMIT", "attribute-count-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "attribute-value-length-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "attribute-value-length-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_SPAN_EVENT_COUNT_LIMIT", "event-count-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_SPAN_LINK_COUNT_LIMIT", "link-count-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "event-attribute-count-limit", {{"7", {"7"}}}, {"-1", "x"}},
    {__LINE__, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "link-attribute-count-limit", {{"7", {"7"}}}, {"-1", "x"}},
  };
  return rows;
}
// clang-format on

constexpr char kCertificate[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
constexpr char kKey[] = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";

World WithFiles() { return {{}, {{"cert.pem", kCertificate}, {"key.pem", kKey}}}; }

Resolved MustResolve(const World& world, const RawValues& flags = {}, const RawValues& file = {}) {
  auto resolved = Resolve(Command::kCheck, flags, file, world.AsOutside());
  INFO(resolved.status());
  REQUIRE(resolved.ok());
  return *std::move(resolved);
}

Shown ShownOf(const Resolved& resolved, const char* option) { return FindOption(option)->form.show(resolved.draft); }

struct Case {
  Row row;
  std::string variable;
};

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (const Row& row : PlainRows()) all.push_back({row, row.variable});
  for (const char* kind : {"", "TRACES_"}) {
    for (const Row& row : ExporterRows()) {
      all.push_back({row, absl::StrCat("OTEL_EXPORTER_OTLP_", kind, row.variable + 1)});
    }
  }
  return all;
}

TEST_CASE("OTEL: every variable of the table is tested here", "[cli]") {
  std::set<std::string> tested = {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
                                  "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                                  "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"};
  for (const Case& c : AllCases()) tested.insert(c.variable);
  std::set<std::string> all;
  for (const Option& option : Options()) {
    for (const StandardVariable& variable : option.standard) all.insert(variable.name);
  }
  CHECK(tested == all);
}

TEST_CASE("OTEL: good values, their meaning and origin; an empty one is not set", "[cli]") {
  for (const Case& c : AllCases()) {
    INFO("line " << c.row.line << " " << c.variable);
    World world = WithFiles();
    for (const auto& [text, shown] : c.row.good) {
      world.variables[c.variable] = text;
      const Resolved resolved = MustResolve(world);
      CHECK(ShownOf(resolved, c.row.option) == shown);
      CHECK(resolved.origins.at(c.row.option).where[0] == c.variable);
      CHECK(resolved.origins.at(c.row.option).rank == Rank::kStandard);
      CHECK(resolved.warnings.empty());
    }
    world.variables[c.variable] = "";
    const Resolved resolved = MustResolve(world);
    CHECK(resolved.origins.at(c.row.option).rank == Rank::kDefault);
    CHECK(resolved.warnings.empty());
  }
}

TEST_CASE("OTEL: a bad value is one warning with the accepted form, and as if it were not set", "[cli]") {
  for (const Case& c : AllCases()) {
    INFO("line " << c.row.line << " " << c.variable);
    World world = WithFiles();
    const Shown unset = ShownOf(MustResolve(world), c.row.option);
    for (const char* bad : c.row.bad) {
      INFO(bad);
      world.variables[c.variable] = bad;
      const Resolved resolved = MustResolve(world);
      REQUIRE(resolved.warnings.size() == 1);
      const std::string& warning = resolved.warnings[0];
      INFO(warning);
      CHECK(absl::StartsWith(warning, absl::StrCat(c.variable, ": '")));
      CHECK(Has(warning, "; accepted: "));
      CHECK(absl::EndsWith(warning, "; ignored"));
      CHECK(warning.find('\n') == std::string::npos);
      CHECK(warning.find("s3cret") == std::string::npos);
      CHECK(ShownOf(resolved, c.row.option) == unset);
      CHECK(resolved.origins.at(c.row.option).rank == Rank::kDefault);
    }
  }
}

TEST_CASE("OTEL: what is below counts if the variable is bad, what is above hides it", "[cli]") {
  for (const Case& c : AllCases()) {
    INFO("line " << c.row.line << " " << c.variable);
    World world = WithFiles();
    world.variables[c.variable] = c.row.bad[0];
    const Option& option = *FindOption(c.row.option);
    Shown words = ShownOf(MustResolve(world), c.row.option);  // the default, or of a list something
    if (words.empty() || words[0].empty()) words = {c.row.good[0].second[0]};
    RawValues given;
    given[option.name].push_back({"given", words[0]});
    const Resolved file = MustResolve(world, {}, given);
    CHECK(file.warnings.size() == 1);
    CHECK(file.origins.at(option.name).rank == Rank::kFile);
    const Resolved flag = MustResolve(world, given);
    CHECK(flag.warnings.empty());
    CHECK(flag.origins.at(option.name).rank == Rank::kFlag);
    world.variables[VariableName(option.name)] = words[0];
    CHECK(MustResolve(world).origins.at(option.name).rank == Rank::kVariable);
    world.variables[c.variable] = c.row.good[0].first;
    CHECK(MustResolve(world, {}, given).origins.at(option.name).rank == Rank::kVariable);
    world.variables.erase(VariableName(option.name));
    CHECK(MustResolve(world, {}, given).origins.at(option.name).rank == Rank::kStandard);
  }
}

TEST_CASE("OTEL: the variable for traces before the general one, each option on its own", "[cli]") {
  for (const Option& option : Options()) {
    if (option.standard.size() != 2) continue;
    INFO(option.name);
    const Case* general = nullptr;
    const std::vector<Case> cases = AllCases();
    for (const Case& c : cases) {
      if (c.variable == option.standard[1].name) general = &c;
    }
    if (general == nullptr) continue;  // client key and certificate: test_cross_checks.cc
    World world = WithFiles();
    for (const StandardVariable& variable : option.standard)
      world.variables[variable.name] = general->row.good[0].first;
    CHECK(MustResolve(world).origins.at(option.name).where[0] == option.standard[0].name);
    world.variables[option.standard[0].name] = general->row.bad[0];
    const Resolved second = MustResolve(world);
    CHECK(second.origins.at(option.name).where[0] == option.standard[1].name);
    CHECK(second.warnings.size() == 1);
  }
  World world;
  world.variables = {{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1"},
                     {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1"},
                     {"OTEL_EXPORTER_OTLP_HEADERS", "a=b"},
                     {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}};
  const Settings s = world.Settle({"agent", "--pid", "1"});
  REQUIRE(s.exporter.endpoints.size() == 1);
  CHECK(s.exporter.endpoints[0].endpoint.url == "http://traces:1/");
  CHECK(s.exporter.endpoints[0].endpoint.protocol == Protocol::kHttpJson);
  CHECK(s.exporter.endpoints[0].headers.size() == 1);
}

TEST_CASE("OTEL: a service name of its own beats the one among the resource attributes", "[cli]") {
  using Attributes = std::vector<std::pair<std::string, std::string>>;
  World world;
  world.variables["OTEL_RESOURCE_ATTRIBUTES"] = "service.name=a,team=t";
  CHECK(world.Settle({"agent", "--pid", "1"}).resource_attributes == Attributes{{"service.name", "a"}, {"team", "t"}});
  world.variables["OTEL_SERVICE_NAME"] = "b";
  CHECK(world.Settle({"agent", "--pid", "1"}).resource_attributes == Attributes{{"team", "t"}, {"service.name", "b"}});
  CHECK(world.Settle({"agent", "--pid", "1"}).targets.service_name.empty());
}

TEST_CASE("OTEL: samplers", "[cli]") {
  struct Sampler {
    int line;
    const char* name;
    double ratio;
    bool parent_based;
  };
  const Sampler rows[] = {
      {__LINE__, "always_on", 1, false},
      {__LINE__, "always_off", 0, false},
      {__LINE__, "traceidratio", 0.25, false},
      {__LINE__, "parentbased_always_on", 1, true},
      {__LINE__, "parentbased_always_off", 0, true},
      {__LINE__, "parentbased_traceidratio", 0.25, true},
  };
  for (const Sampler& row : rows) {
    INFO("line " << row.line);
    const World world{{{"OTEL_TRACES_SAMPLER", row.name}, {"OTEL_TRACES_SAMPLER_ARG", "0.25"}}, {}};
    const Settings s = world.Settle({"agent", "--pid", "1"});
    CHECK(s.links.sample_ratio == Approx(row.ratio));
    CHECK(s.links.sample_parent_based == row.parent_based);
  }
  CHECK(World{{{"OTEL_TRACES_SAMPLER", "traceidratio"}}, {}}.Settle({"replay", "f"}).links.sample_ratio == 1.0);
  CHECK(World().Settle({"replay", "f", "--sample", "10"}).links.sample_ratio == Approx(0.1));
  CHECK(World().Settle({"replay", "f"}).links.sample_parent_based);
}

TEST_CASE("OTEL: warnings do not end a run", "[cli]") {
  const World world{{{"OTEL_BSP_MAX_QUEUE_SIZE", "lots"}, {"OTEL_TRACES_SAMPLER", "xray"}}, {}};
  const ParsedCommandLine parsed = world.Must({"agent", "--pid", "1"});
  CHECK(parsed.warnings.size() == 2);
  CHECK(parsed.settings.exporter.queue.max_spans == SpanQueue::Limits().max_spans);
}

}  // namespace
}  // namespace spantap::cli_test
