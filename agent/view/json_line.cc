// SPDX-License-Identifier: Apache-2.0
#include "agent/view/json_line.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "agent/spans/address.h"
#include "agent/spans/http_method.h"
#include "agent/view/escape.h"

namespace spantap {
namespace {

class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { out_->push_back('{'); }
  ~JsonObject() { out_->append("}\n"); }

  void String(absl::string_view key, absl::string_view untrusted) {
    Key(key);
    AppendJsonString(untrusted, out_);
  }
  // null where there is none.
  void Optional(absl::string_view key, absl::string_view untrusted) {
    if (untrusted.data() == nullptr || untrusted.empty()) return Raw(key, "null");
    String(key, untrusted);
  }
  void Number(absl::string_view key, uint64_t value) {
    Key(key);
    absl::StrAppend(out_, value);
  }
  void Bool(absl::string_view key, bool value) { Raw(key, value ? "true" : "false"); }
  void Raw(absl::string_view key, absl::string_view json) {
    Key(key);
    out_->append(json.data(), json.size());
  }

 private:
  void Key(absl::string_view key) {
    absl::StrAppend(out_, first_ ? "\"" : ",\"", key, "\":");
    first_ = false;
  }
  std::string* out_;
  bool first_ = true;
};

void AddIds(const LinkedExchange& linked, JsonObject* json) {
  json->String("trace_id", FormatHex(linked.trace_id));
  json->String("span_id", FormatHex(linked.span_id));
  json->Optional("parent_span_id", linked.parent_span_id.valid() ? FormatHex(linked.parent_span_id) : std::string());
}

void AddConfidence(const Confidence& confidence, JsonObject* json) {
  char text[16];
  snprintf(text, sizeof(text), "%.4g", confidence.value);
  const bool number = confidence.value >= 0 && confidence.value <= 1;
  json->Raw("confidence", number && !confidence.at_least ? text : "null");
  json->Raw("min_confidence", number && confidence.at_least ? text : "null");
}

void AddLink(const LinkedExchange& linked, JsonObject* json) {
  json->Optional("rule", LinkRuleName(linked.rule));
  AddConfidence(linked.confidence, json);
  json->Bool("remote_parent", linked.parent_is_remote);
  json->Optional("wire_trace_id", linked.wire_trace_id.valid() ? FormatHex(linked.wire_trace_id) : std::string());
  json->Optional("wire_parent_span_id",
                 linked.wire_parent_id.valid() ? FormatHex(linked.wire_parent_id) : std::string());
}

void AddSocket(const ConnectionEnds& endpoint, JsonObject* json) {
  char text[kAddressTextBytes];
  json->Optional("local_address", FormatAddress(endpoint.family, endpoint.local_addr, text));
  json->Number("local_port", endpoint.local_port);
  json->Optional("peer_address", FormatAddress(endpoint.family, endpoint.peer_addr, text));
  json->Number("peer_port", endpoint.peer_port);
}

void AddHttp(const Row& row, JsonObject* json) {
  const Exchange& exchange = *row.linked->exchange;
  json->String("method", exchange.request.method);
  json->String("path", row.path);
  json->Optional("host", exchange.request.Find("host"));
  json->Optional("request_id", exchange.request.Find("x-request-id"));
  json->Raw("status", exchange.response ? absl::StrCat(exchange.response->status) : "null");
  json->Optional("error", ErrorType(exchange.error));
  json->Bool("failed", row.failed);
  json->Number("request_body_bytes", exchange.request_body_bytes);
  json->Number("response_body_bytes", exchange.response_body_bytes);
}

}  // namespace

void AppendJsonLine(const Row& row, uint64_t wall_minus_mono_ns, std::string* out) {
  const Exchange& exchange = *row.linked->exchange;
  const bool server = exchange.role == Role::kServer;
  JsonObject json(out);
  AddIds(*row.linked, &json);
  json.String("name", SpanName(exchange.request.method));
  json.String("kind", server ? "server" : "client");
  json.String("service", row.service);
  json.Number("pid", exchange.tgid);
  AddHttp(row, &json);
  json.Number("start_unix_ns", row.start_mono_ns + wall_minus_mono_ns);
  json.Number("duration_ns", row.end_mono_ns - row.start_mono_ns);
  AddLink(*row.linked, &json);
  AddSocket(exchange.endpoint, &json);
  json.Bool("gap", exchange.had_gap);
  json.Bool("head_truncated", exchange.request.truncated || (exchange.response && exchange.response->truncated));
}

}  // namespace spantap
