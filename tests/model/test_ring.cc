// SPDX-License-Identifier: Apache-2.0
//
// The ring's protocol in every interleaving: the code of libspantap.so and of the agent's RingReader, compiled as it is
// but for the size of the smallest ring, against explorer.h, memory.h and kernel.h. What an agent does around its
// reader (the order of an end, above all) is written down once more in class Agent, as in agent/handoff/handoff.cc.
//
// After each interleaving: what was committed is delivered once, in order and whole, tail never passes head, and the
// counters of both sides agree; SPANTAP_MODEL_RUNS bounds a scenario, SPANTAP_ROUNDS lifts the bound (`make soak`).
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <optional>

#include "agent/handoff/ring_reader.h"
#define _Alignas alignas
extern "C" {
#include "exporter/handoff/producer.h"
}
#include "tests/model/kernel.h"

namespace spantap::model {
namespace {

constexpr int kFirstAgent = 1;
constexpr int kMaxSpans = 8;
constexpr size_t kShortName = 4, kLongName = 70;  // records of 128 and 192 bytes

struct Scenario {
  const char* name;
  int spans;
  const char* sizes;  // of each span: s or l
  int agents = 1;
  int turns = 2;            // of each agent but the last one, which reads until the producer has gone
  size_t records = 2;       // of a turn
  bool agent_dies = false;  // the first, or it ends in order
  bool producer_dies = false;
  bool pauses = false;
  bool early = false;     // spans come before an agent is there
  bool claims = false;    // counters are read in each turn, not only at the end
  uint64_t apart_ns = 0;  // between the ends of two spans; 2 s: the producer looks at its reader each time
  bool large = false;     // more interleavings than can be tried: always a sample
};

// The run that is explored now. Nothing in it is allocated: a thread that dies frees nothing.
struct World {
  const Scenario* scenario;
  spantap_client client;
  spantap_producer producer;
  spantap_status statuses[kMaxSpans];
  int submitted;
  int current;
  bool producer_done;
  std::optional<RingReader> readers[kRings];
  HandoffClaims claims[kRings];
  uint64_t delivered[2 * kMaxSpans];
  size_t delivered_count;
  uint64_t told;
  bool agent_died, producer_died;
};
World world;
std::vector<char>& scratch = *new std::vector<char>(RingReader::kMaxRecordBytes);

char names[kMaxSpans][kLongName];

size_t NameBytes(int number) { return world.scenario->sizes[number] == 'l' ? kLongName : kShortName; }

spantap_span SpanOf(int number) {
  spantap_span span = SPANTAP_SPAN_INIT;
  span.kind = SPANTAP_SERVER;
  memset(span.context.trace_id, 0x11, sizeof(span.context.trace_id));
  span.context.span_id[0] = static_cast<uint8_t>(number + 1);
  span.start_unix_ns = span.end_unix_ns = 1'000'000'000'000 + static_cast<uint64_t>(number) * world.scenario->apart_ns;
  memset(names[number], 'a' + number, kLongName);
  span.name = {names[number], NameBytes(number)};
  return span;
}

// ---------------------------------------------------------------- an agent, as handoff.cc has it

class Agent {
 public:
  static void Run(int index) {
    const Scenario& scenario = *world.scenario;
    const bool last = index == scenario.agents - 1;
    if (index > 0) TheExplorer().Await({1, false}, [index] { return TheExplorer().over(kFirstAgent + index - 1); });
    TheKernel().Listen();
    for (int turn = 0; turn < scenario.turns; ++turn) {
      if (scenario.pauses) Pause(turn % 2 == 0);
      Turn();
    }
    if (last) {
      TheExplorer().Await({1, false}, [] { return world.producer_done || world.producer_died; });
      while (Turn()) {
      }
    }
    End();
  }

 private:
  // False: nothing is attached.
  static bool Turn() {
    const Kernel::Rings rings = TheKernel().Look();
    for (int ring = 0; ring < kRings; ++ring) {
      if ((rings.attached & 1u << ring) == 0) continue;
      const bool drained = Read(ring);
      if ((rings.ended & 1u << ring) != 0 && drained) Forget(ring);
    }
    return rings.attached != 0;
  }

  static void Pause(bool on) {
    const Kernel::Rings rings = TheKernel().Look();
    for (int ring = 0; ring < kRings; ++ring) {
      if ((rings.attached & 1u << ring) != 0) Reader(ring).SetState(on ? SPANTAP_RING_PAUSED : SPANTAP_RING_OPEN);
    }
  }

  // The order of an end: no new ones, CLOSED, drain, tail, counters, the connections.
  static void End() {
    TheKernel().StopListening();
    const Kernel::Rings rings = TheKernel().Look();
    for (int ring = 0; ring < kRings; ++ring) {
      if ((rings.attached & 1u << ring) != 0) Reader(ring).SetState(SPANTAP_RING_CLOSED);
    }
    for (int ring = 0; ring < kRings; ++ring) {
      if ((rings.attached & 1u << ring) == 0) continue;
      while (!Read(ring)) {
      }
      Forget(ring);
    }
  }

  static void Forget(int ring) {
    Claim(ring);
    TheKernel().Close(ring);
  }

  static void Claim(int ring) {
    const HandoffDrops drops = world.claims[ring].Advance(*TheMemory().ring(ring));
    world.told += drops.full + drops.too_large + drops.no_agent + drops.invalid;
  }

  static RingReader& Reader(int ring) {
    if (!world.readers[ring]) world.readers[ring].emplace(TheMemory().ring(ring), kDataBytes);
    return *world.readers[ring];
  }

  static bool Read(int ring) {
    uint64_t taken[kMaxSpans];
    size_t count = 0;
    const RingReader::Turn turn = Reader(ring).Take(world.scenario->records, scratch, [&](absl::string_view record) {
      return count < kMaxSpans && Whole(record, &taken[count++]);
    });
    if (turn.lied) TheExplorer().Fail("the reader takes an honest producer for a liar");
    // Its tail is stored: no other agent will read these.
    for (size_t i = 0; i < count; ++i) world.delivered[world.delivered_count++ % (2 * kMaxSpans)] = taken[i];
    if (world.scenario->claims) Claim(ring);
    return turn.left == 0;
  }

  static bool Whole(absl::string_view record, uint64_t* number) {
    spantap_span_record fixed;
    memcpy(&fixed, record.data(), sizeof(fixed));
    *number = fixed.span_id[0] - 1u;
    if (*number >= kMaxSpans || fixed.record.bytes != record.size()) return false;
    const size_t bytes = NameBytes(static_cast<int>(*number));
    return fixed.name_bytes == bytes && record.size() == (sizeof(fixed) + bytes + 7) / 8 * 8 &&
           memcmp(record.data() + sizeof(fixed), names[*number], bytes) == 0;
  }
};

// ---------------------------------------------------------------- the producer

void Produce() {
  const Scenario& scenario = *world.scenario;
  if (!scenario.early) {
    TheExplorer().Await({1, false}, [] { return TheKernel().listening(); });
    spantap_attach(&world.producer);
  }
  for (int i = 0; i < scenario.spans; ++i) {
    const spantap_span span = SpanOf(i);
    world.current = i;
    world.statuses[i] = spantap_submit(&world.producer, &span);
    world.submitted = i + 1;
  }
  // Whatever is left, the last agent can have. (Attached may be one to an agent that has gone since.)
  const int last = kFirstAgent + scenario.agents - 1;
  TheExplorer().Await(
      {1, false}, [last] { return TheKernel().listening() && (last == kFirstAgent || TheExplorer().over(last - 1)); });
  while ((spantap_attach(&world.producer) != SPANTAP_OK || TheKernel().ProducersAgent() != last) &&
         !TheExplorer().failed()) {
  }
  handoff_detach(&world.producer);  // as spantap_producer_close() has it
  handoff_unmap(&world.producer.old);
  world.producer_done = true;
}

void Begin(const Scenario& scenario, Weakened weakened) {
  new (&world) World();  // nothing in the old one needs an end
  world.scenario = &scenario;
  TheMemory().Reset(weakened);
  TheKernel().Reset();
  world.client.users = 1;
  world.client.mode = SPANTAP_MODE_HANDOFF;
  world.producer.client = &world.client;
  world.producer.thread = handoff_thread();
  world.producer.generation = handoff_fork_generation();
  world.producer.connection = world.producer.memory = -1;
  TheExplorer().Spawn(kProducerThread, Produce, scenario.producer_dies, [] {
    world.producer_died = true;
    TheKernel().ProducerDied();
  });
  for (int i = 0; i < scenario.agents; ++i) {
    const int thread = kFirstAgent + i;
    TheExplorer().Spawn(
        thread, [i] { Agent::Run(i); }, scenario.agent_dies && i == 0,
        [thread] {
          world.agent_died = true;
          TheKernel().AgentDied(thread);
        });
  }
}

// ---------------------------------------------------------------- what must hold

void Require(bool good, const char* what) {
  if (!good) TheExplorer().Fail(what);
}

void CheckDelivered() {
  for (size_t i = 1; i < world.delivered_count; ++i) {
    Require(world.delivered[i - 1] < world.delivered[i], "a span twice, or out of order");
  }
  bool found[kMaxSpans] = {};
  for (size_t i = 0; i < world.delivered_count; ++i) found[world.delivered[i]] = true;
  size_t lost = 0, invented = 0;
  for (int i = 0; i < world.submitted; ++i) {
    lost += world.statuses[i] == SPANTAP_OK && !found[i];
    invented += world.statuses[i] != SPANTAP_OK && found[i];
  }
  Require(invented == 0, "a span that was refused is delivered");
  if (world.producer_died) {
    // Committed when it died, or not: no other is there. What it took from a dead agent's ring died with it.
    for (int i = world.submitted; i < kMaxSpans; ++i)
      Require(!found[i] || i == world.current, "a span that was never made");
    Require(lost == 0 || world.scenario->agents > 1, "a committed span of a dead producer is lost");
    return;
  }
  size_t accepted = 0;
  for (int i = 0; i < world.submitted; ++i) accepted += world.statuses[i] == SPANTAP_OK;
  // What did not fit when it was moved to the next ring is counted, and taken back from handed_off.
  Require(lost == accepted - world.producer.handed_off, "a committed span is lost");
  Require(world.producer.handed_off == world.delivered_count, "handed_off is not what was delivered");
}

void CheckCounters() {
  const handoff_counts& dropped = world.producer.dropped;
  const uint64_t all = dropped.full + dropped.too_large + dropped.no_agent + dropped.invalid;
  if (world.producer_died) return Require(world.told <= all, "more drops told than there were");
  Require(world.producer.handed_off + all == static_cast<uint64_t>(world.submitted), "a span is in no counter");
  // What a dead agent had in its books is gone with them.
  Require(world.agent_died ? world.told <= all : world.told == all, "drops of the producer are not those in ledgers");
}

void End() {
  CheckDelivered();
  CheckCounters();
}

constexpr uint64_t kLook = 2'000'000'000;

const Scenario kScenarios[] = {
    {.name = "small records, a reader that keeps up or not", .spans = 4, .sizes = "ssss"},
    {.name = "over the end of the data, with padding", .spans = 4, .sizes = "slsl"},
    {.name = "full, one record a turn", .spans = 4, .sizes = "llll", .turns = 3, .records = 1},
    {.name = "the reader is looked at for each span", .spans = 4, .sizes = "slss", .apart_ns = kLook},
    {.name = "paused and not", .spans = 3, .sizes = "sss", .turns = 2, .pauses = true},
    {.name = "spans before the agent, counters read in each turn",
     .spans = 3,
     .sizes = "sls",
     .turns = 1,
     .early = true,
     .claims = true},
    {.name = "the agent ends in order, another comes", .spans = 1, .sizes = "s", .agents = 2, .turns = 1},
    {.name = "the same, two spans", .spans = 2, .sizes = "sl", .agents = 2, .turns = 0},
    {.name = "the same, three, and the reader is looked at",
     .spans = 3,
     .sizes = "sls",
     .agents = 2,
     .turns = 0,
     .apart_ns = kLook},
    {.name = "the same, larger", .spans = 3, .sizes = "sls", .agents = 2, .turns = 1, .large = true},
    {.name = "the agent dies anywhere, another takes its records",
     .spans = 1,
     .sizes = "s",
     .agents = 2,
     .turns = 1,
     .agent_dies = true,
     .apart_ns = kLook},
    {.name = "the same, two spans",
     .spans = 2,
     .sizes = "sl",
     .agents = 2,
     .turns = 0,
     .agent_dies = true,
     .apart_ns = kLook},
    {.name = "the same, larger",
     .spans = 3,
     .sizes = "sls",
     .agents = 2,
     .turns = 1,
     .records = 1,
     .agent_dies = true,
     .apart_ns = kLook,
     .large = true},
    {.name = "the same, when the ring is full",
     .spans = 4,
     .sizes = "llls",
     .agents = 2,
     .turns = 1,
     .records = 1,
     .agent_dies = true,
     .large = true},
    {.name = "three agents, the first dies",
     .spans = 2,
     .sizes = "sl",
     .agents = 3,
     .turns = 1,
     .agent_dies = true,
     .apart_ns = kLook,
     .large = true},
    {.name = "the producer dies anywhere", .spans = 4, .sizes = "slsl", .producer_dies = true},
    {.name = "both die",
     .spans = 1,
     .sizes = "s",
     .agents = 2,
     .turns = 0,
     .agent_dies = true,
     .producer_dies = true,
     .apart_ns = kLook},
    {.name = "both die, larger",
     .spans = 2,
     .sizes = "sl",
     .agents = 2,
     .turns = 1,
     .agent_dies = true,
     .producer_dies = true,
     .apart_ns = kLook,
     .large = true},
};

uint64_t Bound(const Scenario& scenario) {
  constexpr uint64_t kLarge = 100'000;
  if (getenv("SPANTAP_MODEL_RUNS") != nullptr) return strtoull(getenv("SPANTAP_MODEL_RUNS"), nullptr, 10);
  if (getenv("SPANTAP_ROUNDS") == nullptr) return 2000;
  return scenario.large ? kLarge : UINT64_MAX;
}

Explorer::Result Try(const Scenario& scenario, Weakened weakened, uint64_t bound) {
  const auto begin = [&] { Begin(scenario, weakened); };
  Explorer::Result result = TheExplorer().Explore(bound, begin, End);
  // What a bound leaves out lies all in one corner of the tree; random ones are everywhere.
  if (!result.whole && result.failure.empty()) {
    const Explorer::Result sample = TheExplorer().Sample(bound, 1, begin, End);
    result.runs += sample.runs;
    result.steps += sample.steps;
    result.failure = sample.failure;
  }
  return result;
}

TEST_CASE("model: no interleaving loses, doubles, tears or miscounts a span", "[scenarios]") {
  REQUIRE(handoff_fork_prepare() == SPANTAP_OK);
  for (const Scenario& scenario : kScenarios) {
    const Explorer::Result result = Try(scenario, Weakened::kNothing, Bound(scenario));
    printf("model: %s: %llu interleavings, %llu steps, %s\n", scenario.name,
           static_cast<unsigned long long>(result.runs), static_cast<unsigned long long>(result.steps),
           result.whole ? "all there are" : "a sample");
    fflush(stdout);
    INFO(scenario.name << ": " << result.failure);
    CHECK(result.failure.empty());
  }
}

TEST_CASE("model: an acquire or release left out is found", "[orders]") {
  REQUIRE(handoff_fork_prepare() == SPANTAP_OK);
  for (const Weakened weakened :
       {Weakened::kHeadStore, Weakened::kHeadLoad, Weakened::kTailStore, Weakened::kTailLoad}) {
    bool found = false;
    for (const Scenario& scenario : kScenarios) {
      found = found || !Try(scenario, weakened, 1000).failure.empty();
    }
    INFO("order " << static_cast<int>(weakened));
    CHECK(found);
  }
}

// Programs beside this one, in which a step of the real code is in the wrong place (mutants/).
TEST_CASE("model: a step in the wrong place is found", "[mutants]") {
  const std::filesystem::path folder =
      std::filesystem::canonical("/proc/self/exe").parent_path().parent_path() / "model";
  size_t mutants = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (!file.is_regular_file()) continue;
    ++mutants;
    const std::string command = "SPANTAP_MODEL_RUNS=1000 " + file.path().string() + " [scenarios] >/dev/null 2>&1";
    const int status = std::system(command.c_str());
    INFO(file.path().filename().string());
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) > 0 && WEXITSTATUS(status) < 100));  // failed checks, no crash
  }
  CHECK(mutants >= 7);
}

}  // namespace
}  // namespace spantap::model
