// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/fastcgi_mask.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "agent/capture/secret_header.h"

namespace spantap {
namespace {

constexpr char kBodyMask = 'x';
constexpr char kSecretMask = '*';
constexpr size_t kHeaderBytes = 8, kEndBytes = 16;
constexpr size_t kUnset = 3;         // last bytes of BEGIN_REQUEST and END_REQUEST: not every program writes them
constexpr size_t kLongestName = 64;  // of the header with which an answer begins
// Record types.
constexpr uint8_t kBegin = 1, kAbort = 2, kEnd = 3, kParams = 4, kStdin = 5, kStdout = 6, kStderr = 7, kData = 8;
constexpr uint8_t kGetValues = 9, kGetValuesResult = 10, kUnknownType = 11;

uint8_t Byte(absl::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
uint16_t Id(absl::string_view bytes) { return static_cast<uint16_t>(Byte(bytes, 2) << 8 | Byte(bytes, 3)); }
uint16_t Content(absl::string_view bytes) { return static_cast<uint16_t>(Byte(bytes, 4) << 8 | Byte(bytes, 5)); }

bool IsHeader(absl::string_view bytes, uint8_t type) {
  return bytes.size() >= kHeaderBytes && Byte(bytes, 0) == 1 && Byte(bytes, 1) == type && Byte(bytes, 7) == 0;
}

bool IsBegin(absl::string_view bytes) { return IsHeader(bytes, kBegin) && Id(bytes) != 0 && Content(bytes) == 8; }

// A name and a colon, as far as it goes.
bool MayBeCgiLine(absl::string_view text) {
  for (size_t i = 0; i < text.size() && i <= kLongestName; ++i) {
    if (text[i] == ':') return i > 0;
    if (!absl::ascii_isgraph(static_cast<unsigned char>(text[i]))) return false;
  }
  return text.size() <= kLongestName;
}

void Overwrite(char* data, size_t size, char mask) { std::memset(data, mask, size); }

// Parameters that a request is made of; HTTP_* besides.
bool IsKept(absl::string_view name) {
  for (absl::string_view kept :
       {"request-method", "request-uri", "script-name", "path-info", "query-string", "server-name", "server-port",
        "request-scheme", "https", "remote-addr", "content-type", "content-length"}) {
    if (name == kept) return true;
  }
  return false;
}

}  // namespace

bool BeginsFastCgiRequest(absl::string_view bytes) {
  return IsBegin(bytes) || (IsHeader(bytes, kGetValues) && Id(bytes) == 0);
}

// ---------------------------------------------------------------- bytes in

bool FastCgiMask::MayBegin(absl::string_view bytes) const {
  if (requests_) return BeginsFastCgiRequest(bytes);
  if (IsHeader(bytes, kGetValuesResult)) return true;
  if (!ended_ || bytes.size() < kHeaderBytes || Id(bytes) == 0) return false;
  if (IsHeader(bytes, kStdout)) return MayBeCgiLine(bytes.substr(kHeaderBytes, Content(bytes)));
  return IsHeader(bytes, kStderr) || (IsHeader(bytes, kEnd) && Content(bytes) == 8);
}

void FastCgiMask::Feed(char* data, size_t size, bool call_start) {
  if (state_ == State::kLost && call_start && MayBegin({data, size})) {
    state_ = State::kHeader;
    header_bytes_ = 0;
    open_ = false;
    part_ = Part::kNone;
  }
  ended_ = false;
  for (size_t done = 0; done < size;) done += Step(data + done, size - done);
}

void FastCgiMask::Skip(uint64_t count) {
  if (count == 0) return;
  ended_ = false;
  if (state_ == State::kLost) return;
  if (state_ != State::kContent || count > uint64_t{content_left_} + padding_left_) {
    state_ = State::kLost;
    return;
  }
  const auto content = static_cast<uint32_t>(std::min<uint64_t>(count, content_left_));
  content_left_ -= content;
  padding_left_ -= static_cast<uint32_t>(count) - content;
  // What the next bytes of pairs, or of a head, mean is not known any more.
  if (content > 0 && header_[1] == (requests_ ? kParams : kStdout)) part_ = Part::kNone;
  if (content_left_ + padding_left_ == 0) state_ = State::kHeader;
}

size_t FastCgiMask::Step(char* data, size_t size) {
  switch (state_) {
    case State::kHeader:
      return StepHeader(data, size);
    case State::kContent:
      return StepContent(data, size);
    case State::kLost:
      break;
  }
  const size_t end = KeepEnd({data, size});
  Overwrite(data, size - end, kBodyMask);
  if (end == kEndBytes) Overwrite(data + size - kUnset, kUnset, kBodyMask);
  return size;
}

// Bytes at the end that are the record with which a message ends. If it is the one at hand, the next record is behind.
size_t FastCgiMask::KeepEnd(absl::string_view bytes) {
  const size_t wanted = requests_ ? kHeaderBytes : kEndBytes;
  if (bytes.size() < wanted) return 0;
  const absl::string_view end = bytes.substr(bytes.size() - wanted);
  if (!IsHeader(end, requests_ ? kStdin : kEnd) || Id(end) == 0 || Content(end) != (requests_ ? 0 : 8)) return 0;
  if (Byte(end, 6) != 0) return 0;
  ended_ = true;
  if (Id(end) != id_) return wanted;
  state_ = State::kHeader;
  header_bytes_ = 0;
  open_ = false;
  part_ = Part::kNone;
  return wanted;
}

// Version, a type that this direction has, nothing in the last byte. What is none of that is not shown.
bool FastCgiMask::MayBeHeader(size_t at, uint8_t byte) const {
  if (at == 0) return byte == 1;
  if (at == kHeaderBytes - 1) return byte == 0;
  const uint32_t types =
      requests_ ? 1u << kBegin | 1u << kAbort | 1u << kParams | 1u << kStdin | 1u << kData | 1u << kGetValues
                : 1u << kEnd | 1u << kStdout | 1u << kStderr | 1u << kGetValuesResult | 1u << kUnknownType;
  return at != 1 || (byte <= kUnknownType && (types & 1u << byte) != 0);
}

size_t FastCgiMask::StepHeader(const char* data, size_t size) {
  const size_t used = std::min(size, kHeaderBytes - header_bytes_);
  for (size_t i = 0; i < used; ++i) {
    const auto byte = static_cast<uint8_t>(data[i]);
    if (!MayBeHeader(header_bytes_ + i, byte)) {
      state_ = State::kLost;
      return 0;
    }
    header_[header_bytes_ + i] = byte;
  }
  header_bytes_ = static_cast<uint8_t>(header_bytes_ + used);
  if (header_bytes_ == kHeaderBytes) BeginRecord();
  return used;
}

void FastCgiMask::BeginRecord() {
  const absl::string_view header(reinterpret_cast<const char*>(header_), kHeaderBytes);
  const uint8_t type = header_[1];
  header_bytes_ = 0;
  content_left_ = Content(header);
  padding_left_ = header_[6];
  state_ = content_left_ + padding_left_ > 0 ? State::kContent : State::kHeader;
  if (requests_ && type == kBegin) {
    id_ = Id(header);
    BeginPair();
  } else if (requests_ && type == kParams && content_left_ == 0) {
    part_ = Part::kNone;  // there are no more
  } else if (!requests_ && !open_ && (type == kStdout || type == kStderr || type == kEnd)) {
    id_ = Id(header);
    open_ = true;
    BeginLine();
  }
  if (type == kEnd) open_ = false;
}

size_t FastCgiMask::StepContent(char* data, size_t size) {
  const size_t content = std::min<size_t>(size, content_left_);
  const absl::string_view header(reinterpret_cast<const char*>(header_), kHeaderBytes);
  const uint8_t type = header_[1];
  const bool ours = Id(header) == id_ && part_ != Part::kNone;
  if (requests_ && type == kParams && ours) {
    MaskPairs(data, content);
  } else if (!requests_ && type == kStdout && ours) {
    MaskLines(data, content);
  } else if ((type != kBegin && type != kEnd) || Content(header) != 8) {
    Overwrite(data, content, type == kParams ? kSecretMask : kBodyMask);
  } else {
    const size_t kept = std::min<size_t>(content, content_left_ - std::min<uint32_t>(content_left_, kUnset));
    Overwrite(data + kept, content - kept, kBodyMask);
  }
  content_left_ -= static_cast<uint32_t>(content);
  const size_t padding = std::min<size_t>(size - content, padding_left_);
  Overwrite(data + content, padding, kBodyMask);
  padding_left_ -= static_cast<uint32_t>(padding);
  if (content_left_ + padding_left_ == 0) state_ = State::kHeader;
  return content + padding;
}

// ---------------------------------------------------------------- parameters

void FastCgiMask::BeginPair() {
  part_ = Part::kNameLength;
  length_bytes_ = 0;
  name_size_ = 0;
}

void FastCgiMask::TakeLength(uint8_t byte) {
  if (length_bytes_ == 0) {
    length_bytes_ = byte < 0x80 ? 1 : 4;
    length_ = byte & 0x7f;
  } else {
    length_ = length_ << 8 | byte;
  }
  if (--length_bytes_ > 0) return;
  if (part_ == Part::kNameLength) {
    name_left_ = length_;
    part_ = Part::kValueLength;
    return;
  }
  value_left_ = length_;
  part_ = Part::kName;
  if (name_left_ == 0) BeginValue();
}

void FastCgiMask::AddToName(char c) {
  if (name_size_ < sizeof(name_))
    name_[name_size_] = c == '_' ? '-' : absl::ascii_tolower(static_cast<unsigned char>(c));
  ++name_size_;
}

void FastCgiMask::BeginValue() {
  // A name longer than what is kept of it can only be a header that is no secret.
  const absl::string_view name(name_, std::min(name_size_, sizeof(name_)));
  const bool header = absl::StartsWith(name, "http-");
  secret_ = header && name_size_ <= sizeof(name_) && IsSecretHeader(name.substr(5));
  keep_ = header ? !secret_ : name_size_ <= sizeof(name_) && IsKept(name);
  part_ = Part::kValue;
  if (value_left_ == 0) BeginPair();
}

void FastCgiMask::MaskPairs(char* data, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    switch (part_) {
      case Part::kNameLength:
      case Part::kValueLength:
        TakeLength(static_cast<uint8_t>(data[i]));
        break;
      case Part::kName:
        AddToName(data[i]);
        if (--name_left_ == 0) BeginValue();
        break;
      default:
        if (!keep_ && !(secret_ && (data[i] == ' ' || data[i] == '\t'))) data[i] = kSecretMask;
        if (--value_left_ == 0) BeginPair();
        break;
    }
  }
}

// ---------------------------------------------------------------- answers

void FastCgiMask::BeginLine() {
  part_ = Part::kName;
  name_size_ = 0;
}

// Header lines up to the empty one; the rest is body.
void FastCgiMask::MaskLines(char* data, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    const char c = data[i];
    if (part_ == Part::kNone) {
      data[i] = kBodyMask;
    } else if (c == '\n') {
      const bool empty = part_ == Part::kName && name_size_ == 0;
      BeginLine();
      if (empty) part_ = Part::kNone;
    } else if (c == '\r') {
      continue;
    } else if (part_ == Part::kName && (c == ' ' || c == '\t')) {
      if (name_size_ == 0) part_ = Part::kValue;  // goes on with the value before, whatever that was
    } else if (part_ == Part::kName && c != ':') {
      AddToName(c);
      if (name_size_ > kLongestName) data[i] = kSecretMask;
    } else if (part_ == Part::kName) {
      part_ = Part::kValue;
      secret_ = IsSecretHeader({name_, name_size_ <= sizeof(name_) ? name_size_ : 0});
    } else if (secret_ && c != ' ' && c != '\t') {
      data[i] = kSecretMask;
    }
  }
}

}  // namespace spantap
