// SPDX-License-Identifier: Apache-2.0
//
// One span as the bytes of an opentelemetry.proto.trace.v1.Span: its exact size, and the writing of it
// into a nanopb stream. Used by otlp_encoder.cc, which groups spans into a request.
//
// Pure; no allocation. The two functions agree to the byte: the encoder checks the sum. Strings are written as they
// are: the encoder has repaired them.
#pragma once

#include <cstddef>

#include "exporter/model/span.h"
#include "exporter/otlp/field_writer.h"

namespace spantap {

size_t EncodedSpanSize(const Span& span);
void WriteSpan(FieldWriter& out, const Span& span);

}  // namespace spantap
