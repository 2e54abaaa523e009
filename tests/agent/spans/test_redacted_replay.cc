// SPDX-License-Identifier: Apache-2.0
//
// A record file without secrets replays to the same spans as one with them: whatever the redactor
// overwrites, framing, pairing and span content do not depend on it. Random conversations, random calls,
// bodies of which only the ends were captured, lost events, connections joined late.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "agent/capture/record_file.h"
#include "agent/connections/conn_table.h"
#include "agent/spans/span_builder.h"
#include "tests/agent/protocols/fastcgi_wire.h"
#include "tests/agent/spans/exchange_maker.h"
#include "tests/fakes/event_builder.h"

namespace spantap {
namespace {

class TempFile {
 public:
  TempFile() {
    const char* base = getenv("TMPDIR");
    name = std::string(base != nullptr ? base : "/tmp") + "/spantap-replay-XXXXXX";
    close(mkstemp(name.data()));
  }
  ~TempFile() { unlink(name.c_str()); }
  std::string name;
};

// Spans of all exchanges, as text, in the order in which they finish.
class SpanPrinter final : public EventSink, private ExchangeSink {
 public:
  SpanPrinter() : table_(ConnSettings(), *this, [](uint64_t, const spantap_order&) {}) {}
  void OnEvent(const EventView& event) override { table_.OnEvent(event); }
  void OnTime(uint64_t mono_ns) override { table_.OnTime(mono_ns); }
  std::string Finish() {
    table_.FinishAll(uint64_t{1} << 60);
    return text;
  }
  std::string text;
  size_t spans = 0;

 private:
  static std::string Fingerprint(const Span& span) {
    const AttributeReader got(span.attributes);
    return absl::StrCat(got["http.response.status_code"], " ", got["error.type"], " ", got["url.path"], " ",
                        got["http.request.header.x-request-id"], " attributes ",
                        std::hash<std::string>()(std::string(span.attributes.bytes())));
  }
  void OnRequest(Exchange&) override {}
  void OnResponse(Exchange&) override {}
  void OnFinished(std::unique_ptr<Exchange> exchange) override {
    LinkedExchange linked;
    linked.exchange = std::move(exchange);
    const Span span = BuildSpan(linked, {}, 0, nullptr);
    const Exchange& e = *linked.exchange;
    absl::StrAppend(&text, e.endpoint.conn_id, " ", span.name, " ", span.start_unix_ns, "-", span.end_unix_ns, " ",
                    Fingerprint(span), " req ", e.request_body_bytes, " headers ", e.request.headers.size());
    absl::StrAppend(&text, " resp ", e.response_body_bytes, " ", static_cast<int>(e.body_end), "\n");
    ++spans;
  }
  ConnTable table_;
};

std::string Replay(const std::vector<BuiltEvent>& events, bool with_secrets, size_t* spans) {
  TempFile file;
  auto writer = RecordWriter::Create(file.name, with_secrets);
  REQUIRE(writer.ok());
  for (const BuiltEvent& event : events) (*writer)->OnEvent(event.View());
  REQUIRE((*writer)->Close().ok());
  auto source = ReplaySource::Open(file.name);
  REQUIRE(source.ok());
  SpanPrinter printer;
  while (!(*source)->Finished()) REQUIRE((*source)->Poll(printer, 0).ok());
  CHECK((*source)->Counters().delivered == events.size());
  std::string text = printer.Finish();
  *spans += printer.spans;
  return text;
}

class Traffic {
 public:
  explicit Traffic(uint32_t seed) : random_(seed), lossy_(Roll(2) == 0), step_(1 + Roll(300)) {}

  std::vector<BuiltEvent> Make() {
    for (uint64_t conn = 1; conn <= 3; ++conn) {
      OpenOptions options;
      options.from_start = Roll(3) > 0;
      client_ = Roll(3) == 0;
      options.role = client_ ? SPANTAP_ROLE_CONNECTED : SPANTAP_ROLE_ACCEPTED;
      if (Roll(4) == 0) options.role = SPANTAP_ROLE_UNKNOWN;
      events_.Open(conn, options);
      const bool fastcgi = Roll(4) == 0;
      for (int i = Roll(6); i >= 0; --i) fastcgi ? FastCgiExchange(conn) : Exchange(conn);
      if (Roll(2) == 0) events_.Closed(conn);
    }
    std::vector<BuiltEvent> kept;
    for (BuiltEvent& event : events_.records()) {
      const bool data = event.header().type == SPANTAP_EVENT_DATA;
      if (!(data && lossy_ && Roll(25) == 0)) kept.push_back(std::move(event));
    }
    return kept;
  }

 private:
  int Roll(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::string Pick(std::initializer_list<const char*> choices) {
    return choices.begin()[Roll(static_cast<int>(choices.size()))];
  }
  void Exchange(uint64_t conn) {
    const std::string method = Pick({"GET", "POST", "HEAD", "PUT", "OPTIONS"});
    std::string requests =
        Message(method + " /p" + std::to_string(Roll(9)) + "?sig=abc HTTP/1.1", method != "GET" && Roll(2) == 0);
    const bool pipelined = Roll(8) == 0;
    if (pipelined) requests += Message("GET /pipelined HTTP/1.1", false);
    Send(conn, false, requests);
    if (Roll(10) == 0) Send(conn, true, "HTTP/1.1 100 Continue\r\n\r\n");
    const std::string status = Pick({"200", "404", "503", "204", "304"});
    const bool bare = method == "HEAD" || status == "204" || status == "304";
    Send(conn, true, Message("HTTP/1.1 " + status + " Reason", !bare));
    if (pipelined) Send(conn, true, Message("HTTP/1.1 200 OK", true));
  }
  void FastCgiExchange(uint64_t conn) {
    const std::string body = Roll(3) == 0 ? Content() : "", length = body.empty() ? "" : absl::StrCat(body.size());
    const std::string target = absl::StrCat("/p", Roll(9), "?sig=abc"), id = absl::StrCat("r", Roll(1000));
    const std::string cookie(static_cast<size_t>(Roll(9) == 0 ? 6000 : 20), 'c');
    Send(conn, false,
         FcgiRequest({{"SCRIPT_FILENAME", "/srv/x.php"},
                      {"REQUEST_METHOD", Pick({"GET", "POST", "HEAD"})},
                      {"REQUEST_URI", target},
                      {"CONTENT_LENGTH", length},
                      {"HTTP_COOKIE", cookie},
                      {"HTTP_X_REQUEST_ID", id},
                      {"HTTP_X_API_KEY", "k"}},
                     body),
         FastCgiRecordHeader());
    std::string answer = Roll(4) == 0 ? FcgiRecord(7, 1, "PHP message", 5) : "";
    const std::string text = Pick({"", "Status: 404 Not Found\r\n", "Location: /x\r\n"}) +
                             Pick({"A: b\r\n\r\n", "Set-Cookie: x \r\n\r\n", "Content-type: a\n\n"}) + Content();
    for (size_t at = 0; at < text.size();) {
      const std::string part = text.substr(at, static_cast<size_t>(30 + Roll(900)));
      answer += FcgiRecord(6, 1, part, static_cast<size_t>(Roll(8)));
      at += part.size();
    }
    Send(conn, true, answer + FcgiEnd(), FastCgiRecordHeader());
  }
  // Nobody writes or reads less than a header at the beginning of a message.
  static size_t FastCgiRecordHeader() { return 8; }
  std::string Message(const std::string& start, bool body) {
    std::string text = start + "\r\nHost: h\r\nX-Request-Id: r" + std::to_string(Roll(1000)) + "\r\n";
    text += Pick({"", "Authorization: Bearer abcdef\r\n", "Cookie: a=b;\r\n  c=d\r\n", "set-cookie: x \r\n"});
    text += Pick({"", "Via: 1.1 a,\r\n\tb\r\n", "X-Api-Key:k\r\n"});
    if (!body)
      return text + (start[1] == 'T' && Roll(2) == 0 ? "Content-Length: 70\r\n\r\n" : "Content-Length: 0\r\n\r\n");
    const std::string content = Content();
    if (Roll(2) == 0) return text + "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n" + content;
    text += "Transfer-Encoding: chunked\r\n\r\n";
    for (size_t at = 0; at < content.size();) {
      const std::string chunk = content.substr(at, 1 + static_cast<size_t>(Roll(500)));
      text += absl::StrCat(absl::Hex(chunk.size()), Pick({"", ";ext=1"}), "\r\n", chunk, "\r\n");
      at += chunk.size();
    }
    return text + "0\r\n" + Pick({"", "Set-Cookie: t=1\r\n", "Etag: 1\r\n"}) + "\r\n";
  }
  std::string Content() {
    std::string content;
    for (int i = Roll(4); i >= 0; --i) {
      content += Pick({"plain text ", "line\r\nCookie: c\r\n\r\n", "0\r\n\r\n", "0000", "{\"a\":1}\n"});
      content += std::string(static_cast<size_t>(Roll(400)), 'z');
    }
    return content;
  }
  // Calls of random size; of some only the ends are captured, like those of bodies.
  void Send(uint64_t conn, bool response, const std::string& bytes, size_t at_least = 1) {
    const bool write = response != client_;
    for (size_t at = 0; at < bytes.size();) {
      const auto size = static_cast<size_t>(Roll(4) == 0 ? 1 + Roll(step_) : 4096);
      const std::string part = bytes.substr(at, at == 0 ? std::max(size, at_least) : size);
      at += part.size();
      if (at > part.size() && Roll(3) == 0) {
        events_.BodyCall(conn, write, part);
      } else {
        events_.Call(conn, write, part);
      }
    }
  }
  std::mt19937 random_;
  const bool lossy_;
  const int step_;
  bool client_ = false;
  EventBuilder events_;
};

// SPANTAP_SEEDS=N looks further.
uint32_t Seeds() {
  const char* seeds = getenv("SPANTAP_SEEDS");
  return seeds != nullptr ? static_cast<uint32_t>(atoi(seeds)) : 600;
}

TEST_CASE("replay: a redacted file gives the same spans", "[spans][redactor]") {
  size_t spans = 0;
  for (uint32_t seed = 0; seed < Seeds(); ++seed) {
    const std::vector<BuiltEvent> events = Traffic(seed).Make();
    INFO("seed " << seed);
    const std::string secret = Replay(events, true, &spans);
    const std::string redacted = Replay(events, false, &spans);
    CHECK(redacted == secret);
  }
  CHECK(spans > 5000);
}

}  // namespace
}  // namespace spantap
