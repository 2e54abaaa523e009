// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/fastcgi.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "agent/protocols/fastcgi_head.h"

namespace spantap {
namespace {

std::optional<uint64_t> LengthOf(const HttpHead& head) {
  uint64_t length = 0;
  return absl::SimpleAtoi(head.Find("content-length"), &length) ? std::optional<uint64_t>(length) : std::nullopt;
}

}  // namespace

// ---------------------------------------------------------------- bytes in

void FastCgiParser::Feed(const PieceInfo& info, absl::string_view bytes) {
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
  fresh_ = false;
  if (info.call_end && state_ == State::kSeek && open_) GuessEnd();
}

size_t FastCgiParser::Step(absl::string_view bytes) {
  switch (state_) {
    case State::kSeek:
      return Seek(bytes);
    case State::kHeader:
      return Header(bytes);
    case State::kContent:
      return Content(bytes);
    case State::kOver:
      break;
  }
  return bytes.size();
}

// Bodies are read and written in calls of their own, so that what looks like a message may be one: it is believed as
// the first thing seen of a stream, or right behind the record that ends a message.
bool FastCgiParser::MayResume(absl::string_view bytes) {
  uint16_t id = 0;
  if (!fresh_ && !EndsFastCgiMessage(tail_, requests_, &id)) return false;
  if (requests_) return InferFastCgi(bytes, true) == Verdict::kRequest && (!open_ || context_.MayBegin(true));
  const bool awaited = context_.PendingRequest() != MessageContext::Request::kUnknown;
  const bool fits = awaited ? MayBeginFastCgiAnswer(bytes) : InferFastCgi(bytes, true) == Verdict::kResponse;
  return fits && ((!open_ && !context_.Sure()) || context_.MayBegin(false));
}

size_t FastCgiParser::Seek(absl::string_view bytes) {
  if (at_call_start_ && LooksLikeFastCgiMessage(bytes, requests_)) {
    if (MayResume(bytes)) {
      state_ = State::kHeader;
      part_ = Part::kNone;
      header_bytes_ = 0;
      tentative_ = true;
      tail_.clear();
      return 0;
    }
    // It may be one all the same: then what is counted on would be wrong. (An answer only if one is awaited.)
    if ((open_ || context_.Sure()) && (requests_ || context_.MayBegin(false))) Lose(LossReason::kGap);
  }
  if (open_) body_ += bytes.size();
  const size_t kept = std::min(bytes.size(), kTailBytes);
  tail_.append(bytes.data() + bytes.size() - kept, kept);
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  return bytes.size();
}

size_t FastCgiParser::Header(absl::string_view bytes) {
  // Whether this record begins a message is known at its second byte; when it began, at its first.
  if (header_bytes_ == 0 && part_ == Part::kNone) {
    begin_ = position_;
    sink_.OnMessageBegin(position_, tentative_);
  }
  const size_t used = std::min(bytes.size(), sizeof(header_) - header_bytes_);
  std::memcpy(header_ + header_bytes_, bytes.data(), used);
  header_bytes_ += used;
  if (header_bytes_ < sizeof(header_)) return used;
  header_bytes_ = 0;
  record_ = ReadFastCgiRecord(header_);
  content_left_ = record_.content;
  padding_left_ = record_.padding;
  position_ += used;
  BeginRecord();
  position_ -= used;
  return used;
}

size_t FastCgiParser::Content(absl::string_view bytes) {
  const size_t content = std::min<size_t>(bytes.size(), content_left_);
  content_left_ -= static_cast<uint32_t>(content);
  position_ += content;
  TakeContent(bytes.substr(0, content));
  position_ -= content;
  if (state_ != State::kContent) return content;
  const size_t padding = std::min<size_t>(bytes.size() - content, padding_left_);
  padding_left_ -= static_cast<uint32_t>(padding);
  position_ += content + padding;
  if (content_left_ + padding_left_ == 0) EndRecord();
  position_ -= content + padding;
  return content + padding;
}

// ---------------------------------------------------------------- records

// `position_` is behind the header.
void FastCgiParser::BeginRecord() {
  state_ = State::kContent;
  const bool fixed = record_.type == FastCgiRecord::kBeginRequest || record_.type == FastCgiRecord::kEndRequest;
  if (record_.version != 1 || (fixed && record_.content != FastCgiRecord::kFixedBody)) return Invalid();
  requests_ ? BeginRequestRecord() : BeginResponseRecord();
  if (state_ == State::kContent && content_left_ + padding_left_ == 0) EndRecord();
}

void FastCgiParser::BeginRequestRecord() {
  switch (record_.type) {
    case FastCgiRecord::kBeginRequest:
      if (part_ == Part::kNone) return BeginMessage();
      return NextRequest();
    case FastCgiRecord::kParams:
      if (part_ == Part::kNone) return Invalid();
      if (SameMessage() && part_ == Part::kBody) Invalid();
      return;
    case FastCgiRecord::kStdin:
    case FastCgiRecord::kData:
    case FastCgiRecord::kAbortRequest:
      // Behind the end of a body of known length an empty STDIN follows, maybe much later.
      if (part_ == Part::kNone) return;
      if (SameMessage() && part_ == Part::kHead && record_.type != FastCgiRecord::kAbortRequest) Invalid();
      return;
    case FastCgiRecord::kGetValues:
      return;
    default:
      return Invalid();
  }
}

void FastCgiParser::BeginResponseRecord() {
  switch (record_.type) {
    case FastCgiRecord::kStdout:
    case FastCgiRecord::kStderr:
    case FastCgiRecord::kEndRequest:
      if (record_.id == 0) return Invalid();
      if (part_ == Part::kNone) {
        BeginMessage();
      } else {
        SameMessage();
      }
      return;
    case FastCgiRecord::kGetValuesResult:
    case FastCgiRecord::kUnknownType:
      return;
    default:
      return Invalid();
  }
}

// Before the one at hand is over, as far as was seen: if that has its answer, or the number is used again, it was.
void FastCgiParser::NextRequest() {
  const bool answered = record_.id == id_ || context_.PendingRequest() == MessageContext::Request::kUnknown;
  if (!answered) return Opaque();
  if (part_ == Part::kHead) return Fail(LossReason::kInvalid);
  EndMessage(BodyEnd::kGuessed);
  begin_ = position_ - FastCgiRecord::kHeaderBytes;
  sink_.OnMessageBegin(begin_, false);
  BeginMessage();
}

void FastCgiParser::BeginMessage() {
  if (record_.id == 0) return Invalid();
  part_ = Part::kHead;
  id_ = record_.id;
  cut_ = false;
  length_.reset();
  text_.clear();
}

// Records of two requests in turn: their order no longer says what belongs together.
bool FastCgiParser::SameMessage() {
  if (record_.id == id_) return true;
  Opaque();
  return false;
}

void FastCgiParser::TakeContent(absl::string_view bytes) {
  if (bytes.empty() || part_ == Part::kNone) return;
  if (requests_) {
    if (part_ == Part::kBody && HoldsBody()) return TakeBody(bytes.size());
    if (!HoldsHead() || cut_) return;
    const size_t room = kMaxHeadBytes - text_.size();
    cut_ = bytes.size() > room;
    text_.append(bytes.data(), std::min(bytes.size(), room));
  } else if (HoldsHead()) {
    part_ == Part::kHead ? TakeAnswer(bytes) : TakeBody(bytes.size());
  }
}

// STDOUT up to the empty line, and what of the body follows it.
void FastCgiParser::TakeAnswer(absl::string_view bytes) {
  const size_t before = text_.size();
  const size_t room = kMaxHeadBytes - before;
  text_.append(bytes.data(), std::min(bytes.size(), room));
  const size_t end = CgiHeadEnd(text_, before);
  if (end == 0) {
    if (bytes.size() > room && !HeadCut(true)) Fail(LossReason::kInvalid);
    return;
  }
  HttpHead head = BuildCgiResponse(absl::string_view(text_).substr(0, end), false);
  length_ = LengthOf(head);
  ReportHead(std::move(head));
  if (const size_t rest = before + bytes.size() - end; rest > 0) TakeBody(rest);
}

void FastCgiParser::TakeBody(size_t count) {
  body_ += count;
  if (requests_ && length_ && body_ >= *length_) EndMessage(cut_ ? BodyEnd::kGuessed : BodyEnd::kExact);
}

// `position_` is behind the record.
void FastCgiParser::EndRecord() {
  state_ = State::kHeader;
  if (part_ == Part::kNone) return;
  switch (record_.type) {
    case FastCgiRecord::kParams:
      if (record_.content == 0) RequestHeadDone();
      return;
    case FastCgiRecord::kStdin:
      if (requests_ && record_.content == 0) EndMessage(cut_ ? BodyEnd::kGuessed : BodyEnd::kExact);
      return;
    case FastCgiRecord::kAbortRequest:
      // Nobody waits for a request whose head was not complete.
      if (part_ == Part::kBody) return EndMessage(BodyEnd::kAborted);
      part_ = Part::kNone;
      return;
    case FastCgiRecord::kEndRequest:
      if (part_ == Part::kBody) return EndMessage(cut_ ? BodyEnd::kGuessed : BodyEnd::kExact);
      // The application ended without an answer, or inside its head.
      ReportHead(BuildCgiResponse(text_, true));
      return EndMessage(BodyEnd::kAborted);
    default:
      return;
  }
}

// ---------------------------------------------------------------- heads

void FastCgiParser::RequestHeadDone() {
  HttpHead head;
  if (!BuildCgiRequest(text_, cut_, &head)) return Fail(cut_ ? LossReason::kGap : LossReason::kInvalid);
  length_ = LengthOf(head);
  // Only a body of unknown length needs its empty STDIN, which a server may not read before it answers.
  const bool open_ended = !length_ && head.Find("transfer-encoding").data() != nullptr;
  if (!length_ && !cut_ && !open_ended) length_ = 0;
  ReportHead(std::move(head));
  if (length_ == uint64_t{0}) EndMessage(BodyEnd::kExact);
}

void FastCgiParser::ReportHead(HttpHead head) {
  if (open_) {
    open_ = false;
    sink_.OnMessageEnd(begin_, body_, BodyEnd::kGuessed);
  }
  head.stream = id_;
  tentative_ = false;
  body_ = 0;
  part_ = Part::kBody;
  sink_.OnHead(std::move(head));
}

// What is known of a head whose end is missing; a status that was lost is not made up. A request that ends in a loss
// is noticed with the next bytes, when its answer may have passed: too late. Returns whether it was reported.
bool FastCgiParser::HeadCut(bool within_call) {
  cut_ = true;
  HttpHead head;
  if (requests_) {
    if (!within_call || !BuildCgiRequest(text_, true, &head)) return false;
  } else {
    head = BuildCgiResponse(text_, true);
    if (head.status == 0 && !within_call) return false;
  }
  ReportHead(std::move(head));
  return true;
}

// ---------------------------------------------------------------- missing bytes

void FastCgiParser::Skip(uint64_t position, uint64_t count, bool within_call) {
  if (count == 0 || state_ == State::kOver) return;
  const uint64_t inside = uint64_t{content_left_} + padding_left_;
  position_ = position + count;
  fresh_ = false;
  tail_.clear();
  switch (state_) {
    case State::kSeek:
      if (open_) body_ += count;
      return SkipHidden(within_call);
    case State::kHeader:
      return LoseTrack(within_call);
    case State::kContent:
      SkipContent(std::min(count, inside), within_call);
      if (count <= inside || state_ == State::kOver) return;
      if (state_ != State::kSeek) return LoseTrack(within_call);
      return open_ ? SkipHidden(within_call) : void();
    case State::kOver:
      return;
  }
}

// Bytes of the record at hand: their number is known, not what they said.
void FastCgiParser::SkipContent(uint64_t count, bool within_call) {
  const auto content = static_cast<uint32_t>(std::min<uint64_t>(count, content_left_));
  content_left_ -= content;
  padding_left_ -= static_cast<uint32_t>(count) - content;
  if (content > 0 && part_ == Part::kHead && HoldsHead()) {
    cut_ = true;
    // The empty line may be among them: what follows counts as body, as far as it can be counted.
    if (!requests_ && !HeadCut(within_call)) return Fail(LossReason::kGap);
  } else if (content > 0 && part_ == Part::kBody && HoldsBody()) {
    TakeBody(content);
  }
  if (state_ == State::kContent && content_left_ + padding_left_ == 0) EndRecord();
}

// Where the next record begins is not known any more.
void FastCgiParser::LoseTrack(bool within_call) {
  if (part_ == Part::kNone || (part_ == Part::kHead && !HeadCut(within_call))) return Fail(LossReason::kGap);
  state_ = State::kSeek;
  open_ = true;
  part_ = Part::kNone;
  SkipHidden(within_call);
}

void FastCgiParser::SkipHidden(bool within_call) {
  if (context_.MayHide(requests_, within_call)) Lose(LossReason::kGap);
}

// A call that ends in the record that ends the message, which may have begun in the call before.
void FastCgiParser::GuessEnd() {
  uint16_t id = 0;
  if (!EndsFastCgiMessage(tail_, requests_, &id) || id != id_) return;
  open_ = false;
  tail_.clear();
  EndMessage(BodyEnd::kGuessed);
}

// ---------------------------------------------------------------- ends

void FastCgiParser::End(bool reset) {
  const State state = std::exchange(state_, State::kOver);
  if (state == State::kOver) return;
  if (open_) {
    open_ = false;
    sink_.OnMessageEnd(position_, body_, reset ? BodyEnd::kAborted : BodyEnd::kGuessed);
  } else if (part_ == Part::kBody) {
    // A client may leave when it has what it was promised.
    const bool whole = !requests_ && length_ && body_ == *length_ && !cut_;
    sink_.OnMessageEnd(position_, body_, whole ? BodyEnd::kExact : BodyEnd::kAborted);
  }
  part_ = Part::kNone;
}

bool FastCgiParser::EndHidden(uint64_t* body_bytes) const {
  *body_bytes = body_;
  return open_;
}

// All but the last byte, so that the call with the last byte makes a record, and the end a time.
uint64_t FastCgiParser::BoringUntil() const {
  const bool body = state_ == State::kContent && part_ == Part::kBody && HoldsBody();
  return body && content_left_ > 0 ? position_ + content_left_ - 1 : 0;
}

void FastCgiParser::EndMessage(BodyEnd how) {
  if (state_ == State::kSeek) state_ = State::kHeader;
  header_bytes_ = 0;
  part_ = Part::kNone;
  sink_.OnMessageEnd(position_, body_, how);
}

// If what is read now was only taken for a message, what was open before goes on.
void FastCgiParser::Fail(LossReason reason) {
  if (!tentative_) return Lose(reason);
  tentative_ = false;
  header_bytes_ = 0;
  part_ = Part::kNone;
  state_ = State::kSeek;
}

void FastCgiParser::Lose(LossReason reason) {
  state_ = State::kSeek;
  part_ = Part::kNone;
  open_ = tentative_ = false;
  header_bytes_ = 0;
  sink_.OnLost(reason);
}

void FastCgiParser::Opaque() {
  if (tentative_) return Invalid();
  state_ = State::kOver;
  sink_.OnOpaque("multiplexed");
}

std::unique_ptr<Parser> MakeFastCgiParser(bool requests, bool joined, ParserSink& sink, MessageContext& context) {
  return std::make_unique<FastCgiParser>(requests, joined, sink, context);
}

}  // namespace spantap
