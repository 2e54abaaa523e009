// SPDX-License-Identifier: Apache-2.0
//
// FastCGI through the whole table, tried on random traffic as nginx and PHP-FPM make it, with bodies that imitate
// records: without loss every exchange is reported; with any loss no pair is wrong. And a few by hand.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "absl/strings/numbers.h"
#include "tests/agent/connections/exchange_log.h"
#include "tests/agent/connections/traffic.h"
#include "tests/agent/protocols/fastcgi_wire.h"
#include "tests/fakes/rounds.h"

namespace spantap {
namespace {

std::string Asked(int id, absl::string_view body = "", int stream = 1) {
  const std::string target = absl::StrCat("/", id), length = body.empty() ? "" : absl::StrCat(body.size());
  const char* const method = body.empty() ? "GET" : "POST";
  return FcgiRequest({{"REQUEST_METHOD", method}, {"CONTENT_LENGTH", length}, {"REQUEST_URI", target}}, body, stream);
}
std::string Answered(int id, absl::string_view body = "", int stream = 1) {
  return FcgiAnswer(absl::StrCat("Status: ", StatusOf(id), " Text\r\nx-id: ", id, "\r\n\r\n", body), stream);
}

// One connection, requests in turn. As the capture sees it: heads up to its window, of other calls the ends.
class FcgiTraffic {
 public:
  FcgiTraffic(uint32_t seed, bool client, bool deceptive, bool from_start, int requests = 30)
      : random_(seed), client_(client), deceptive_(deceptive), sent(requests) {
    events.Step(20'000'000);
    events.Open(1, {.from_start = from_start});
    for (int id = 1; id <= sent; ++id) {
      const std::string request = Asked(id, Pick(3) == 0 ? Body(1 + static_cast<size_t>(Pick(5000))) : "");
      client_ ? Whole(true, request) : AsFpmReads(request);
      Whole(false, (Pick(5) == 0 ? FcgiRecord(7, 1, "PHP message", 5) : "") + Records(id));
    }
    events.Closed(1);
  }
  EventBuilder events;

 private:
  int Pick(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  std::string Body(size_t size) {
    std::string body;
    while (body.size() < size) {
      switch (deceptive_ ? Pick(6) : 5) {
        case 0:
          body += Asked(666);
          break;
        case 1:
          body += Answered(667, "evil");
          break;
        case 2:
          body += FcgiEnd() + FcgiRecord(5, 1, "");
          break;
        default:
          body += std::string(static_cast<size_t>(1 + Pick(60)), static_cast<char>('a' + Pick(26)));
      }
    }
    return body.substr(0, size);
  }
  // An answer in one or several records.
  std::string Records(int id) {
    const std::string body = Pick(2) == 0 ? Body(static_cast<size_t>(Pick(9000))) : "";
    const std::string text = absl::StrCat("Status: ", StatusOf(id), " Text\r\nx-id: ", id, "\r\n\r\n", body);
    std::string wire;
    for (size_t at = 0; at < text.size();) {
      const std::string part = text.substr(at, static_cast<size_t>(40 + Pick(4000)));
      wire += FcgiRecord(6, 1, part, static_cast<size_t>(Pick(8)));
      at += part.size();
    }
    return wire + FcgiEnd();
  }
  // Calls of any size, the first with the head.
  void Whole(bool request, const std::string& wire) {
    const bool write = request == client_;
    size_t window = SPANTAP_HEAD_BYTES;
    for (size_t at = 0; at < wire.size();) {
      const std::string call = wire.substr(at, static_cast<size_t>(at == 0 ? 4096 : 1 + Pick(4000)));
      events.BodyCall(1, write, call, std::max<size_t>(window, SPANTAP_BODY_FIRST));
      window -= std::min(window, call.size());
      at += call.size();
    }
  }
  // Headers and contents by themselves; the empty STDIN of a request without a body with the next request.
  void AsFpmReads(const std::string& wire) {
    size_t window = SPANTAP_HEAD_BYTES;
    if (stdin_unread_) events.Read(1, FcgiRecord(5, 1, ""));
    stdin_unread_ = false;
    for (size_t at = 0; at < wire.size();) {
      const FastCgiRecordSize record(wire, at);
      if (record.is_empty_stdin && at + 8 == wire.size()) {
        stdin_unread_ = true;
        return;
      }
      events.BodyCall(1, false, wire.substr(at, 8), std::max<size_t>(window, SPANTAP_BODY_FIRST));
      if (record.bytes > 0) {
        events.BodyCall(1, false, wire.substr(at + 8, record.bytes), std::max<size_t>(window, SPANTAP_BODY_FIRST));
      }
      window -= std::min(window, 8 + record.bytes);
      at += 8 + record.bytes;
    }
  }
  struct FastCgiRecordSize {
    FastCgiRecordSize(const std::string& wire, size_t at) {
      const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(wire[at + i])); };
      bytes = byte(4) * 256 + byte(5) + byte(6);
      is_empty_stdin = byte(1) == 5 && bytes == 0;
    }
    size_t bytes;
    bool is_empty_stdin;
  };

  std::mt19937 random_;
  const bool client_;
  const bool deceptive_;
  bool stdin_unread_ = false;

 public:
  const int sent;
};

std::string Wrong(const Exchange& x, int sent) {
  int id = 0;
  if (!absl::SimpleAtoi(x.request.target.substr(1), &id) || id < 1 || id > sent) {
    return absl::StrCat("request ", x.request.target);
  }
  if (!x.response || (x.response->truncated && x.response->status == 0)) return "";
  if (x.response->status != StatusOf(id)) return absl::StrCat("status ", x.response->status, " for ", id);
  const absl::string_view said = x.response->Find("x-id");
  return said.data() == nullptr || said == absl::StrCat(id) ? "" : absl::StrCat("answer ", said, " for ", id);
}

struct Outcome {
  int pairs = 0;
  int exact = 0;
  std::string wrong;
};

Outcome RunTraffic(FcgiTraffic& traffic, TestTable& t) {
  t.Send(traffic.events);
  t.table.FinishAll(traffic.events.now_ns());
  Outcome outcome;
  for (const auto& x : t.log.finished) {
    if (outcome.wrong.empty()) outcome.wrong = Wrong(*x, traffic.sent);
    outcome.pairs += x->response.has_value() && x->error == ExchangeError::kNone;
    outcome.exact += x->body_end == BodyEnd::kExact;
  }
  if (!t.log.failures.empty()) outcome.wrong = t.log.failures[0];
  return outcome;
}

}  // namespace

TEST_CASE("fastcgi: without loss every exchange is reported", "[pairing]") {
  int exact = 0, sent = 0;
  for (uint32_t seed = 0; seed < 150; ++seed) {
    FcgiTraffic traffic(seed, seed % 2 == 1, false, seed % 3 != 0);
    TestTable t;
    const Outcome outcome = RunTraffic(traffic, t);
    CAPTURE(seed, t.log.Text());
    REQUIRE(outcome.wrong == "");
    REQUIRE(outcome.pairs == traffic.sent);
    REQUIRE(t.counters().exchanges_lost == 0);
    REQUIRE(t.counters().invalid == 0);
    exact += outcome.exact;
    sent += traffic.sent;
  }
  CAPTURE(exact, sent);
  CHECK(exact > sent / 2);
}

TEST_CASE("fastcgi: with loss no pair is ever wrong", "[pairing]") {
  int pairs = 0, sent = 0;
  const auto seeds = static_cast<uint32_t>(Rounds(500));
  for (uint32_t seed = 0; seed < seeds; ++seed) {
    FcgiTraffic traffic(seed, seed % 2 == 1, seed % 4 < 2, seed % 3 != 0);
    std::mt19937 random(seed);
    const uint32_t per_mille = 5u << (seed % 7);  // 0.5 % to 32 %
    std::vector<BuiltEvent>& records = traffic.events.records();
    const auto drop = [&](const BuiltEvent&) { return random() % 1000 < per_mille; };
    records.erase(std::remove_if(records.begin(), records.end(), drop), records.end());
    TestTable t;
    const Outcome outcome = RunTraffic(traffic, t);
    CAPTURE(seed, per_mille, t.log.Text());
    REQUIRE(outcome.wrong == "");
    pairs += outcome.pairs;
    sent += traffic.sent;
  }
  CAPTURE(pairs, sent);
  CHECK(pairs > sent / 4);
}

TEST_CASE("fastcgi: as PHP-FPM reads and writes", "[connections]") {
  TestTable t;
  EventBuilder events;
  events.Open(1, {.family = SPANTAP_FAMILY_UNIX, .from_start = false});
  for (const std::string& wire : {Asked(1), Asked(2, "body")}) {
    for (size_t at = 0; at < wire.size();) {
      const size_t content = static_cast<uint8_t>(wire[at + 5]) + static_cast<size_t>(wire[at + 6]);
      events.Read(1, wire.substr(at, 8));
      if (content > 0) events.Read(1, wire.substr(at + 8, content));
      at += 8 + content;
    }
    events.Write(1, Answered(1, "hello"));
  }
  t.Send(events);
  CHECK(t.log.Text() ==
        "server GET /1 -> 207 req=0 resp=5 exact\n"
        "server POST /2 -> 207 req=4 resp=5 exact\n");
}

TEST_CASE("fastcgi: answers to other requests than the first are not paired", "[connections]") {
  TestTable t;
  EventBuilder events;
  events.Open(1, {.role = SPANTAP_ROLE_ACCEPTED});
  events.Read(1, Asked(1, "", 1));
  events.Read(1, Asked(2, "", 2));
  events.Write(1, Answered(2, "", 2));
  events.Write(1, Answered(1, "", 1));
  t.Send(events);
  t.table.FinishAll(events.now_ns());
  CHECK(t.log.Text() ==
        "server GET /1 -> 0 req=0 resp=0 exact unfinished\n"
        "server GET /2 -> 0 req=0 resp=0 exact unfinished\n");
  CHECK(t.counters().exchanges_lost == 2);
}

TEST_CASE("fastcgi: ends and errors", "[connections]") {
  TestTable t;
  EventBuilder events;
  events.Open(1, {.role = SPANTAP_ROLE_CONNECTED});
  events.Write(1, Asked(1));
  events.Read(1, FcgiEnd(1, 2));  // overloaded: no answer
  events.Write(1, Asked(2));
  events.Eof(1);
  events.Open(2, {.role = SPANTAP_ROLE_CONNECTED});
  events.Write(2, Asked(3));
  events.Read(2, FcgiRecord(6, 1, "A: b\r\n\r\nbegun"));
  events.Closed(2);
  t.Send(events);
  CHECK(t.log.Text() ==
        "client GET /1 -> 0 req=0 resp=0 aborted response_aborted\n"
        "client GET /2 -> 0 req=0 resp=0 exact connection_reset\n"
        "client GET /3 -> 200 req=0 resp=5 aborted response_aborted\n");
}

}  // namespace spantap
