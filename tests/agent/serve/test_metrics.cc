// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/metrics.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cctype>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/serve/ledger_line.h"
#include "tests/agent/serve/made_status.h"

namespace spantap {
namespace {

// Reads the text format strictly: every line is HELP, TYPE or a sample of the family announced last.
struct Exposition {
  std::map<std::string, double> samples;  // `name{label="value"}` -> value
  std::map<std::string, std::string> types;
  std::map<std::string, std::string> helps;

  explicit Exposition(const std::string& text) {
    REQUIRE(!text.empty());
    REQUIRE(text.back() == '\n');
    std::string family;
    for (absl::string_view line : absl::StrSplit(text.substr(0, text.size() - 1), '\n'))
      Read(std::string(line), family);
  }

  void Read(const std::string& line, std::string& family) {
    INFO(line);
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (words.size() == 4 && words[0] == "#" && words[1] == "HELP") {
      family = words[2];
      CHECK(helps.emplace(family, words[3]).second);
    } else if (words.size() == 4 && words[0] == "#" && words[1] == "TYPE") {
      CHECK(words[2] == family);
      CHECK((words[3] == "counter" || words[3] == "gauge"));
      CHECK(types.emplace(family, words[3]).second);
    } else {
      const size_t space = line.rfind(' ');
      REQUIRE(space != std::string::npos);
      const std::string series = line.substr(0, space);
      CHECK(series.substr(0, series.find('{')) == family);
      CheckName(family);
      double value = 0;
      REQUIRE(absl::SimpleAtod(line.substr(space + 1), &value));
      CHECK(samples.emplace(series, value).second);
    }
  }

  static void CheckName(const std::string& name) {
    CHECK((absl::StartsWith(name, "spantap_") || absl::StartsWith(name, "process_")));
    for (const char c : name) CHECK((std::islower(c) || std::isdigit(c) || c == '_'));
  }

  double operator[](const std::string& series) const {
    INFO(series);
    REQUIRE(samples.count(series) == 1);
    return samples.at(series);
  }
};

Exposition Expose(const RunStatus& status) {
  return Exposition(MetricsText(status, {1.5e9, 2.25, 4096, 3, 7}, {501, 502, 503, 504}));
}

TEST_CASE("metrics: every line is well formed, every family has help and a type", "[serve]") {
  const Exposition all = Expose(MadeStatus());
  CHECK(all.samples.size() > 80);
  for (const auto& [name, type] : all.types) {
    INFO(name);
    CHECK(all.helps.count(name) == 1);
    CHECK(all.helps.at(name).back() == '.');
    CHECK(absl::EndsWith(name, "_total") == (type == "counter"));
  }
}

TEST_CASE("metrics: spans", "[serve]") {
  const Exposition all = Expose(MadeStatus());
  const LedgerSnapshot spans = MadeSpans();
  CHECK(all["spantap_spans_created_total"] == 10'000'000'019.0);
  CHECK(all["spantap_spans_recovered_total"] == 19);
  CHECK(all["spantap_spans_acknowledged_total"] == 9'000'000'000.0);
  CHECK(all["spantap_spans_spooled"] == 17);
  double dropped = 0;
  for (size_t i = 0; i < spans.dropped.size(); ++i) {
    const std::string reason(DropReasonName(static_cast<DropReason>(i)));
    dropped += all[absl::StrCat("spantap_spans_dropped_total{reason=\"", reason, "\"}")];
  }
  CHECK(all["spantap_spans_created_total"] == all["spantap_spans_acknowledged_total"] + dropped +
                                                  all["spantap_spans_spooled"] + all["spantap_spans_in_flight"]);
}

TEST_CASE("metrics: events, connections, links", "[serve]") {
  const Exposition all = Expose(MadeStatus());
  CHECK(all["spantap_events_captured_total"] == 201);
  CHECK(all["spantap_events_processed_total"] == 211);
  CHECK(all["spantap_events_dropped_total{reason=\"ring_full\"}"] == 203);
  CHECK(all["spantap_events_dropped_total{reason=\"conn_state\"}"] == 204);
  CHECK(all["spantap_events_dropped_total{reason=\"malformed\"}"] == 205);
  CHECK(all["spantap_calls_many_iovecs_total"] == 209);
  CHECK(all["spantap_connections_total"] == 302);
  CHECK(all["spantap_connections_closed_total{cause=\"evicted\"}"] == 304);
  CHECK(all["spantap_exchanges_total"] == 313);
  CHECK(all["spantap_links_total{rule=\"wire\"}"] == 401);
  CHECK(all["spantap_links_total{rule=\"proxy\"}"] == 404);
  CHECK(all["spantap_links_total{rule=\"calm\"}"] == 0);
  CHECK(all["spantap_links_refused_total{reason=\"several open\"}"] == 421);
  CHECK(all["spantap_links_refused_total{reason=\"other \\\"reason\\\"\\\\\"}"] == 422);
  CHECK(all["spantap_unsampled_total"] == 415);
  CHECK(all["spantap_links_total{rule=\"program\"}"] == 0);
  CHECK(all["spantap_links_total{rule=\"token\"}"] == 0);
  CHECK(all["spantap_links_total{rule=\"joint\"}"] == 423);
  CHECK(all["spantap_link_candidates_total{outcome=\"told\"}"] == 424);
  CHECK(all["spantap_link_candidates_total{outcome=\"lost\"}"] == 425);
  CHECK(all["spantap_causes_decided_total"] == 426);
  CHECK(all["spantap_causes_overflow_total"] == 427);
  CHECK(all["spantap_cause_timelines_total"] == 428);
  CHECK(all["spantap_cause_searches_cut_short_total"] == 429);
  CHECK(all["spantap_cause_forgotten_total"] == 430);
  CHECK(all["spantap_cause_recalled_total"] == 431);
  CHECK(all["spantap_link_memory_programs{when=\"loaded\"}"] == 441);
  CHECK(all["spantap_link_memory_rejected_total"] == 442);
  CHECK(all["spantap_link_memory_programs{when=\"saved\"}"] == 443);
  CHECK(all["spantap_link_memory_write_errors_total"] == 444);
}

TEST_CASE("metrics: exporter and spool", "[serve]") {
  const Exposition all = Expose(MadeStatus());
  CHECK(all["spantap_exporter_up{endpoint=\"http://a:4318/v1/traces\"}"] == 0);
  CHECK(all["spantap_exporter_up{endpoint=\"http://b:4318/v1/traces\"}"] == 1);
  CHECK(all["spantap_exporter_requests_total{endpoint=\"http://a:4318/v1/traces\"}"] == 701);
  CHECK(all["spantap_exporter_request_failures_total{endpoint=\"http://b:4318/v1/traces\"}"] == 712);
  CHECK(all["spantap_exporter_request_bytes_total"] == 723);
  CHECK(all["spantap_queue_spans"] == 721);
  CHECK(all["spantap_queue_bytes"] == 722);
  CHECK(all["spantap_spool_bytes"] == 733);
  CHECK(all["spantap_spool_damaged_segments_total"] == 735);
  CHECK(all["spantap_spool_append_errors_total"] == 737);
}

TEST_CASE("metrics: the agent itself", "[serve]") {
  const Exposition all = Expose(MadeStatus());
  CHECK(all[absl::StrCat("spantap_build_info{version=\"", SPANTAP_VERSION, "\"}")] == 1);
  CHECK(all["spantap_ready"] == 1);
  CHECK(all["spantap_reloads_total"] == 3);
  CHECK(all["spantap_event_thread_turn_age_seconds"] == 0.125);
  CHECK(all["spantap_listener_requests_total"] == 501);
  CHECK(all["spantap_listener_refused_total{reason=\"timeout\"}"] == 503);
  CHECK(all["process_start_time_seconds"] == 1.5e9);
  CHECK(all["process_cpu_seconds_total"] == 2.25);
  CHECK(all["process_resident_memory_bytes"] == 4096);
}

TEST_CASE("metrics: what a run does not have is left out, not zero", "[serve]") {
  RunStatus status = MadeStatus();
  status.exporter.reset();
  status.events.pipeline = false;
  const Exposition all = Expose(status);
  CHECK(all.types.count("spantap_exporter_up") == 0);
  CHECK(all.types.count("spantap_spool_bytes") == 0);
  CHECK(all.types.count("spantap_links_total") == 0);
  CHECK(all.types.count("spantap_spans_created_total") == 1);
}

TEST_CASE("metrics: endpoints of one name are two series", "[serve]") {
  RunStatus status = MadeStatus();
  for (ExporterStatus::Endpoint& endpoint : status.exporter->endpoints) endpoint.name = "https://x\n\"/v1/traces";
  const Exposition all = Expose(status);
  CHECK(all["spantap_exporter_requests_total{endpoint=\"https://x\\n\\\"/v1/traces\"}"] == 701);
  CHECK(all["spantap_exporter_requests_total{endpoint=\"https://x\\n\\\"/v1/traces#2\"}"] == 711);
}

TEST_CASE("ledger: line and JSON have the same names and values, in the same order", "[serve]") {
  for (const bool pipeline : {true, false}) {
    RunStatus status = MadeStatus();
    status.events.pipeline = pipeline;
    const std::string line = LedgerLine(status);
    const nlohmann::ordered_json json = nlohmann::ordered_json::parse(LedgerJson(status));
    std::string back = "ledger";
    for (const auto& [name, value] : json.items()) absl::StrAppend(&back, " ", name, "=", value.get<uint64_t>());
    CHECK(back == line);
    CHECK(json.at("created") == 10'000'000'019);
    CHECK(json.at("dropped.queue_full") == 100);
    CHECK(json.contains("dropped.encode") == false);
    CHECK(json.contains("exchanges") == pipeline);
    CHECK(json.contains("links.calm") == false);
    if (!pipeline) continue;
    CHECK(json.at("links.wire") == 401);
    CHECK(json.at("links.joint") == 423);
    CHECK(json.at("links_refused.several_open") == 421);
    CHECK(json.at("links_late") == 419);
    CHECK(json.at("link_candidates.lost") == 425);
    CHECK(json.at("causes_decided") == 426);
    CHECK(json.at("cause_forgotten") == 430);
  }
}

TEST_CASE("ledger line: source drops are named, zero ones are left out", "[serve]") {
  RunStatus status;
  status.events.source.captured = 10;
  status.events.source.drop_ring_full = 3;
  status.events.processed = 7;
  CHECK(LedgerLine(status) ==
        "ledger created=0 acknowledged=0 in_flight=0 spooled=0 dropped=0 events_captured=10 events_processed=7 "
        "events_dropped.ring_full=3");
}

TEST_CASE("process: this process has an age, memory and descriptors", "[serve]") {
  const ProcessStats stats = ReadProcessStats();
  CHECK(stats.start_time_s > 1.5e9);
  CHECK(stats.start_time_s <= static_cast<double>(std::time(nullptr)) + 1);
  CHECK(stats.resident_bytes > 1'000'000);
  CHECK(stats.threads >= 1);
  const int extra = dup(0);
  CHECK(ReadProcessStats().open_fds == stats.open_fds + (extra >= 0 ? 1 : 0));
  close(extra);
}

}  // namespace
}  // namespace spantap
