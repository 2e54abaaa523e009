// SPDX-License-Identifier: Apache-2.0
//
// Who gets a ring and how large; what a producer says of itself and what it may not.
#include <catch2/catch.hpp>

#include <cerrno>

#include "agent/handoff/admission.h"
#include "agent/handoff/peer_resource.h"
#include "exporter/handoff/ring_layout.h"
#include "exporter/intake/pace.h"
#include "tests/exporter/intake/record_maker.h"

namespace spantap::handoff_test {
namespace {

constexpr uint64_t kStart = 1'000'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

HandoffSettings Small() {
  HandoffSettings settings;
  settings.limits = {5, 3, 2, 8u << 20, 4u << 20, 3u << 20, 1000, 1000};
  return settings;
}

TEST_CASE("admission: the wish is rounded to what the layout allows", "[handoff]") {
  const std::pair<uint32_t, uint64_t> rows[] = {{0, SPANTAP_RING_DEFAULT_BYTES},
                                                {1, SPANTAP_RING_MIN_BYTES},
                                                {SPANTAP_RING_MIN_BYTES + 1, 2 * SPANTAP_RING_MIN_BYTES},
                                                {UINT32_MAX, SPANTAP_RING_MAX_BYTES}};
  for (const auto& [wish, bytes] : rows) {
    Admission admission{HandoffSettings()};
    const Admission::Answer answer = admission.Admit({1, 1}, wish, kStart);
    CHECK(answer.error == 0);
    CHECK(answer.data_bytes == bytes);
  }
}

TEST_CASE("admission: connections by process, by user, in all", "[handoff]") {
  Admission admission(Small());
  const auto error = [&](uid_t uid, pid_t pid) { return admission.Admit({uid, pid}, 1, kStart).error; };
  CHECK(error(1, 10) == 0);
  CHECK(error(1, 10) == 0);
  CHECK(error(1, 10) == EMFILE);
  CHECK(error(1, 11) == 0);
  CHECK(error(1, 12) == EMFILE);
  CHECK(error(2, 10) == 0);
  CHECK(error(2, 10) == 0);
  CHECK(error(3, 30) == EMFILE);
  admission.Release({2, 10}, SPANTAP_RING_MIN_BYTES);
  CHECK(error(3, 30) == 0);
}

TEST_CASE("admission: what does not fit gets a smaller ring, and none at last", "[handoff]") {
  HandoffSettings settings = Small();
  settings.limits.connections_per_process = 100;
  settings.limits.connections_per_uid = 100;
  settings.limits.connections = 100;
  Admission admission(settings);
  uint64_t held = 0;
  for (int i = 0; i < 100; ++i) {
    const Admission::Answer answer = admission.Admit({1, 1}, 2u << 20, kStart);
    if (answer.error != 0) {
      CHECK(answer.error == ENOMEM);
      break;
    }
    CHECK(answer.data_bytes >= SPANTAP_RING_MIN_BYTES);
    CHECK((answer.data_bytes & (answer.data_bytes - 1)) == 0);
    held += answer.data_bytes;
  }
  CHECK(held == settings.limits.bytes_per_process);
  CHECK(admission.Admit({1, 2}, 2u << 20, kStart).data_bytes == 1u << 20);
}

TEST_CASE("admission: users, attachments a second, quarantine", "[handoff]") {
  HandoffSettings settings;
  settings.allowed_uids = {7, 8};
  settings.limits.attach_burst = 3;
  settings.limits.attach_per_second = 2;
  Admission admission(settings);
  CHECK(admission.Admit({9, 1}, 0, kStart).error == EACCES);
  for (int i = 0; i < 3; ++i) CHECK(admission.Admit({7, 1}, 0, kStart).error == 0);
  CHECK(admission.Admit({7, 1}, 0, kStart).error == EMFILE);
  CHECK(admission.Admit({8, 1}, 0, kStart).error == 0);
  CHECK(admission.Admit({7, 1}, 0, kStart + kSecond / 2).error == 0);
  CHECK(admission.Admit({7, 1}, 0, kStart + kSecond / 2).error == EMFILE);
  admission.Quarantine({8, 1}, kStart);
  CHECK(admission.Admit({8, 1}, 0, kStart + 9 * kSecond).error == EACCES);
  CHECK(admission.Admit({8, 2}, 0, kStart + 9 * kSecond).error == 0);
  CHECK(admission.Admit({8, 1}, 0, kStart + 10 * kSecond).error == 0);
}

TEST_CASE("admission: bounded whoever comes", "[handoff]") {
  HandoffSettings settings;
  Admission admission(settings);
  for (uid_t uid = 0; uid < 20000; ++uid) {
    const Admission::Answer answer = admission.Admit({uid, 1}, 1, kStart);
    REQUIRE(answer.error == 0);
    admission.Release({uid, 1}, answer.data_bytes);
  }
}

TEST_CASE("hello: versions, lengths, counts", "[handoff]") {
  const std::string good = HelloPacket(4096, 1, Named("service.name", "front"));
  REQUIRE(ParseHello(good));
  CHECK(ParseHello(good)->ring_bytes == 4096);
  for (size_t size = 0; size < good.size(); ++size) CHECK_FALSE(ParseHello(good.substr(0, size)));
  CHECK_FALSE(ParseHello(good + "x"));
  for (const size_t at : {size_t{0}, offsetof(spantap_hello, version), offsetof(spantap_hello, attr_count),
                          offsetof(spantap_hello, attr_bytes)}) {
    std::string bad = good;
    ++bad[at];
    CHECK_FALSE(ParseHello(bad));
  }
  std::string large;
  uint32_t count = 0;
  while (sizeof(spantap_hello) + large.size() <= SPANTAP_HELLO_MAX_BYTES) {
    large += Named("k" + std::to_string(count++), std::string(1000, 'v'));
  }
  CHECK_FALSE(ParseHello(HelloPacket(0, count, large)));
}

bool HasText(const Resource& resource, absl::string_view key, absl::string_view value) {
  AttributeBlob blob;
  blob.AddString(key, value);
  return resource.attributes.bytes().find(blob.bytes()) != absl::string_view::npos;
}

TEST_CASE("peer resource: the agent says who it is, the peer the rest", "[handoff]") {
  const std::string packet = HelloPacket(0, 6,
                                         Named("service.name", "front") + Named("deployment.environment", "test") +
                                             Attr(0, SPANTAP_INT, "process.pid", BytesOf(int64_t{1})) +
                                             Named("process.executable.name", "innocent") +
                                             Named("telemetry.sdk.name", "other") + Named("team", "hello"));
  const std::optional<Hello> hello = ParseHello(packet);
  REQUIRE(hello);
  ProcessFacts facts;
  facts.tgid = 4711;
  facts.exe = "/usr/sbin/nginx (deleted)";
  facts.otel_service_name = "by-environment";
  facts.otel_resource_attributes = "team=environment,zone=a,service.name=x";
  const auto resource = MakePeerResource(*hello, facts, {{"zone", "configured"}, {"cluster", "c"}});
  CHECK(resource->service_name == "front");
  CHECK(HasText(*resource, "service.name", "front"));
  CHECK(HasText(*resource, "deployment.environment", "test"));
  CHECK(HasText(*resource, "team", "hello"));
  CHECK(HasText(*resource, "zone", "a"));
  CHECK(HasText(*resource, "cluster", "c"));
  CHECK(HasText(*resource, "process.executable.name", "nginx"));
  CHECK(HasText(*resource, "telemetry.sdk.name", "spantap"));
  CHECK_FALSE(HasText(*resource, "process.executable.name", "innocent"));
  AttributeBlob pid;
  pid.AddInt("process.pid", 4711);
  CHECK(resource->attributes.bytes().find(pid.bytes()) != absl::string_view::npos);
  CHECK(resource->attributes.count() == 11);
}

TEST_CASE("peer resource: the order of names", "[handoff]") {
  const std::string packet = HelloPacket();
  const Hello hello = *ParseHello(packet);
  ProcessFacts facts;
  ResourceAttributes configured;
  CHECK(MakePeerResource(hello, facts, configured)->service_name == "unknown_service");
  facts.exe = "/usr/sbin/nginx";
  CHECK(MakePeerResource(hello, facts, configured)->service_name == "nginx");
  facts.listen_port = 80;
  CHECK(MakePeerResource(hello, facts, configured)->service_name == "nginx:80");
  configured = {{"service.name", "configured"}};
  CHECK(MakePeerResource(hello, facts, configured)->service_name == "configured");
  facts.otel_resource_attributes = "service.name=attributes";
  CHECK(MakePeerResource(hello, facts, configured)->service_name == "attributes");
  facts.otel_service_name = "variable";
  CHECK(MakePeerResource(hello, facts, configured)->service_name == "variable");
}

TEST_CASE("pace: fast under load, slow without, slowest in a calm", "[handoff]") {
  Pace pace;
  CHECK(pace.rest_ms() == Pace::kIdleMs);
  pace.OnTurn(0.01, false, kStart);
  CHECK(pace.rest_ms() == Pace::kLongestMs);
  pace.OnTurn(0.9, true, kStart);
  CHECK(pace.rest_ms() == 0);
  pace.OnTurn(0.1, false, kStart);
  CHECK(pace.rest_ms() == Pace::kShortestMs);
  pace.OnTurn(0.5, false, kStart);
  CHECK(pace.rest_ms() == Pace::kShortestMs);
  for (int i = 0; i < 20; ++i) pace.OnTurn(0.01, false, kStart);
  CHECK(pace.rest_ms() == Pace::kLongestMs);
  pace.OnTurn(0, false, kStart + kSecond / 2);
  CHECK(pace.rest_ms() == Pace::kLongestMs);
  pace.OnTurn(0, false, kStart + 2 * kSecond);
  CHECK(pace.rest_ms() == Pace::kIdleMs);
}

}  // namespace
}  // namespace spantap::handoff_test
