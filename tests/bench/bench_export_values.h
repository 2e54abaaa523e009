// SPDX-License-Identifier: Apache-2.0
//
// What the spans of the export benches say: the values of HTTP server spans as the agent makes them (the mix of
// bench_encode.cc: 8 strings, 2 numbers, some 540 bytes encoded). Ours and the rival are filled from them.
//
// The standard library only, since rivals bring their own. Values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace spantap {

struct BenchSpanValues {
  std::array<uint8_t, 16> trace_id;
  std::array<uint8_t, 8> span_id, parent_span_id;
  uint64_t start_unix_ns, duration_ns;
  std::string name;
  std::array<std::pair<std::string, std::string>, 8> texts;
  std::array<std::pair<std::string, int64_t>, 2> numbers;
};

inline BenchSpanValues MakeBenchSpanValues(std::mt19937_64& random, size_t index) {
  BenchSpanValues values;
  for (uint8_t& byte : values.trace_id) byte = static_cast<uint8_t>(random());
  for (uint8_t& byte : values.span_id) byte = static_cast<uint8_t>(random());
  for (uint8_t& byte : values.parent_span_id) byte = static_cast<uint8_t>(random());
  std::string id;
  for (int i = 0; i < 32; ++i) id.push_back("0123456789abcdef"[random() % 16]);
  values.start_unix_ns = 1'760'000'000'000'000'000 + index % 512 * 1'000'003;
  values.duration_ns = 2'345'678;
  values.name = "GET /api/v1/products/{id}";
  values.texts = {{{"http.request.method", "GET"},
                   {"url.scheme", "http"},
                   {"url.path", "/api/v1/products/" + id.substr(0, 12)},
                   {"server.address", "productpage.default.svc.cluster.local"},
                   {"client.address", "10.244.1." + std::to_string(index % 250)},
                   {"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},
                   {"spantap.request_id", id},
                   {"network.protocol.version", "1.1"}}};
  values.numbers = {{{"http.response.status_code", 200}, {"server.port", 8080}}};
  return values;
}

inline std::vector<BenchSpanValues> MakeBenchValues(size_t count) {
  std::mt19937_64 random(1);
  std::vector<BenchSpanValues> all;
  for (size_t i = 0; i < count; ++i) all.push_back(MakeBenchSpanValues(random, i));
  return all;
}

}  // namespace spantap
