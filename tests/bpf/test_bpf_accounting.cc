// SPDX-License-Identifier: Apache-2.0
//
// No silent loss: a full ring, foreign frames, 32-bit calls; and what happens to wrong settings.
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// The smallest io_uring that can send or receive once at a time.
struct Uring {
  int fd = -1;
  io_uring_params params = {};
  char* ring = nullptr;
  io_uring_sqe* entries = nullptr;

  bool Open() {
    fd = static_cast<int>(syscall(SYS_io_uring_setup, 4, &params));
    if (fd < 0) return false;
    MUST((params.features & IORING_FEAT_SINGLE_MMAP) != 0);
    ring = static_cast<char*>(
        mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING));
    entries = static_cast<io_uring_sqe*>(mmap(nullptr, params.sq_entries * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES));
    return ring != MAP_FAILED && entries != MAP_FAILED;
  }
  // Submits without waiting for the result.
  void Submit(uint8_t operation, int socket, void* buffer, size_t bytes) {
    auto* tail = reinterpret_cast<unsigned*>(ring + params.sq_off.tail);
    const unsigned index = *tail & (params.sq_entries - 1);
    entries[index] = {};
    entries[index].opcode = operation;
    entries[index].fd = socket;
    entries[index].addr = reinterpret_cast<uint64_t>(buffer);
    entries[index].len = static_cast<unsigned>(bytes);
    reinterpret_cast<unsigned*>(ring + params.sq_off.array)[index] = index;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    MUST(syscall(SYS_io_uring_enter, fd, 1, 0, 0, nullptr, 0) == 1);
  }
  bool Done(unsigned count) const {
    return __atomic_load_n(reinterpret_cast<unsigned*>(ring + params.cq_off.tail), __ATOMIC_ACQUIRE) >= count;
  }
};

// Ids of the programs or maps that a process holds, from its descriptors.
std::vector<uint32_t> HeldIds(pid_t pid, const std::string& key) {
  std::vector<uint32_t> ids;
  for (int fd = 0; fd < 256; ++fd) {
    std::ifstream info("/proc/" + std::to_string(pid) + "/fdinfo/" + std::to_string(fd));
    std::string word;
    while (info >> word) {
      uint32_t id = 0;
      if (word == key && info >> id) ids.push_back(id);
    }
  }
  return ids;
}

// By the bpf system call; libbpf stays in agent/capture.
bool Exists(bpf_cmd get_fd_by_id, uint32_t id) {
  bpf_attr request = {};
  request.prog_id = id;  // the same word as map_id
  const long fd = syscall(SYS_bpf, get_fd_by_id, &request, sizeof(request));
  if (fd >= 0) close(static_cast<int>(fd));
  return fd >= 0;
}

}  // namespace

TEST_CASE("accounting: a full ring drops by the count and nothing is garbled", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  Observed how{.hooks = hooks, .ring_bytes = 4096};
  const Observation seen = Observe(how, [] {
    for (int i = 0; i < 20; ++i) {
      const Pair pair = TcpPair();
      for (int j = 0; j < 50; ++j) {
        SendAll(pair.client, kRequest);
        ReceiveAll(pair.server, kRequest.size());
      }
      close(pair.client);
      close(pair.server);
    }
  });
  CHECK(seen.counters.drop_ring_full > 0);
  CHECK(seen.counters.delivered > 0);
  CHECK(seen.lost > 0);
  CHECK(seen.counters.captured > 2000);
  // What came is right: OPEN before data, positions on request boundaries, text whole.
  for (const auto& [id, connection] : seen.connections) {
    CHECK(connection.open.header.conn_id == id);
    for (const std::vector<Piece>* pieces : {&connection.in, &connection.out}) {
      for (const Piece& piece : *pieces) {
        CHECK(piece.data == kRequest);
        CHECK(piece.position % kRequest.size() ==
              (pieces == &connection.in ? connection.open.read_position : connection.open.write_position) %
                  kRequest.size());
      }
    }
  }
}

TEST_CASE("accounting: what a full ring swallowed is no beginning", "[bpf]") {
  if (!CanLoad()) return;
  Observed how{.hooks = GENERATE(from_range(Families())), .ring_bytes = 4096};
  // Nothing is read from the ring until the child has filled it and used its connection once.
  how.on_phase = [](BpfSource&, Observation&) {
    for (int i = 0; i < 5000 && Shared().numbers[0] == 0; ++i) usleep(1000);
  };
  const Observation seen = Observe(how, [] {
    static Pair pair;
    std::thread swallowed([] {
      const Pair filler = TcpPair();
      for (int i = 0; i < 100; ++i) {
        SendAll(filler.client, kRequest);
        ReceiveAll(filler.server, kRequest.size());
      }
      pair = TcpPair();
      Shared().port = LocalPort(pair.client);
      SendAll(pair.client, kRequest);
      ReceiveAll(pair.server, kRequest.size());
      Shared().numbers[0] = 1;
    });
    Phase();
    swallowed.join();
    usleep(100'000);  // the ring is emptied
    SendAll(pair.client, kRequest);
    ReceiveAll(pair.server, kRequest.size());
  });
  CHECK(seen.counters.drop_ring_full > 0);
  const Connection& client = seen.Local(Shared().port);
  const Connection& server = seen.Peer(Shared().port);
  CHECK(client.Text(true) == kRequest);
  CHECK(server.Text(false) == kRequest);
  // Of the other direction nothing was missed.
  CHECK((client.open.header.flags & ~SPANTAP_F_COUNTED) == SPANTAP_F_READ_FROM_START);
  CHECK((server.open.header.flags & ~SPANTAP_F_COUNTED) == SPANTAP_F_WRITE_FROM_START);
}

TEST_CASE("accounting: io_uring's socket calls are a gap, never another call's buffer", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    Uring uring;
    if (!uring.Open()) return;
    Shared().numbers[0] = 1;
    const Pair pair = TcpPair();
    char sent[] = "from io_uring", received[64] = {}, decoy[64] = "GET /decoy HTTP/1.1\r\n\r\n";
    SendAll(pair.client, kRequest);
    ReceiveAll(pair.server, kRequest.size());
    // Inline: the frame is io_uring_enter's.
    uring.Submit(IORING_OP_SEND, pair.client, sent, 13);
    while (!uring.Done(1)) {
    }
    ReceiveAll(pair.server, 13);
    // Deferred: the data arrives later, and the receive runs when this thread leaves some other call,
    // here a read of the same size and with a buffer of its own from a pipe.
    uring.Submit(IORING_OP_RECV, pair.server, received, sizeof(received));
    int ends[2];
    MUST(pipe(ends) == 0);
    const pid_t sender = fork();
    if (sender == 0) {
      usleep(20'000);
      SendAll(pair.client, "later");
      usleep(20'000);
      MUST(write(ends[1], decoy, 5) == 5);
      _exit(0);
    }
    char from_pipe[64];
    MUST(read(ends[0], from_pipe, sizeof(from_pipe)) == 5);
    while (!uring.Done(2)) {
    }
    MUST(memcmp(received, "later", 5) == 0);
    SendAll(pair.client, kRequest);
    ReceiveAll(pair.server, kRequest.size());
  });
  if (Shared().numbers[0] == 0) {
    WARN("skipped: io_uring is not available here");
    return;
  }
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  CHECK(client.out.front().data == kRequest);
  CHECK(client.out.back().data == kRequest);
  CHECK(server.in.back().data == kRequest);
  CHECK(client.out.back().offset == kRequest.size() + 13 + 5);
  CHECK(server.in.back().offset == kRequest.size() + 13 + 5);
  for (const Piece& piece : server.in) {
    INFO(piece.data);
    CHECK((piece.copied == 0 || piece.data == kRequest || piece.data == "from io_uring"));
  }
  // The syscall family does not see these calls at all.
  if (hooks == HookFamily::kSocket) CHECK(seen.counters.foreign_frame == 2);
}

TEST_CASE("accounting: 32-bit calls are recognised, skipped and counted", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, kRequest);
    char* low =
        static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    MUST(low != MAP_FAILED);
    strcpy(low, "32-bit write");
    long result = 4;  // write in the 32-bit table; stat in the 64-bit one
    asm volatile("int $0x80" : "+a"(result) : "b"(pair.client), "c"(low), "d"(12) : "memory");
    MUST(result == 12);
    SendAll(pair.client, kRequest);
  });
  const Connection& client = seen.Peer(Shared().port);
  // The syscall family looks at the number first, and 4 is no transfer among the 64-bit ones.
  CHECK(seen.counters.task32 == (hooks == HookFamily::kSocket ? 1 : 0));
  REQUIRE(client.out.size() == 2);
  CHECK(client.out[1].offset == kRequest.size() + 12);
  CHECK(client.out[1].data == kRequest);
}

TEST_CASE("accounting: many threads on many connections", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks, .ring_bytes = 1 << 23}, [] {
    for (int worker = 0; worker < 8; ++worker) {
      if (fork() != 0) continue;
      const std::string request = "GET /" + std::to_string(worker) + " HTTP/1.1\r\nHost: a\r\n\r\n";
      const Pair pair = worker % 2 == 0 ? TcpPair() : UnixPair();
      for (int i = 0; i < 500; ++i) {
        SendAll(pair.client, request);
        ReceiveAll(pair.server, request.size());
      }
      _exit(0);
    }
    while (wait(nullptr) > 0) {
    }
  });
  CHECK(seen.counters.drop_ring_full == 0);
  REQUIRE(seen.connections.size() == 16);
  for (const auto& [id, connection] : seen.connections) {
    const std::vector<Piece>& pieces = connection.in.empty() ? connection.out : connection.in;
    REQUIRE(pieces.size() == 500);
    for (size_t i = 0; i < pieces.size(); ++i) {
      CHECK(pieces[i].offset == i * pieces[0].bytes);
      CHECK(pieces[i].data == pieces[0].data);
    }
  }
}

TEST_CASE("source: wrong targets and settings are refused with a reason", "[bpf]") {
  if (!CanLoad()) return;
  const auto message = [](const BpfSettings& settings, const TargetSpec& targets) {
    const auto source = BpfSource::Open(settings, targets);
    REQUIRE_FALSE(source.ok());
    return std::string(source.status().message());
  };
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const auto pid = static_cast<uint32_t>(child);
  TargetSpec targets;
  CHECK_THAT(message({}, targets), Catch::Contains("no target"));
  targets.pids = {pid};
  CHECK_THAT(message({.ring_bytes = 5000}, targets), Catch::Contains("power of two"));
  CHECK_THAT(message({.head_bytes = 0}, targets), Catch::Contains("head capture"));
  kill(child, SIGKILL);
  siginfo_t exited = {};
  waitid(P_PID, pid, &exited, WEXITED | WNOWAIT);
  CHECK_THAT(message({}, targets), Catch::Contains("no process " + std::to_string(pid) + " any more"));
  waitpid(child, nullptr, 0);
  CHECK_THAT(message({}, targets), Catch::Contains("no process " + std::to_string(pid)));
  targets.pids = {static_cast<uint32_t>(getpid())};
  CHECK_THAT(message({}, targets), Catch::Contains("spantap itself"));
  targets.pids.clear();
  targets.cgroups = {"/no/such/cgroup"};
  CHECK_THAT(message({}, targets), Catch::Contains("no cgroup"));
}

TEST_CASE("source: without privileges it says what it needs", "[bpf]") {
  if (!CanLoad()) return;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    (void)!setgid(65534);
    if (setuid(65534) != 0) _exit(2);
    TargetSpec targets;
    targets.exes = {"nobody-runs-this"};
    const auto source = BpfSource::Open({}, targets);
    const std::string text(source.status().message());
    (void)!write(ends[1], text.data(), text.size());
    _exit(source.ok() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  char text[4096] = {};
  CHECK(read(ends[0], text, sizeof(text) - 1) > 0);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK_THAT(std::string(text), Catch::Contains("CAP_BPF"));
  for (const int end : ends) close(end);
}

TEST_CASE("source: killed, it leaves no program and no map behind", "[bpf]") {
  if (!CanLoad()) return;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t agent = fork();
  if (agent == 0) {
    TargetSpec targets;
    targets.exes = {"nobody-runs-this"};
    const auto source = BpfSource::Open({}, targets);
    (void)!write(ends[1], source.ok() ? "y" : "n", 1);
    pause();
  }
  char opened = 0;
  REQUIRE(read(ends[0], &opened, 1) == 1);
  CHECK(opened == 'y');
  const std::vector<uint32_t> programs = HeldIds(agent, "prog_id:");
  const std::vector<uint32_t> maps = HeldIds(agent, "map_id:");
  CHECK(programs.size() >= 7);
  CHECK(maps.size() >= 10);
  const auto alive = [&] {
    return std::any_of(programs.begin(), programs.end(),
                       [](uint32_t id) { return Exists(BPF_PROG_GET_FD_BY_ID, id); }) ||
           std::any_of(maps.begin(), maps.end(), [](uint32_t id) { return Exists(BPF_MAP_GET_FD_BY_ID, id); });
  };
  CHECK(alive());
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  // The kernel frees them in the background.
  for (int i = 0; i < 100 && alive(); ++i) usleep(50'000);
  CHECK_FALSE(alive());
  for (const int end : ends) close(end);
}

}  // namespace spantap::testing
