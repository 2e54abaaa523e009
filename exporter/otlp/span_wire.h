// SPDX-License-Identifier: Apache-2.0
//
// One span as the bytes of an opentelemetry.proto.trace.v1.Span: its exact size, and the writing of it
// with nanopb's low-level calls. Used by otlp_encoder.cc, which groups spans into a request.
//
// Pure; no allocation except for links. The two functions agree to the byte: the encoder checks the sum.
#pragma once

#include <pb_encode.h>

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/model/span.h"

namespace spantap {

constexpr size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}
// A length-delimited field whose number is below 16, as all of ours are.
constexpr size_t FieldSize(size_t length) { return 1 + VarintSize(length) + length; }

// The strings of a span, valid UTF-8.
struct SpanTexts {
  absl::string_view name, trace_state, status_message;
};

size_t EncodedSpanSize(const Span& span, const SpanTexts& texts);
[[nodiscard]] bool PutSpan(pb_ostream_t* out, const Span& span, const SpanTexts& texts);

// Tag and length of a length-delimited field.
[[nodiscard]] bool PutHeader(pb_ostream_t* out, uint32_t tag, size_t length);
[[nodiscard]] bool PutRaw(pb_ostream_t* out, absl::string_view bytes);

// Appends an attribute blob with the tag of each field replaced: attributes have another number outside
// Span.
void AppendRetagged(absl::string_view blob, uint32_t tag, std::string* ret);

}  // namespace spantap
