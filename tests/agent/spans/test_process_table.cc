// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/spans/process_table.h"
#include "exporter/model/resource_attributes.h"
#include "tests/agent/spans/exchange_maker.h"

namespace spantap {
namespace {

struct Announcement {
  uint32_t tgid = 1;
  uint16_t port = 0;
  bool named = false;
  std::string exe, service_name, environment;
};

void Announce(ProcessTable& table, const Announcement& what) {
  const std::string text = what.exe + '\0' + what.service_name + '\0' + what.environment + '\0';
  spantap_process_event event = {};
  event.header.size = static_cast<uint32_t>(sizeof(event) + text.size());
  event.header.type = SPANTAP_EVENT_PROCESS;
  event.header.tgid = what.tgid;
  event.listen_port = what.port;
  event.flags = what.named ? SPANTAP_PROCESS_NAMED : 0;
  event.text_bytes = static_cast<uint32_t>(text.size());
  const std::string record = std::string(reinterpret_cast<const char*>(&event), sizeof(event)) + text;
  table.OnProcess(event, record);
}

TEST_CASE("process: the service name, in order of preference", "[spans]") {
  struct Row {
    int line;
    Announcement process;
    const char* name;
  };
  const Row rows[] = {
      {__LINE__, {1, 80, true, "/usr/sbin/nginx", "front", "service.name=env"}, "front"},
      {__LINE__, {1, 80, true, "/usr/sbin/nginx", "", "service.name=env"}, "env"},
      {__LINE__, {1, 80, false, "/usr/sbin/nginx", "", "service.name=a%20b,x=y"}, "a b"},
      {__LINE__, {1, 80, false, "/usr/sbin/nginx", "", "service.name="}, "nginx:80"},
      {__LINE__, {1, 80, false, "/usr/sbin/nginx", "", "service.name=lost,broken"}, "nginx:80"},
      {__LINE__, {1, 0, false, "/usr/bin/envoy (deleted)", "", ""}, "envoy"},
      {__LINE__, {1, 0, false, "relative", "", ""}, "relative"},
      {__LINE__, {1, 80, false, "", "", ""}, "unknown_service"},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    ProcessTable table;
    Announce(table, row.process);
    const Resource& resource = *table.ResourceOf(1);
    CHECK(resource.service_name == row.name);
    CHECK(AttributeReader(resource.attributes)["service.name"] == row.name);
    CHECK(AttributeReader(resource.attributes).duplicates() == 0);
  }
}

TEST_CASE("process: resource attributes", "[spans]") {
  ProcessTable table;
  Announce(table, {42, 8080, false, "/opt/app/bin/server", "",
                   "service.namespace=shop,process.pid=1,telemetry.sdk.name=x,team=a%2Cb,team=c"});
  const AttributeReader got(table.ResourceOf(42)->attributes);
  CHECK(got["service.name"] == "server:8080");
  CHECK(got["service.namespace"] == "shop");
  CHECK(got["team"] == "c");
  CHECK(got["process.pid"] == "42");
  CHECK(got["process.executable.name"] == "server");
  CHECK(got["process.executable.path"] == "/opt/app/bin/server");
  CHECK(got["telemetry.sdk.name"] == "spantap");
  CHECK(got["telemetry.sdk.language"] == "cpp");
  CHECK(got["telemetry.sdk.version"] == SPANTAP_VERSION);
  CHECK(got.duplicates() == 0);
  CHECK(AttributeReader(table.ResourceOf(7)->attributes)["service.name"] == "unknown_service");
}

TEST_CASE("process: configured attributes stand behind what is found", "[spans]") {
  ProcessTable table({{"service.name", "configured"},
                      {"team", "configured"},
                      {"deployment.environment.name", "prod"},
                      {"process.pid", "1"},
                      {"team", "twice"}});
  Announce(table, {1, 80, false, "/usr/sbin/nginx", "", "team=own"});
  const AttributeReader plain(table.ResourceOf(1)->attributes);
  CHECK(plain["service.name"] == "configured");  // executable:port is a guess, not a name
  CHECK(plain["team"] == "own");
  CHECK(plain["deployment.environment.name"] == "prod");
  CHECK(plain["process.pid"] == "1");
  CHECK(plain.duplicates() == 0);
  Announce(table, {2, 80, false, "/usr/sbin/nginx", "", "service.name=env"});
  CHECK(table.ResourceOf(2)->service_name == "env");
  CHECK(AttributeReader(table.ResourceOf(2)->attributes)["team"] == "configured");
  Announce(table, {3, 80, true, "/usr/sbin/nginx", "named", "service.name=env"});
  CHECK(table.ResourceOf(3)->service_name == "named");
  const AttributeReader unknown(table.ResourceOf(99)->attributes);
  CHECK(unknown["service.name"] == "configured");
  CHECK(unknown["deployment.environment.name"] == "prod");
  CHECK(unknown.duplicates() == 0);
}

TEST_CASE("process: texts that run over or are missing", "[spans]") {
  ProcessTable table;
  spantap_process_event event = {};
  event.header.tgid = 5;
  event.text_bytes = 1000;  // more than the record holds
  std::string record(reinterpret_cast<const char*>(&event), sizeof(event));
  table.OnProcess(event, record);
  CHECK(table.ResourceOf(5)->service_name == "unknown_service");
  table.OnProcess(event, record + "/bin/x");  // no terminator
  CHECK(table.ResourceOf(5)->service_name == "x");
}

TEST_CASE("process: a pid's resource outlives it, until the pid is reused", "[spans]") {
  ProcessTable table;
  Announce(table, {1, 0, false, "/bin/first", "", ""});
  const auto first = table.ResourceOf(1);
  table.OnExit(1);
  CHECK(table.ResourceOf(1) == first);
  Announce(table, {1, 0, false, "/bin/second", "", ""});
  CHECK(table.ResourceOf(1)->service_name == "second");
  CHECK(first->service_name == "first");
}

TEST_CASE("process: at the cap ended ones go first, then the longest unused", "[spans]") {
  ProcessTable table;
  for (uint32_t i = 1; i <= ProcessTable::kMaxProcesses; ++i) Announce(table, {i, 0, false, "/bin/p", "", ""});
  CHECK(table.ResourceOf(1)->service_name == "p");  // used: now the newest
  table.OnExit(77);
  Announce(table, {100'000, 0, false, "/bin/new", "", ""});
  CHECK(table.size() == ProcessTable::kMaxProcesses);
  CHECK(table.ResourceOf(77)->service_name == "unknown_service");
  Announce(table, {100'001, 0, false, "/bin/new", "", ""});
  CHECK(table.ResourceOf(2)->service_name == "unknown_service");
  CHECK(table.ResourceOf(1)->service_name == "p");
  CHECK(table.ResourceOf(100'000)->service_name == "new");
}

TEST_CASE("OTEL_RESOURCE_ATTRIBUTES: one error discards all of it", "[spans]") {
  struct Row {
    int line;
    const char* text;
    int pairs;  // -1: discarded
  };
  const Row rows[] = {
      {__LINE__, "", 0},         {__LINE__, "a=b", 1},     {__LINE__, " a = b , c = d ", 2}, {__LINE__, "a=b,", 1},
      {__LINE__, "a=b,,c=d", 2}, {__LINE__, "a=", 1},      {__LINE__, "a=b=c", 1},           {__LINE__, "a=b,c", -1},
      {__LINE__, "=b", -1},      {__LINE__, "a=%4", -1},   {__LINE__, "a=%zz", -1},          {__LINE__, "a=%", -1},
      {__LINE__, "a=%41%2c", 1}, {__LINE__, "a=1,a=2", 1}, {__LINE__, "%3D=x", 1},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    const auto parsed = ParseResourceAttributes(row.text);
    CHECK((parsed ? static_cast<int>(parsed->size()) : -1) == row.pairs);
  }
  CHECK(ParseResourceAttributes(" a = b , c=d")->at(0) == std::make_pair(std::string("a"), std::string("b")));
  CHECK(ParseResourceAttributes("a=%41%2c")->at(0).second == "A,");
  std::string many;
  for (size_t i = 0; i <= kMaxResourceAttributes; ++i) many += absl::StrCat("k", i, "=v,");
  CHECK_FALSE(ParseResourceAttributes(many).has_value());
}

TEST_CASE("process: what it says of itself with its spans names it, unless somebody chose a name", "[spans]") {
  auto own = std::make_shared<Resource>();
  own->service_name = "own";
  for (const bool named : {false, true}) {
    ProcessTable table;
    table.OnHanded(1, own);  // not known yet
    CHECK(table.ResourceOf(1)->service_name == "unknown_service");
    Announce(table, {1, 80, named, "/usr/sbin/nginx", named ? "front" : "", ""});
    table.OnHanded(1, own);
    table.OnHanded(1, std::make_shared<Resource>());
    CHECK(table.ResourceOf(1)->service_name == (named ? "front" : "own"));
  }
}

}  // namespace
}  // namespace spantap
