// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: whatever reads OTLP bytes. The same input is taken for a request (counted, split, made JSON), for
// an answer in each form, and for the texts of a span that goes through limits and encoder. No call may fault, and
// what is accepted must keep its promises: counts add up, JSON is JSON, texts are bounded UTF-8.
//
// Corpus: tests/data/fuzz_otlp.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "exporter/model/limits.h"
#include "exporter/model/utf8.h"
#include "exporter/otlp/otlp_decode.h"
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/otlp/otlp_json.h"
#include "exporter/otlp/request_wire.h"

namespace spantap {
namespace {

void Check(bool good) {
  if (!good) std::abort();
}

void CheckText(const std::string& text) { Check(text.size() <= 512 && ValidUtf8Prefix(text) == text.size()); }

void ReadRequest(absl::string_view bytes) {
  const std::optional<uint64_t> count = CountSpans(bytes);
  std::string first, second;
  const bool split = SplitRequest(bytes, &first, &second);
  Check(split == (count.value_or(0) >= 2));
  if (split) Check(CountSpans(first) == (*count + 1) / 2 && CountSpans(second) == *count / 2);
  std::string json;
  if (!RequestToJson(bytes, &json)) return;
  Check(count.has_value() && json.size() <= 10 * bytes.size() + 64 && nlohmann::json::accept(json));
}

void CheckStatus(const RpcStatus& status) {
  CheckText(status.message);
  Check(!status.retry_delay || *status.retry_delay >= absl::ZeroDuration());
}

void ReadAnswers(absl::string_view bytes) {
  int64_t rejected = 0;
  std::string message;
  if (DecodeExportResponse(bytes, &rejected, &message)) CheckText(message);
  if (DecodeExportResponseJson(bytes, &rejected, &message)) CheckText(message);
  RpcStatus status;
  if (DecodeRpcStatus(bytes, &status)) CheckStatus(status);
  if (DecodeRpcStatusJson(bytes, &status)) CheckStatus(status);
}

// Lines are the texts.
void WriteSpan(absl::string_view bytes) {
  std::vector<Span> spans(1);
  Span& span = spans[0];
  span.events.resize(1);
  span.links.resize(1);
  AttributeBlob* const blobs[] = {&span.attributes, &span.events[0].attributes, &span.links[0].attributes};
  for (size_t n = 0; n < 64; ++n) {
    const absl::string_view line = bytes.substr(0, bytes.find('\n'));
    blobs[n % 3]->AddString(line.substr(0, n), line);
    blobs[n % 3]->AddStringArray1(line, line.substr(line.size() / 2));
    blobs[n % 3]->AddBytes("b", line);
    if (n == 0) span.name = span.events[0].name = span.links[0].trace_state = std::string(line);
    if (line.size() == bytes.size()) break;
    bytes.remove_prefix(line.size() + 1);
  }
  const uint32_t attributes = span.attributes.count();
  SpanLimits limits;
  limits.attributes = static_cast<uint32_t>(bytes.size() % 32);
  limits.value_characters = bytes.size() % 7;
  ApplyLimits(limits, span);
  Check(span.attributes.count() + span.dropped_attributes == attributes);
  std::string json;
  OtlpEncoder encoder("1");
  const absl::string_view encoded = encoder.Encode(spans);
  Check(CountSpans(encoded) == 1u && RequestToJson(encoded, &json) && nlohmann::json::accept(json));
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  spantap::ReadRequest(bytes);
  spantap::ReadAnswers(bytes);
  spantap::WriteSpan(bytes);
  return 0;
}
