// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: the listener. A client's bytes in any pieces go through a real connection; names and counts of any
// kind become the ledger line, /ledger and /metrics; any text is taken for --listen.
//
// Each request has at most one answer, whole, that is one of ours; of what is rendered every line is one sample of the
// text format, however hostile the names, and the JSON has the line's fields.
//
// Input: a byte (times 16: the size of the client's pieces), then parts with a line "%%" between them: the client's
// bytes; names, one a line, the first also a --listen; numbers, eight bytes each. Corpus: tests/data/fuzz_serve.
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "agent/serve/http_connection.h"
#include "agent/serve/ledger_line.h"
#include "agent/serve/listen_address.h"
#include "agent/serve/metrics.h"
#include "exporter/model/utf8.h"

namespace spantap {
namespace {

constexpr size_t kMaxNames = 8;

void Require(bool good) {
  if (!good) std::abort();
}

// ---------------------------------------------------------------- requests

HttpResponse Answer(absl::string_view path) {
  Require(absl::StartsWith(path, "/") && path.find_first_of("?#") == absl::string_view::npos);
  for (const char c : path) Require(c > ' ' && c < 0x7f);
  return {200, "text/plain", std::string(path)};
}

void CheckAnswer(absl::string_view answer) {
  const std::set<absl::string_view> statuses = {"200", "400", "405", "431", "505"};
  Require(absl::StartsWith(answer, "HTTP/1.1 ") && statuses.contains(answer.substr(9, 3)));
  const size_t end = answer.find("\r\n\r\n");
  Require(end != absl::string_view::npos);
  const absl::string_view body = answer.substr(end + 4);
  const absl::string_view kLength = "\r\nContent-Length: ";
  const size_t at = answer.substr(0, end + 2).find(kLength);
  size_t length = 0;
  Require(at != absl::string_view::npos);
  const absl::string_view number = answer.substr(at + kLength.size());
  Require(absl::SimpleAtoi(number.substr(0, number.find('\r')), &length));
  Require(body.empty() || body.size() == length);  // HEAD: none
}

void Serve(absl::string_view sent, size_t piece) {
  int ends[2];
  Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd client(ends[0]);
  HttpConnection connection(UniqueFd(ends[1]), 0);
  int answers = 0;
  const HttpConnection::Handler handler = [&answers](absl::string_view path) {
    ++answers;
    return Answer(path);
  };
  bool open = true;
  for (; open && !sent.empty(); sent.remove_prefix(std::min(piece, sent.size()))) {
    const absl::string_view now = sent.substr(0, piece);
    if (send(client.get(), now.data(), now.size(), MSG_NOSIGNAL) < 0) break;
    open = connection.Step(handler);
  }
  shutdown(client.get(), SHUT_WR);
  for (int i = 0; open && i < 16; ++i) open = connection.Step(handler);
  Require(!open && answers <= 1);
  std::string answer(HttpConnection::kHeadBytes + 4096, '\0');
  const ssize_t size = recv(client.get(), answer.data(), answer.size(), 0);
  answer.resize(size > 0 ? static_cast<size_t>(size) : 0);
  if (answers > 0 || !answer.empty()) CheckAnswer(answer);
}

// ---------------------------------------------------------------- rendering

// A sample of the text format: a name, labels whose values escape what would end them, a number.
void CheckSample(absl::string_view line) {
  const size_t name_end = line.find_first_of("{ ");
  Require(name_end != absl::string_view::npos && name_end > 0);
  for (const char c : line.substr(0, name_end)) Require(absl::ascii_isalnum(c) || c == '_');
  line.remove_prefix(name_end);
  if (line[0] == '{') {
    size_t at = line.find("=\"");
    Require(at != absl::string_view::npos);
    for (at += 2; at < line.size() && line[at] != '"'; ++at) at += line[at] == '\\';
    Require(line.substr(at, 2) == "\"}");
    line.remove_prefix(at + 2);
  }
  double value = 0;
  Require(line.size() > 1 && line[0] == ' ' && absl::SimpleAtod(line.substr(1), &value));
}

void CheckMetrics(const RunStatus& status) {
  const std::string text = MetricsText(status, {}, {});
  Require(absl::EndsWith(text, "\n"));
  std::set<absl::string_view> series;
  for (const absl::string_view line : absl::StrSplit(absl::string_view(text).substr(0, text.size() - 1), '\n')) {
    if (absl::StartsWith(line, "# HELP ") || absl::StartsWith(line, "# TYPE ")) continue;
    CheckSample(line);
    Require(series.insert(line.substr(0, line.rfind(' '))).second);
  }
}

void CheckLedger(const RunStatus& status) {
  const std::string line = LedgerLine(status);
  const nlohmann::ordered_json json = nlohmann::ordered_json::parse(LedgerJson(status));
  std::string again = "ledger";
  for (const auto& [name, value] : json.items()) again += " " + name + "=" + std::to_string(value.get<uint64_t>());
  Require(again == line);
}

void Render(const std::vector<absl::string_view>& names, absl::string_view numbers) {
  RunStatus status;
  const auto next = [&numbers] {
    uint64_t number = 0;
    if (numbers.size() < sizeof(number)) return number;
    std::memcpy(&number, numbers.data(), sizeof(number));
    numbers.remove_prefix(sizeof(number));
    return number;
  };
  status.phase = static_cast<Phase>(next() % 4);
  status.spans.created = next();
  status.spans.acknowledged = next();
  status.events.processed = next();
  status.events.pipeline = next() % 2 == 0;
  status.events.links.linked[1] = next();
  status.events.handoff.emplace().spans = next();
  status.events.memory.emplace().loaded = next();
  status.turn_age_s = static_cast<double>(next());
  status.exporter.emplace();
  for (const absl::string_view name : names) {
    status.exporter->endpoints.push_back({std::string(name), next() % 2 == 0 ? "up" : "down", "", next(), next()});
  }
  CheckMetrics(status);
  CheckLedger(status);
}

void ParseListen(absl::string_view text) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  if (address.ok()) {
    for (const char c : text) Require(c > ' ' && c < 0x7f);
    return Require(address->size > 0 && text.size() <= 64);
  }
  const absl::string_view message = address.status().message();
  Require(absl::StrContains(message, "accepted: "));
  for (const char c : message) Require(c >= ' ' && c < 0x7f);
}

void Run(absl::string_view input) {
  const size_t piece = (input.empty() ? 0u : static_cast<uint8_t>(input[0])) * 16 + 1;
  input.remove_prefix(input.empty() ? 0 : 1);
  std::vector<absl::string_view> parts = absl::StrSplit(input, absl::MaxSplits("\n%%\n", 2));
  parts.resize(3, "");
  Serve(parts[0], piece);
  std::vector<absl::string_view> names = absl::StrSplit(parts[1], absl::MaxSplits('\n', kMaxNames));
  ParseListen(names[0]);
  Render(names, parts[2]);
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
