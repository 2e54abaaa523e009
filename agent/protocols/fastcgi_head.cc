// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/fastcgi_head.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

constexpr uint16_t kOk = 200, kFound = 302;

// ---------------------------------------------------------------- name-value pairs

// One byte, or four with the highest bit set. False if there are too few.
bool TakeLength(absl::string_view* bytes, size_t* length) {
  if (bytes->empty()) return false;
  const auto byte = [bytes](size_t i) { return static_cast<size_t>(static_cast<uint8_t>((*bytes)[i])); };
  const size_t size = byte(0) < 0x80 ? 1 : 4;
  if (bytes->size() < size) return false;
  *length = size == 1 ? byte(0) : (byte(0) & 0x7f) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
  bytes->remove_prefix(size);
  return true;
}

bool TakePair(absl::string_view* bytes, absl::string_view* name, absl::string_view* value) {
  size_t name_bytes = 0, value_bytes = 0;
  if (!TakeLength(bytes, &name_bytes) || !TakeLength(bytes, &value_bytes)) return false;
  if (name_bytes > bytes->size() || value_bytes > bytes->size() - name_bytes) return false;
  *name = bytes->substr(0, name_bytes);
  *value = bytes->substr(name_bytes, value_bytes);
  bytes->remove_prefix(name_bytes + value_bytes);
  return true;
}

// What of the parameters is looked at. Views into the pairs.
struct Parameters {
  absl::string_view method, uri, script, path_info, query, server_name, server_port, scheme, https, client;
  absl::string_view content_type, content_length;
  bool has_host = false, has_type = false, has_length = false;

  absl::string_view* Find(absl::string_view name) {
    const struct {
      absl::string_view name;
      absl::string_view* place;
    } rows[] = {{"REQUEST_METHOD", &method},   {"REQUEST_URI", &uri},           {"SCRIPT_NAME", &script},
                {"PATH_INFO", &path_info},     {"QUERY_STRING", &query},        {"SERVER_NAME", &server_name},
                {"SERVER_PORT", &server_port}, {"REQUEST_SCHEME", &scheme},     {"HTTPS", &https},
                {"REMOTE_ADDR", &client},      {"CONTENT_TYPE", &content_type}, {"CONTENT_LENGTH", &content_length}};
    for (const auto& row : rows) {
      if (row.name == name) return row.place;
    }
    return nullptr;
  }
};

// The head's one buffer, filled from its front.
class Text {
 public:
  Text(HttpHead* head, size_t room) : head_(head) { head->text.reset(new char[room]); }

  absl::string_view Add(absl::string_view bytes) {
    char* const to = head_->text.get() + head_->text_bytes;
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    head_->text_bytes += bytes.size();
    return {to, bytes.size()};
  }
  // X_REQUEST_ID -> x-request-id
  absl::string_view AddName(absl::string_view name) {
    char* const to = head_->text.get() + head_->text_bytes;
    for (size_t i = 0; i < name.size(); ++i) {
      to[i] = name[i] == '_' ? '-' : absl::ascii_tolower(static_cast<unsigned char>(name[i]));
    }
    head_->text_bytes += name.size();
    return {to, name.size()};
  }
  // A parameter's name, or (`as_is`) a header's.
  void AddHeader(absl::string_view name, absl::string_view value, bool as_is = false) {
    if (head_->headers.size() == kMaxHeaders) {
      ++head_->headers_dropped;
      return;
    }
    const absl::string_view added = as_is ? Add(name) : AddName(name);
    head_->headers.push_back({added, Add(value)});
  }

 private:
  HttpHead* const head_;
};

// SCRIPT_NAME PATH_INFO ? QUERY_STRING, where a server does not say REQUEST_URI.
absl::string_view AddTarget(const Parameters& parameters, Text* text) {
  if (!parameters.uri.empty()) return text->Add(parameters.uri);
  const absl::string_view path = text->Add(parameters.script);
  size_t size = path.size() + text->Add(parameters.path_info).size();
  if (size == 0) return {};
  if (!parameters.query.empty()) size += text->Add("?").size() + text->Add(parameters.query).size();
  return {path.data(), size};
}

// Where the request named no host, the server that took it.
void AddHost(const Parameters& parameters, Text* text) {
  if (parameters.has_host || parameters.server_name.empty() || parameters.server_name == "_") return;
  text->AddHeader("HOST", parameters.server_name);
}

}  // namespace

bool BuildCgiRequest(absl::string_view pairs, bool cut, HttpHead* head) {
  head->is_request = true;
  head->truncated = cut;
  head->protocol = "fastcgi";
  head->version = 10;
  Text text(head, pairs.size() + 1);
  Parameters parameters;
  absl::string_view name, value;
  bool whole = true;
  while (!pairs.empty() && (whole = TakePair(&pairs, &name, &value))) {
    if (absl::string_view* const place = parameters.Find(name)) {
      *place = value;
    } else if (absl::ConsumePrefix(&name, "HTTP_") && !name.empty()) {
      parameters.has_host |= name == "HOST";
      parameters.has_type |= name == "CONTENT_TYPE";
      parameters.has_length |= name == "CONTENT_LENGTH";
      text.AddHeader(name, value);
    }
  }
  if (!whole && !cut) return false;
  // Some servers pass these two both ways.
  if (!parameters.has_type && !parameters.content_type.empty()) {
    text.AddHeader("CONTENT_TYPE", parameters.content_type);
  }
  if (!parameters.has_length && !parameters.content_length.empty()) {
    text.AddHeader("CONTENT_LENGTH", parameters.content_length);
  }
  AddHost(parameters, &text);
  head->method = text.Add(parameters.method);
  head->target = AddTarget(parameters, &text);
  head->client = text.Add(parameters.client);
  const bool https = absl::EqualsIgnoreCase(parameters.https, "on") || parameters.scheme == "https";
  head->scheme = https ? "https" : "http";
  return !head->method.empty() && !head->target.empty();
}

// ---------------------------------------------------------------- answers

HttpHead BuildCgiResponse(absl::string_view lines, bool cut) {
  HttpHead head;
  head.truncated = cut;
  head.protocol = "fastcgi";
  head.version = 10;
  Text text(&head, lines.size());
  bool location = false;
  uint32_t status = 0;
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    if (end == absl::string_view::npos && cut) break;  // it may go on
    const absl::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == absl::string_view::npos ? lines.size() : end + 1);
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || colon == 0) continue;
    const absl::string_view name = line.substr(0, colon);
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
    if (absl::EqualsIgnoreCase(name, "status")) {
      if (!absl::SimpleAtoi(value.substr(0, 3), &status)) status = 0;
      continue;
    }
    location |= absl::EqualsIgnoreCase(name, "location");
    text.AddHeader(name, value, true);
  }
  if (status == 0 && !cut) status = location ? kFound : kOk;
  // An interim status has no place here; what is none of HTTP's is not known.
  head.status = static_cast<uint16_t>(status >= 200 && status <= 999 ? status : 0);
  return head;
}

size_t CgiHeadEnd(absl::string_view text, size_t from) {
  // An empty line: at the very start, or behind a line's end.
  for (size_t at = text.find('\n', from); at != absl::string_view::npos; at = text.find('\n', at + 1)) {
    const size_t line = at > 0 && text[at - 1] == '\r' ? at - 1 : at;
    if (line == 0 || text[line - 1] == '\n') return at + 1;
  }
  return 0;
}

}  // namespace spantap
