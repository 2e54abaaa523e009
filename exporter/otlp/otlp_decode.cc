// SPDX-License-Identifier: Apache-2.0
//
// What a collector answers, decoded with nanopb: no allocation by the decoder, text bounded.
#include <pb_decode.h>

#include <algorithm>

#include "exporter/model/attributes.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_encoder.h"
#include "google/rpc/status.npb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.npb.h"

namespace spantap {
namespace {

constexpr size_t kMaxText = 512;

// Keeps the first kMaxText bytes of a string field; the rest is skipped, not refused.
bool KeepText(pb_istream_t* in, const pb_field_t* /*field*/, void** arg) {
  auto* text = static_cast<std::string*>(*arg);
  text->resize(std::min(in->bytes_left, kMaxText));
  return pb_read(in, reinterpret_cast<uint8_t*>(text->data()), text->size()) && pb_read(in, nullptr, in->bytes_left);
}

pb_istream_t Stream(absl::string_view bytes) {
  return pb_istream_from_buffer(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// One line of valid UTF-8, fit for a log.
std::string Tidy(const std::string& untrusted_text) {
  std::string storage;
  std::string text(CutUtf8(RepairUtf8(untrusted_text, &storage), kMaxText));
  for (char& c : text) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

bool DecodeExportResponse(absl::string_view bytes, int64_t* rejected_spans, std::string* error_message) {
  std::string text;
  opentelemetry_proto_collector_trace_v1_ExportTraceServiceResponse response =
      opentelemetry_proto_collector_trace_v1_ExportTraceServiceResponse_init_zero;
  response.partial_success.error_message.funcs.decode = KeepText;
  response.partial_success.error_message.arg = &text;
  pb_istream_t in = Stream(bytes);
  if (!pb_decode(&in, opentelemetry_proto_collector_trace_v1_ExportTraceServiceResponse_fields, &response)) {
    return false;
  }
  *rejected_spans = response.partial_success.rejected_spans;
  *error_message = Tidy(text);
  return true;
}

bool DecodeStatusMessage(absl::string_view bytes, std::string* message) {
  std::string text;
  google_rpc_Status status = google_rpc_Status_init_zero;
  status.message.funcs.decode = KeepText;
  status.message.arg = &text;
  pb_istream_t in = Stream(bytes);
  if (!pb_decode(&in, google_rpc_Status_fields, &status)) return false;
  *message = Tidy(text);
  return true;
}

}  // namespace spantap
