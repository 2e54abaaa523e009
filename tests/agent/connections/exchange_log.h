// SPDX-License-Identifier: Apache-2.0
//
// An ExchangeSink that checks the contract of the calls and writes every exchange down as one line:
//
//   server GET /a -> 200 req=0 resp=5 exact
//
// Used by the tests of connections. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/connections/conn_table.h"
#include "tests/fakes/event_builder.h"

namespace spantap {

class ExchangeLog final : public ExchangeSink {
 public:
  void OnRequest(Exchange& exchange) override {
    if (exchange.id <= last_id_) Fail("ids not ascending");
    last_id_ = exchange.id;
    if (!exchange.request.is_request || exchange.response.has_value()) Fail("bad request");
    if (!open_.emplace(&exchange, false).second) Fail("reported twice");
  }
  void OnResponse(Exchange& exchange) override {
    const auto found = open_.find(&exchange);
    if (found == open_.end() || found->second || !exchange.response.has_value()) return Fail("bad response");
    found->second = true;
  }
  void OnFinished(std::unique_ptr<Exchange> exchange) override {
    const auto found = open_.find(exchange.get());
    if (found == open_.end() || found->second != exchange->response.has_value()) return Fail("bad finish");
    if (!exchange->finished()) Fail("no end");
    open_.erase(found);
    finished.push_back(std::move(exchange));
  }

  static std::string Line(const Exchange& x) {
    static const char* const kEnds[] = {"exact", "at-close", "guessed", "aborted"};
    std::string line =
        absl::StrCat(x.role == Role::kServer ? "server " : "client ", x.request.method, " ", x.request.target, " -> ",
                     x.response ? x.response->status : 0, " req=", x.request_body_bytes,
                     " resp=", x.response_body_bytes, " ", kEnds[static_cast<int>(x.body_end)]);
    if (x.error != ExchangeError::kNone) absl::StrAppend(&line, " ", ErrorType(x.error));
    return line;
  }
  std::string Text() const {
    std::string text;
    for (const auto& exchange : finished) absl::StrAppend(&text, Line(*exchange), "\n");
    for (const auto& [exchange, responded] : open_) absl::StrAppend(&text, "open ", exchange->request.target, "\n");
    for (const std::string& failure : failures) absl::StrAppend(&text, "FAILURE ", failure, "\n");
    return text;
  }

  std::vector<std::unique_ptr<Exchange>> finished;
  std::vector<std::string> failures;

 private:
  void Fail(const char* what) { failures.push_back(what); }
  std::map<const Exchange*, bool> open_;  // true once it has its response
  uint64_t last_id_ = 0;
};

// A table with its log; orders are kept.
struct TestTable {
  explicit TestTable(const ConnSettings& settings = {})
      : table(settings, log, [this](uint64_t conn_id, const spantap_order& order) { orders[conn_id] = order; }) {}
  void Send(EventBuilder& events) {
    for (const BuiltEvent& record : events.records()) table.OnEvent(record.View());
    events.records().clear();
  }
  const ConnCounters& counters() const { return table.counters(); }

  ExchangeLog log;
  std::map<uint64_t, spantap_order> orders;
  ConnTable table;
};

}  // namespace spantap
