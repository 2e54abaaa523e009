// SPDX-License-Identifier: Apache-2.0
//
// The contract of a protocol parser: one instance per direction of one connection, fed with the bytes
// of the stream in order and told of every byte that is missing. Total and pure: any input is legal,
// no clock, no fd, no lock, memory bounded by kMaxHeadBytes; it calls back and returns.
//
// Used by Connection. One thread. To add a protocol: implement this, add one row to registry.cc,
// instantiate tests/agent/protocols/parser_suite.h.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "agent/protocols/http_head.h"

namespace spantap {

// How sure the end of a message is.
enum class BodyEnd : uint8_t {
  kExact,    // by length, by chunk walk, or no body
  kAtClose,  // the body ran until the connection's end, as HTTP/1.0 means it
  kGuessed,  // a gap hid the end; taken at the last byte before the next head, or at a last chunk
  kAborted,  // the connection ended before the message did
};

enum class LossReason : uint8_t {
  kGap,      // missing bytes may have held a message head
  kInvalid,  // the bytes are no legal message
};

class ParserSink {
 public:
  virtual ~ParserSink() = default;
  // A message may begin at `position` (its first byte); void unless OnHead follows. `resumed`: the
  // bytes before it are not known to be the end of the message before.
  virtual void OnMessageBegin(uint64_t position, bool resumed) = 0;
  // Its head is complete (or cut: head.truncated). 1xx responses other than 101 are reported here
  // too, followed by OnMessageEnd; the pairing ignores them. If the end of the message before had
  // been hidden, its OnMessageEnd(kGuessed) comes between OnMessageBegin and this.
  virtual void OnHead(HttpHead head) = 0;
  // The message is over; `end_position` is that of the byte after its last one. `body_bytes` counts
  // payload bytes without chunk framing; with kGuessed it is an estimate.
  virtual void OnMessageEnd(uint64_t end_position, uint64_t body_bytes, BodyEnd how) = 0;
  // Something was lost: heads may be missing from here on, the next OnMessageBegin is a resumption.
  // Nothing begun before it will be finished by this parser.
  virtual void OnLost(LossReason reason) = 0;
  // No message will follow (CONNECT, Upgrade). `reason` is static.
  virtual void OnOpaque(const char* reason) = 0;
};

// What the pairing knows and the bytes of one direction do not say.
class MessageContext {
 public:
  virtual ~MessageContext() = default;
  enum class Request : uint8_t { kUnknown, kOrdinary, kHead, kConnect };
  // The request that the next final response on this connection answers; kUnknown if none is open.
  virtual Request PendingRequest() const = 0;
  // Asked while the end of the direction's last message is hidden and bytes at a call's start look
  // like a head: can they be one? (Otherwise they belong to the body.)
  virtual bool MayBegin(bool request) = 0;
  // No message can have been missed; where this is false, parsers prefer to doubt.
  virtual bool Sure() const = 0;
  // Asked where bytes are missing while the end of the direction's last message is hidden, or its next
  // one is sought: can a head be among them? `within_call` as in Parser::Skip.
  virtual bool MayHide(bool request, bool within_call) const = 0;
};

// What a piece of bytes is known to be, from the capture.
struct PieceInfo {
  uint64_t position = 0;    // of its first byte
  bool call_start = false;  // begins a system call's bytes: where a resumption may begin
  bool call_end = false;
};

class Parser {
 public:
  virtual ~Parser() = default;
  // Bytes at info.position, which continue what was fed or skipped before.
  virtual void Feed(const PieceInfo& info, absl::string_view bytes) = 0;
  // `count` bytes from `position` on exist but were not seen. `within_call`: they lie inside one
  // system call whose first bytes were seen, so they were left out on purpose.
  virtual void Skip(uint64_t position, uint64_t count, bool within_call) = 0;
  // The direction ended in order (`reset` false) or by failure.
  virtual void End(bool reset) = 0;
  // The position up to which no byte is of interest (the last one of a known body), or 0. The
  // connection turns it into an order to the kernel when that is far enough away to pay.
  virtual uint64_t BoringUntil() const = 0;
  // Whether a message is open whose end lies, or will lie, in bytes that were not seen; if so,
  // *body_bytes is what OnMessageEnd would say now.
  virtual bool EndHidden(uint64_t* body_bytes) const = 0;
};

// What the first bytes of a direction look like.
enum class Verdict : uint8_t { kNeedMore, kNo, kRequest, kResponse };

struct WireProtocol {
  const char* name;  // "http/1"
  // Pure. `resumed`: not the stream's first bytes but a call's; to be believed only on good evidence.
  Verdict (*infer)(absl::string_view bytes, bool resumed);
  // `joined`: earlier bytes of the direction were not seen; begin at the next head.
  std::unique_ptr<Parser> (*make)(bool requests, bool joined, ParserSink& sink, MessageContext& context);
};

// registry.cc: the one list of protocols, in the order they are asked.
absl::string_view ProtocolNames();  // "http/1", comma-separated
// The first protocol whose verdict is yes; else null, with kNeedMore if one of them wants more bytes.
const WireProtocol* InferProtocol(absl::string_view bytes, bool resumed, Verdict* verdict);
// Names a protocol that is recognised in order to be left alone ("tls", "http/2"), else null. Asked
// of the first bytes of a call.
const char* ForeignProtocol(absl::string_view bytes);

}  // namespace spantap
