// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/observe.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace spantap::testing {
namespace {

// The child's end of the socket pair that keeps the two in step; only the child uses it.
int child_line = -1;

struct SharedPage {
  Notes notes;
  char failure[256];
};
SharedPage& Page() {
  static auto* page = static_cast<SharedPage*>(
      mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  return *page;
}

class Collector final : public EventSink {
 public:
  explicit Collector(Observation& observation) : observation_(observation) {}
  void OnTime(uint64_t) override {}
  void OnEvent(const EventView& event) override;

 private:
  void OnOpen(const spantap_open_event& open);
  void OnData(const spantap_data_event& data);
  void OnEnd(const spantap_end_event& end);
  void OnProcess(const spantap_process_event& event);

  Observation& observation_;
};

void Collector::OnOpen(const spantap_open_event& open) {
  const uint64_t id = open.header.conn_id;
  Connection& connection = observation_.connections[id];
  CHECK(connection.open.header.conn_id == 0);  // opened once
  connection.open = open;
  connection.open_came_first = connection.in.empty() && connection.out.empty() && connection.ends.empty();
  observation_.order.push_back(id);
}

void Collector::OnData(const spantap_data_event& data) {
  Connection& connection = observation_.connections[data.header.conn_id];
  const bool write = (data.header.flags & SPANTAP_F_WRITE) != 0;
  Piece piece;
  piece.position = data.position;
  piece.offset = data.position - (write ? connection.open.write_position : connection.open.read_position);
  piece.bytes = data.piece_bytes;
  piece.copied = data.copied_bytes;
  piece.flags = data.header.flags;
  piece.syscall = data.syscall;
  piece.tid = data.header.tid;
  piece.turns = data.turns;
  piece.data.assign(reinterpret_cast<const char*>(data.data), data.copied_bytes);
  (write ? connection.out : connection.in).push_back(piece);
}

void Collector::OnEnd(const spantap_end_event& end) {
  Connection& connection = observation_.connections[end.header.conn_id];
  connection.ends.push_back({end.reason, (end.header.flags & SPANTAP_F_WRITE) != 0, end.error,
                             end.read_position - connection.open.read_position,
                             end.write_position - connection.open.write_position});
}

void Collector::OnProcess(const spantap_process_event& event) {
  const char* text = reinterpret_cast<const char*>(event.text);
  Process process;
  process.exe = text;
  process.name = text + process.exe.size() + 1;
  process.attributes = text + process.exe.size() + process.name.size() + 2;
  process.listen_port = event.listen_port;
  process.named = (event.flags & SPANTAP_PROCESS_NAMED) != 0;
  CHECK(event.text_bytes == process.exe.size() + process.name.size() + process.attributes.size() + 3);
  observation_.processes[event.header.tgid].push_back(process);
}

void Collector::OnEvent(const EventView& event) {
  CHECK(event.record.size() == event.header->size);
  CHECK(event.header->mono_ns != 0);
  observation_.lost += event.header->lost;
  switch (event.header->type) {
    case SPANTAP_EVENT_OPEN:
      return OnOpen(event.As<spantap_open_event>());
    case SPANTAP_EVENT_DATA:
      return OnData(event.As<spantap_data_event>());
    case SPANTAP_EVENT_END:
      return OnEnd(event.As<spantap_end_event>());
    case SPANTAP_EVENT_PROCESS:
      return OnProcess(event.As<spantap_process_event>());
    case SPANTAP_EVENT_CLOCK:
      ++observation_.clocks;
      return;
    case SPANTAP_EVENT_LOSS:
      observation_.losses.push_back(event.As<spantap_loss_event>());
      return;
    default:
      observation_.tasks.push_back(event.As<spantap_task_event>());
  }
}

int Drain(BpfSource& source, Collector& sink) {
  int total = 0;
  for (;;) {
    const absl::StatusOr<int> taken = source.Poll(sink, 0);
    REQUIRE(taken.ok());
    if (*taken == 0) return total;
    total += *taken;
  }
}

[[noreturn]] void RunChild(int line, const std::function<void()>& before, const std::function<void()>& act) {
  child_line = line;
  signal(SIGPIPE, SIG_IGN);
  alarm(30);  // nothing here takes longer; the parent then reports the signal
  if (before) before();
  Phase();
  act();
  _exit(0);
}

void CheckAccounting(const Observation& seen) {
  const SourceCounters& counters = seen.counters;
  CHECK(counters.captured ==
        counters.delivered + counters.drop_ring_full + counters.drop_conn_state + counters.drop_malformed);
  CHECK(counters.drop_malformed == 0);
  REQUIRE(!seen.losses.empty());
  CHECK(seen.losses.back().counters[SPANTAP_COUNT_CAPTURED] == counters.captured);
  CHECK(seen.lost <= counters.drop_ring_full + counters.drop_conn_state);
  CHECK(seen.clocks > 0);
  for (const auto& [id, connection] : seen.connections) {
    if (counters.drop_ring_full == 0) CHECK(connection.open_came_first);
  }
}

}  // namespace

bool Connection::Ended(spantap_end_reason reason) const {
  return std::any_of(ends.begin(), ends.end(), [reason](const End& end) { return end.reason == reason; });
}

std::string Connection::Text(bool write) const {
  std::string text;
  for (const Piece& piece : write ? out : in) {
    if (piece.offset > text.size() && piece.offset < (16 << 20)) text.resize(piece.offset, '~');
    text += piece.data;
  }
  return text;
}

size_t Observation::Tasks(uint8_t type) const {
  return static_cast<size_t>(std::count_if(
      tasks.begin(), tasks.end(), [type](const spantap_task_event& task) { return task.header.type == type; }));
}

const Connection& Observation::Local(uint16_t port) const {
  for (const auto& [id, connection] : connections) {
    if (connection.open.local_port == port) return connection;
  }
  FAIL("no connection with local port " << port << " among " << connections.size());
  return connections.begin()->second;
}

const Connection& Observation::Peer(uint16_t port) const {
  for (const auto& [id, connection] : connections) {
    if (connection.open.peer_port == port) return connection;
  }
  FAIL("no connection with peer port " << port << " among " << connections.size());
  return connections.begin()->second;
}

void Phase() {
  char byte = 'p';
  MUST(send(child_line, &byte, 1, 0) == 1);
  MUST(recv(child_line, &byte, 1, 0) == 1);
}

void Must(bool condition, const char* what) {
  if (condition) return;
  snprintf(Page().failure, sizeof(Page().failure), "%s (%s)", what, strerror(errno));
  _exit(3);
}

Notes& Shared() { return Page().notes; }

bool CanLoad() {
  if (geteuid() == 0) return true;
  fprintf(stderr, "skipped: loading eBPF programs needs root\n");
  return false;
}

std::vector<HookFamily> Families() {
  if (DescribeKernelSupport().find("socket-hooks=yes") == std::string::npos) return {HookFamily::kSyscall};
  return {HookFamily::kSocket, HookFamily::kSyscall};
}

Observation Observe(const Observed& how, const std::function<void()>& act) { return Observe(how, nullptr, act); }

Observation Observe(const Observed& how, const std::function<void()>& before, const std::function<void()>& act) {
  Page() = SharedPage{};
  Observation seen;
  Collector sink(seen);
  int line[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(line[0]);
    RunChild(line[1], before, act);
  }
  seen.child = static_cast<uint32_t>(child);
  close(line[1]);
  char ready = 0;
  const bool prepared = recv(line[0], &ready, 1, 0) == 1;
  INFO("child: " << Page().failure);
  REQUIRE(prepared);

  TargetSpec targets;
  if (how.targets) {
    how.targets(targets, seen.child);
  } else {
    targets.pids.push_back(seen.child);
  }
  BpfSettings settings;
  settings.hooks = how.hooks;
  settings.ring_bytes = how.ring_bytes;
  settings.head_bytes = how.head_bytes;
  settings.turns = how.turns;
  auto source = BpfSource::Open(settings, targets);
  if (!source.ok()) kill(child, SIGKILL);
  INFO(std::string(source.status().message()));
  REQUIRE(source.ok());

  send(line[0], "g", 1, 0);
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    char byte = 0;
    REQUIRE((*source)->Poll(sink, 5).ok());
    if (recv(line[0], &byte, 1, MSG_DONTWAIT) != 1) continue;
    // The child waits: whatever it did is in the ring.
    Drain(**source, sink);
    if (how.on_phase) how.on_phase(**source, seen);
    send(line[0], "g", 1, 0);
  }
  Drain(**source, sink);
  seen.finished_with_child = (*source)->Finished();
  for (int i = 0; i < 200 && !how.targets && !(*source)->Finished(); ++i) REQUIRE((*source)->Poll(sink, 5).ok());
  seen.finished = (*source)->Finished();
  (*source)->StopCapture();
  Drain(**source, sink);
  close(line[0]);
  seen.counters = (*source)->Counters();
  INFO("child says: " << Page().failure);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CheckAccounting(seen);
  return seen;
}

}  // namespace spantap::testing
