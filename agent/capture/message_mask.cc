// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/message_mask.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "agent/capture/secret_header.h"
#include "agent/capture/start_line.h"

namespace spantap {
namespace {

constexpr char kBodyMask = 'x';
constexpr char kSecretMask = '*';
constexpr uint64_t kMaxLength = uint64_t{1} << 62;
constexpr int kMaxSizeDigits = 15;

bool IsSpace(char c) { return c == ' ' || c == '\t'; }

bool IsTokenCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

uint64_t Push(uint64_t tail, char c) { return tail << 8 | static_cast<unsigned char>(c); }

// The last transfer coding is "chunked"; `tail` holds the value's last eight bytes without spaces.
bool EndsInChunked(uint64_t tail) {
  uint64_t chunked = 0;
  for (char c : absl::string_view("chunked")) chunked = Push(chunked, c);
  const uint64_t before = tail >> 56;
  return (tail & 0x00ffffffffffffff) == chunked && (before == 0 || before == ',');
}

}  // namespace

// ---------------------------------------------------------------- pending requests

void PendingMethods::Push(Kind kind) {
  if (count_ == kMax) return Forget();
  kinds_ |= static_cast<uint64_t>(kind) << (2 * count_++);
}

PendingMethods::Kind PendingMethods::Pop() {
  if (unsure_ || count_ == 0) return kUnknown;
  const Kind kind = static_cast<Kind>(kinds_ & 3);
  kinds_ >>= 2;
  --count_;
  return kind;
}

// ---------------------------------------------------------------- bytes in

bool MessageMask::InBody() const {
  return state_ == State::kBody || state_ == State::kUntilClose || state_ == State::kChunkData ||
         state_ == State::kChunkSize || state_ == State::kChunkEnd;
}

void MessageMask::Feed(char* data, size_t size, bool call_start) {
  if (methods_->tunnel) state_ = State::kLost;
  const bool resumable = state_ == State::kLost || (unsure_ && InBody());
  if (call_start && resumable && !methods_->tunnel && MayBegin({data, size}, false)) ToStart(false);
  line_start_ = call_start;
  for (size_t done = 0; done < size;) done += Step(data + done, size - done);
}

void MessageMask::SetRequests(bool requests) {
  kind_known_ = true;
  is_request_ = requests;
}

bool MessageMask::MayBegin(absl::string_view bytes, bool any_method) const {
  if (!LooksLikeHead(bytes, any_method)) return false;
  if (!kind_known_) return true;
  return is_request_ ? MayBeginRequest(bytes) : MayBeginResponse(bytes);
}

void MessageMask::Skip(uint64_t count) {
  const bool counted = state_ == State::kBody || state_ == State::kChunkData;
  if (state_ == State::kUntilClose || count == 0) return;
  if (!counted || count > remaining_) return Lose();
  remaining_ -= count;
  if (remaining_ > 0) return;
  if (state_ == State::kBody) {
    ToStart(!unsure_);
  } else {
    state_ = State::kChunkEnd;
  }
}

void MessageMask::ToStart(bool vouched) {
  state_ = State::kStart;
  vouched_ = vouched;
}

void MessageMask::Lose() {
  state_ = State::kLost;
  line_start_ = false;
  methods_->Forget();
}

size_t MessageMask::Step(char* data, size_t size) {
  switch (state_) {
    case State::kLost:
      return MaskLoosely(data, size);
    case State::kStart:
      return StepStart(data, size);
    case State::kStartLine:
      return StepStartLine(data, size);
    case State::kName:
      return StepName(data);
    case State::kValue:
      return StepValue(data, size);
    case State::kBody:
      return StepCounted(data, size, State::kStart);
    case State::kChunkData:
      return StepCounted(data, size, State::kChunkEnd);
    case State::kChunkSize:
      return StepChunkSize(data);
    case State::kChunkEnd:
      return StepChunkEnd(data);
    case State::kUntilClose:
      return MaskLoosely(data, size);
  }
  return size;
}

// Of bytes whose meaning is not known a parser looks at two things: a head at a call's start (Feed()
// has seen to that), and a last chunk at its end. A '0' at a line's start tells nobody anything else.
size_t MessageMask::MaskLoosely(char* data, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    const char c = data[i];
    if (c != '\r' && c != '\n' && !(c == '0' && line_start_)) data[i] = kBodyMask;
    line_start_ = c == '\n';
  }
  return size;
}

// ---------------------------------------------------------------- heads

size_t MessageMask::StepStart(const char* data, size_t size) {
  if (data[0] == '\r' || data[0] == '\n') return 1;
  whole_line_ = memchr(data, '\n', size) != nullptr;
  if (!MayBegin({data, size}, vouched_)) {
    Lose();
    return 0;
  }
  state_ = State::kStartLine;
  start_size_ = 0;
  tail_ = 0;
  trailer_ = has_header_ = secret_ = folded_ = false;
  has_length_ = has_coding_ = chunked_ = bad_framing_ = false;
  length_ = 0;
  return 0;
}

size_t MessageMask::StepStartLine(char* data, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    const char c = data[i];
    if (c == '\n') {
      EndStartLine();
      return i + 1;
    }
    if (c == '\r') continue;
    tail_ = Push(tail_, c);
    if (start_size_ == sizeof(start_)) continue;
    start_[start_size_++] = c;
    if (!whole_line_ && !MayBegin({start_, start_size_}, vouched_)) {
      Lose();
      return i;
    }
  }
  return size;
}

void MessageMask::EndStartLine() {
  seen_start_ = true;
  const absl::string_view start(start_, start_size_);
  const bool is_request = !absl::StartsWith(start, "HTTP/1.");
  if (is_request && !EndsInVersion(tail_)) return Lose();
  SetRequests(is_request);
  if (is_request_) {
    method_ = absl::StartsWith(start, "HEAD ")      ? PendingMethods::kHead
              : absl::StartsWith(start, "CONNECT ") ? PendingMethods::kConnect
                                                    : PendingMethods::kOrdinary;
  } else {
    status_ = 0;
    for (size_t i = 9; i < 12 && i < start.size(); ++i) {
      if (absl::ascii_isdigit(static_cast<unsigned char>(start[i]))) {
        status_ = static_cast<uint16_t>(status_ * 10 + (start[i] - '0'));
      }
    }
  }
  BeginLine();
}

void MessageMask::BeginLine() {
  state_ = State::kName;
  name_size_ = 0;
  name_done_ = folded_ = false;
}

// One byte of a header's name. What is no legal name makes the rest of its line secret, because some
// receiver may read it as one.
size_t MessageMask::StepName(char* data) {
  const char c = data[0];
  if (c == '\r') return 1;
  if (c == '\n') {
    if (name_size_ == 0 && !folded_) {
      EndHead();
    } else {
      BeginLine();
    }
    return 1;
  }
  if (IsSpace(c)) {
    if (name_size_ > 0) {
      name_done_ = true;
    } else if (has_header_) {
      folded_ = true;  // continues the value before, whatever that was
      if (secret_) state_ = State::kValue;
    }
    return 1;
  }
  if (c == ':' && name_size_ > 0) {
    EndName();
    return 1;
  }
  if (IsTokenCharacter(c) && !name_done_) {
    if (name_size_ < sizeof(name_)) name_[name_size_] = absl::ascii_tolower(static_cast<unsigned char>(c));
    ++name_size_;
    return 1;
  }
  if (!folded_) {
    secret_ = true;
    field_ = Field::kPlain;
  }
  has_header_ = true;
  state_ = State::kValue;
  return 0;
}

void MessageMask::EndName() {
  const absl::string_view name(name_, name_size_ <= sizeof(name_) ? name_size_ : 0);
  has_header_ = true;
  state_ = State::kValue;
  secret_ = IsSecretHeader(name);
  if (folded_) {
    // A folded line that reads like a secret header is treated as one; otherwise it is plain text.
    bad_framing_ |= field_ != Field::kPlain;
    return;
  }
  field_ = name == "content-length"      ? Field::kContentLength
           : name == "transfer-encoding" ? Field::kTransferEncoding
                                         : Field::kPlain;
  tail_ = 0;
  value_empty_ = true;
  if (field_ == Field::kContentLength) {
    bad_framing_ |= has_length_;
    has_length_ = true;
    length_ = 0;
  }
  has_coding_ |= field_ == Field::kTransferEncoding;
}

size_t MessageMask::StepValue(char* data, size_t size) {
  const void* line_end = memchr(data, '\n', size);
  const size_t end = line_end != nullptr ? static_cast<size_t>(static_cast<const char*>(line_end) - data) : size;
  if (secret_) {
    // White space stays: where a value begins and ends decides whether two values are equal, and a
    // fold must stay one.
    for (size_t i = 0; i < end; ++i) {
      if (!IsSpace(data[i]) && data[i] != '\r') data[i] = kSecretMask;
    }
  } else if (field_ != Field::kPlain) {
    for (size_t i = 0; i < end; ++i) {
      const char c = data[i];
      if (IsSpace(c) || c == '\r') continue;
      value_empty_ = false;
      tail_ = Push(tail_, absl::ascii_tolower(static_cast<unsigned char>(c)));
      if (field_ != Field::kContentLength) continue;
      const bool digit = c >= '0' && c <= '9';
      bad_framing_ |= !digit || length_ > kMaxLength / 10;
      if (!bad_framing_) length_ = length_ * 10 + static_cast<uint64_t>(c - '0');
    }
  }
  if (line_end == nullptr) return size;
  EndValue();
  return end + 1;
}

void MessageMask::EndValue() {
  if (field_ == Field::kContentLength) bad_framing_ |= value_empty_;
  if (field_ == Field::kTransferEncoding) chunked_ = EndsInChunked(tail_);
  BeginLine();
}

// ---------------------------------------------------------------- framing

void MessageMask::EndHead() {
  if (trailer_) return ToStart(!unsure_);
  if (bad_framing_) return Lose();
  if (!is_request_) return EndResponseHead();
  methods_->Push(method_);
  unsure_ = false;
  // A request's coding that does not end in chunked has no legal end; CONNECT's tunnel has none either.
  if (method_ == PendingMethods::kConnect || (has_coding_ && !chunked_)) {
    state_ = State::kLost;
    return;
  }
  BeginBody(false);
}

void MessageMask::EndResponseHead() {
  if (status_ >= 100 && status_ < 200 && status_ != 101) return ToStart(true);
  const PendingMethods::Kind request = methods_->Pop();
  unsure_ = request == PendingMethods::kUnknown;
  if (status_ == 101 || (request == PendingMethods::kConnect && status_ >= 200 && status_ < 300)) {
    methods_->tunnel = true;
    state_ = State::kLost;
    return;
  }
  if (request == PendingMethods::kHead || status_ == 204 || status_ == 304) return ToStart(true);
  BeginBody(true);
}

void MessageMask::BeginBody(bool until_close) {
  if (chunked_) return BeginChunkSize();
  remaining_ = has_coding_ ? 0 : length_;
  if (remaining_ > 0) {
    state_ = State::kBody;
  } else if (until_close && (!has_length_ || has_coding_)) {
    state_ = State::kUntilClose;
  } else {
    ToStart(true);
  }
}

void MessageMask::BeginChunkSize() {
  state_ = State::kChunkSize;
  remaining_ = 0;
  size_digits_ = 0;
  in_extension_ = false;
}

size_t MessageMask::StepCounted(char* data, size_t size, State next) {
  const size_t masked = static_cast<size_t>(std::min<uint64_t>(size, remaining_));
  MaskLoosely(data, masked);
  remaining_ -= masked;
  if (remaining_ > 0) return masked;
  if (next == State::kStart) {
    ToStart(!unsure_);
  } else {
    state_ = next;
  }
  return masked;
}

size_t MessageMask::StepChunkSize(char* data) {
  const char c = data[0];
  if (c == '\r') return 1;
  if (c == '\n') {
    if (size_digits_ == 0) {
      Lose();
    } else if (remaining_ > 0) {
      state_ = State::kChunkData;
    } else {
      trailer_ = true;
      has_header_ = secret_ = false;
      field_ = Field::kPlain;
      BeginLine();
    }
    return 1;
  }
  if (in_extension_) {
    data[0] = kBodyMask;
    return 1;
  }
  const int digit = HexDigit(c);
  if (digit >= 0 && size_digits_ < kMaxSizeDigits) {
    remaining_ = remaining_ * 16 + static_cast<uint64_t>(digit);
    ++size_digits_;
    return 1;
  }
  if (size_digits_ == 0 || (c != ';' && !IsSpace(c))) {
    Lose();
    return 0;
  }
  in_extension_ = true;
  return 1;
}

size_t MessageMask::StepChunkEnd(char* data) {
  if (data[0] == '\r') return 1;
  if (data[0] != '\n') {
    Lose();
    return 0;
  }
  BeginChunkSize();
  return 1;
}

}  // namespace spantap
