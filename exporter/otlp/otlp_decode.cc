// SPDX-License-Identifier: Apache-2.0
//
// What a collector answers, decoded with nanopb: no allocation by the decoder, text bounded.
#include "exporter/otlp/otlp_decode.h"

#include <pb_decode.h>

#include <algorithm>

#include "exporter/otlp/answer_text.h"
#include "google/rpc/status.npb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

namespace spantap {
namespace {

// Of a detail: longer ones are not RetryInfo and are skipped.
constexpr size_t kMaxTypeUrl = 256;
constexpr size_t kMaxDetail = 1024;

struct Kept {
  size_t max;
  std::string bytes;
  bool whole = true;
};

// Keeps the first bytes of a field; the rest is skipped, not refused.
bool Keep(pb_istream_t* in, const pb_field_t* /*field*/, void** arg) {
  auto* kept = static_cast<Kept*>(*arg);
  kept->whole = in->bytes_left <= kept->max;
  kept->bytes.resize(std::min(in->bytes_left, kept->max));
  return pb_read(in, reinterpret_cast<uint8_t*>(kept->bytes.data()), kept->bytes.size()) &&
         pb_read(in, nullptr, in->bytes_left);
}

pb_istream_t Stream(absl::string_view bytes) {
  return pb_istream_from_buffer(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// nullopt: no RetryInfo.
std::optional<absl::Duration> DecodeRetryInfo(absl::string_view bytes) {
  google_rpc_RetryInfo info = google_rpc_RetryInfo_init_zero;
  pb_istream_t in = Stream(bytes);
  if (!pb_decode(&in, google_rpc_RetryInfo_fields, &info)) return std::nullopt;
  const absl::Duration delay = absl::Seconds(info.retry_delay.seconds) + absl::Nanoseconds(info.retry_delay.nanos);
  return std::max(delay, absl::ZeroDuration());
}

// One of Status.details.
bool ReadDetail(pb_istream_t* in, const pb_field_t* /*field*/, void** arg) {
  auto* retry_delay = static_cast<std::optional<absl::Duration>*>(*arg);
  Kept type = {kMaxTypeUrl, ""}, value = {kMaxDetail, ""};
  google_rpc_Status_Detail detail = google_rpc_Status_Detail_init_zero;
  detail.type_url.funcs.decode = Keep;
  detail.type_url.arg = &type;
  detail.value.funcs.decode = Keep;
  detail.value.arg = &value;
  if (!pb_decode(in, google_rpc_Status_Detail_fields, &detail)) return false;
  if (!retry_delay->has_value() && type.whole && value.whole && IsRetryInfoType(type.bytes)) {
    *retry_delay = DecodeRetryInfo(value.bytes);
  }
  return true;
}

}  // namespace

bool DecodeExportResponse(absl::string_view bytes, int64_t* rejected_spans, std::string* error_message) {
  Kept text = {kMaxAnswerText, ""};
  opentelemetry_proto_collector_trace_v1_ExportTraceServiceResponse response =
      opentelemetry_proto_collector_trace_v1_ExportTraceServiceResponse_init_zero;
  response.partial_success.error_message.funcs.decode = Keep;
  response.partial_success.error_message.arg = &text;
  pb_istream_t in = Stream(bytes);
  if (!pb_decode(&in, opentelemetry_proto_collector_trace_v1_ExportTraceServiceResponse_fields, &response)) {
    return false;
  }
  *rejected_spans = response.partial_success.rejected_spans;
  *error_message = TidyAnswerText(text.bytes);
  return true;
}

bool DecodeRpcStatus(absl::string_view bytes, RpcStatus* status) {
  Kept text = {kMaxAnswerText, ""};
  std::optional<absl::Duration> retry_delay;
  google_rpc_Status message = google_rpc_Status_init_zero;
  message.message.funcs.decode = Keep;
  message.message.arg = &text;
  message.details.funcs.decode = ReadDetail;
  message.details.arg = &retry_delay;
  pb_istream_t in = Stream(bytes);
  if (!pb_decode(&in, google_rpc_Status_fields, &message)) return false;
  *status = {TidyAnswerText(text.bytes), retry_delay};
  return true;
}

}  // namespace spantap
