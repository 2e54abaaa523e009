// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/grpc_message.h"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace spantap {
namespace {

uint32_t MessageLength(absl::string_view frame) {
  uint32_t length = 0;
  for (size_t i = 1; i < kGrpcPrefixBytes; ++i) length = length << 8 | static_cast<uint8_t>(frame[i]);
  return length;
}

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* gzip) const { libdeflate_free_decompressor(gzip); }
};

// False: not of this coding, not one whole member or frame, or more than `max_bytes`.
bool Decompress(absl::string_view untrusted_bytes, absl::string_view coding, size_t max_bytes, std::string* out) {
  out->resize(std::max<size_t>(max_bytes, 1));  // never a null pointer
  size_t size = 0;
  bool ok = false;
  if (coding == "gzip") {
    const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> gzip(libdeflate_alloc_decompressor());
    size_t used = 0;
    ok = gzip != nullptr && libdeflate_gzip_decompress_ex(gzip.get(), untrusted_bytes.data(), untrusted_bytes.size(),
                                                          out->data(), max_bytes, &used, &size) == LIBDEFLATE_SUCCESS;
    ok = ok && used == untrusted_bytes.size();
  } else if (coding == "zstd") {
    size = ZSTD_decompress(out->data(), max_bytes, untrusted_bytes.data(), untrusted_bytes.size());
    ok = !ZSTD_isError(size);
  }
  out->resize(ok ? size : 0);
  return ok;
}

UnframedMessage Fault(absl::string_view fault, bool incomplete = false) { return {"", fault, incomplete}; }

}  // namespace

UnframedMessage UnframeMessage(absl::string_view untrusted_body, absl::string_view untrusted_coding, size_t max_bytes) {
  if (untrusted_body.empty()) return Fault("without a message", true);
  if (untrusted_body.size() < kGrpcPrefixBytes) return Fault("with half a message", true);
  const absl::string_view payload = untrusted_body.substr(kGrpcPrefixBytes);
  const size_t length = MessageLength(untrusted_body);
  if (payload.size() < length) return Fault("with half a message", true);
  if (payload.size() > length) return Fault("with more than one message");
  UnframedMessage result;
  if (untrusted_body[0] == 0 && length <= max_bytes) {
    result.message = std::string(payload);
  } else if (untrusted_body[0] != 1 || !Decompress(payload, untrusted_coding, max_bytes, &result.message)) {
    return Fault("with a message that is too large or compressed in an unknown way");
  }
  return result;
}

}  // namespace spantap
