// SPDX-License-Identifier: Apache-2.0
//
// An OTLP/HTTP protobuf receiver that knows what each made span must be: it compares every span with the one that
// (seed, index) of its id gives, byte for byte after protobuf's own serialisation, and keeps account.
//
//   span_sink [--port N]      prints {"port":N,"control":N}, then runs until SIGTERM
//
// On the control port: GET /report (JSON), /seen?SEED (ranges), /up, /busy (503 to all), /down (no listener).
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "tests/tools/http_server.h"
#include "tests/tools/made_spans.h"

namespace spantap {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::trace::v1::ResourceSpans;
using opentelemetry::proto::trace::v1::ScopeSpans;

constexpr uint32_t kMaxSeed = 100'000;  // greater ones are no test's: a bad id
constexpr uint32_t kMaxIndex = 20'000'000;
constexpr size_t kMaxExamples = 5;

class Account {
 public:
  // What the sender may take for delivered once this has returned.
  void Take(const ExportTraceServiceRequest& request);
  nlohmann::json Report();
  nlohmann::json Seen(uint32_t seed);
  void BadRequest() {
    absl::MutexLock lock(&mutex_);
    ++bad_requests_;
  }

 private:
  struct Run {
    explicit Run(uint32_t seed) : spans(seed) {}
    MadeSpans spans;
    std::vector<uint8_t> times;  // by index
    uint64_t arrived = 0, distinct = 0, duplicates = 0, different = 0;
    uint64_t largest_request = 0;
  };
  // A request's spans of one resource.
  void TakeGroup(const ResourceSpans& resource_spans, const ScopeSpans& scope_spans, std::map<Run*, uint64_t>* counts);
  Run* RunOf(uint32_t seed);
  std::string Difference(const Run& run, uint32_t index, const ResourceSpans& resource_spans,
                         const ScopeSpans& scope_spans, MadeSpans::ProtoSpan span);
  void Count(Run* run, uint32_t index, const std::string& difference);

  absl::Mutex mutex_;
  std::map<uint32_t, std::unique_ptr<Run>> runs_ ABSL_GUARDED_BY(mutex_);
  uint64_t foreign_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t requests_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t bad_requests_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> examples_ ABSL_GUARDED_BY(mutex_);
};

Account::Run* Account::RunOf(uint32_t seed) {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<Run>& run = runs_[seed];
  if (run == nullptr) run = std::make_unique<Run>(seed);
  return run.get();
}

// Empty if the span is the one it should be.
std::string Account::Difference(const Run& run, uint32_t index, const ResourceSpans& resource_spans,
                                const ScopeSpans& scope_spans, MadeSpans::ProtoSpan span) {
  // A collector between us and the sender writes an empty status where there was none; both mean "unset".
  if (span.has_status() && span.status().ByteSizeLong() == 0) span.clear_status();
  MadeSpans::ProtoSpan expected;
  run.spans.Proto(index, &expected);
  if (span.SerializeAsString() != expected.SerializeAsString()) {
    return absl::StrCat("span ", index, " is\n", span.DebugString(), "and should be\n", expected.DebugString());
  }
  if (resource_spans.resource().SerializeAsString() != run.spans.ResourceOf(index).SerializeAsString()) {
    return absl::StrCat("resource of span ", index, " is\n", resource_spans.resource().DebugString(), "and should be\n",
                        run.spans.ResourceOf(index).DebugString());
  }
  if (resource_spans.schema_url() != run.spans.SchemaUrlOf(index) ||
      scope_spans.schema_url() != run.spans.SchemaUrlOf(index)) {
    return absl::StrCat("schema URLs of span ", index, " are ", resource_spans.schema_url(), " and ",
                        scope_spans.schema_url());
  }
  if (scope_spans.scope().name() != "spantap" || scope_spans.scope().version() != SPANTAP_VERSION) {
    return absl::StrCat("scope of span ", index, " is\n", scope_spans.scope().DebugString());
  }
  return "";
}

void Account::Count(Run* run, uint32_t index, const std::string& difference) {
  absl::MutexLock lock(&mutex_);
  ++run->arrived;
  if (run->times.size() <= index) run->times.resize(index + index / 2 + 1);
  uint8_t& times = run->times[index];
  ++(times == 0 ? run->distinct : run->duplicates);
  times = static_cast<uint8_t>(std::min(times + 1, 255));
  if (difference.empty()) return;
  ++run->different;
  if (examples_.size() < kMaxExamples) examples_.push_back(difference.substr(0, 6000));
}

void Account::TakeGroup(const ResourceSpans& resource_spans, const ScopeSpans& scope_spans,
                        std::map<Run*, uint64_t>* counts) {
  for (const auto& span : scope_spans.spans()) {
    const auto key = MadeSpans::KeyOf(span.span_id());
    if (!key || key->seed == 0 || key->seed > kMaxSeed || key->index > kMaxIndex) {
      absl::MutexLock lock(&mutex_);
      ++foreign_;
      continue;
    }
    Run* run = RunOf(key->seed);
    Count(run, key->index, Difference(*run, key->index, resource_spans, scope_spans, span));
    ++(*counts)[run];
  }
}

void Account::Take(const ExportTraceServiceRequest& request) {
  std::map<Run*, uint64_t> counts;
  for (const auto& resource_spans : request.resource_spans()) {
    for (const auto& scope_spans : resource_spans.scope_spans()) TakeGroup(resource_spans, scope_spans, &counts);
  }
  absl::MutexLock lock(&mutex_);
  ++requests_;
  for (const auto& [run, count] : counts) run->largest_request = std::max(run->largest_request, count);
}

nlohmann::json Account::Report() {
  absl::MutexLock lock(&mutex_);
  nlohmann::json runs = nlohmann::json::object();
  for (const auto& [seed, run] : runs_) {
    runs[std::to_string(seed)] = {{"arrived", run->arrived},
                                  {"distinct", run->distinct},
                                  {"duplicates", run->duplicates},
                                  {"different", run->different},
                                  {"largest_request", run->largest_request}};
  }
  return {{"requests", requests_},
          {"bad_requests", bad_requests_},
          {"foreign", foreign_},
          {"examples", examples_},
          {"runs", runs}};
}

nlohmann::json Account::Seen(uint32_t seed) {
  absl::MutexLock lock(&mutex_);
  nlohmann::json ranges = nlohmann::json::array();
  const auto it = runs_.find(seed);
  if (it == runs_.end()) return ranges;
  const std::vector<uint8_t>& times = it->second->times;
  for (size_t i = 0; i < times.size(); ++i) {
    if (times[i] == 0) continue;
    const size_t first = i;
    while (i < times.size() && times[i] > 0) ++i;
    ranges.push_back({first, i});  // the end excluded
  }
  return ranges;
}

HttpServer::Answer TakeRequest(Account& account, const std::string& body) {
  google::protobuf::Arena arena;
  auto* request = google::protobuf::Arena::CreateMessage<ExportTraceServiceRequest>(&arena);
  if (!request->ParseFromString(body)) {
    account.BadRequest();
    return {400, ""};
  }
  account.Take(*request);
  return {200, ""};
}

HttpServer::Answer Control(Account& account, HttpServer& data, std::atomic<bool>& busy, const std::string& target) {
  nlohmann::json reply = "ok";
  if (target == "/report") {
    reply = account.Report();
  } else if (uint32_t seed; absl::StartsWith(target, "/seen?") && absl::SimpleAtoi(target.substr(6), &seed)) {
    reply = account.Seen(seed);
  } else if (target == "/up") {
    busy = false;
    data.Open();
  } else if (target == "/busy") {
    data.Open();
    busy = true;
  } else if (target == "/down") {
    data.Close();
  } else {
    return {404, "", "text/plain"};
  }
  return {200, reply.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), "application/json"};
}

int Run(int port) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread
  Account account;
  std::atomic<bool> busy{false};
  HttpServer data(port, [&](const std::string&, const std::string& body) {
    return busy ? HttpServer::Answer{503, ""} : TakeRequest(account, body);
  });
  HttpServer control(
      0, [&](const std::string& target, const std::string&) { return Control(account, data, busy, target); });
  if (!data.listening() || !control.listening()) return 1;
  std::printf("{\"port\":%d,\"control\":%d}\n", data.port(), control.port());
  std::fflush(stdout);
  int number;
  sigwait(&signals, &number);
  return 0;
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) {
  CLI::App app("OTLP/HTTP receiver that checks made spans");
  int port = 0;
  app.add_option("--port", port, "to listen on (loopback); 0: any free one");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return spantap::Run(port);
}
