// SPDX-License-Identifier: Apache-2.0
//
// Bodies compressed and read back by other hands (libdeflate and libzstd, the other direction): every size, one
// compressor for many bodies.
#include <catch2/catch.hpp>
#include <random>

#include <libdeflate.h>
#include <zstd.h>

#include "exporter/transport/compress.h"

namespace spantap {
namespace {

std::string Inflate(const Compressor::Result& result, size_t size) {
  std::string out(size, '\0');
  if (result.coding == "zstd") {
    CHECK(ZSTD_decompress(out.data(), size, result.body.data(), result.body.size()) == size);
    return out;
  }
  libdeflate_decompressor* gzip = libdeflate_alloc_decompressor();
  size_t written = 0;
  CHECK(libdeflate_gzip_decompress(gzip, result.body.data(), result.body.size(), out.data(), size, &written) ==
        LIBDEFLATE_SUCCESS);
  libdeflate_free_decompressor(gzip);
  CHECK(written == size);
  return out;
}

std::string Text(size_t size, int seed) {
  std::string text;
  for (int i = seed; text.size() < size; ++i)
    text += "http.request.method=GET url.path=/item/" + std::to_string(i * int64_t{7919});
  text.resize(size);
  return text;
}

TEST_CASE("compress: bodies come back whole, with one compressor for all of them", "[transport]") {
  for (const Compression kind : {Compression::kGzip, Compression::kZstd}) {
    Compressor compressor(kind);
    for (const size_t size : {1024, 3'500'000, 1500, 65536, 1'000'001, 1024}) {
      const std::string body = Text(size, static_cast<int>(size));
      const Compressor::Result result = compressor.Compress(body);
      INFO(size);
      CHECK(result.coding == (kind == Compression::kGzip ? "gzip" : "zstd"));
      CHECK(result.body.size() < size / 2);
      CHECK(Inflate(result, size) == body);
    }
  }
}

TEST_CASE("compress: what gains nothing is sent as it is", "[transport]") {
  std::mt19937 random(1);
  std::string noise(100'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    Compressor compressor(kind);
    const std::string small = Text(200, 1);
    for (const std::string& body : {std::string(), small, noise}) {
      const Compressor::Result result = compressor.Compress(body);
      CHECK(result.coding.empty());
      CHECK(result.body.data() == body.data());
      CHECK(result.body.size() == body.size());
    }
  }
  const std::string body = Text(100'000, 1);
  CHECK(Compressor(Compression::kNone).Compress(body).coding.empty());
}

}  // namespace
}  // namespace spantap
