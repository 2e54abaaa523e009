// SPDX-License-Identifier: Apache-2.0
#include "agent/spans/forwarded.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "exporter/model/url.h"

namespace spantap {
namespace {

void SetFirst(absl::string_view value, absl::string_view* field) {
  if (field->data() == nullptr) *field = value;
}

// Switching on the length first leaves at most two comparisons per header.
absl::string_view* FieldOf(absl::string_view name, RequestHeaders* headers) {
  const auto is = [name](absl::string_view other) { return absl::EqualsIgnoreCase(name, other); };
  switch (name.size()) {
    case 4:
      return is("host") ? &headers->host : nullptr;
    case 9:
      return is("forwarded") ? &headers->forwarded : nullptr;
    case 10:
      if (is("user-agent")) return &headers->user_agent;
      return is("tracestate") ? &headers->tracestate : nullptr;
    case 11:
      return is("traceparent") ? &headers->traceparent : nullptr;
    case 12:
      return is("x-request-id") ? &headers->x_request_id : nullptr;
    case 15:
      return is("x-forwarded-for") ? &headers->x_forwarded_for : nullptr;
    case 16:
      return is("x-forwarded-host") ? &headers->x_forwarded_host : nullptr;
    case 17:
      return is("x-forwarded-proto") ? &headers->x_forwarded_proto : nullptr;
    default:
      return nullptr;
  }
}

absl::string_view FirstElement(absl::string_view list) {
  return absl::StripAsciiWhitespace(list.substr(0, list.find(',')));
}

absl::string_view Unquote(absl::string_view value) {
  value = absl::StripAsciiWhitespace(value);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
  return value;
}

// A parameter of the first forwarded-element; quoted strings with ',' or ';' inside are not split
// correctly, but addresses, hosts and schemes hold neither.
absl::string_view ForwardedParameter(absl::string_view forwarded, absl::string_view name) {
  absl::string_view element = FirstElement(forwarded);
  while (!element.empty()) {
    const size_t end = element.find(';');
    const absl::string_view pair = element.substr(0, end);
    const size_t equals = pair.find('=');
    if (equals != absl::string_view::npos &&
        absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(pair.substr(0, equals)), name)) {
      return Unquote(pair.substr(equals + 1));
    }
    if (end == absl::string_view::npos) break;
    element.remove_prefix(end + 1);
  }
  return {};
}

absl::string_view ValidProto(absl::string_view proto) {
  for (char c : proto) {
    if (c < 'a' || c > 'z') return {};
  }
  return proto.size() <= 16 ? proto : absl::string_view();
}

}  // namespace

RequestHeaders CollectHeaders(const HttpHead& head) {
  RequestHeaders headers;
  for (const HttpHeader& header : head.headers) {
    absl::string_view* field = FieldOf(header.name, &headers);
    if (field == nullptr) continue;
    if (field == &headers.traceparent) ++headers.traceparents;
    if (field == &headers.tracestate) ++headers.tracestates;
    SetFirst(header.value, field);
  }
  return headers;
}

Origin OriginOf(const RequestHeaders& headers) {
  Origin origin;
  origin.client = FirstElement(headers.x_forwarded_for);
  origin.host = FirstElement(headers.x_forwarded_host);
  origin.proto = ValidProto(FirstElement(headers.x_forwarded_proto));
  if (!headers.forwarded.empty()) {
    if (origin.client.empty()) origin.client = ForwardedParameter(headers.forwarded, "for");
    if (origin.host.empty()) origin.host = ForwardedParameter(headers.forwarded, "host");
    if (origin.proto.empty()) origin.proto = ValidProto(ForwardedParameter(headers.forwarded, "proto"));
  }
  if (!origin.client.empty()) origin.client = SplitAuthority(origin.client).host;
  return origin;
}

}  // namespace spantap
