// SPDX-License-Identifier: Apache-2.0
//
// The one message of a unary gRPC answer, out of its frame: a flag, four bytes of length, the message ("gRPC over
// HTTP2", Length-Prefixed-Message). Used by GrpcAnswer.
//
// We announce "identity" only, but grpc-go, and with it the Collector, answers in the coding that the request had. So
// gzip and zstd are read as well, never to more than the limit. Pure; the bytes may be anything.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

inline constexpr size_t kGrpcPrefixBytes = 5;

struct UnframedMessage {
  std::string message;
  absl::string_view fault;  // empty: `message` is it; else what is wrong, to be read after "OK, but "
  bool incomplete = false;  // more bytes would have cured the fault
};
// `coding`: of grpc-encoding. `max_bytes`: of the message, decompressed.
UnframedMessage UnframeMessage(absl::string_view untrusted_body, absl::string_view untrusted_coding, size_t max_bytes);

}  // namespace spantap
