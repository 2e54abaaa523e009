// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http1_reader.h"

#include <algorithm>
#include <cstring>

#include "agent/protocols/http1_infer.h"

namespace spantap {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Replaces each line fold (blanks, line end, blanks; RFC 9112 §5.2) by one space, in place.
size_t Unfold(char* text, size_t size) {
  size_t out = 0;
  for (size_t in = 0; in < size;) {
    if (text[in] != '\r' && text[in] != '\n') {
      text[out++] = text[in++];
      continue;
    }
    while (in < size && IsSpace(text[in])) ++in;
    while (out > 0 && IsSpace(text[out - 1])) --out;
    text[out++] = ' ';
  }
  return out;
}

}  // namespace

const llhttp_settings_t& Http1Reader::Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = [](llhttp_t* p, const char* at, size_t length) {
      Http1Reader& self = Self(p);
      const Span span = self.At(at, length);
      if (self.target_.end == 0) self.target_.begin = span.begin;
      self.target_.end = span.end;
      return 0;
    };
    s.on_version_complete = [](llhttp_t* p) { return Self(p).start_line_done_ = Self(p).request_, 0; };
    s.on_status_complete = [](llhttp_t* p) { return Self(p).start_line_done_ = true, 0; };
    s.on_header_field = [](llhttp_t* p, const char* at, size_t length) { return Self(p).AddName(at, length), 0; };
    s.on_header_field_complete = [](llhttp_t* p) { return Self(p).in_name_ = false, 0; };
    s.on_header_value = [](llhttp_t* p, const char* at, size_t length) { return Self(p).AddValue(at, length), 0; };
    s.on_header_value_complete = [](llhttp_t* p) {
      if (!Self(p).head_done_) Self(p).complete_lines_ = static_cast<uint32_t>(Self(p).lines_.size());
      return 0;
    };
    s.on_headers_complete = [](llhttp_t* p) { return Self(p).head_done_ = true, static_cast<int>(HPE_PAUSED); };
    s.on_body = [](llhttp_t* p, const char*, size_t length) { return *Self(p).payload_ += length, 0; };
    s.on_chunk_header = [](llhttp_t* p) { return Self(p).in_chunk_ = true, 0; };
    s.on_chunk_complete = [](llhttp_t* p) { return Self(p).in_chunk_ = false, 0; };
    s.on_message_complete = [](llhttp_t*) { return static_cast<int>(HPE_PAUSED); };
    return s;
  }();
  return settings;
}

void Http1Reader::Begin(bool request) {
  llhttp_init(&llhttp_, request ? HTTP_REQUEST : HTTP_RESPONSE, &Settings());
  llhttp_.data = this;
  // We report what crossed the wire; whether a peer should have refused it is not ours to say.
  llhttp_set_lenient_headers(&llhttp_, 1);
  llhttp_set_lenient_chunked_length(&llhttp_, 1);
  request_ = request;
  method_done_ = !request;
  start_line_done_ = head_done_ = in_name_ = in_chunk_ = false;
  method_bytes_ = dropped_ = complete_lines_ = 0;
  target_ = Span();
  lines_.clear();
  earlier_.clear();
  current_ = absl::string_view();
}

Http1Reader::Span Http1Reader::At(const char* at, size_t length) const {
  const auto begin = static_cast<uint32_t>(earlier_.size() + static_cast<size_t>(at - data_));
  return {begin, begin + static_cast<uint32_t>(length), false};
}

void Http1Reader::AddName(const char* at, size_t length) {
  if (head_done_) return;  // trailers
  const Span span = At(at, length);
  if (in_name_) {
    if (dropped_ == 0) lines_.back().name.end = span.end;
    return;
  }
  in_name_ = true;
  if (lines_.size() == kMaxHeaders) {
    ++dropped_;
  } else {
    lines_.push_back({span, Span()});
  }
}

void Http1Reader::AddValue(const char* at, size_t length) {
  if (head_done_ || dropped_ > 0 || lines_.empty()) return;
  const Span span = At(at, length);
  Span& value = lines_.back().value;
  if (value.end == 0) {
    value = span;
  } else {
    value.folded |= span.begin != value.end;
    value.end = span.end;
  }
}

// Any token is a method. llhttp knows a fixed list, so it is given one of that list in its place: the
// method only matters to its grammar where it is CONNECT. (GET and POST would admit RTSP's version.)
Http1Reader::Result Http1Reader::ReadMethod(absl::string_view bytes, size_t* used) {
  *used = 0;
  while (*used < bytes.size() && IsTokenChar(bytes[*used])) ++*used;
  const size_t length = earlier_.size() + *used;
  if (length > kMaxMethodBytes) return Result::kInvalid;
  if (*used == bytes.size()) return Result::kNeedMore;
  if (length == 0 || bytes[*used] != ' ') return Result::kInvalid;
  earlier_.append(bytes.data(), *used + 1);
  ++*used;
  method_done_ = true;
  method_bytes_ = static_cast<uint32_t>(length);
  const bool connect = absl::string_view(earlier_).substr(0, length) == "CONNECT";
  const absl::string_view stand_in = connect ? "CONNECT " : "PUT ";
  return llhttp_execute(&llhttp_, stand_in.data(), stand_in.size()) == HPE_OK ? Result::kDone : Result::kInvalid;
}

Http1Reader::Result Http1Reader::ReadHead(absl::string_view bytes, size_t* used) {
  size_t method_used = 0;
  if (!method_done_) {
    const Result result = ReadMethod(bytes, &method_used);
    if (result == Result::kNeedMore) earlier_.append(bytes.data(), bytes.size());
    *used = method_used;
    if (result != Result::kDone) return result;
    bytes.remove_prefix(method_used);
  }
  const absl::string_view fed = bytes.substr(0, kMaxHeadBytes - earlier_.size());
  data_ = fed.data();
  const llhttp_errno_t error = fed.empty() ? HPE_OK : llhttp_execute(&llhttp_, fed.data(), fed.size());
  if (error == HPE_OK) {
    earlier_.append(fed.data(), fed.size());
    *used = method_used + fed.size();
    return earlier_.size() < kMaxHeadBytes ? Result::kNeedMore : Result::kTooLong;
  }
  if (error != HPE_PAUSED || !head_done_) return Result::kInvalid;
  const auto head_bytes = static_cast<size_t>(llhttp_get_error_pos(&llhttp_) - fed.data());
  current_ = fed.substr(0, head_bytes);
  *used = method_used + head_bytes;
  const bool version_known = llhttp_.http_major == 1 && llhttp_.http_minor <= 1;
  return version_known && (request_ || llhttp_.status_code >= 100) ? Result::kDone : Result::kInvalid;
}

bool Http1Reader::TakeCut(bool partial_target, HttpHead* head) {
  const bool enough = start_line_done_ || (partial_target && request_ && target_.end > target_.begin);
  if (!enough) return false;
  current_ = absl::string_view();
  // A header is known to be whole once its line end has been read.
  if (!earlier_.empty() && earlier_.back() == '\n') complete_lines_ = static_cast<uint32_t>(lines_.size());
  lines_.resize(std::min<size_t>(complete_lines_, lines_.size()));
  *head = Build(true);
  return true;
}

absl::string_view Http1Reader::Value(char* text, const Span& span) const {
  char* begin = text + span.begin;
  size_t size = span.end - span.begin;
  if (span.folded) size = Unfold(begin, size);
  while (size > 0 && IsSpace(begin[size - 1])) --size;
  size_t leading = 0;
  while (leading < size && IsSpace(begin[leading])) ++leading;
  return {begin + leading, size - leading};
}

HttpHead Http1Reader::Build(bool cut) {
  HttpHead head;
  head.is_request = request_;
  head.truncated = cut;
  head.text_bytes = earlier_.size() + current_.size();
  head.text.reset(new char[head.text_bytes]);
  char* text = head.text.get();
  if (!earlier_.empty()) std::memcpy(text, earlier_.data(), earlier_.size());
  if (!current_.empty()) std::memcpy(text + earlier_.size(), current_.data(), current_.size());
  head.version = start_line_done_ && llhttp_.http_minor == 0 ? 10 : 11;
  if (request_) {
    head.method = absl::string_view(text, method_bytes_);
    head.target = absl::string_view(text + target_.begin, target_.end - target_.begin);
  } else {
    head.status = llhttp_.status_code;
  }
  head.headers.reserve(lines_.size());
  for (const Line& line : lines_) {
    const absl::string_view name(text + line.name.begin, line.name.end - line.name.begin);
    head.headers.push_back({name, line.value.end == 0 ? absl::string_view("", 0) : Value(text, line.value)});
  }
  head.headers_dropped = dropped_;
  return head;
}

Http1Reader::Framing Http1Reader::framing() const {
  Framing framing;
  framing.chunked = (llhttp_.flags & F_CHUNKED) != 0;
  framing.other_coding = !framing.chunked && (llhttp_.flags & F_TRANSFER_ENCODING) != 0;
  framing.has_length = (llhttp_.flags & F_CONTENT_LENGTH) != 0;
  framing.length = llhttp_.content_length;
  return framing;
}

Http1Reader::Result Http1Reader::ReadChunks(absl::string_view bytes, size_t* used, uint64_t* payload) {
  if (llhttp_get_errno(&llhttp_) == HPE_PAUSED) llhttp_resume(&llhttp_);
  payload_ = payload;
  const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  *used = bytes.size();
  if (error == HPE_OK) return Result::kNeedMore;
  if (error != HPE_PAUSED && error != HPE_PAUSED_UPGRADE) return Result::kInvalid;
  *used = static_cast<size_t>(llhttp_get_error_pos(&llhttp_) - bytes.data());
  return Result::kDone;
}

// llhttp counts chunk data down in its public content_length and looks at no byte of it, so taking
// from the counter is the same as feeding the bytes (a test compares the two). The last byte is fed,
// because the state after the data is entered by the byte that ends it.
void Http1Reader::SkipChunkData(uint64_t count) {
  const bool whole = count == llhttp_.content_length;
  llhttp_.content_length -= whole ? count - 1 : count;
  uint64_t ignored = 0;
  size_t used = 0;
  if (whole) ReadChunks(absl::string_view("\0", 1), &used, &ignored);
}

}  // namespace spantap
