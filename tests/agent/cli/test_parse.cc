// SPDX-License-Identifier: Apache-2.0
//
// The command line, the file, and which of them counts.
#include "agent/cli/parse.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "agent/cli/help.h"
#include "agent/cli/options.h"
#include "tests/agent/cli/world.h"

namespace spantap::cli_test {
namespace {

TEST_CASE("parse: targets are a union, in order", "[cli]") {
  const Settings s =
      World().Settle({"trace", "--pid", "12", "--exe", "nginx", "--pid", "13", "--port", "8080", "--cgroup", "/a"});
  CHECK(s.command == Command::kTrace);
  CHECK(s.targets.pids == std::vector<uint32_t>{12, 13});
  CHECK(s.targets.exes == std::vector<std::string>{"nginx"});
  CHECK(s.targets.ports == std::vector<uint16_t>{8080});
  CHECK(s.targets.cgroups == std::vector<std::string>{"/a"});
  CHECK(s.exporter.endpoints.empty());
}

TEST_CASE("parse: agent exports to the standard endpoint of its protocol unless told otherwise", "[cli]") {
  const auto url = [](const std::vector<const char*>& words) {
    const Settings s = World().Settle(words);
    REQUIRE(s.exporter.endpoints.size() == 1);
    return s.exporter.endpoints[0].endpoint.url;
  };
  CHECK(url({"agent", "--pid", "1"}) == "http://localhost:4318/v1/traces");
  CHECK(Has(url({"agent", "--pid", "1", "--protocol", "grpc"}), "http://localhost:4317/"));
  CHECK(url({"agent", "--pid", "1", "--endpoint", "http://[::1]:9/x"}) == "http://[::1]:9/x/v1/traces");
  CHECK(url({"agent", "--pid", "1", "--endpoint", "exact:http://[::1]:9/x"}) == "http://[::1]:9/x");
  CHECK(World().Settle({"agent", "--pid", "1", "--exporter", "none"}).exporter.endpoints.empty());
  CHECK(World().Settle({"replay", "f"}).exporter.endpoints.empty());
}

TEST_CASE("parse: what belongs to transports is that of each endpoint, in order", "[cli]") {
  const Settings s = World().Settle({"agent", "--pid=1", "--endpoint=http://a:1", "--endpoint", "unix:/run/b",
                                     "--header", "Authentication=a=b", "--timeout", "5000", "--compression", "gzip",
                                     "--proxy", "http://p:3128", "--tls-server-name", "c"});
  REQUIRE(s.exporter.endpoints.size() == 2);
  CHECK(s.exporter.endpoints[0].endpoint.url == "http://a:1/v1/traces");
  CHECK(s.exporter.endpoints[1].endpoint.unix_path == "/run/b");
  for (const TransportSettings& transport : s.exporter.endpoints) {
    CHECK(transport.headers == std::vector<std::pair<std::string, std::string>>{{"Authentication", "a=b"}});
    CHECK(transport.compression == Compression::kGzip);
    CHECK(transport.proxy == "http://p:3128");
    CHECK(transport.tls.server_name == "c");
  }
  CHECK(s.exporter.request_timeout == absl::Seconds(5));
}

TEST_CASE("parse: wrong use names the way out", "[cli]") {
  const World world;
  CHECK(Has(world.ErrorOf({}), "accepted: agent, trace, record, replay, check"));
  CHECK(world.ErrorOf({"watch"}).find("'watch' is no command; accepted: agent, trace, record, replay") == 0);
  CHECK(Has(world.ErrorOf({"agent"}), "--pid N, --exe NAME, --port N or --cgroup PATH"));
  CHECK(Has(world.ErrorOf({"replay"}), "FILE"));
  CHECK(Has(world.ErrorOf({"agent", "--pid", "1", "--frobnicate"}), "--frobnicate"));
  CHECK(Has(world.ErrorOf({"replay", "f", "--pid", "1"}), "--pid"));
  CHECK(Has(world.ErrorOf({"agent", "--pid", "1", "--sample", "1", "--sample", "2"}), "more than once"));
  CHECK(Has(world.ErrorOf({"agent", "--pid"}), "--pid"));
}

TEST_CASE("parse: a mistyped flag does not show the secret behind it", "[cli]") {
  const World world;
  for (const std::vector<const char*>& words : {std::vector<const char*>{"agent", "--headr", "Authentication=s3cret"},
                                                {"agent", "--headr=Authentication=s3cret"},
                                                {"agent", "--pid", "1", "Authentication=s3cret"},
                                                {"check", "--header", "s3cret"},
                                                {"check", "--header", "s3 cret=x"},
                                                {"check", "--header", "a=s3cret\nb"},
                                                {"check", "--endpoint", "htp://u:s3cret@h"},
                                                {"check", "--proxy", "x://u:s3cret@h"},
                                                {"check", "--endpoint", "http://u:s3cret/@@h:x/?t=s3cret"}}) {
    const std::string error = world.ErrorOf(words);
    INFO(error);
    CHECK(error.find("cret") == std::string::npos);
  }
}

TEST_CASE("parse: command line over variable over OTEL variable over file", "[cli]") {
  World world;
  world.files["f"] = "sample: 1\nendpoint: http://file:1\npid: [7, 8]\nadopt: off\n";
  const std::vector<const char*> agent = {"agent", "--config", "f"};
  const auto endpoint = [&](const std::vector<const char*>& words) {
    return world.Settle(words).exporter.endpoints.at(0).endpoint.for_people;
  };
  CHECK(world.Settle(agent).links.sample_ratio == Approx(0.01));
  CHECK(world.Settle(agent).targets.pids == std::vector<uint32_t>{7, 8});
  CHECK_FALSE(world.Settle(agent).links.adopt);
  CHECK(Has(endpoint(agent), "//file:1"));
  world.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://otel:1";
  CHECK(Has(endpoint(agent), "//otel:1"));
  world.variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = "http://traces:1";
  CHECK(Has(endpoint(agent), "//traces:1"));
  world.variables["SPANTAP_ENDPOINT"] = "http://own:1, http://own:2";
  CHECK(world.Settle(agent).exporter.endpoints.size() == 2);
  CHECK(Has(endpoint(agent), "//own:1"));
  CHECK(Has(endpoint({"agent", "--config", "f", "--endpoint", "http://flag:1"}), "//flag:1"));
  world.variables["SPANTAP_PID"] = "1, 2,3";
  CHECK(world.Settle({"agent"}).targets.pids == std::vector<uint32_t>{1, 2, 3});
  world.variables["SPANTAP_CONFIG"] = "f";
  CHECK_FALSE(world.Settle({"agent"}).links.adopt);
  world.variables["SPANTAP_SAMPLE"] = "many";
  CHECK(world.ErrorOf({"agent"}).find("SPANTAP_SAMPLE: 'many'") == 0);
}

TEST_CASE("parse: a bad configuration file is named with its line", "[cli]") {
  struct Row {
    int line;
    const char* text;
    const char* expected;
  };
  const Row row = GENERATE(values<Row>({
      {__LINE__, "pid: 1\nsampel: 3\n", "f:2: no such option 'sampel'; accepted: pid"},
      {__LINE__, "pid: 1\n\nsample: lots\n", "f:3: 'lots' is not a number; accepted: a number from 0 to 100"},
      {__LINE__, "pid: 1\nsample: [1, 2]\n", "f:2: sample takes one value"},
      {__LINE__, "pid: 1\npid: 2\n", "f:2: pid is given twice"},
      {__LINE__, "pid:\n- 1\n- 2\n- x\n", "f:4: 'x' is not a whole number"},
      {__LINE__, "endpoint:\n- http://a\n- b\n", "f:3: 'b' is no endpoint for http/protobuf; accepted: http://HOST"},
      {__LINE__, "- pid\n", "f:1: expected lines of 'option: value'"},
      {__LINE__, "pid: [1\n", "not valid YAML"},
      {__LINE__, "pid:\n  - {a: b}\n", "f:2: pid takes a value or a list of values"},
      {__LINE__, "spool-rate: 4MiB\n", "f:1: '4MiB' is given without spool"},
      {__LINE__, "pid:\n", "f:1: pid takes a value or a list of values"},
  }));
  INFO("line " << row.line);
  const World world{{}, {{"f", row.text}}};
  const std::string error = world.ErrorOf({"agent", "--config", "f"});
  CHECK(error.find("f:") == 0);
  CHECK(Has(error, row.expected));
}

TEST_CASE("parse: switches in the file may be true or false", "[cli]") {
  World world;
  world.files["f"] = "disabled: true\npid: 1\n";
  CHECK(world.Settle({"agent", "--config", "f"}).disabled);
  world.files["f"] = "disabled: off\npid: 1\n";
  CHECK_FALSE(world.Settle({"agent", "--config", "f"}).disabled);
  world.files["f"] = "";
  CHECK(world.Settle({"agent", "--config", "f", "--pid", "1"}).targets.pids.size() == 1);
}

TEST_CASE("parse: check takes its file without --config, too", "[cli]") {
  const World world{{}, {{"f", "sample: 7\n"}, {"g", "sampel: 7\n"}}};
  CHECK(world.Check({"f"}) == world.Check({"--config", "f"}));
  CHECK(world.Check({"f", "--drain", "1s"}) == world.Check({"--drain", "1s", "f"}));
  CHECK(Has(world.Check({"f"}), "f:1\n"));
  CHECK(world.ErrorOf({"check", "g"}).find("g:1: no such option 'sampel'") == 0);
  CHECK(Has(world.ErrorOf({"check", "missing"}), "missing: cannot be read"));
  CHECK(Has(world.ErrorOf({"check", "f", "g"}), "given more than once; it takes one file"));
  CHECK(Has(world.ErrorOf({"check", "--config", "f", "g"}), "given more than once; it takes one file"));
  CHECK(Has(world.ErrorOf({"agent", "f"}), "belongs to no option"));
  CHECK(Has(world.ErrorOf({"agent", "--frob=secret"}), "'--frob' was not expected"));
}

TEST_CASE("parse: the real files and variables", "[cli]") {
  const char* const missing[] = {"spantap", "agent", "--config", "/nonexistent.yaml"};
  const auto parsed = ParseCommandLine(4, missing);
  REQUIRE_FALSE(parsed.ok());
  CHECK(Has(std::string(parsed.status().message()), "/nonexistent.yaml: cannot be read: No such file"));
  CHECK(Has(std::string(ReadRegularFile("/").status().message()), "no regular file"));
  CHECK(Has(std::string(ReadRegularFile("/dev/zero").status().message()), "no regular file"));

  char path[] = "/tmp/spantap_test_XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  close(fd);
  std::ofstream(path) << "pid: 5\n";
  const char* const words[] = {"spantap", "agent", "--config", path};
  setenv("SPANTAP_PORT", "80", 1);
  const auto good = ParseCommandLine(4, words);
  unsetenv("SPANTAP_PORT");
  REQUIRE(good.ok());
  CHECK(good->settings.targets.pids == std::vector<uint32_t>{5});
  CHECK(good->settings.targets.ports == std::vector<uint16_t>{80});
  std::ofstream(path) << std::string(kMaxFileBytes + 1, '#');
  CHECK(Has(std::string(ReadRegularFile(path).status().message()), "longer than 1048576 bytes"));
  unlink(path);
}

TEST_CASE("help: every option of a command is in its help, and no other", "[cli]") {
  for (const CommandInfo& command : Commands()) {
    const std::string help = World().Must({command.name, "--help"}).print.value();
    for (const Option& option : Options()) {
      INFO(command.name << " --" << option.name);
      // A longer name may begin with this one.
      const std::string flag =
          absl::StrCat("\n  --", option.name, option.value == nullptr ? " " : absl::StrCat(" ", option.value));
      CHECK((help.find(flag) != std::string::npos) == ((option.commands & command.bit) != 0));
    }
    CHECK(Has(help, "EXAMPLES"));
    CHECK(Has(help, "Exit codes"));
  }
  const std::string agent = World().Must({"agent", "--help"}).print.value();
  CHECK(Has(agent, "(default 8192)"));
  CHECK(Has(agent, "The last line on stderr is the ledger"));
  const std::string check = World().Must({"check", "--help"}).print.value();
  CHECK(Has(check, "Usage: spantap check [FILE] [OPTIONS]"));
  CHECK(check.find("ledger:") == std::string::npos);
}

TEST_CASE("help: --version names the event version", "[cli]") {
  CHECK(Has(World().Must({"--version"}).print.value(), "event version 2"));
}

}  // namespace
}  // namespace spantap::cli_test
