// SPDX-License-Identifier: Apache-2.0
//
// What handing off one 10-attribute span costs a proxy's thread, while the agent's end is read on another core, against
// the floor of copying the record's bytes in the same run; and how many allocations and system calls a million spans
// make.
//
// Prints figures with the goals of DESIGN section 7. Needs no agent and no root.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/exporter/handoff/ring_agent.h"

// Every allocation of this program passes here.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
}
namespace {
volatile uint64_t allocations = 0;
volatile sig_atomic_t system_calls = 0;
}  // namespace
extern "C" void* malloc(size_t size) {
  allocations = allocations + 1;
  return __libc_malloc(size);
}
extern "C" void* calloc(size_t count, size_t size) {
  allocations = allocations + 1;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* memory, size_t size) {
  allocations = allocations + 1;
  return __libc_realloc(memory, size);
}

namespace spantap {
namespace {

constexpr uint64_t kSamples = 200000;
constexpr uint64_t kCounted = 1000000;
constexpr uint64_t kRingBytes = SPANTAP_RING_DEFAULT_BYTES;
constexpr uint64_t kBurst = 256;   // spans between two looks at the reader, outside of what is timed
constexpr uint64_t kBehind = 512;  // spans that may lie unread then: a ring that runs full is another measurement

// Written by the reader, on a page that a child shares.
std::atomic<uint64_t>* const taken =
    static_cast<std::atomic<uint64_t>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

void AwaitReader(uint64_t submitted) {
  while (submitted > *taken + kBehind) _mm_pause();
}

#define TEXT(key, literal)                                         \
  {                                                                \
    key, SPANTAP_STRING, 0, {nullptr, 0}, { SPANTAP_STR(literal) } \
  }

const spantap_attr kAttrs[] = {
    TEXT(SPANTAP_KEY_HTTP_REQUEST_METHOD, "GET"),
    {SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, SPANTAP_INT, 0, {nullptr, 0}, {{nullptr, 0}}},
    TEXT(SPANTAP_KEY_HTTP_ROUTE, "/api/items/{id}"),
    TEXT(SPANTAP_KEY_URL_PATH, "/api/items/4711"),
    TEXT(SPANTAP_KEY_URL_SCHEME, "https"),
    TEXT(SPANTAP_KEY_USER_AGENT_ORIGINAL, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0"),
    TEXT(SPANTAP_KEY_SERVER_ADDRESS, "shop.example.com"),
    TEXT(SPANTAP_KEY_CLIENT_ADDRESS, "203.0.113.195"),
    {SPANTAP_KEY_CLIENT_PORT, SPANTAP_INT, 0, {nullptr, 0}, {{nullptr, 0}}},
    TEXT(SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, "1.1"),
};

spantap_span TenAttributes(uint64_t number) {
  spantap_span span = MakeSpan(number);
  span.name = SPANTAP_STR("GET /api/items/{id}");
  span.attrs = kAttrs;
  span.attr_count = 10;
  return span;
}

void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "bench_handoff: %s\n", what);
  exit(1);
}

// The agent's end of one ring, as the agent reads: copies each record out, then moves the tail.
class Reader {
 public:
  explicit Reader(spantap_ring* ring) : ring_(ring), tail_(ring->tail) {}
  void Read() {
    const uint64_t head = __atomic_load_n(&ring_->head, __ATOMIC_ACQUIRE);
    const char* data = reinterpret_cast<const char*>(ring_) + SPANTAP_RING_HEADER_BYTES;
    uint64_t records = 0;
    for (; tail_ != head; ++records) {
      const char* at = data + (tail_ & (ring_->data_bytes - 1));
      spantap_record record;
      memcpy(&record, at, sizeof(record));
      memcpy(copy_, at, record.bytes);
      tail_ += record.bytes;
      records -= record.type == SPANTAP_RECORD_PAD;
    }
    __atomic_store_n(&ring_->tail, tail_, __ATOMIC_RELEASE);
    if (records != 0) *taken += records;
  }

 private:
  spantap_ring* ring_;
  uint64_t tail_;
  char copy_[SPANTAP_MAX_RECORD];
};

double NsPerTick() {
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t ticks = __rdtsc();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(100)) {
  }
  const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
  return ns / static_cast<double>(__rdtsc() - ticks);
}

struct Percentiles {
  double p50, p99;
};

// Each call timed on its own; what timing nothing takes is measured the same way and taken off by the caller.
template <typename Call, typename Wait>
Percentiles Time(double ns_per_tick, Call call, Wait wait) {
  std::vector<uint64_t> ticks(kSamples);
  for (uint64_t i = 0; i < kSamples; ++i) {
    if (i % kBurst == 0) wait();
    unsigned aux;
    _mm_lfence();
    const uint64_t begin = __rdtsc();
    _mm_lfence();
    call(i);
    ticks[i] = __rdtscp(&aux) - begin;
  }
  std::sort(ticks.begin(), ticks.end());
  return {static_cast<double>(ticks[kSamples / 2]) * ns_per_tick,
          static_cast<double>(ticks[kSamples / 100 * 99]) * ns_per_tick};
}

// Bursts without a timer in between; the median burst's mean, so that a core taken away for a while does not count.
template <typename Call, typename Wait>
double InARow(Call call, Wait wait) {
  std::vector<double> bursts;
  for (uint64_t i = 0; i < kSamples; i += kBurst) {
    wait();
    const auto begin = std::chrono::steady_clock::now();
    for (uint64_t n = 0; n < kBurst; ++n) call(i + n);
    bursts.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() /
                     kBurst);
  }
  std::nth_element(bursts.begin(), bursts.begin() + static_cast<ptrdiff_t>(bursts.size() / 2), bursts.end());
  return bursts[bursts.size() / 2];
}

void Print(const char* what, double value, double goal) {
  printf("%s: %.1f ns goal <= %g%s\n", what, value, goal, value <= goal ? "" : " MISSED");
}

void SubmitLive(spantap_producer* producer, const spantap_span& model) {
  alignas(8) static char memory[SPANTAP_LIVE_SIZE];
  spantap_live* live = nullptr;
  spantap_begin(producer, memory, sizeof(memory), &model.context, nullptr, model.kind, model.name, model.start_unix_ns,
                &live);
  for (const spantap_attr& attr : kAttrs) {
    if (attr.type == SPANTAP_STRING) {
      spantap_set_string(live, attr.key, attr.name, attr.value.s);
    } else {
      spantap_set_int(live, attr.key, attr.name, attr.value.i);
    }
  }
  spantap_end(live, model.end_unix_ns);
}

// `poll_us`: how long the reader sleeps between two looks; 0: it spins, and takes each cache line from the writer at
// once.
void Latency(int poll_us) {
  printf("reader on another core, %s\n", poll_us == 0 ? "spinning" : "polling as the agent does");
  *taken = 0;
  Place place;
  RingAgent agent(place.socket(), kRingBytes);
  Host host(place.socket());
  if (!host.Attach(&agent)) Die("not attached");
  std::atomic<bool> done{false};
  std::thread reading([&] {
    Pin(1);
    Reader reader(agent.ring(0));
    while (!done) {
      reader.Read();
      if (poll_us != 0) usleep(static_cast<useconds_t>(poll_us));
    }
  });
  Pin(0);
  const double ns = NsPerTick();
  // The floor: the record's bytes, copied into memory as large as the ring and read by nobody.
  const spantap_span first = TenAttributes(0);
  size_t bytes = sizeof(spantap_span_record) + first.name.size;
  for (const spantap_attr& attr : kAttrs) bytes += 8 + (attr.type == SPANTAP_STRING ? attr.value.s.size : 8);
  std::vector<char> record(bytes, 'r'), floor_ring(kRingBytes + bytes);
  const auto copy = [&](uint64_t i) {
    char* to = floor_ring.data() + i * bytes % kRingBytes;
    memcpy(to, record.data(), bytes);
    asm volatile("" : : "r"(to) : "memory");
  };
  const auto submit = [&](uint64_t i) {
    const spantap_span span = TenAttributes(i / 1000);
    spantap_submit(host.producer, &span);
  };
  const auto build = [&](uint64_t i) {
    const spantap_span span = TenAttributes(i / 1000);
    asm volatile("" : : "r"(&span) : "memory");
  };
  const auto live = [&](uint64_t i) { SubmitLive(host.producer, TenAttributes(i / 1000)); };
  const auto wait = [&] { AwaitReader(host.Stats().handed_off); };
  const auto sample = [&](uint64_t) {
    spantap_context root;
    spantap_sample(host.producer, nullptr, &root);
  };
  for (int round = 0; round < 3; ++round) {
    const Percentiles nothing = Time(ns, build, wait), floor = Time(ns, copy, wait), timed = Time(ns, submit, wait);
    const Percentiles lived = Time(ns, live, wait);
    printf("round %d, record of %zu bytes, each timed, less %.1f ns for timer and building the struct:\n", round, bytes,
           nothing.p50);
    Print("  submit p50", timed.p50 - nothing.p50, 60);
    Print("  submit p99", timed.p99 - nothing.p50, 500);
    printf("  live span (begin, 10 attributes, end) p50 %.1f p99 %.1f; floor: memcpy of the record p50 %.1f p99 %.1f\n",
           lived.p50 - nothing.p50, lived.p99 - nothing.p50, std::max(0.0, floor.p50 - nothing.p50),
           std::max(0.0, floor.p99 - nothing.p50));
    const double built = InARow(build, wait);
    printf("  in a row: submit %.1f, live %.1f, memcpy %.1f, sample a root %.1f ns\n", InARow(submit, wait) - built,
           InARow(live, wait) - built, InARow(copy, wait), InARow(sample, wait));
  }
  const spantap_stats stats = host.Stats();
  printf("spans handed off %llu, full %llu\n", static_cast<unsigned long long>(stats.handed_off),
         static_cast<unsigned long long>(stats.dropped_full));
  done = true;
  reading.join();
}

void OnSystemCall(int) { system_calls = system_calls + 1; }

// From here on each system call but what this program needs to report is a signal, and counted.
void TrapSystemCalls() {
  struct sigaction action = {};
  action.sa_handler = OnSystemCall;
  sigaction(SIGSYS, &action, nullptr);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(2);
  }
}

struct Counts {
  uint64_t handed_off, full, allocations, system_calls, control_allocations, control_system_calls;
};

[[noreturn]] void CountingChild(const std::string& socket, int report) {
  Host host(socket);
  for (int i = 0; spantap_attach(host.producer) != SPANTAP_OK && i < 3000; ++i) usleep(1000);
  TrapSystemCalls();
  Counts counts = {};
  free(malloc(1));  // that the counters count
  allocations = 0;
  void* volatile one = malloc(1);
  counts.control_allocations = allocations + (one == nullptr);
  syscall(SYS_getppid);
  counts.control_system_calls = static_cast<uint64_t>(system_calls);
  allocations = 0;
  system_calls = 0;
  for (uint64_t i = 0; i < kCounted; ++i) {
    if (i % kBurst == 0) AwaitReader(i);
    const spantap_span span = TenAttributes(i / 100);  // ten milliseconds of spans in each of theirs
    spantap_context root;
    spantap_sample(host.producer, nullptr, &root);
    const int32_t status = i % 2 == 0 ? spantap_submit(host.producer, &span) : (SubmitLive(host.producer, span), 0);
    if (status == SPANTAP_FULL) ++counts.full;
  }
  counts.allocations = allocations;
  counts.system_calls = static_cast<uint64_t>(system_calls);
  const spantap_stats stats = host.Stats();
  counts.handed_off = stats.handed_off;
  counts.full = stats.dropped_full;
  _exit(write(report, &counts, sizeof(counts)) == sizeof(counts) ? 0 : 1);
}

void CountAll() {
  Place place;
  RingAgent agent(place.socket(), SPANTAP_RING_MAX_BYTES);
  int report[2];
  if (pipe(report) != 0) Die("pipe");
  const pid_t child = fork();
  if (child == 0) CountingChild(place.socket(), report[1]);
  while (agent.producers() == 0 || agent.hello(0).empty()) agent.Serve();
  Reader reader(agent.ring(0));
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) reader.Read();
  reader.Read();
  Counts counts = {};
  if (status != 0 || read(report[0], &counts, sizeof(counts)) != sizeof(counts)) Die("the counting child failed");
  if (counts.control_allocations != 1 || counts.control_system_calls != 1) Die("the counters do not count");
  const bool good = counts.allocations == 0 && counts.system_calls == 0 && *taken == counts.handed_off;
  printf(
      "%llu spans, half of them live: handed off %llu, full %llu, taken by another process %llu; allocations %llu, "
      "system calls %llu goal 0%s\n",
      static_cast<unsigned long long>(kCounted), static_cast<unsigned long long>(counts.handed_off),
      static_cast<unsigned long long>(counts.full), static_cast<unsigned long long>(*taken),
      static_cast<unsigned long long>(counts.allocations), static_cast<unsigned long long>(counts.system_calls),
      good ? "" : " MISSED");
}

uint64_t ThreadNs() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// CPU time of this thread for `count` spans, ids included; none of waiting for the reader.
uint64_t PushMany(spantap_producer* producer, uint64_t count, bool live, const std::function<bool()>& behind) {
  uint64_t ns = 0;
  for (uint64_t done = 0; done < count; done += kBurst) {
    while (behind()) usleep(200);
    const uint64_t begin = ThreadNs();
    for (uint64_t i = 0; i < kBurst; ++i) {
      spantap_span span = TenAttributes((done + i) / 1000);
      spantap_sample(producer, nullptr, &span.context);
      if (live) {
        SubmitLive(producer, span);
      } else {
        spantap_submit(producer, &span);
      }
    }
    ns += ThreadNs() - begin;
  }
  return ns;
}

// Nanoseconds of CPU a push, of `threads` threads with a ring each; one more thread reads them all.
double PushesOf(int threads) {
  constexpr uint64_t kEach = 128 * kBurst;
  constexpr uint64_t kOnceAround = 16 * kBurst;  // a ring, so that nobody pays for its first touch
  Place place;
  RingAgent agent(place.socket(), kRingBytes);
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.socket = Str(place.socket());
  options.mode = SPANTAP_MODE_HANDOFF;
  spantap_client* client = nullptr;
  if (spantap_open(&options, &client) != SPANTAP_OK) Die("spantap_open");
  std::atomic<int> attached{0}, ended{0};
  std::atomic<bool> go{false};
  std::atomic<uint64_t> ns{0}, handed_off{0};
  std::vector<std::thread> producers;
  for (int n = 0; n < threads; ++n) {
    producers.emplace_back([&] {
      spantap_producer* producer = nullptr;
      if (spantap_producer_open(client, &producer) != SPANTAP_OK) Die("spantap_producer_open");
      while (spantap_attach(producer) != SPANTAP_OK) usleep(2000);
      ++attached;
      while (!go) usleep(500);
      spantap_stats stats = SPANTAP_STATS_INIT;
      // The same bytes of work for one thread as for each of many.
      const auto flushed = [&] { return spantap_flush(producer, 0) != SPANTAP_OK; };
      PushMany(producer, kOnceAround, false, flushed);
      ns += PushMany(producer, kEach * 16 / static_cast<uint64_t>(threads), false, flushed);
      spantap_stats_get(producer, &stats);
      handed_off += stats.handed_off;
      ++ended;
      while (ended >= 0) usleep(1000);
      spantap_producer_close(producer);
    });
  }
  while (attached < threads) {
    agent.Serve();
    usleep(500);
  }
  std::vector<std::unique_ptr<Reader>> readers;
  for (int n = 0; n < threads; ++n) readers.push_back(std::make_unique<Reader>(agent.ring(static_cast<size_t>(n))));
  go = true;
  while (ended < threads) {
    for (auto& reader : readers) reader->Read();
    usleep(1000);
  }
  ended = -1;
  for (std::thread& thread : producers) thread.join();
  spantap_close(client);
  if (handed_off != kEach * 16 + kOnceAround * static_cast<uint64_t>(threads)) Die("spans were dropped");
  return static_cast<double>(ns) / static_cast<double>(kEach * 16);
}

// Rounds of one thread and of sixteen, A B B A.
void Threads(int rounds) {
  PushesOf(1);
  for (int round = 0; round < rounds; ++round) {
    double one, many;
    if (round % 2 == 0) {
      one = PushesOf(1);
      many = PushesOf(16);
    } else {
      many = PushesOf(16);
      one = PushesOf(1);
    }
    printf("{\"threads_1\": %.2f, \"threads_16\": %.2f}\n", one, many);
  }
}

// "push N" on stdin; a process of its own that only pushes, read by another.
void Pushes() {
  Place place;
  RingAgent agent(place.socket(), kRingBytes);
  const pid_t child = fork();
  if (child == 0) {
    Host host(place.socket());
    while (spantap_attach(host.producer) != SPANTAP_OK) usleep(2000);
    const auto behind = [&] { return spantap_flush(host.producer, 0) != SPANTAP_OK; };
    char verb[8];
    unsigned long long count = 0;
    while (scanf("%7s %llu", verb, &count) == 2) {
      const uint64_t ns = PushMany(host.producer, count, verb[0] == 'l', behind);
      printf("done %llu %llu %llu\n", count, static_cast<unsigned long long>(ns), static_cast<unsigned long long>(ns));
    }
    _exit(host.Stats().dropped_full == 0 ? 0 : 1);
  }
  while (agent.producers() == 0 || agent.hello(0).empty()) agent.Serve();
  Reader reader(agent.ring(0));
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    reader.Read();
    usleep(1000);
  }
  if (status != 0) Die("spans were dropped");
}

}  // namespace
}  // namespace spantap

// Without arguments: counts, and latency with both readers.
int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "threads") {
    spantap::Threads(argc > 2 ? atoi(argv[2]) : 5);
  } else if (what == "pushes") {
    spantap::Pushes();
  } else {
    spantap::CountAll();
    spantap::Latency(1000);
    if (what != "short") spantap::Latency(0);
  }
}
