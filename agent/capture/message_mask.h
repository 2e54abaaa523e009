// SPDX-License-Identifier: Apache-2.0
//
// Overwrites, in one direction of one connection, every byte that a replay does not need: body bytes by
// 'x', values of secret headers by '*'. The rule is the reverse of a search for secrets: only what is
// known to be a message head, or chunk framing, stays.
//
//   kStart ─► kStartLine ─► kName ⇄ kValue ─► kBody | kChunkSize ⇄ kChunkData, kChunkEnd | kUntilClose
//      ▲                                            │
//      └────────────────────────────────────────────┘     anything unexpected, any gap in a head: kLost
//
// kLost masks all but line ends and the '0' of a last chunk, until a call begins that reads like a start
// line: there, and nowhere else, a parser resumes too. Framing is followed exactly as the HTTP/1 parser
// does, so that a redacted file replays to the same spans. Used by Redactor. One thread. Memory: this
// object; nothing is buffered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace spantap {

// Which requests of a connection wait for their response: a response to HEAD has no body, one to
// CONNECT opens a tunnel. Shared by the two directions.
class PendingMethods {
 public:
  enum Kind : uint8_t { kUnknown, kOrdinary, kHead, kConnect };
  void Push(Kind kind);
  Kind Pop();
  void Forget() { unsure_ = true; }  // for good: bytes were lost, so the order may be wrong
  bool tunnel = false;               // CONNECT or Upgrade succeeded: no HTTP in either direction

 private:
  static constexpr int kMax = 32;  // two bits each; more pipelined requests than that: unsure
  uint64_t kinds_ = 0;
  int count_ = 0;
  bool unsure_ = false;
};

class MessageMask {
 public:
  explicit MessageMask(PendingMethods* methods) : methods_(methods) {}

  // The next byte is the first one of a message.
  void AtBoundary() { ToStart(true); }
  // Which of the two kinds of messages this direction carries; otherwise its first head tells.
  void SetRequests(bool requests);
  // Masks bytes that follow those seen or skipped before. `call_start`: a resumption may begin here.
  void Feed(char* data, size_t size, bool call_start);
  // `count` bytes were not seen.
  void Skip(uint64_t count);
  // A whole line stood where a message may begin.
  bool seen_start() const { return seen_start_; }

 private:
  enum class State : uint8_t {
    kLost,
    kStart,
    kStartLine,
    kName,
    kValue,
    kBody,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
  };
  enum class Field : uint8_t { kPlain, kContentLength, kTransferEncoding };

  // Each handles at least one byte or changes the state; returns how many bytes are done.
  size_t Step(char* data, size_t size);
  size_t MaskLoosely(char* data, size_t size);
  size_t StepStart(const char* data, size_t size);
  size_t StepStartLine(char* data, size_t size);
  size_t StepName(char* data);
  size_t StepValue(char* data, size_t size);
  size_t StepCounted(char* data, size_t size, State next);
  size_t StepChunkSize(char* data);
  size_t StepChunkEnd(char* data);

  bool MayBegin(absl::string_view bytes, bool any_method) const;
  void Lose();
  void ToStart(bool vouched);
  void BeginLine();
  void BeginChunkSize();
  void EndStartLine();
  void EndName();
  void EndValue();
  void EndHead();
  void EndResponseHead();
  void BeginBody(bool until_close);
  bool InBody() const;

  PendingMethods* const methods_;
  State state_ = State::kLost;
  bool seen_start_ = false;
  bool line_start_ = false;  // MaskLoosely: behind LF or at a call's first byte

  // The head being read.
  char start_[16] = {};  // first bytes of the start line
  uint8_t start_size_ = 0;
  bool vouched_ = false;     // framing says that a message begins here; otherwise only its looks do
  bool whole_line_ = false;  // the start line was checked as a whole
  uint64_t tail_ = 0;        // last eight bytes of the start line, or of a value without white space
  bool kind_known_ = false;  // is_request_ holds for the whole direction
  bool is_request_ = false;
  bool trailer_ = false;
  uint16_t status_ = 0;
  PendingMethods::Kind method_ = PendingMethods::kUnknown;
  char name_[20] = {};      // lower case
  size_t name_size_ = 0;    // counts on beyond the array
  bool name_done_ = false;  // white space followed it
  bool has_header_ = false;
  bool folded_ = false;
  bool secret_ = false;
  Field field_ = Field::kPlain;
  bool has_length_ = false, has_coding_ = false, chunked_ = false, bad_framing_ = false;
  bool value_empty_ = true;
  uint64_t length_ = 0;

  // The body being skipped.
  uint64_t remaining_ = 0;
  uint8_t size_digits_ = 0;
  bool in_extension_ = false;
  bool unsure_ = false;  // the request is not known: there may be no body, and a head may follow
};

}  // namespace spantap
