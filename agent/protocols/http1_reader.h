// SPDX-License-Identifier: Apache-2.0
//
// llhttp, wrapped for one message at a time: reads a head into an HttpHead, then walks chunks. llhttp
// has the grammar; here are the things it does not do: any method, the copy of the head with its cap,
// a head that is cut, and chunk data that was never seen.
//
// Used by Http1Parser only. One thread. Memory: the part of a head that came in earlier pieces (at
// most kMaxHeadBytes) and kMaxHeaders offsets; kept between messages, so that a head costs two
// allocations: its text and its header vector.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"

namespace spantap {

class Http1Reader {
 public:
  enum class Result : uint8_t {
    kNeedMore,  // everything was used
    kDone,      // the head (or the chunked body) ends after `used` bytes
    kInvalid,
    kTooLong,  // the head is longer than kMaxHeadBytes
  };
  // What the head says about the body; valid after kDone.
  struct Framing {
    bool chunked = false;
    bool other_coding = false;  // a transfer coding whose last one is not chunked
    bool has_length = false;
    uint64_t length = 0;
  };

  Http1Reader() { llhttp_init(&llhttp_, HTTP_BOTH, nullptr); }
  Http1Reader(const Http1Reader&) = delete;
  Http1Reader& operator=(const Http1Reader&) = delete;

  // A new message.
  void Begin(bool request);
  // Bytes of the head. After kDone, Take() must be called while `bytes` is valid.
  // What there is of a method that has not ended yet.
  absl::string_view PartialMethod() const { return method_done_ ? absl::string_view() : earlier_; }
  Result ReadHead(absl::string_view bytes, size_t* used);
  HttpHead Take() { return Build(false); }
  Framing framing() const;

  // The head was cut: what was read of it so far, with the headers whose lines are complete. False if
  // there is too little of it; `partial_target` accepts a request whose target was cut.
  bool TakeCut(bool partial_target, HttpHead* head);

  // Bytes after a head whose framing is chunked; payload bytes are added to *payload.
  Result ReadChunks(absl::string_view bytes, size_t* used, uint64_t* payload);
  // Bytes of the current chunk's data that are still to come; 0 outside of chunk data.
  uint64_t ChunkLeft() const { return in_chunk_ ? llhttp_.content_length : 0; }
  // Passes over `count` <= ChunkLeft() bytes of chunk data.
  void SkipChunkData(uint64_t count);

 private:
  struct Span {
    uint32_t begin = 0;
    uint32_t end = 0;
    bool folded = false;
  };
  struct Line {
    Span name;
    Span value;
  };
  static const llhttp_settings_t& Settings();
  static Http1Reader& Self(llhttp_t* parser) { return *static_cast<Http1Reader*>(parser->data); }
  Span At(const char* at, size_t length) const;
  void AddName(const char* at, size_t length);
  void AddValue(const char* at, size_t length);
  Result ReadMethod(absl::string_view bytes, size_t* used);
  HttpHead Build(bool cut);
  absl::string_view Value(char* text, const Span& span) const;

  llhttp_t llhttp_;
  bool request_ = false;
  bool method_done_ = false;
  bool start_line_done_ = false;
  bool head_done_ = false;
  bool in_name_ = false;
  bool in_chunk_ = false;
  uint32_t method_bytes_ = 0;
  uint32_t dropped_ = 0;
  uint32_t complete_lines_ = 0;
  Span target_;
  std::vector<Line> lines_;
  std::string earlier_;          // the head's bytes of earlier pieces
  absl::string_view current_;    // its bytes in the piece being read
  const char* data_ = nullptr;   // where `earlier_.size()` stands in the piece being read
  uint64_t* payload_ = nullptr;  // during ReadChunks()
};

}  // namespace spantap
