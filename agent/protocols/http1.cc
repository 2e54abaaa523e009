// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http1.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/protocols/http1_infer.h"

namespace spantap {

using Request = MessageContext::Request;

void Http1Parser::Feed(const PieceInfo& info, absl::string_view bytes) {
  const absl::string_view piece = bytes;
  position_ = info.position;
  at_call_start_ = info.call_start;
  while (!bytes.empty() && state_ != State::kOver) {
    const size_t used = Step(bytes);
    position_ += used;
    bytes.remove_prefix(used);
    if (used > 0) at_call_start_ = false;
  }
  position_ = info.position + piece.size();
  if (info.call_end && state_ == State::kSeek && open_) GuessEnd(piece, position_);
}

size_t Http1Parser::Step(absl::string_view bytes) {
  switch (state_) {
    case State::kSeek:
      return Seek(bytes);
    case State::kIdle:
      return Idle(bytes);
    case State::kHead:
      return Head(bytes);
    case State::kLength:
      return Length(bytes);
    case State::kChunked:
      return Chunks(bytes);
    case State::kUntilEnd:
      body_ += bytes.size();
      return bytes.size();
    case State::kOver:
      break;
  }
  return bytes.size();
}

// A resumption may only begin where a system call's bytes begin, with what looks like a head. It
// becomes real when the whole head has been read.
size_t Http1Parser::Seek(absl::string_view bytes) {
  const Verdict verdict = at_call_start_ ? InferResumedHttp1(bytes) : Verdict::kNo;
  const bool fits = verdict == (requests_ ? Verdict::kRequest : Verdict::kResponse);
  if (fits && ((!open_ && !guessed_) || context_.MayBegin(requests_))) {
    BeginHead(true);
    return 0;
  }
  if (open_) body_ += bytes.size();
  return bytes.size();
}

size_t Http1Parser::Idle(absl::string_view bytes) {
  // RFC 9112 §2.2: empty lines before a message are to be ignored.
  size_t blank = 0;
  while (blank < bytes.size() && (bytes[blank] == '\r' || bytes[blank] == '\n')) ++blank;
  if (blank > 0) return blank;
  if (tunnel_ && InferHttp1(bytes) == Verdict::kNo) {
    state_ = State::kSeek;
    return bytes.size();
  }
  BeginHead(false);
  return 0;
}

void Http1Parser::BeginHead(bool resumed) {
  state_ = State::kHead;
  tentative_ = resumed;
  begin_ = position_;
  reader_.Begin(requests_);
  sink_.OnMessageBegin(position_, resumed);
}

// A method cut by the end of a call, then a call that begins with a whole known one: the first bytes
// were no method, but the rest of something else. ("UN", "LOCK /x" is UNLOCK all the same.)
bool Http1Parser::MethodRestarts(absl::string_view bytes) const {
  const absl::string_view partial = reader_.PartialMethod();
  if (!at_call_start_ || partial.empty() || InferResumedHttp1(bytes) != Verdict::kRequest) return false;
  const absl::string_view method = bytes.substr(0, bytes.find(' '));
  return (IsKnownMethod(method) || !context_.Sure()) && !IsKnownMethod(absl::StrCat(partial, method));
}

size_t Http1Parser::Head(absl::string_view bytes) {
  size_t used = 0;
  if (MethodRestarts(bytes)) {
    Lose(LossReason::kInvalid);
    return 0;
  }
  switch (reader_.ReadHead(bytes, &used)) {
    case Http1Reader::Result::kNeedMore:
      return bytes.size();
    case Http1Reader::Result::kDone:
      HeadDone(position_ + used);
      return used;
    case Http1Reader::Result::kTooLong:
      HeadCut(true);
      return used;
    case Http1Reader::Result::kInvalid:
      break;
  }
  if (tentative_) {
    state_ = State::kSeek;  // it was no head, the message before goes on
  } else {
    Lose(LossReason::kInvalid);
  }
  return bytes.size();
}

void Http1Parser::HeadDone(uint64_t end) {
  HttpHead head = reader_.Take();
  const uint16_t status = head.status;
  tunnel_ = requests_ && (head.method == "CONNECT" || head.Find("upgrade").data() != nullptr);
  const Request request = requests_ ? Request::kOrdinary : context_.PendingRequest();
  const bool connect = requests_ && head.method == "CONNECT";
  ReportHead(std::move(head));
  if (connect) return EndMessage(end, BodyEnd::kExact);
  StartBody(request, status, end);
}

void Http1Parser::ReportHead(HttpHead head) {
  if (open_) {
    open_ = false;
    sink_.OnMessageEnd(begin_, body_, BodyEnd::kGuessed);
  }
  guessed_ = false;
  body_ = 0;
  sink_.OnHead(std::move(head));
}

// RFC 9112 §6.3, in its order.
void Http1Parser::StartBody(Request request, uint16_t status, uint64_t end) {
  const Http1Reader::Framing framing = reader_.framing();
  if (!requests_) {
    const bool tunnel = status == 101 || (request == Request::kConnect && status / 100 == 2);
    if (tunnel || status / 100 == 1 || status == 204 || status == 304 || request == Request::kHead) {
      EndMessage(end, BodyEnd::kExact);
      if (tunnel) Opaque(status == 101 ? "upgrade" : "connect");
      return;
    }
  }
  if (framing.chunked) {
    state_ = State::kChunked;
  } else if (framing.other_coding) {
    // A request like this cannot be delimited; a response ends with the connection.
    if (requests_) return Hide();
    state_ = State::kUntilEnd;
  } else if (framing.has_length) {
    left_ = framing.length;
    state_ = State::kLength;
    if (left_ == 0) EndMessage(end, BodyEnd::kExact);
  } else if (requests_) {
    EndMessage(end, BodyEnd::kExact);
  } else {
    state_ = State::kUntilEnd;
  }
  // The answer to an unknown request may be one to HEAD: believe no body length.
  const bool body = state_ == State::kLength || state_ == State::kChunked || state_ == State::kUntilEnd;
  if (body && !requests_ && request == Request::kUnknown) Hide();
}

// Returns whether anything of the head was reported.
bool Http1Parser::HeadCut(bool within_call) {
  HttpHead head;
  const bool enough = reader_.TakeCut(within_call, &head);
  if (!enough) {
    state_ = State::kSeek;
    return false;
  }
  const uint16_t status = head.status;
  const Request request = requests_ ? Request::kOrdinary : context_.PendingRequest();
  ReportHead(std::move(head));
  Hide();
  if (!requests_ && (status == 101 || (request == Request::kConnect && status / 100 == 2))) {
    EndMessage(position_, BodyEnd::kGuessed);
    Opaque(status == 101 ? "upgrade" : "connect");
  }
  return true;
}

size_t Http1Parser::Length(absl::string_view bytes) {
  const uint64_t used = std::min<uint64_t>(left_, bytes.size());
  left_ -= used;
  body_ += used;
  if (left_ == 0) EndMessage(position_ + used, BodyEnd::kExact);
  return used;
}

size_t Http1Parser::Chunks(absl::string_view bytes) {
  size_t used = 0;
  switch (reader_.ReadChunks(bytes, &used, &body_)) {
    case Http1Reader::Result::kDone:
      EndMessage(position_ + used, BodyEnd::kExact);
      break;
    case Http1Reader::Result::kInvalid:
      Lose(LossReason::kInvalid);
      break;
    case Http1Reader::Result::kNeedMore:
    case Http1Reader::Result::kTooLong:
      break;
  }
  return used;
}

void Http1Parser::Skip(uint64_t position, uint64_t count, bool within_call) {
  if (count == 0 || state_ == State::kOver) return;
  position_ = position + count;
  switch (state_) {
    case State::kIdle:
      return Lose(LossReason::kGap);
    case State::kHead: {
      const bool was_tentative = tentative_;
      if (!HeadCut(within_call) && !was_tentative) return Lose(LossReason::kGap);
      if (state_ != State::kOver) SkipHidden(within_call);
      return;
    }
    case State::kLength: {
      const uint64_t used = std::min(left_, count);
      left_ -= used;
      body_ += used;
      if (left_ == 0) EndMessage(position + used, BodyEnd::kExact);
      if (used < count) Lose(LossReason::kGap);
      return;
    }
    case State::kChunked:
      body_ += count;
      if (count <= reader_.ChunkLeft()) return reader_.SkipChunkData(count);
      Hide();
      return SkipHidden(within_call);
    case State::kUntilEnd:
      body_ += count;
      return;
    case State::kSeek:
      if (open_) body_ += count;
      return SkipHidden(within_call);
    case State::kOver:
      return;
  }
}

void Http1Parser::SkipHidden(bool within_call) {
  if (context_.MayHide(requests_, within_call)) Lose(LossReason::kGap);
}

void Http1Parser::End(bool reset) {
  const State state = state_;
  const bool hidden = EndHidden(&body_);
  state_ = State::kOver;
  if (hidden) {
    open_ = false;
    sink_.OnMessageEnd(position_, body_, reset ? BodyEnd::kAborted : BodyEnd::kGuessed);
  } else if (state == State::kUntilEnd) {
    sink_.OnMessageEnd(position_, body_, reset ? BodyEnd::kAborted : BodyEnd::kAtClose);
  } else if (state == State::kLength || state == State::kChunked) {
    sink_.OnMessageEnd(position_, body_, BodyEnd::kAborted);
  }
}

bool Http1Parser::EndHidden(uint64_t* body_bytes) const {
  *body_bytes = body_;
  return open_ && (state_ == State::kSeek || state_ == State::kHead);
}

uint64_t Http1Parser::BoringUntil() const {
  switch (state_) {
    // All but the last byte, so that the call with the last byte makes a record, and the end a time.
    case State::kLength:
      return position_ + left_ - 1;
    case State::kChunked:
      return reader_.ChunkLeft() > 0 ? position_ + reader_.ChunkLeft() - 1 : 0;
    case State::kUntilEnd:
      return std::numeric_limits<uint64_t>::max();
    default:
      return 0;
  }
}

// A call that ends with a last chunk most likely ends the message. Until the next head, what follows
// may still turn out to be its body.
void Http1Parser::GuessEnd(absl::string_view bytes, uint64_t end) {
  constexpr absl::string_view kLastChunk = "0\r\n";
  if (!absl::EndsWith(bytes, "\r\n\r\n")) return;
  const absl::string_view tail = bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 512));
  const bool alone = bytes.size() == tail.size() && absl::StartsWith(tail, kLastChunk);
  if (!alone && tail.rfind("\r\n0\r\n") == absl::string_view::npos) return;
  open_ = false;
  guessed_ = true;
  sink_.OnMessageEnd(end, body_, BodyEnd::kGuessed);
}

void Http1Parser::EndMessage(uint64_t end, BodyEnd how) {
  state_ = State::kIdle;
  open_ = false;
  sink_.OnMessageEnd(end, body_, how);
}

void Http1Parser::Hide() {
  state_ = State::kSeek;
  open_ = true;
}

void Http1Parser::Lose(LossReason reason) {
  state_ = State::kSeek;
  open_ = guessed_ = false;
  sink_.OnLost(reason);
}

void Http1Parser::Opaque(const char* reason) {
  state_ = State::kOver;
  sink_.OnOpaque(reason);
}

std::unique_ptr<Parser> MakeHttp1Parser(bool requests, bool joined, ParserSink& sink, MessageContext& context) {
  return std::make_unique<Http1Parser>(requests, joined, sink, context);
}

}  // namespace spantap
