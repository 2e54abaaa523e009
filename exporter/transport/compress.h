// SPDX-License-Identifier: Apache-2.0
//
// Request bodies compressed: gzip by libdeflate (RFC 1952, whole buffer, level 1), zstd (RFC 8878, level 1).
// Used by the transports, on the sending thread.
//
// One thread. Keeps its context and one buffer of the largest body so far (bounded by the batch limit).
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "exporter/transport/settings.h"

namespace spantap {

class Compressor {
 public:
  explicit Compressor(Compression kind);
  ~Compressor();

  // The body as it is to be sent and the coding to announce ("gzip", "zstd"; empty: sent as it is, because of
  // kNone, because it is too small to gain anything, or because it failed). The view lives until the next call.
  struct Result {
    absl::string_view body;
    absl::string_view coding;
  };
  Result Compress(absl::string_view body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spantap
