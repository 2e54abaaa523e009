// SPDX-License-Identifier: Apache-2.0
//
// The suite that every parser passes. A case is the wire bytes of one direction and the calls that
// they must lead to, both as text. RunParserSuite() runs it whole, split at every point, byte by byte,
// behind a guard page, pipelined, truncated at every point, with a gap at every range, and mutated.
//
// To add a protocol: a table of cases and one call of RunParserSuite per case.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/protocols/parser.h"

namespace spantap {

// What the other direction would say.
struct FakeContext final : MessageContext {
  Request pending = Request::kOrdinary;
  bool may_begin = true;
  bool sure = true;
  Request PendingRequest() const override { return pending; }
  bool MayBegin(bool) override { return may_begin; }
  bool Sure() const override { return sure; }
  bool MayHide(bool request, bool within_call) const override {
    return request ? !within_call : pending != Request::kUnknown;
  }
};

// Writes the calls down and checks their order.
class ParserLog final : public ParserSink {
 public:
  void OnMessageBegin(uint64_t position, bool resumed) override {
    begin_ = absl::StrCat(resumed ? "resume " : "begin ", position, "\n");
    begun_ = true;
  }
  void OnHead(HttpHead head) override {
    CHECK(begun_);
    CHECK(!open_);
    CHECK(!opaque_);
    open_ = true;
    begun_ = false;
    ++heads;
    CheckHead(head);
    head_lines.insert(HeadLine(head));
    absl::StrAppend(&text, begin_, HeadText(head));
  }
  void OnMessageEnd(uint64_t end_position, uint64_t body_bytes, BodyEnd how) override {
    CHECK(open_);
    open_ = false;
    static const char* const kHow[] = {"exact", "at-close", "guessed", "aborted"};
    absl::StrAppend(&text, "end ", end_position, " body ", body_bytes, " ", kHow[static_cast<int>(how)], "\n");
  }
  void OnLost(LossReason reason) override {
    CHECK(!opaque_);
    open_ = begun_ = false;
    absl::StrAppend(&text, reason == LossReason::kGap ? "lost gap\n" : "lost invalid\n");
  }
  void OnOpaque(const char* reason) override {
    opaque_ = true;
    absl::StrAppend(&text, "opaque ", reason, "\n");
  }
  static std::string HeadLine(const HttpHead& head) {
    const absl::string_view version = head.version == 10 ? " HTTP/1.0" : " HTTP/1.1";
    return head.is_request ? absl::StrCat(head.method, " ", head.target, version) : absl::StrCat(head.status, version);
  }
  static std::string HeadText(const HttpHead& head) {
    std::string out = absl::StrCat("head ", HeadLine(head), head.truncated ? " truncated\n" : "\n");
    for (const HttpHeader& header : head.headers) absl::StrAppend(&out, "  ", header.name, "=", header.value, "\n");
    if (head.headers_dropped > 0) absl::StrAppend(&out, "  dropped ", head.headers_dropped, "\n");
    return out;
  }

  std::string text;
  int heads = 0;
  std::set<std::string> head_lines;

 private:
  // Every view lies in the head's own text.
  static void CheckHead(const HttpHead& head) {
    CHECK(head.text_bytes <= kMaxHeadBytes);
    CHECK(head.headers.size() <= kMaxHeaders);
    const auto inside = [&](absl::string_view view) {
      return view.empty() ||
             (view.data() >= head.text.get() && view.data() + view.size() <= head.text.get() + head.text_bytes);
    };
    bool all = inside(head.method) && inside(head.target);
    for (const HttpHeader& header : head.headers) all = all && inside(header.name) && inside(header.value);
    CHECK(all);
  }
  std::string begin_;
  bool begun_ = false;
  bool open_ = false;
  bool opaque_ = false;
};

struct ParserCase {
  int line;
  const char* name;
  bool requests;
  std::string wire;
  std::string expect;  // of the whole, closed in order
  MessageContext::Request pending = MessageContext::Request::kOrdinary;
  bool repeats = true;  // may be followed by itself (not: opaque, until close)
};

// Fixture text: a line end is CRLF on the wire; "\|" at the end of a line joins it to the next.
inline std::string Wire(absl::string_view text) {
  if (!text.empty() && text[0] == '\n') text.remove_prefix(1);
  return absl::StrReplaceAll(text, {{"\\|\n", ""}, {"\n", "\r\n"}});
}
inline std::string Expected(absl::string_view text) {
  if (!text.empty() && text[0] == '\n') text.remove_prefix(1);
  return std::string(text.data(), text.size());
}

// A parser with its surroundings; position 0 is the first byte.
struct ParserRun {
  ParserRun(const WireProtocol& protocol, const ParserCase& c, bool joined = false)
      : parser(protocol.make(c.requests, joined, log, context)) {
    context.pending = c.pending;
  }
  void Feed(absl::string_view bytes, bool call_start = true, bool call_end = true) {
    parser->Feed({position, call_start, call_end}, bytes);
    position += bytes.size();
  }
  void Skip(uint64_t count, bool within_call) {
    parser->Skip(position, count, within_call);
    position += count;
  }
  FakeContext context;
  ParserLog log;
  uint64_t position = 0;
  std::unique_ptr<Parser> parser;
};

// Bytes that end where memory ends, so that reading one too many faults.
class GuardedBytes {
 public:
  explicit GuardedBytes(absl::string_view bytes) : size_(bytes.size()) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (bytes.size() / page + 2) * page;
    map_ = static_cast<char*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(map_ != MAP_FAILED);
    REQUIRE(mprotect(map_ + mapped_ - page, page, PROT_NONE) == 0);
    begin_ = map_ + mapped_ - page - bytes.size();
    std::memcpy(begin_, bytes.data(), bytes.size());
  }
  ~GuardedBytes() { munmap(map_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  absl::string_view view() const { return {begin_, size_}; }

 private:
  size_t size_;
  size_t mapped_;
  char* map_;
  char* begin_;
};

namespace parser_suite {

inline void Whole(const WireProtocol& protocol, const ParserCase& c) {
  ParserRun run(protocol, c);
  const GuardedBytes bytes(c.wire);
  run.Feed(bytes.view());
  run.parser->End(false);
  CHECK(run.log.text == c.expect);
}

inline void SplitEverywhere(const WireProtocol& protocol, const ParserCase& c) {
  for (size_t i = 1; i < c.wire.size(); ++i) {
    ParserRun run(protocol, c);
    const GuardedBytes first(absl::string_view(c.wire).substr(0, i));
    const GuardedBytes second(absl::string_view(c.wire).substr(i));
    run.Feed(first.view());
    run.Feed(second.view());
    run.parser->End(false);
    if (run.log.text != c.expect) {
      CAPTURE(i);
      CHECK(run.log.text == c.expect);
      return;
    }
  }
  ParserRun run(protocol, c);
  for (const char& byte : c.wire) run.Feed(absl::string_view(&byte, 1), false, false);
  run.parser->End(false);
  CHECK(run.log.text == c.expect);
}

// Twice in one buffer: as many heads again, and nothing lost.
inline void Pipelined(const WireProtocol& protocol, const ParserCase& c) {
  if (!c.repeats) return;
  ParserRun once(protocol, c);
  once.Feed(c.wire);
  ParserRun twice(protocol, c);
  twice.Feed(c.wire + c.wire);
  CHECK(twice.log.heads == 2 * once.log.heads);
  CHECK(!absl::StrContains(twice.log.text, "lost"));
}

// Cut at every point, in order and by failure: what was said stays as it was.
inline void Truncated(const WireProtocol& protocol, const ParserCase& c) {
  for (size_t i = 0; i < c.wire.size(); ++i) {
    ParserRun run(protocol, c);
    run.Feed(absl::string_view(c.wire).substr(0, i));
    const std::string before = run.log.text;
    run.parser->End(i % 2 == 0);
    const bool kept = absl::StartsWith(c.expect, before);
    if (!kept) CHECK(before == c.expect);
  }
}

// Every range of bytes missing, outside and inside of a call: no head line that was not on the wire,
// and the next message after it is found at the next call.
inline void Gaps(const WireProtocol& protocol, const ParserCase& c) {
  ParserRun whole(protocol, c);
  whole.Feed(c.wire);
  const size_t step = c.wire.size() > 300 ? 7 : 1;
  for (size_t i = 0; i < c.wire.size(); i += step) {
    for (size_t j = i + 1; j <= c.wire.size(); j += step) {
      ParserRun run(protocol, c);
      const bool within_call = (i + j) % 2 == 0;
      if (i > 0) run.Feed(absl::string_view(c.wire).substr(0, i), true, !within_call);
      run.Skip(j - i, within_call);
      if (j < c.wire.size()) run.Feed(absl::string_view(c.wire).substr(j), false, true);
      for (const std::string& line : run.log.head_lines) {
        // A cut target is reported as a truncated head if the cut was on purpose.
        const bool known =
            whole.log.head_lines.count(line) > 0 || (within_call && absl::StrContains(run.log.text, "truncated"));
        if (!known) {
          CAPTURE(i, j, line);
          CHECK(known);
          return;
        }
      }
    }
  }
}

// Bytes changed at random: total, whatever it says.
inline void Mutated(const WireProtocol& protocol, const ParserCase& c) {
  std::mt19937 random(static_cast<unsigned>(c.line));
  for (int round = 0; round < 300; ++round) {
    std::string wire = c.wire;
    for (int n = 0; n < 1 + round % 8; ++n) wire[random() % wire.size()] = static_cast<char>(random());
    ParserRun run(protocol, c, round % 3 == 0);
    const size_t cut = random() % (wire.size() + 1);
    const GuardedBytes first(absl::string_view(wire).substr(0, cut));
    const GuardedBytes second(absl::string_view(wire).substr(cut));
    if (cut > 0) run.Feed(first.view());
    if (cut < wire.size()) run.Feed(second.view());
    run.parser->End(round % 2 == 0);
  }
}

}  // namespace parser_suite

inline void RunParserSuite(const WireProtocol& protocol, const ParserCase& c) {
  CAPTURE(c.line, c.name);
  parser_suite::Whole(protocol, c);
  parser_suite::SplitEverywhere(protocol, c);
  parser_suite::Pipelined(protocol, c);
  parser_suite::Truncated(protocol, c);
  parser_suite::Gaps(protocol, c);
  parser_suite::Mutated(protocol, c);
}

}  // namespace spantap
