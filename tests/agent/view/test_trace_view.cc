// SPDX-License-Identifier: Apache-2.0
//
// Golden texts of the three forms, and hostile bytes. A deliberate change of a form changes the texts here.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/view/text.h"
#include "agent/view/trace_view.h"
#include "tests/agent/spans/exchange_maker.h"

namespace spantap {
namespace {

constexpr uint64_t kOffset = 1'700'000'000'000'000'000;

std::string Service(uint32_t tgid) { return tgid == 100 ? "gateway" : tgid == 200 ? "shop:8080" : "payments"; }

struct Place {
  uint32_t tgid;
  int id;
  int parent;
  uint64_t start_us;
  uint64_t end_us;
  LinkRule rule;
  double confidence;
};

void Add(std::vector<LinkedExchange>* tree, LinkedExchange linked, const Place& place) {
  linked.exchange->tgid = place.tgid;
  linked.exchange->request_stamp.mono_ns = 1'000'000'000 + place.start_us * 1000;
  linked.exchange->end_ns = 1'000'000'000 + place.end_us * 1000;
  linked.trace_id.bytes = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                           0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};
  linked.span_id = {};
  linked.span_id.bytes[7] = static_cast<uint8_t>(place.id);
  linked.parent_span_id = {};
  linked.parent_span_id.bytes[7] = static_cast<uint8_t>(place.parent);
  linked.rule = place.rule;
  linked.confidence = place.confidence;
  tree->push_back(std::move(linked));
}

std::vector<LinkedExchange> Checkout() {
  std::vector<LinkedExchange> tree;
  Add(&tree, MakeLinked(Role::kServer, "GET", "/checkout?sig=secret", 503, {{"host", "shop"}, {"x-request-id", "r-1"}}),
      {100, 1, 0, 0, 12400, LinkRule::kNone, 1});
  Add(&tree, MakeLinked(Role::kClient, "GET", "/checkout?sig=secret", 503),
      {100, 2, 1, 300, 12300, LinkRule::kProxy, 0.99});
  Add(&tree, MakeLinked(Role::kServer, "GET", "/checkout?sig=secret", 503),
      {200, 3, 2, 600, 12000, LinkRule::kConnection, 1});
  Add(&tree, MakeLinked(Role::kClient, "GET", "/price/7", 200), {200, 5, 3, 700, 1500, LinkRule::kThread, 0.99});
  Add(&tree, MakeLinked(Role::kClient, "POST", "/pay", 0), {200, 4, 3, 6000, 11000, LinkRule::kThread, 0.99});
  tree.back().exchange->error = ExchangeError::kConnectionReset;
  tree.back().wire_trace_id.bytes[0] = 0xaa;
  tree.back().wire_trace_id.bytes[15] = 0xbb;
  return tree;
}

std::string Print(const std::vector<LinkedExchange>& tree, ViewSettings settings) {
  std::ostringstream out;
  TraceView(settings, out, Service).Print(tree, kOffset);
  return out.str();
}

std::string StripColours(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = text.find('m', i);
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Columns of a line that consists of ASCII and of the view's own glyphs.
size_t Columns(const std::string& line) {
  size_t columns = 0;
  for (unsigned char c : line) columns += (c & 0xc0) != 0x80;
  return columns;
}

TEST_CASE("view: plain lines in a pipe", "[view]") {
  CHECK(Print(Checkout(), {}) ==
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  5 spans  12.4 ms  503\n"
        "  gateway         SERVER GET /checkout?sig=REDACTED 503              12.4 ms\n"
        "    gateway       CLIENT GET /checkout?sig=REDACTED 503              12.0 ms  proxy 0.99\n"
        "      shop:8080   SERVER GET /checkout?sig=REDACTED 503              11.4 ms  connection 1.00\n"
        "        shop:8080 CLIENT GET /price/7               200              0.80 ms  thread 0.99\n"
        "        shop:8080 CLIENT POST /pay                  connection_reset 5.00 ms  thread 0.99  "
        "was aa0000000000000000000000000000bb\n");
}

TEST_CASE("view: a terminal gets the tree, bars and colours, clipped", "[view]") {
  ViewSettings settings;
  settings.terminal = true;
  settings.columns = 100;
  const std::string text = Print(Checkout(), settings);
  CHECK(StripColours(text) ==
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  5 spans  12.4 ms  503\n"
        "└ gateway         SERVER GET /checkout?sig=RED… 503              12.4 ms ██████████\n"
        "  └ gateway       CLIENT GET /checkout?sig=RED… 503              12.0 ms ██████████  proxy 0.99\n"
        "    └ shop:8080   SERVER GET /checkout?sig=RED… 503              11.4 ms ██████████  connection 1.00\n"
        "      └ shop:8080 CLIENT GET /price/7           200              0.80 ms █           thread 0.99\n"
        "      └ shop:8080 CLIENT POST /pay              connection_reset 5.00 ms ····█████   thread 0.99\n"
        "        was aa0000000000000000000000000000bb\n");
  CHECK(text.find("\x1b[31m503") != std::string::npos);
}

TEST_CASE("view: no line is wider than the terminal", "[view]") {
  for (int columns = 40; columns <= 200; ++columns) {
    ViewSettings settings;
    settings.terminal = true;
    settings.columns = columns;
    std::vector<LinkedExchange> tree = Checkout();
    Add(&tree, MakeLinked(Role::kServer, "GET", "/" + std::string(300, 'p'), 200),
        {300, 6, 5, 0, 12400, LinkRule::kWire, 1});
    std::istringstream lines(StripColours(Print(tree, settings)));
    size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      INFO(columns << ": " << line);
      CHECK(Columns(line) <= static_cast<size_t>(columns));
    }
    CHECK(count >= 7);
  }
}

TEST_CASE("view: one JSON object per span and line", "[view]") {
  ViewSettings settings;
  settings.json = true;
  std::istringstream lines(Print(Checkout(), settings));
  std::vector<nlohmann::json> spans;
  for (std::string line; std::getline(lines, line);) spans.push_back(nlohmann::json::parse(line));
  REQUIRE(spans.size() == 5);
  const nlohmann::json expected_root = {
      {"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"},
      {"span_id", "0000000000000001"},
      {"parent_span_id", nullptr},
      {"name", "GET"},
      {"kind", "server"},
      {"service", "gateway"},
      {"pid", 100},
      {"method", "GET"},
      {"path", "/checkout?sig=REDACTED"},
      {"host", "shop"},
      {"request_id", "r-1"},
      {"status", 503},
      {"error", nullptr},
      {"failed", true},
      {"request_body_bytes", 0},
      {"response_body_bytes", 0},
      {"start_unix_ns", kOffset + 1'000'000'000},
      {"duration_ns", 12'400'000},
      {"rule", nullptr},
      {"confidence", 1},
      {"min_confidence", nullptr},
      {"remote_parent", false},
      {"wire_trace_id", nullptr},
      {"wire_parent_span_id", nullptr},
      {"local_address", "10.0.0.1"},
      {"local_port", 8080},
      {"peer_address", "10.0.0.2"},
      {"peer_port", 41000},
      {"gap", false},
      {"head_truncated", false},
  };
  CHECK(spans[0] == expected_root);
  CHECK(spans[4]["error"] == "connection_reset");
  CHECK(spans[4]["status"].is_null());
  CHECK(spans[4]["rule"] == "thread");
  CHECK(spans[4]["confidence"] == 0.99);
  CHECK(spans[4]["parent_span_id"] == "0000000000000003");
  CHECK(spans[4]["wire_trace_id"] == "aa0000000000000000000000000000bb");
}

TEST_CASE("view: a lower bound is not shown as a confidence", "[view]") {
  std::vector<LinkedExchange> tree = Checkout();
  tree[3].confidence = {0.89, true};
  CHECK(Print(tree, {}).find("thread >=0.89\n") != std::string::npos);
  ViewSettings settings;
  settings.json = true;
  std::istringstream lines(Print(tree, settings));
  std::string line;
  for (int n = 0; n < 4; ++n) std::getline(lines, line);
  const nlohmann::json span = nlohmann::json::parse(line);
  CHECK(span["path"] == "/price/7");
  CHECK(span["confidence"].is_null());
  CHECK(span["min_confidence"] == 0.89);
}

TEST_CASE("view: wire bytes cannot reach the terminal raw", "[view]") {
  std::string hostile = "/";
  for (int c = 1; c < 256; ++c) hostile += static_cast<char>(c);
  hostile += "\xe2\x80\xae\x1b]0;owned\x07";
  for (int form = 0; form < 3; ++form) {
    ViewSettings settings;
    settings.json = form == 1;
    settings.terminal = form == 2;
    settings.columns = 2000;
    std::vector<LinkedExchange> tree;
    Add(&tree, MakeLinked(Role::kServer, "G\x1b[2J", hostile, 200, {{"host", hostile}, {"x-request-id", hostile}}),
        {100, 1, 0, 0, 1000, LinkRule::kNone, 1});
    std::ostringstream out;
    TraceView(settings, out, [&](uint32_t) { return hostile; }).Print(tree, kOffset);
    const std::string text = settings.terminal ? StripColours(out.str()) : out.str();
    INFO("form " << form);
    for (unsigned char c : text) {
      if ((c < 0x20 && c != '\n') || c == 0x7f) FAIL("control character " << static_cast<int>(c));
    }
    if (form == 1) {
      CHECK(nlohmann::json::parse(text)["method"] == "G\x1b[2J");
    } else {
      CHECK(text.find("\\x1b") != std::string::npos);
    }
    // Colours of our own do not end in anything else than SGR.
    for (size_t at = 0; (at = out.str().find('\x1b', at)) != std::string::npos; ++at) CHECK(out.str()[at + 1] == '[');
    CHECK(std::count(text.begin(), text.end(), '\n') == (form == 1 ? 1 : 2));
  }
}

TEST_CASE("view: parts of trees, unsampled members and odd parents", "[view]") {
  std::vector<LinkedExchange> tree = Checkout();
  tree[1].sampled = false;  // its child becomes a local root
  CHECK(Print(tree, {}).find("trace 4bf92f3577b34da6a3ce929d0e0e4736  4 spans") == 0);
  CHECK(Print({}, {}).empty());
  std::vector<LinkedExchange> odd;
  Add(&odd, MakeLinked(Role::kServer, "GET", "/self", 200), {100, 1, 1, 0, 10, LinkRule::kNone, 1});
  Add(&odd, MakeLinked(Role::kServer, "GET", "/before", 200), {100, 2, 3, 0, 10, LinkRule::kNone, 1});
  Add(&odd, MakeLinked(Role::kServer, "GET", "/twice", 200), {100, 3, 2, 0, 10, LinkRule::kNone, 1});
  Add(&odd, MakeLinked(Role::kServer, "GET", "/same", 200), {100, 3, 3, 0, 10, LinkRule::kNone, 1});
  const std::string text = Print(odd, {});
  for (const char* path : {"/self", "/before", "/twice", "/same"}) CHECK(text.find(path) != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') == 5);
}

TEST_CASE("view: two trace ids in one tree are two traces", "[view]") {
  std::vector<LinkedExchange> tree = Checkout();
  for (size_t i = 2; i < tree.size(); ++i) tree[i].trace_id.bytes[0] = 1;
  const std::string text = Print(tree, {});
  CHECK(text.find("trace 4bf92f3577b34da6a3ce929d0e0e4736  2 spans") == 0);
  CHECK(text.find("\ntrace 01f92f3577b34da6a3ce929d0e0e4736  3 spans") != std::string::npos);
}

TEST_CASE("view: a chain of any depth", "[view]") {
  std::vector<LinkedExchange> tree;
  for (int i = 0; i < 200; ++i) {
    Add(&tree, MakeLinked(Role::kServer, "GET", "/d", 200), {100, i + 1, i, 0, 10, LinkRule::kConnection, 1});
  }
  ViewSettings settings;
  settings.terminal = true;
  CHECK(Print(tree, settings).size() > 200 * 20);
}

TEST_CASE("view: durations", "[view]") {
  CHECK(FormatDuration(0) == "0.00 ms");
  CHECK(FormatDuration(812'000) == "0.81 ms");
  CHECK(FormatDuration(1'234'567) == "1.23 ms");
  CHECK(FormatDuration(12'400'000) == "12.4 ms");
  CHECK(FormatDuration(1'240'000'000) == "1240 ms");
  CHECK(FormatDuration(61'250'000'000) == "61.2 s");
}

}  // namespace
}  // namespace spantap
