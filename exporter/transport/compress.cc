// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/compress.h"

#include <libdeflate.h>
#include <zstd.h>

namespace spantap {
namespace {

// Level 1 of both: the ratio on spans is within a few percent of level 6, at a fraction of the time.
constexpr int kGzipLevel = 1;
constexpr int kZstdLevel = 1;
// Below this a body fits one TCP segment either way; compressing costs some 8 us whatever the size.
constexpr size_t kMinBytes = 1024;

struct FreeGzip {
  void operator()(libdeflate_compressor* gzip) const { libdeflate_free_compressor(gzip); }
};
struct FreeZstd {
  void operator()(ZSTD_CCtx* zstd) const { ZSTD_freeCCtx(zstd); }
};

}  // namespace

struct Compressor::State {
  std::unique_ptr<libdeflate_compressor, FreeGzip> gzip;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd;
  std::unique_ptr<char[]> buffer;  // not a string: that would clear what is about to be written
  size_t capacity = 0;

  // Room for the worst case of a body of `bytes`.
  size_t Reserve(size_t bytes) {
    const size_t need = gzip ? libdeflate_gzip_compress_bound(gzip.get(), bytes) : ZSTD_compressBound(bytes);
    if (need > capacity) {
      buffer.reset(new char[need]);
      capacity = need;
    }
    return capacity;
  }
  // 0: failed.
  size_t Run(absl::string_view body) {
    if (gzip) return libdeflate_gzip_compress(gzip.get(), body.data(), body.size(), buffer.get(), capacity);
    const size_t size = ZSTD_compress2(zstd.get(), buffer.get(), capacity, body.data(), body.size());
    return ZSTD_isError(size) ? 0 : size;
  }
};

Compressor::Compressor(Compression kind) : state_(std::make_unique<State>()) {
  if (kind == Compression::kGzip) state_->gzip.reset(libdeflate_alloc_compressor(kGzipLevel));
  if (kind == Compression::kZstd) {
    state_->zstd.reset(ZSTD_createCCtx());
    if (state_->zstd) ZSTD_CCtx_setParameter(state_->zstd.get(), ZSTD_c_compressionLevel, kZstdLevel);
  }
}

Compressor::~Compressor() = default;

Compressor::Result Compressor::Compress(absl::string_view body) {
  State& state = *state_;
  const Result as_it_is = {body, ""};
  if (body.size() < kMinBytes || (!state.gzip && !state.zstd)) return as_it_is;
  state.Reserve(body.size());
  const size_t size = state.Run(body);
  if (size == 0 || size >= body.size()) return as_it_is;
  return {absl::string_view(state.buffer.get(), size), state.gzip ? "gzip" : "zstd"};
}

}  // namespace spantap
