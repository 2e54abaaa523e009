// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/fastcgi_record.h"

#include <algorithm>

#include "agent/protocols/http1_infer.h"

namespace spantap {
namespace {

constexpr size_t kLongestName = 64;  // of the header with which an answer begins

uint8_t Byte(char c) { return static_cast<uint8_t>(c); }

// The first line of a CGI answer, as far as it goes: a name and a colon.
Verdict InferCgiLine(absl::string_view text) {
  size_t name = 0;
  while (name < text.size() && name <= kLongestName && IsTokenChar(text[name])) ++name;
  if (name == text.size() && name <= kLongestName) return Verdict::kNeedMore;
  return name > 0 && name <= kLongestName && text[name] == ':' ? Verdict::kResponse : Verdict::kNo;
}

Verdict InferBegin(const FastCgiRecord& record, absl::string_view content) {
  if (record.id == 0 || record.content != FastCgiRecord::kFixedBody) return Verdict::kNo;
  if (content.size() < 2) return Verdict::kRequest;
  const bool role = content[0] == 0 && content[1] >= 1 && content[1] <= 3;
  return role ? Verdict::kRequest : Verdict::kNo;
}

Verdict InferWhole(const FastCgiRecord& record, absl::string_view content, bool resumed) {
  if (record.version != 1 || record.reserved != 0) return Verdict::kNo;
  switch (record.type) {
    case FastCgiRecord::kBeginRequest:
      return InferBegin(record, content);
    case FastCgiRecord::kGetValues:  // what some clients ask first
      return record.id == 0 && !resumed ? Verdict::kRequest : Verdict::kNo;
    case FastCgiRecord::kStdout:
      if (record.id == 0 || record.content == 0) return Verdict::kNo;
      return InferCgiLine(content.substr(0, record.content));
    default:
      return Verdict::kNo;
  }
}

}  // namespace

FastCgiRecord ReadFastCgiRecord(const char* header) {
  FastCgiRecord record;
  record.version = Byte(header[0]);
  record.type = Byte(header[1]);
  record.id = static_cast<uint16_t>(Byte(header[2]) << 8 | Byte(header[3]));
  record.content = static_cast<uint16_t>(Byte(header[4]) << 8 | Byte(header[5]));
  record.padding = Byte(header[6]);
  record.reserved = Byte(header[7]);
  return record;
}

Verdict InferFastCgi(absl::string_view bytes, bool resumed) {
  constexpr absl::string_view kFirstTypes("\x01\x06\x09", 3);
  if (!bytes.empty() && bytes[0] != 1) return Verdict::kNo;
  if (bytes.size() >= 2 && kFirstTypes.find(bytes[1]) == absl::string_view::npos) return Verdict::kNo;
  if (bytes.size() < FastCgiRecord::kHeaderBytes) return resumed ? Verdict::kNo : Verdict::kNeedMore;
  const FastCgiRecord record = ReadFastCgiRecord(bytes.data());
  const Verdict verdict = InferWhole(record, bytes.substr(FastCgiRecord::kHeaderBytes), resumed);
  return verdict == Verdict::kNeedMore && resumed ? Verdict::kNo : verdict;
}

bool LooksLikeFastCgiMessage(absl::string_view bytes, bool request) {
  if (bytes.size() < FastCgiRecord::kHeaderBytes) return false;
  const FastCgiRecord record = ReadFastCgiRecord(bytes.data());
  if (record.version != 1 || record.reserved != 0 || record.id == 0) return false;
  const bool fixed = record.content == FastCgiRecord::kFixedBody;
  if (request) return record.type == FastCgiRecord::kBeginRequest && fixed;
  if (record.type == FastCgiRecord::kEndRequest) return fixed;
  return record.type == FastCgiRecord::kStdout || record.type == FastCgiRecord::kStderr;
}

bool MayBeginFastCgiAnswer(absl::string_view bytes) {
  if (!LooksLikeFastCgiMessage(bytes, false)) return false;
  const FastCgiRecord record = ReadFastCgiRecord(bytes.data());
  if (record.type != FastCgiRecord::kStdout) return true;
  return InferCgiLine(bytes.substr(FastCgiRecord::kHeaderBytes, record.content)) != Verdict::kNo;
}

bool EndsFastCgiMessage(absl::string_view bytes, bool request, uint16_t* id) {
  const size_t size = FastCgiRecord::kHeaderBytes + (request ? 0 : FastCgiRecord::kFixedBody);
  if (bytes.size() < size) return false;
  const FastCgiRecord record = ReadFastCgiRecord(bytes.data() + bytes.size() - size);
  *id = record.id;
  if (record.version != 1 || record.id == 0 || record.padding != 0 || record.reserved != 0) return false;
  if (request) return record.type == FastCgiRecord::kStdin && record.content == 0;
  // A status of four kinds, and behind it three bytes that PHP does not write: whatever was there before.
  const char status = bytes[bytes.size() - 4];
  return record.type == FastCgiRecord::kEndRequest && record.content == FastCgiRecord::kFixedBody && status >= 0 &&
         status <= 3;
}

}  // namespace spantap
