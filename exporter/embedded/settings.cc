// SPDX-License-Identifier: Apache-2.0
#include "exporter/embedded/settings.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/resource_attributes.h"
#include "exporter/model/standard_variables.h"
#include "exporter/transport/header_list.h"

namespace spantap {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(2);
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
  standard::VariableNames names;
  absl::Status (*set)(absl::string_view text, Draft& draft);
  bool secret = false;
};

// clang-format off
constexpr Variable kVariables[] = {
  {standard::kDisabled, [](absl::string_view t, Draft& d) { return SetBoolean(t, &d.settings.disabled); }},
  {standard::kTracesExporter, [](absl::string_view t, Draft& d) { return SetName(t, kExporters, &d.settings.exports); }},
  {standard::kEndpoint, [](absl::string_view t, Draft& d) { return SetEndpoint(t, EndpointForm::kBase, d); }},
  {standard::kTracesEndpoint, [](absl::string_view t, Draft& d) { return SetEndpoint(t, EndpointForm::kSignal, d); }},
  {standard::kProtocol,
   [](absl::string_view t, Draft& d) { return SetName(t, kProtocols, &d.transport.endpoint.protocol); }},
  {standard::kCompression,
   [](absl::string_view t, Draft& d) { return SetName(t, kCompressions, &d.transport.compression); }},
  {standard::kHeaders, SetHeaders, true},
  {standard::kTimeout,
   [](absl::string_view t, Draft& d) { return SetTime(t, standard::kLongestTimeout, standard::kLongestTimeout, &d.settings.exporter.request_timeout); }},
  {standard::kCertificate,
   [](absl::string_view t, Draft& d) { return SetText(t, &d.transport.tls.ca_file); }},
  {standard::kClientCertificate,
   [](absl::string_view t, Draft& d) { return SetText(t, &d.transport.tls.certificate_file); }},
  {standard::kClientKey,
   [](absl::string_view t, Draft& d) { return SetText(t, &d.transport.tls.key_file); }},
  {standard::kInsecure,
   [](absl::string_view t, Draft& d) { return SetBoolean(t, &d.insecure); }},
  {standard::kScheduleDelay,
   [](absl::string_view t, Draft& d) { return SetTime(t, absl::Milliseconds(1), standard::kLongestTimeout, &d.settings.exporter.batch.max_delay); }},
  {standard::kExportTimeout,
   [](absl::string_view t, Draft& d) { return SetTime(t, standard::kLongestGiveUp, standard::kLongestGiveUp, &d.settings.exporter.retry.give_up); }},
  {standard::kQueueSpans, SetQueueSpans},
  {standard::kBatchSpans, SetBatchSpans},
  {standard::kAttributes,
   [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.attributes); }},
  {standard::kValueLength, SetValueLength},
  {standard::kEvents, [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.events); }},
  {standard::kLinks, [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.links); }},
  {standard::kEventAttributes,
   [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.event_attributes); }},
  {standard::kLinkAttributes,
   [](absl::string_view t, Draft& d) { return SetLimit(t, &d.settings.exporter.limits.link_attributes); }},
  {standard::kServiceName, [](absl::string_view t, Draft& d) { return SetText(t, &d.settings.service_name); }},
  {standard::kResourceAttributes, SetResource},
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
    for (const char* const name : {row.names.name, row.names.general}) {
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
