// SPDX-License-Identifier: Apache-2.0
//
// The agent's side of the hand-off on one core: records of ten attributes in a ring -> RingReader -> RecordDecoder ->
// OtlpEncoder. The ring is filled between two timed parts, by this core (its lines are in the cache) or by another
// (they have to come from there, as in an agent).
//
//     bench_handoff_agent ROUNDS      prints one line of JSON a round: thousand spans a second of each part
#include <sched.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "exporter/intake/record_to_span.h"
#include "exporter/intake/ring_memory.h"
#include "exporter/intake/ring_reader.h"
#include "exporter/otlp/otlp_encoder.h"
#include "spantap/spantap.h"

namespace spantap {
namespace {

constexpr uint64_t kRingBytes = SPANTAP_RING_DEFAULT_BYTES;
constexpr size_t kRecordsPerTurn = 256;  // as Handoff has it
constexpr size_t kBatch = 2048;          // spans of one request
constexpr int kFills = 60;

// Of this thread: what others take from the core is not counted.
uint64_t CpuNs() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

void AddAttribute(std::string* record, uint16_t key, uint8_t type, absl::string_view value) {
  const spantap_attr_record attribute = {key, type, 0, static_cast<uint32_t>(value.size())};
  record->append(reinterpret_cast<const char*>(&attribute), sizeof(attribute));
  record->append(value.data(), value.size());
}

void AddNumber(std::string* record, uint16_t key, int64_t value) {
  AddAttribute(record, key, SPANTAP_INT, absl::string_view(reinterpret_cast<const char*>(&value), sizeof(value)));
}

// The span of bench_handoff.cc, as libspantap.so writes it.
std::string MakeRecord() {
  constexpr absl::string_view kName = "GET /api/items/{id}";
  spantap_span_record fixed = {};
  fixed.record.type = SPANTAP_RECORD_SPAN;
  memset(fixed.trace_id, 0xab, sizeof(fixed.trace_id));
  memset(fixed.span_id, 0xcd, sizeof(fixed.span_id));
  fixed.start_unix_ns = 1'700'000'000'000'000'000;
  fixed.end_unix_ns = fixed.start_unix_ns + 5'000'000;
  fixed.kind = SPANTAP_SERVER;
  fixed.flags = SPANTAP_SAMPLED;
  fixed.name_bytes = kName.size();
  fixed.attr_count = 10;
  std::string record(reinterpret_cast<const char*>(&fixed), sizeof(fixed));
  record.append(kName.data(), kName.size());
  AddAttribute(&record, SPANTAP_KEY_HTTP_REQUEST_METHOD, SPANTAP_STRING, "GET");
  AddNumber(&record, SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, 200);
  AddAttribute(&record, SPANTAP_KEY_HTTP_ROUTE, SPANTAP_STRING, "/api/items/{id}");
  AddAttribute(&record, SPANTAP_KEY_URL_PATH, SPANTAP_STRING, "/api/items/4711");
  AddAttribute(&record, SPANTAP_KEY_URL_SCHEME, SPANTAP_STRING, "https");
  AddAttribute(&record, SPANTAP_KEY_USER_AGENT_ORIGINAL, SPANTAP_STRING,
               "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0");
  AddAttribute(&record, SPANTAP_KEY_SERVER_ADDRESS, SPANTAP_STRING, "shop.example.com");
  AddAttribute(&record, SPANTAP_KEY_CLIENT_ADDRESS, SPANTAP_STRING, "203.0.113.195");
  AddNumber(&record, SPANTAP_KEY_CLIENT_PORT, 41234);
  AddAttribute(&record, SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, SPANTAP_STRING, "1.1");
  record.resize((record.size() + 7) / 8 * 8);
  const auto bytes = static_cast<uint32_t>(record.size());
  memcpy(record.data(), &bytes, sizeof(bytes));
  return record;
}

class Writer {
 public:
  Writer(spantap_ring* ring, uint64_t bytes) : ring_(ring), bytes_(bytes) {}
  // As many as fit into an empty ring.
  size_t Fill() {
    size_t records = 0;
    const uint64_t limit = head_ + bytes_;
    for (;;) {
      const uint64_t to_end = bytes_ - (head_ & (bytes_ - 1));
      const uint64_t pad = to_end < record_.size() ? to_end : 0;
      if (head_ + pad + record_.size() > limit) break;
      if (pad != 0) {
        const spantap_record filler = {static_cast<uint32_t>(pad), SPANTAP_RECORD_PAD, 0};
        memcpy(At(), &filler, sizeof(filler));
        head_ += pad;
      }
      memcpy(At(), record_.data(), record_.size());
      head_ += record_.size();
      ++records;
    }
    __atomic_store_n(&ring_->head, head_, __ATOMIC_RELEASE);
    return records;
  }

 private:
  char* At() const { return reinterpret_cast<char*>(ring_) + SPANTAP_RING_HEADER_BYTES + (head_ & (bytes_ - 1)); }
  spantap_ring* ring_;
  uint64_t bytes_, head_ = 0;
  const std::string record_ = MakeRecord();
};

enum class Part { kRead, kDecode, kEncode };

class Agent {
 public:
  explicit Agent(RingMemory& memory) : reader_(memory.ring(), memory.data_bytes()), encoder_("bench") {
    auto resource = std::make_shared<Resource>();
    resource->service_name = "shop";
    resource_ = std::move(resource);
  }
  // Empties the ring; nanoseconds.
  uint64_t Empty(Part part, size_t records) {
    const uint64_t begin = CpuNs();
    RingReader::Turn turn;
    do {
      std::vector<Span> spans;  // a turn's, as Handoff::ReadOne() has them
      turn = reader_.Take(kRecordsPerTurn, scratch_, [&](absl::string_view record) {
        if (part == Part::kRead) return true;
        return decoder_.AppendSpan(record, resource_, &spans);
      });
      if (turn.lied) exit(1);
      taken_ += spans.size();
      for (Span& span : spans) batch_.push_back(std::move(span));
      if (batch_.size() >= kBatch || (turn.left == 0 && !batch_.empty())) Encode(part);
    } while (turn.left != 0);
    const uint64_t ns = CpuNs() - begin;
    if (part != Part::kRead && std::exchange(taken_, 0) != records) exit(1);
    return ns;
  }

 private:
  void Encode(Part part) {
    if (part == Part::kEncode && encoder_.Encode(batch_).empty()) exit(1);
    batch_.clear();
  }
  RingReader reader_;
  RecordDecoder decoder_;
  OtlpEncoder encoder_;
  std::shared_ptr<const Resource> resource_;
  std::vector<char> scratch_;
  std::vector<Span> batch_;
  size_t taken_ = 0;
};

// Thousand spans a second; `filling` says who fills.
double Rate(Agent& agent, Part part, const std::function<size_t()>& fill) {
  uint64_t ns = 0, records = 0;
  for (int i = 0; i < kFills; ++i) {
    const size_t filled = fill();
    ns += agent.Empty(part, filled);
    records += filled;
  }
  return static_cast<double>(records) * 1e6 / static_cast<double>(ns);
}

void Run(int rounds) {
  RingMemory memory(kRingBytes);
  Agent agent(memory);
  Writer writer(memory.ring(), kRingBytes);
  std::atomic<size_t> filled{0};
  std::atomic<bool> wanted{false}, done{false};
  std::thread other([&] {
    Pin(1);
    while (!done) {
      if (!wanted.exchange(false)) continue;
      filled = writer.Fill();
    }
  });
  Pin(0);
  const auto here = [&] { return writer.Fill(); };
  const auto there = [&] {
    wanted = true;
    size_t count = 0;
    while ((count = filled.exchange(0)) == 0) {
    }
    return count;
  };
  for (int round = -1; round < rounds; ++round) {
    const double read = Rate(agent, Part::kRead, there), decoded = Rate(agent, Part::kDecode, there),
                 encoded = Rate(agent, Part::kEncode, there), hot = Rate(agent, Part::kEncode, here);
    if (round < 0) continue;  // to warm up
    printf("{\"read\": %.1f, \"decoded\": %.1f, \"encoded\": %.1f, \"encoded_hot\": %.1f}\n", read, decoded, encoded,
           hot);
    fflush(stdout);
  }
  done = true;
  other.join();
}

}  // namespace
}  // namespace spantap

int main(int argc, char** argv) { spantap::Run(argc > 1 ? atoi(argv[1]) : 5); }
