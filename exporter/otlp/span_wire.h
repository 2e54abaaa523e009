// SPDX-License-Identifier: Apache-2.0
//
// One span as the bytes of an opentelemetry.proto.trace.v1.Span: its exact size, and the writing of it
// with nanopb's low-level calls. Used by otlp_encoder.cc, which groups spans into a request.
//
// Pure; no allocation. The two functions agree to the byte: the encoder checks the sum. Strings are written as they
// are: the encoder has repaired them.
#pragma once

#include <pb_encode.h>

#include <cstddef>

#include "absl/strings/string_view.h"
#include "exporter/model/span.h"
#include "exporter/model/wire_writer.h"

namespace spantap {

size_t EncodedSpanSize(const Span& span);
[[nodiscard]] bool PutSpan(pb_ostream_t* out, const Span& span);

// Tag and length of a length-delimited field.
[[nodiscard]] bool PutHeader(pb_ostream_t* out, uint32_t tag, size_t length);
[[nodiscard]] bool PutRaw(pb_ostream_t* out, absl::string_view bytes);

// An attribute blob with the tag of each field replaced: attributes have another number outside Span. Writes
// blob.size() bytes.
[[nodiscard]] bool PutRetagged(pb_ostream_t* out, absl::string_view blob, uint32_t tag);

}  // namespace spantap
