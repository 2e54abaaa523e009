// SPDX-License-Identifier: Apache-2.0
//
// Every row of the table: what it takes, what it refuses, and that what is printed means the same again.
#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/match.h"
#include "agent/cli/option_tables.h"
#include "agent/cli/resolve.h"
#include "tests/agent/cli/world.h"

namespace spantap::cli_test {
namespace {

struct Row {
  int line;
  const char* option;
  std::vector<const char*> good;
  std::vector<const char*> shown;  // of all the good ones together if repeatable, else of each
  std::vector<const char*> bad;
};

// A byte more than a Unix socket's path may have.
constexpr char k108[] =
    "pppppppppppppppppppppppppppppppppppppppppppppppppppppp"
    "pppppppppppppppppppppppppppppppppppppppppppppppppppppp";
static_assert(sizeof(k108) == 109);

// clang-format off
const std::vector<Row>& Rows() {
  static const auto& rows = *new std::vector<Row>{
    {__LINE__, "pid", {"1", "4194304"}, {"1", "4194304"}, {"0", "-1", "+1", "12x", "99999999999999999999", "1.5", "1s"}},
    {__LINE__, "exe", {"nginx", "my app"}, {"nginx", "my app"}, {"/bin/nginx"}},
    {__LINE__, "port", {"1", "65535"}, {"1", "65535"}, {"0", "65536", "http"}},
    {__LINE__, "cgroup", {"/a"}, {"/a"}, {}},
    {__LINE__, "socket", {"/run/spantap/agent.sock", "s"}, {"/run/spantap/agent.sock", "s"}, {k108}},
    {__LINE__, "socket-allow-uid", {"0", "4294967294"}, {"0", "4294967294"}, {"4294967295", "-1", "root"}},
    {__LINE__, "service-name", {"shop", "nginx=front"}, {"shop", "nginx=front"}, {"=x", "x="}},
    {__LINE__, "hooks", {"auto", "socket", "syscall"}, {"auto", "socket", "syscall"}, {"kprobe", "SOCKET"}},
    {__LINE__, "turns", {"on", "off"}, {"on", "off"}, {"yes", "1", "true"}},
    {__LINE__, "ring-bytes", {"4096", "16MiB", "1GiB"}, {"4KiB", "16MiB", "1GiB"}, {"5000", "1", "2GiB", "1mib", "MiB"}},
    {__LINE__, "head-bytes", {"256", "65536"}, {"256", "65536"}, {"255", "65537", "4k"}},
    {__LINE__, "exporter", {"otlp", "none"}, {"otlp", "none"}, {"console", "OTLP"}},
    {__LINE__, "endpoint", {"http://a", "https://b:1/x", "unix:/c", "exact:http://d/e"}, {"http://a", "https://b:1/x", "unix:/c", "exact:http://d/e"},
     {"localhost:4318", "ftp://x", "http://", "exact:", "unix:c", "http://a\nb"}},
    {__LINE__, "protocol", {"grpc", "http/protobuf", "http/json"}, {"grpc", "http/protobuf", "http/json"}, {"thrift", "GRPC"}},
    {__LINE__, "compression", {"none", "gzip", "zstd"}, {"none", "gzip", "zstd"}, {"lz4"}},
    {__LINE__, "header", {"a=b", "Authentication=x=y, z"}, {"a=b", "Authentication=x=y, z"}, {"novalue", "=x", "a=b\r\nc", "a b=c", "content-length=1"}},
    {__LINE__, "timeout", {"1", "1500ms", "5s", "3600000"}, {"1ms", "1500ms", "5s", "1h"}, {"0", "-1", "soon", "2h", "1d", "1.5s"}},
    {__LINE__, "certificate", {"cert.pem"}, {"cert.pem"}, {"missing.pem", "key.pem", "text.pem", "a\nb"}},
    {__LINE__, "client-certificate", {"cert.pem"}, {"cert.pem"}, {"missing.pem", "text.pem"}},
    {__LINE__, "client-key", {"key.pem"}, {"key.pem"}, {"missing.pem", "cert.pem"}},
    {__LINE__, "tls-server-name", {"collector.example"}, {"collector.example"}, {"a b", "a/b", "a:1"}},
    {__LINE__, "insecure", {"on", "off"}, {"on", "off"}, {"true"}},
    {__LINE__, "proxy", {"http://p:3128", "https://u:p@h:1"}, {"http://p:3128", "https://u:p@h:1"}, {"p:3128", "socks5://h:1", "http://", "http:///x", "ftp://x"}},
    {__LINE__, "queue-spans", {"5000"}, {"5000"}, {"0", "10000001", "many"}},
    {__LINE__, "queue-bytes", {"64KiB", "1048577"}, {"64KiB", "1048577"}, {"1", "17GiB", "18446744073709551615GiB"}},
    {__LINE__, "batch-spans", {"1", "8192"}, {"1", "8192"}, {"0", "8193", "x"}},
    {__LINE__, "batch-bytes", {"16384", "64MiB"}, {"16KiB", "64MiB"}, {"1", "65MiB"}},
    {__LINE__, "batch-delay", {"1", "1s"}, {"1ms", "1s"}, {"0", "2h"}},
    {__LINE__, "retry-initial", {"1", "30s"}, {"1ms", "30s"}, {"0", "31s", "2h"}},
    {__LINE__, "retry-max", {"1", "24h"}, {"1ms", "24h"}, {"0", "25h"}},
    {__LINE__, "retry-give-up", {"0", "5m"}, {"0ms", "5m"}, {"-1", "169h"}},
    {__LINE__, "drain", {"0", "20s"}, {"0ms", "20s"}, {"2h"}},
    {__LINE__, "spool", {"/var/spool/spantap"}, {"/var/spool/spantap"}, {"a\tb"}},
    {__LINE__, "spool-bytes", {"16MiB"}, {"16MiB"}, {"1", "1MiB", "1.5MiB"}},
    {__LINE__, "spool-age", {"90m", "24h"}, {"90m", "24h"}, {"999", "9000h"}},
    {__LINE__, "spool-rate", {"1MiB"}, {"1MiB"}, {"0", "fast"}},
    {__LINE__, "default-service-name", {"shop"}, {"shop"}, {"a\nb"}},
    {__LINE__, "resource-attribute", {"k=v", "e=", "p=%41"}, {"k=v", "e=", "p=%41"}, {"k", "=v"}},
    {__LINE__, "sampler", {"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"},
     {"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}, {"jaeger_remote", "Always_On"}},
    {__LINE__, "sample", {"0", "12.5%", "0.07", "100"}, {"0", "12.5", "0.07", "100"}, {"101", "-1", "nan", "all"}},
    {__LINE__, "adopt", {"on", "off"}, {"on", "off"}, {"1", "maybe"}},
    {__LINE__, "link-confidence", {"0", "0.95", "1"}, {"0", "0.95", "1"}, {"1.1", "-0.1", "nan", "90%", "sure"}},
    {__LINE__, "link-tokens", {"on", "off"}, {"on", "off"}, {"1"}},
    {__LINE__, "link-token-headers", {"x-order", "X-User"}, {"x-order", "x-user"}, {"a b", "x:"}},
    {__LINE__, "link-memory", {"/var/lib/spantap/links"}, {"/var/lib/spantap/links"}, {"a\nb"}},
    {__LINE__, "link-candidates", {"on", "off"}, {"on", "off"}, {"best"}},
    {__LINE__, "query-values", {"redacted", "none"}, {"redacted", "none"}, {"all"}},
    {__LINE__, "attribute-count-limit", {"0", "1000000"}, {"0", "1000000"}, {"-1", "1000001"}},
    {__LINE__, "attribute-value-length-limit", {"0", "unlimited"}, {"0", "unlimited"}, {"-1", "infinite"}},
    {__LINE__, "event-count-limit", {"7"}, {"7"}, {"x"}},
    {__LINE__, "link-count-limit", {"7"}, {"7"}, {"x"}},
    {__LINE__, "event-attribute-count-limit", {"7"}, {"7"}, {"x"}},
    {__LINE__, "link-attribute-count-limit", {"7"}, {"7"}, {"x"}},
    {__LINE__, "with-secrets", {"on", "off"}, {"on", "off"}, {"1"}},
    {__LINE__, "json", {"on", "off"}, {"on", "off"}, {"1"}},
    {__LINE__, "duration", {"0.5", "10"}, {"0.5", "10"}, {"0", "-3", "soon", "inf", "nan"}},
    {__LINE__, "listen", {"127.0.0.1:9464", "[::1]:0", "localhost:80"}, {"127.0.0.1:9464", "[::1]:0", "localhost:80"},
     {"9464", ":9464", "127.0.0.1", "::1:80", "a b:1", "localhost:65536", "localhost:", "[]:1", "host:1", "1.2.3:4", "[1.2.3.4]:5"}},
    {__LINE__, "disabled", {"on", "off"}, {"on", "off"}, {"1"}},
    {__LINE__, "log-level", {"debug", "off"}, {"debug", "off"}, {"loud", "INFO"}},
  };
  return rows;
}
// clang-format on

constexpr char kCertificate[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
constexpr char kKey[] = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

World WithFiles() {
  return {{}, {{"cert.pem", kCertificate}, {"key.pem", kKey}, {"text.pem", "-----BEGIN CERTIFICATE-----\nhello"}}};
}

// A command that takes the option.
Command CommandOf(const Option& option) {
  for (const Command command : {Command::kCheck, Command::kRecord, Command::kReplay}) {
    if (option.commands & static_cast<unsigned>(command)) return command;
  }
  return Command::kAgent;
}

// What an option needs beside it to make sense.
RawValues Beside(absl::string_view option) {
  RawValues values;
  if (option == "client-key") values["client-certificate"] = {{"beside", "cert.pem"}};
  if (option == "client-certificate") values["client-key"] = {{"beside", "key.pem"}};
  if (option == "socket-allow-uid") values["socket"] = {{"beside", "/s"}};
  if (absl::StartsWith(option, "spool-")) values["spool"] = {{"beside", "/s"}};
  return values;
}

absl::StatusOr<Resolved> ResolveWith(const Option& option, const std::vector<std::string>& words, const World& world) {
  RawValues flags = Beside(option.name);
  for (const std::string& word : words) flags[option.name].push_back({"somewhere", word});
  return Resolve(CommandOf(option), flags, {}, world.AsOutside());
}

TEST_CASE("options: every row is tested here", "[cli]") {
  std::set<std::string> tested;
  for (const Row& row : Rows()) tested.insert(row.option);
  std::set<std::string> all;
  for (const Option& option : Options()) all.insert(option.name);
  CHECK(tested == all);
  CHECK(all.size() == Options().size());
}

TEST_CASE("options: good values; what is shown is accepted again and means the same", "[cli]") {
  const World world = WithFiles();
  for (const Row& row : Rows()) {
    INFO("line " << row.line);
    const Option& option = *FindOption(row.option);
    REQUIRE(row.good.size() == row.shown.size());
    for (size_t i = 0; i < row.good.size(); ++i) {
      std::vector<std::string> words = {row.good[i]}, expected = {row.shown[i]};
      if (option.repeatable && i == 0) words.assign(row.good.begin(), row.good.end());
      if (option.repeatable && i == 0) expected.assign(row.shown.begin(), row.shown.end());
      const auto resolved = ResolveWith(option, words, world);
      INFO(row.good[i] << ": " << resolved.status());
      REQUIRE(resolved.ok());
      CHECK(resolved->warnings.empty());
      CHECK(resolved->origins.at(option.name).where[0] == "somewhere");
      CHECK(resolved->origins.at(option.name).rank == Rank::kFlag);
      const std::vector<std::string> shown = option.form.show(resolved->draft);
      CHECK(shown == expected);
      const auto again = ResolveWith(option, shown, world);
      REQUIRE(again.ok());
      CHECK(option.form.show(again->draft) == shown);
    }
  }
}

TEST_CASE("options: defaults as shown are accepted and mean the same", "[cli]") {
  for (const Option& option : Options()) {
    INFO(option.name);
    const std::vector<std::string> shown = option.form.show(Draft());
    Draft draft;
    for (const std::string& word : shown) CHECK(option.form.apply(word, draft).ok());
    CHECK(option.form.show(draft) == shown);
    CHECK((option.repeatable ? shown.empty() : shown.size() <= 1));
  }
}

TEST_CASE("options: a bad value is refused with where, what and the accepted form, from each of our sources", "[cli]") {
  World world = WithFiles();
  for (const Row& row : Rows()) {
    INFO("line " << row.line);
    const Option& option = *FindOption(row.option);
    std::vector<const char*> bad = row.bad;
    bad.push_back("");
    for (const char* value : bad) {
      INFO("'" << value << "'");
      const std::vector<RawValue> raw = {{"SOMEWHERE:7", value}};
      RawValues flags = Beside(option.name), file = flags;
      flags[option.name] = raw;
      file[option.name] = raw;
      std::vector<absl::StatusOr<Resolved>> tries;
      tries.push_back(Resolve(CommandOf(option), flags, {}, world.AsOutside()));
      tries.push_back(Resolve(CommandOf(option), {}, file, world.AsOutside()));
      // A variable that is empty is not set, and one of a list is split at commas.
      const std::string variable = VariableName(option.name);
      if (*value != '\0') {
        world.variables[variable] = value;
        tries.push_back(Resolve(CommandOf(option), Beside(option.name), {}, world.AsOutside()));
        world.variables.erase(variable);
      }
      for (const auto& resolved : tries) {
        REQUIRE_FALSE(resolved.ok());
        const std::string error(resolved.status().message());
        CHECK(error.find(&resolved == &tries[0] || &resolved == &tries[1] ? "SOMEWHERE:7: '" : variable + ": '") == 0);
        CHECK(Has(error, absl::StrCat("; accepted: ", option.form.accepted)));
      }
    }
  }
}

TEST_CASE("options: names of headers, many in a word, each once", "[cli]") {
  const Option& option = *FindOption("link-token-headers");
  Draft draft;
  for (const char* word : {"X-Order, x-cart", "x-cart,x-user"}) CHECK(option.form.apply(word, draft).ok());
  CHECK(option.form.show(draft) == std::vector<std::string>{"x-order", "x-cart", "x-user"});
  for (const char* word : {",", "a,,b", "a,"}) CHECK_FALSE(option.form.apply(word, draft).ok());
  std::string many = "h0";
  for (int i = 1; i < 13; ++i) absl::StrAppend(&many, ",h", i);
  Draft full = {};
  CHECK(option.form.apply(many + ",a,b,c", full).ok());
  CHECK_FALSE(option.form.apply("d", full).ok());
  CHECK(option.form.apply("h3", full).ok());
}

TEST_CASE("options: what takes one value takes no second", "[cli]") {
  const World world = WithFiles();
  for (const Row& row : Rows()) {
    const Option& option = *FindOption(row.option);
    if (option.repeatable) continue;
    INFO(row.option);
    const auto resolved = ResolveWith(option, {row.good[0], row.good[0]}, world);
    REQUIRE_FALSE(resolved.ok());
    CHECK(Has(std::string(resolved.status().message()), "given more than once"));
  }
}

TEST_CASE("options: of two resource attributes with one key the last counts; they are bounded", "[cli]") {
  const Option& option = *FindOption("resource-attribute");
  const auto twice = ResolveWith(option, {"a=1", "b=2", "a=3"}, World());
  REQUIRE(twice.ok());
  CHECK(option.form.show(twice->draft) == std::vector<std::string>{"b=2", "a=3"});
  std::vector<std::string> many;
  for (int i = 0; i < 129; ++i) many.push_back(absl::StrCat("k", i, "=v"));
  CHECK_FALSE(ResolveWith(option, many, World()).ok());
  many.pop_back();
  CHECK(ResolveWith(option, many, World()).ok());
}

TEST_CASE("options: helps name their unit; names and placeholders are such", "[cli]") {
  for (const Option& option : Options()) {
    INFO(option.name);
    const absl::string_view value = option.value == nullptr ? "" : option.value, help = option.help;
    if (value == "MS") CHECK(Has(help, "millisecond"));
    if (value == "BYTES") CHECK(Has(help, "bytes"));
    if (value == "SECONDS") CHECK(Has(option.name, "duration"));
    CHECK(absl::string_view(option.name).find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == absl::string_view::npos);
    CHECK_FALSE(option.form.accepted.empty());
  }
}

}  // namespace
}  // namespace spantap::cli_test
