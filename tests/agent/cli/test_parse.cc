// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/parse.h"

#include <unistd.h>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "agent/cli/help.h"
#include "agent/cli/options.h"

namespace spantap {
namespace {

absl::StatusOr<ParsedCommandLine> Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "spantap");
  return ParseCommandLine(static_cast<int>(words.size()), words.data());
}

Settings MustParse(const std::vector<const char*>& words) {
  const auto parsed = Parse(words);
  INFO(parsed.status().ToString());
  REQUIRE(parsed.ok());
  REQUIRE_FALSE(parsed->print);
  return parsed->settings;
}

std::string ErrorOf(const std::vector<const char*>& words) {
  const auto parsed = Parse(words);
  REQUIRE_FALSE(parsed.ok());
  REQUIRE(absl::IsInvalidArgument(parsed.status()));
  return std::string(parsed.status().message());
}

// A file that is gone with the test.
struct TempFile {
  explicit TempFile(const std::string& text) {
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    std::ofstream(path) << text;
  }
  ~TempFile() { unlink(path); }
  char path[32] = "/tmp/spantap_test_XXXXXX";
};

struct Variable {
  Variable(const char* name, const char* value) : name(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name); }
  const char* name;
};

TEST_CASE("parse: targets are a union, in order", "[cli]") {
  const Settings s =
      MustParse({"trace", "--pid", "12", "--exe", "nginx", "--pid", "13", "--port", "8080", "--cgroup", "/a"});
  CHECK(s.command == Command::kTrace);
  CHECK(s.targets.pids == std::vector<uint32_t>{12, 13});
  CHECK(s.targets.exes == std::vector<std::string>{"nginx"});
  CHECK(s.targets.ports == std::vector<uint16_t>{8080});
  CHECK(s.targets.cgroups == std::vector<std::string>{"/a"});
  CHECK(s.endpoints.empty());
}

TEST_CASE("parse: agent exports to the standard endpoint unless told otherwise", "[cli]") {
  CHECK(MustParse({"agent", "--pid", "1"}).endpoints == std::vector<std::string>{"http://localhost:4318"});
  const Settings s = MustParse(
      {"agent", "--pid=1", "--endpoint=http://[::1]:9/x", "--header", "Authentication=a=b", "--timeout", "5000"});
  CHECK(s.endpoints == std::vector<std::string>{"http://[::1]:9/x"});
  CHECK(s.headers == std::vector<std::pair<std::string, std::string>>{{"Authentication", "a=b"}});
  CHECK(s.timeout == absl::Seconds(5));
}

TEST_CASE("parse: every option refuses a bad value with its name and the accepted form", "[cli]") {
  struct Row {
    int line;
    const char* command;
    const char* option;
    const char* value;
  };
  const Row row = GENERATE(values<Row>({
      {__LINE__, "agent", "pid", "0"},           {__LINE__, "agent", "pid", "-1"},
      {__LINE__, "agent", "pid", "12x"},         {__LINE__, "agent", "pid", "99999999999999999999"},
      {__LINE__, "agent", "exe", "/bin/nginx"},  {__LINE__, "agent", "port", "65536"},
      {__LINE__, "agent", "port", ""},           {__LINE__, "agent", "service-name", "=x"},
      {__LINE__, "agent", "hooks", "kprobe"},    {__LINE__, "agent", "turns", "yes"},
      {__LINE__, "agent", "ring-bytes", "5000"}, {__LINE__, "agent", "ring-bytes", "1"},
      {__LINE__, "agent", "head-bytes", "1"},    {__LINE__, "agent", "endpoint", "localhost:4318"},
      {__LINE__, "agent", "protocol", "zipkin"}, {__LINE__, "agent", "header", "novalue"},
      {__LINE__, "agent", "header", "a=b\r\nc"}, {__LINE__, "agent", "timeout", "0"},
      {__LINE__, "agent", "sample", "101"},      {__LINE__, "agent", "sample", "nan"},
      {__LINE__, "agent", "adopt", "1"},         {__LINE__, "agent", "query-values", "all"},
      {__LINE__, "trace", "duration", "0"},      {__LINE__, "trace", "duration", "soon"},
      {__LINE__, "agent", "log-level", "loud"},  {__LINE__, "agent", "cgroup", ""},
  }));
  INFO("line " << row.line);
  const std::string flag = std::string("--") + row.option + "=" + row.value;
  const std::string error = ErrorOf({row.command, "--exe", "x", flag.c_str()});
  CHECK(error.find(std::string("--") + row.option) != std::string::npos);
  CHECK(error.find(FindOption(row.option)->accepted) != std::string::npos);
}

TEST_CASE("parse: wrong use names the way out", "[cli]") {
  CHECK(ErrorOf({}).find("accepted: agent, trace, record, replay") != std::string::npos);
  CHECK(ErrorOf({"watch"}).find("'watch' is no command; accepted: agent, trace, record, replay") == 0);
  CHECK(ErrorOf({"agent"}).find("--pid N, --exe NAME, --port N or --cgroup PATH") != std::string::npos);
  CHECK(ErrorOf({"replay"}).find("FILE") != std::string::npos);
  CHECK(ErrorOf({"agent", "--pid", "1", "--frobnicate"}).find("--frobnicate") != std::string::npos);
  CHECK(ErrorOf({"replay", "f", "--pid", "1"}).find("--pid") != std::string::npos);
  CHECK(ErrorOf({"agent", "--pid", "1", "--sample", "1", "--sample", "2"}).find("more than once") != std::string::npos);
  CHECK(ErrorOf({"agent", "--pid"}).find("--pid") != std::string::npos);
}

TEST_CASE("parse: command line over variable over OTEL variable over file", "[cli]") {
  const TempFile file("sample: 1\nendpoint: http://file:1\npid: [7, 8]\nadopt: off\n");
  CHECK(MustParse({"agent", "--config", file.path}).links.sample_ratio == Approx(0.01));
  CHECK(MustParse({"agent", "--config", file.path}).targets.pids == std::vector<uint32_t>{7, 8});
  CHECK_FALSE(MustParse({"agent", "--config", file.path}).links.adopt);
  const Variable otel("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:1");
  CHECK(MustParse({"agent", "--config", file.path}).endpoints[0] == "http://otel:1");
  const Variable own("SPANTAP_ENDPOINT", "http://own:1");
  CHECK(MustParse({"agent", "--config", file.path}).endpoints[0] == "http://own:1");
  CHECK(MustParse({"agent", "--config", file.path, "--endpoint", "http://flag:1"}).endpoints[0] == "http://flag:1");
  const Variable pids("SPANTAP_PID", "1, 2,3");
  CHECK(MustParse({"agent"}).targets.pids == std::vector<uint32_t>{1, 2, 3});
  const Variable bad("SPANTAP_SAMPLE", "many");
  CHECK(ErrorOf({"agent"}).find("SPANTAP_SAMPLE: 'many'") == 0);
}

TEST_CASE("parse: a bad configuration file is named with its line", "[cli]") {
  struct Row {
    int line;
    const char* text;
    const char* expected;
  };
  const Row row = GENERATE(values<Row>({
      {__LINE__, "pid: 1\nsampel: 3\n", ":2: no such option 'sampel'; accepted: pid"},
      {__LINE__, "pid: 1\n\nsample: lots\n", ":3: 'lots' is not a number; accepted: a number from 0 to 100"},
      {__LINE__, "pid: 1\nsample: [1, 2]\n", ":2: sample takes one value"},
      {__LINE__, "pid: 1\npid: 2\n", ":2: pid is given twice"},
      {__LINE__, "- pid\n", ":1: expected lines of 'option: value'"},
      {__LINE__, "pid: [1\n", "not valid YAML"},
      {__LINE__, "pid:\n  - {a: b}\n", ":2: pid takes a value or a list of values"},
  }));
  INFO("line " << row.line);
  const TempFile file(row.text);
  const std::string error = ErrorOf({"agent", "--config", file.path});
  INFO(error);
  CHECK(error.find(std::string(file.path) + ":") == 0);
  CHECK(error.find(row.expected) != std::string::npos);
}

TEST_CASE("parse: an unreadable configuration file is an error", "[cli]") {
  CHECK(ErrorOf({"agent", "--config", "/nonexistent.yaml"}).find("/nonexistent.yaml: cannot be read") == 0);
}

TEST_CASE("help: every option of a command is in its help, and no other", "[cli]") {
  for (const CommandInfo& command : Commands()) {
    const auto parsed = Parse({command.name, "--help"});
    REQUIRE(parsed.ok());
    REQUIRE(parsed->print);
    for (const Option& option : Options()) {
      INFO(command.name << " --" << option.name);
      const bool listed = parsed->print->find("  --" + std::string(option.name)) != std::string::npos;
      CHECK(listed == ((option.commands & command.bit) != 0));
    }
    CHECK(parsed->print->find("EXAMPLES") != std::string::npos);
    CHECK(parsed->print->find("Exit codes") != std::string::npos);
  }
}

TEST_CASE("help: --version names the event version", "[cli]") {
  const auto parsed = Parse({"--version"});
  REQUIRE(parsed.ok());
  CHECK(parsed->print->find("event version 1") != std::string::npos);
}

}  // namespace
}  // namespace spantap
