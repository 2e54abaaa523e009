// SPDX-License-Identifier: Apache-2.0
#include "exporter/embedded/settings.h"

#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/resource_attributes.h"
#include "exporter/transport/header_list.h"

namespace spantap {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(2);
constexpr absl::Duration kLongest = absl::Hours(1);         // where the specification says "no limit"
constexpr absl::Duration kLongestBatch = absl::Hours(168);  // likewise, of a batch with its retries
constexpr uint64_t kMostSpans = 10'000'000;

// What an endpoint is made of is known when all variables are read.
struct Draft {
  EmbeddedSettings settings;
  TransportSettings transport;
  std::string endpoint;
  EndpointForm form = EndpointForm::kBase;
  bool insecure = false;
};

absl::Status Bad(absl::string_view why) { return absl::InvalidArgumentError(why); }

absl::Status SetCount(absl::string_view text, uint64_t low, uint64_t high, uint64_t* value) {
  uint64_t count = 0;
  if (text.find_first_not_of("0123456789") != absl::string_view::npos || !absl::SimpleAtoi(text, &count)) {
    return Bad("is not a whole number");
  }
  if (count < low || count > high) return Bad(absl::StrCat("is not between ", low, " and ", high));
  *value = count;
  return absl::OkStatus();
}

// `zero`: what 0 stands for.
absl::Status SetTime(absl::string_view text, absl::Duration zero, absl::Duration longest, absl::Duration* value) {
  uint64_t ms = 0;
  absl::Status status = SetCount(text, 0, static_cast<uint64_t>(absl::ToInt64Milliseconds(longest)), &ms);
  if (status.ok()) *value = ms == 0 ? zero : absl::Milliseconds(ms);
  return status;
}

absl::Status SetLimit(absl::string_view text, uint32_t* value) {
  uint64_t count = 0;
  absl::Status status = SetCount(text, 0, UINT32_MAX, &count);
  if (status.ok()) *value = static_cast<uint32_t>(count);
  return status;
}

absl::Status SetBoolean(absl::string_view text, bool* value) {
  const bool is = absl::EqualsIgnoreCase(text, "true");
  if (!is && !absl::EqualsIgnoreCase(text, "false")) return Bad("is neither true nor false");
  *value = is;
  return absl::OkStatus();
}

template <typename Value, size_t N>
absl::Status SetName(absl::string_view text, const std::pair<const char*, Value> (&names)[N], Value* value) {
  for (const auto& [name, meaning] : names) {
    if (absl::EqualsIgnoreCase(text, name)) {
      *value = meaning;
      return absl::OkStatus();
    }
  }
  return Bad("is no such name");
}

absl::Status SetText(absl::string_view text, std::string* value) {
  *value = std::string(text);
  return absl::OkStatus();
}

absl::Status SetEndpoint(absl::string_view text, EndpointForm form, Draft& draft) {
  draft.form = form;
  return SetText(text, &draft.endpoint);
}

absl::Status SetHeaders(absl::string_view text, Draft& draft) {
  auto headers = ParseHeaderList(text);
  if (!headers.ok()) return headers.status();
  TransportSettings probe;
  probe.headers = *std::move(headers);
  absl::Status status = CheckHeaders(probe);
  if (status.ok()) draft.transport.headers = std::move(probe.headers);
  return status;
}

absl::Status SetResource(absl::string_view text, Draft& draft) {
  if (!ParseResourceAttributes(text)) return Bad("is not a list of KEY=VALUE");
  return SetText(text, &draft.settings.resource_attributes);
}

absl::Status SetBatchSpans(absl::string_view text, Draft& draft) {
  uint64_t spans = 0;
  absl::Status status = SetCount(text, 1, kMostSpans, &spans);
  BatchSettings& batch = draft.settings.exporter.batch;
  if (status.ok()) {
    batch.max_spans = spans;
    batch.target_spans = std::min(BatchSettings().target_spans, batch.max_spans);
  }
  return status;
}

absl::Status SetQueueSpans(absl::string_view text, Draft& draft) {
  uint64_t spans = 0;
  absl::Status status = SetCount(text, 1, kMostSpans, &spans);
  if (status.ok()) draft.settings.exporter.queue.max_spans = spans;
  return status;
}

absl::Status SetValueLength(absl::string_view text, Draft& draft) {
  uint64_t characters = 0;
  absl::Status status = SetCount(text, 0, UINT32_MAX, &characters);
  if (status.ok()) draft.settings.exporter.limits.value_characters = characters;
  return status;
}

constexpr std::pair<const char*, Protocol> kProtocols[] = {
    {"grpc", Protocol::kGrpc}, {"http/protobuf", Protocol::kHttpProtobuf}, {"http/json", Protocol::kHttpJson}};
constexpr std::pair<const char*, Compression> kCompressions[] = {
    {"none", Compression::kNone}, {"gzip", Compression::kGzip}, {"zstd", Compression::kZstd}};
constexpr std::pair<const char*, bool> kExporters[] = {{"otlp", true}, {"none", false}};

// Of two names, the first that is set and understood counts: the one for traces before the general one.
struct Variable {
  std::array<const char*, 2> names;
  absl::Status (*set)(absl::string_view text, Draft& draft);
  bool secret = false;
};

// clang-format off
constexpr Variable kVariables[] = {
  {{"OTEL_SDK_DISABLED"}, [](absl::string_view t, Draft& d) { return SetBoolean(t, &d.settings.disabled); }},
  {{"OTEL_TRACES_EXPORTER"}, [](absl::string_view t, Draft& d) { return SetName(t, kExporters, &d.settings.exports); }},
  {{"OTEL_EXPORTER_OTLP_ENDPOINT"}, [](absl::string_view t, Draft& d) { return SetEndpoint(t, EndpointForm::kBase, d); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}, [](absl::string_view t, Draft& d) { return SetEndpoint(t, EndpointForm::kSignal, d); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"},
   [](absl::string_view t, Draft& d) { return SetName(t, kProtocols, &d.transport.endpoint.protocol); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"},
   [](absl::string_view t, Draft& d) { return SetName(t, kCompressions, &d.transport.compression); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}, SetHeaders, true},
  {{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"},
   [](absl::string_view t, Draft& d) { return SetTime(t, kLongest, kLongest, &d.settings.exporter.request_timeout); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"},
   [](absl::string_view t, Draft& d) { return SetText(t, &d.transport.tls.ca_file); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
   [](absl::string_view t, Draft& d) { return SetText(t, &d.transport.tls.certificate_file); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"},
   [](absl::string_view t, Draft& d) { return SetText(t, &d.transport.tls.key_file); }},
  {{"OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"},
   [](absl::string_view t, Draft& d) { return SetBoolean(t, &d.insecure); }},
  {{"OTEL_BSP_SCHEDULE_DELAY"},
   [](absl::string_view t, Draft& d) { return SetTime(t, absl::Milliseconds(1), kLongest, &d.settings.exporter.batch.max_delay); }},
  {{"OTEL_BSP_EXPORT_TIMEOUT"},
   [](absl::string_view t, Draft& d) { return SetTime(t, kLongestBatch, kLongestBatch, &d.settings.exporter.retry.give_up); }},
  {{"OTEL_BSP_MAX_QUEUE_SIZE"}, SetQueueSpans},
  {{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE"}, SetBatchSpans},
  {{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"},
   [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.attributes); }},
  {{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"}, SetValueLength},
  {{"OTEL_SPAN_EVENT_COUNT_LIMIT"}, [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.events); }},
  {{"OTEL_SPAN_LINK_COUNT_LIMIT"}, [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.links); }},
  {{"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"},
   [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.event_attributes); }},
  {{"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"},
   [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.link_attributes); }},
  {{"OTEL_SERVICE_NAME"}, [](absl::string_view t, Draft& d) { return SetText(t, &d.settings.service_name); }},
  {{"OTEL_RESOURCE_ATTRIBUTES"}, SetResource},
  {{"SPANTAP_DRAIN"},
   [](absl::string_view t, Draft& d) { return SetTime(t, absl::ZeroDuration(), absl::Minutes(1), &d.settings.exporter.drain); }},
  {{"SPANTAP_LOG"}, [](absl::string_view t, Draft& d) { return SetText(t, &d.settings.log); }},
};
// clang-format on

// InvalidArgument: nothing can be sent with these.
absl::Status Finish(Draft& draft) {
  const Protocol protocol = draft.transport.endpoint.protocol;
  if (draft.endpoint.empty()) {
    draft.endpoint = protocol == Protocol::kGrpc ? "http://localhost:4317" : "http://localhost:4318";
  }
  auto endpoint = ParseEndpoint(draft.endpoint, protocol, draft.form, draft.insecure);
  if (!endpoint.ok()) return endpoint.status();
  draft.transport.endpoint = *std::move(endpoint);
  draft.settings.exporter.endpoints = {draft.transport};
  return MakeTransport(draft.transport).status();
}

}  // namespace

EmbeddedEnvironment ReadEmbeddedEnvironment(const std::function<const char*(const char* name)>& variable) {
  EmbeddedEnvironment read;
  Draft draft;
  draft.settings.exporter.drain = kDrain;
  for (const Variable& row : kVariables) {
    for (const char* const name : row.names) {
      const char* const text = name != nullptr ? variable(name) : nullptr;
      if (text == nullptr || *text == '\0') continue;
      const absl::Status status = row.set(text, draft);
      if (status.ok()) break;
      read.warnings.push_back(absl::StrCat(name, row.secret ? "" : absl::StrCat(": '", text, "'"), " ",
                                           std::string(status.message()), "; ignored"));
    }
  }
  read.usable = Finish(draft);
  read.settings = std::move(draft.settings);
  return read;
}

}  // namespace spantap
