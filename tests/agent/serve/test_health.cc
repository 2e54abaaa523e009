// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/health.h"

#include <catch2/catch.hpp>

#include "tests/agent/serve/made_status.h"

namespace spantap {
namespace {

RunStatus With(std::vector<std::string> states) {
  RunStatus status = MadeStatus();
  status.exporter->endpoints.clear();
  for (std::string& state : states) {
    status.exporter->endpoints.push_back({"http://c" + std::to_string(status.exporter->endpoints.size()), state,
                                          state == "down" ? "connection refused" : "", 0, 0});
  }
  return status;
}

TEST_CASE("health: alive while the event thread turns", "[serve]") {
  CHECK(Health(absl::ZeroDuration()).good);
  CHECK(Health(kTurnLimit - absl::Nanoseconds(1)).good);
  const HealthAnswer answer = Health(absl::Seconds(31));
  CHECK_FALSE(answer.good);
  CHECK(answer.reason == "the event thread has not turned for 31 s");
}

TEST_CASE("readiness: one endpoint that is up or untried is enough", "[serve]") {
  CHECK(Readiness(With({"untried"})).good);
  CHECK(Readiness(With({"up"})).good);
  CHECK(Readiness(With({"down", "refusing", "up"})).good);
  CHECK_FALSE(Readiness(With({"down"})).good);
  CHECK_FALSE(Readiness(With({"refusing"})).good);
  CHECK(Readiness(With({"down", "refusing"})).reason ==
        "no collector takes spans: http://c0 is down (connection refused); http://c1 is refusing");
}

TEST_CASE("readiness: only while capture is attached, or told to do nothing", "[serve]") {
  RunStatus status = With({"up"});
  status.phase = Phase::kStarting;
  CHECK(Readiness(status).reason == "starting: capture is not attached yet");
  CHECK_FALSE(Readiness(status).good);
  status.phase = Phase::kStopping;
  CHECK_FALSE(Readiness(status).good);
  status.phase = Phase::kDisabled;
  CHECK(Readiness(status).good);
  CHECK(Readiness(status).reason.find("OTEL_SDK_DISABLED") != std::string::npos);
  status.phase = Phase::kCapturing;
  status.exporter.reset();
  CHECK(Readiness(status).good);
}

}  // namespace
}  // namespace spantap
