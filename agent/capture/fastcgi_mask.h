// SPDX-License-Identifier: Apache-2.0
//
// MessageMask's counterpart for FastCGI: in one direction of one connection it overwrites every byte that a replay
// does not need. Record headers, lengths, names of parameters, END_REQUEST and the header lines of an answer stay;
// values of parameters only if a request is made of them (HTTP_*, REQUEST_URI ...) and they are no secret. Bodies, log
// lines and padding become 'x', other values '*'.
//
// The walk is that of the parser, so that a redacted file replays to the same spans: behind missing bytes all is
// masked until a call begins with a request's first record, or, right behind the end of an answer, with an answer's;
// the record that ends a message stays where a call ends with it.
// Used by Redactor. One thread. Memory: this object; nothing is buffered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace spantap {

// A call that begins so begins FastCGI.
bool BeginsFastCgiRequest(absl::string_view bytes);

class FastCgiMask {
 public:
  // This direction carries the requests; otherwise the answers.
  void SetRequests() { requests_ = true; }
  // Masks bytes that follow those seen or skipped before. `call_start`: a message may begin here.
  void Feed(char* data, size_t size, bool call_start);
  // `count` bytes were not seen.
  void Skip(uint64_t count);

 private:
  enum class State : uint8_t { kLost, kHeader, kContent };
  // Of the name-value pairs, or of the header lines.
  enum class Part : uint8_t { kNone, kNameLength, kValueLength, kName, kValue };

  // Each handles at least one byte or changes the state; returns how many bytes are done.
  size_t Step(char* data, size_t size);
  size_t StepHeader(const char* data, size_t size);
  size_t StepContent(char* data, size_t size);
  size_t KeepEnd(absl::string_view bytes);
  bool MayBegin(absl::string_view bytes) const;
  bool MayBeHeader(size_t at, uint8_t byte) const;
  void BeginRecord();
  void MaskPairs(char* data, size_t size);
  void TakeLength(uint8_t byte);
  void BeginPair();
  void BeginValue();
  void MaskLines(char* data, size_t size);
  void BeginLine();
  void AddToName(char c);

  State state_ = State::kLost;
  Part part_ = Part::kNone;
  bool requests_ = false;
  bool open_ = false;  // answers: a message has begun and not ended
  bool ended_ = true;  // kLost: a message ended with the last byte seen, or there was none
  uint16_t id_ = 0;    // of the last message that began

  uint8_t header_[8] = {};
  uint8_t header_bytes_ = 0;
  uint32_t content_left_ = 0;
  uint32_t padding_left_ = 0;

  uint8_t length_bytes_ = 0;  // of a length, still to come
  uint32_t length_ = 0;
  uint32_t name_left_ = 0;
  uint32_t value_left_ = 0;
  char name_[24] = {};  // as a header's: lower case, '-'
  size_t name_size_ = 0;
  bool keep_ = false;    // of the value: as it is
  bool secret_ = false;  // white space stays
};

}  // namespace spantap
