// SPDX-License-Identifier: Apache-2.0
//
// What can be asked of the live source without loading anything.
#include <catch2/catch.hpp>

#include "agent/capture/target_set.h"

namespace spantap {

TEST_CASE("live source: which --service-name rule names a process", "[capture]") {
  TargetSpec spec;
  spec.exes = {"/usr/sbin/nginx"};
  spec.service_name = "rest";
  spec.service_names = {{"1234", "by-pid"},
                        {"8080", "by-port"},
                        {"nginx", "by-exe"},
                        {"averyveryverylongname", "by-comm"},
                        {"/no/such/cgroup", "by-cgroup"}};
  const auto set = TargetSet::Check(spec);
  REQUIRE(set.ok());
  const auto name = [&](uint32_t tgid, const std::string& exe, const std::string& comm, uint16_t port) {
    ProcessFacts facts;
    facts.exe = exe;
    facts.comm = comm;
    facts.listen_port = port;
    return set->ConfiguredName(tgid, facts);
  };
  CHECK(name(1234, "/bin/x", "x", 0) == "by-pid");
  CHECK(name(1, "/bin/x", "x", 8080) == "by-port");
  CHECK(name(1, "/usr/sbin/nginx", "nginx", 80) == "by-exe");
  CHECK(name(1, "/opt/long", "averyveryverylo", 0) == "by-comm");
  CHECK(name(1, "/bin/other", "other", 80) == "rest");
}

TEST_CASE("live source: executables are compared in the kernel by 15 characters of their file name", "[capture]") {
  TargetSpec spec;
  spec.exes = {"/usr/local/bin/averyveryverylongname"};
  const auto set = TargetSet::Check(spec);
  REQUIRE(set.ok());
  REQUIRE(set->kernel().names.size() == 1);
  CHECK(set->kernel().names[0] == "averyveryverylo");
  CHECK_FALSE(set->Exhausted());
}

TEST_CASE("live source: an unknown pid or cgroup is refused before anything is loaded", "[capture]") {
  TargetSpec spec;
  spec.pids = {4'000'000};
  CHECK_THAT(std::string(TargetSet::Check(spec).status().message()), Catch::Contains("no process 4000000"));
  spec.pids.clear();
  spec.cgroups = {"../etc"};
  CHECK_FALSE(TargetSet::Check(spec).ok());
}

}  // namespace spantap
