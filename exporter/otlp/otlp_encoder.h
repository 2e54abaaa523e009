// SPDX-License-Identifier: Apache-2.0
//
// Spans -> the bytes of opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest, with nanopb
// as the wire writer. Only this folder's .cc files include nanopb's headers.
//
// One thread. Keeps one buffer between calls (the largest batch so far) and the headers of up to 256
// resources, which it keeps alive; returns a view into the buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "exporter/model/span.h"

namespace spantap {

class OtlpEncoder {
 public:
  // Scope of every span: name "spantap" and this version.
  explicit OtlpEncoder(absl::string_view scope_version);
  ~OtlpEncoder();

  // Encodes all spans, grouped by resource in order of first appearance. The view lives until the next
  // call; it is empty if `spans` is, or if they do not fit protobuf's 2 GiB. Cost: about 0.2 us per span
  // of 10 attributes.
  absl::string_view Encode(absl::Span<const Span> spans);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spantap
