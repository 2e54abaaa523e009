// SPDX-License-Identifier: Apache-2.0
//
// Who is observed: descendants, executables, ports, cgroups, never the agent; and what they are called.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr char kCgroup[] = "/sys/fs/cgroup/unified/spantap_test";

void WaitFor(pid_t child) {
  int status = 0;
  MUST(waitpid(child, &status, 0) == child);
  MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// One request through a pair of its own.
void Talk() {
  const Pair pair = TcpPair();
  SendAll(pair.client, kRequest);
  ReceiveAll(pair.server, kRequest.size());
}

const spantap_task_event* FindTask(const Observation& seen, uint8_t type, uint32_t tgid) {
  for (const spantap_task_event& task : seen.tasks) {
    if (task.header.type == type && task.header.tgid == tgid) return &task;
  }
  return nullptr;
}

// Runs `command` in a bash that was copied to `path`.
void RunAs(const std::string& path, const std::string& command) {
  const pid_t child = fork();
  if (child == 0) {
    execl(path.c_str(), path.c_str(), "-c", command.c_str(), nullptr);
    _exit(9);
  }
  WaitFor(child);
}

struct Folder {
  Folder() {
    char pattern[] = "/tmp/spantap-test-XXXXXX";
    path = mkdtemp(pattern);
  }
  ~Folder() { (void)std::system(("rm -rf " + path).c_str()); }
  std::string path;
};

}  // namespace

TEST_CASE("targets: descendants are observed, threads are no processes", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  static int go[2];
  const Observation seen = Observe(
      {.hooks = hooks},
      [] {
        // A child from before the hooks: found in /proc.
        MUST(pipe(go) == 0);
        if (fork() == 0) {
          char byte;
          MUST(read(go[0], &byte, 1) == 1);
          Shared().numbers[0] = static_cast<uint64_t>(getpid());
          Talk();
          _exit(0);
        }
      },
      [] {
        MUST(write(go[1], "g", 1) == 1);
        MUST(wait(nullptr) > 0);
        const pid_t middle = fork();
        if (middle == 0) {
          const pid_t last = fork();
          if (last == 0) {
            Shared().numbers[1] = static_cast<uint64_t>(getpid());
            Talk();
            _exit(0);
          }
          WaitFor(last);
          _exit(0);
        }
        WaitFor(middle);
        std::thread([] { Talk(); }).join();
      });
  const auto old_child = static_cast<uint32_t>(Shared().numbers[0]);
  const auto grandchild = static_cast<uint32_t>(Shared().numbers[1]);
  CHECK(seen.connections.size() == 6);
  for (const uint32_t tgid : {old_child, grandchild, seen.child}) {
    CHECK(std::count_if(seen.connections.begin(), seen.connections.end(), [tgid](const auto& entry) {
            return entry.second.open.header.tgid == tgid &&
                   entry.second.Text(true) + entry.second.Text(false) == kRequest;
          }) == 2);
    CHECK(seen.processes.at(tgid).front().exe.find("bpf") != std::string::npos);
    CHECK(FindTask(seen, SPANTAP_EVENT_EXIT, tgid) != nullptr);
  }
  CHECK(seen.Tasks(SPANTAP_EVENT_FORK) == 2);
  CHECK(seen.Tasks(SPANTAP_EVENT_EXIT) == 4);
  REQUIRE(FindTask(seen, SPANTAP_EVENT_FORK, seen.child) != nullptr);
}

TEST_CASE("targets: the source is finished with the last descendant", "[bpf]") {
  if (!CanLoad()) return;
  const bool orphan = GENERATE(false, true);
  const Observation seen = Observe({}, [orphan] {
    if (!orphan) return;
    const pid_t left_behind = fork();
    if (left_behind == 0) {
      usleep(300'000);
      _exit(0);
    }
  });
  CHECK(seen.finished_with_child == !orphan);
  CHECK(seen.finished);
}

TEST_CASE("targets: an executable started later, and what it becomes by exec", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Folder folder;
  const std::string program = folder.path + "/sp_target_prog";
  REQUIRE(std::system(("cp /bin/bash " + program).c_str()) == 0);
  Observed how{.hooks = hooks};
  how.targets = [](TargetSpec& targets, uint32_t) { targets.exes.push_back("sp_target_prog"); };
  const Observation seen = Observe(how, [&program] {
    uint16_t port = 0;
    const int listener = Listen(&port);
    Shared().port = port;
    MUST(listener >= 0);
    // The data hooks are attached when the first target appears: it waits for an answer that does not come.
    const std::string talk = "exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(port) +
                             "; read -t 0.3 -u 3; printf 'GET /x HTTP/1.1\\r\\n\\r\\n' >&3";
    RunAs("/bin/bash", talk);  // not a target
    RunAs(program, talk);
  });
  REQUIRE(seen.connections.size() == 1);
  const Connection& client = seen.Peer(Shared().port);
  CHECK(client.Text(true) == "GET /x HTTP/1.1\r\n\r\n");
  const uint32_t tgid = client.open.header.tgid;
  const spantap_task_event* exec = FindTask(seen, SPANTAP_EVENT_EXEC, tgid);
  REQUIRE(exec != nullptr);
  CHECK(std::string(reinterpret_cast<const char*>(exec->comm)) == "sp_target_prog");
  CHECK(FindTask(seen, SPANTAP_EVENT_EXIT, tgid) != nullptr);
}

TEST_CASE("targets: an executable that is running already", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Folder folder;
  const std::string program = folder.path + "/sp_running_prog";
  REQUIRE(std::system(("cp /bin/bash " + program).c_str()) == 0);
  Observed how{.hooks = hooks};
  how.targets = [](TargetSpec& targets, uint32_t) { targets.exes.push_back("sp_running_prog"); };
  static int go[2];
  static pid_t running;
  const Observation seen = Observe(
      how,
      [&program] {
        static uint16_t port;
        static int listener = Listen(&port);
        Shared().port = port;
        MUST(listener >= 0 && pipe(go) == 0);
        running = fork();
        if (running == 0) {
          dup2(go[0], 0);
          const std::string talk = "read go; exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(port) + "; echo hello >&3";
          execl(program.c_str(), program.c_str(), "-c", talk.c_str(), nullptr);
          _exit(9);
        }
        usleep(100'000);
      },
      [] {
        MUST(write(go[1], "go\n", 3) == 3);
        WaitFor(running);
      });
  REQUIRE(seen.connections.size() == 1);
  CHECK(seen.Peer(Shared().port).Text(true) == "hello\n");
  CHECK_FALSE(seen.finished);  // another one may start
}

TEST_CASE("targets: who listens on a port, now or later", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const bool later = GENERATE(false, true);
  Observed how{.hooks = hooks};
  how.targets = [](TargetSpec& targets, uint32_t) { targets.ports.push_back(Shared().port); };
  static int listener;
  const auto serve = [] {
    const pid_t server = fork();
    if (server == 0) {
      const int accepted = accept(listener, nullptr, nullptr);
      ReceiveAll(accepted, kRequest.size());
      SendAll(accepted, "HTTP/1.1 204 No Content\r\n\r\n");
      _exit(0);
    }
    WaitFor(server);
  };
  const Observation seen = Observe(
      how,
      [later] {
        listener = Listen(&Shared().port);
        if (!later) return;
        // Bound, closed, and listened on again after the hooks are there.
        close(listener);
      },
      [later, serve] {
        if (later) {
          const uint16_t wanted = Shared().port;
          listener = socket(AF_INET, SOCK_STREAM, 0);
          ListenOn(listener, wanted);
          usleep(400'000);  // the data hooks come with the first target; a listener is looked for ten times a second
        }
        const pid_t client = fork();
        if (client == 0) {
          const int socket = Connect(Shared().port);
          SendAll(socket, kRequest);
          ReceiveAll(socket, 27);
          _exit(0);
        }
        serve();
        WaitFor(client);
        usleep(50'000);  // the children are gone when they are read about; this process is not
      });
  // The listener and its descendants: here both ends.
  REQUIRE(seen.connections.size() == 2);
  const Connection& server = seen.Local(Shared().port);
  CHECK(server.Text(false) == kRequest);
  CHECK(server.Text(true) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(seen.processes.at(server.open.header.tgid).back().listen_port == Shared().port);
}

TEST_CASE("targets: a cgroup and those below it", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string below = std::string(kCgroup) + "/inner";
  if (mkdir(kCgroup, 0755) != 0 && errno != EEXIST) {
    WARN("skipped: no cgroup v2 hierarchy at /sys/fs/cgroup/unified");
    return;
  }
  mkdir(below.c_str(), 0755);
  Observed how{.hooks = hooks};
  how.targets = [](TargetSpec& targets, uint32_t) { targets.cgroups.push_back(kCgroup); };
  const Observation seen = Observe(how, [&below] {
    Talk();  // outside
    MUST(static_cast<bool>(std::ofstream(below + "/cgroup.procs") << getpid() << std::flush));
    Talk();
    MUST(static_cast<bool>(std::ofstream("/sys/fs/cgroup/unified/cgroup.procs") << getpid() << std::flush));
  });
  rmdir(below.c_str());
  rmdir(kCgroup);
  CHECK(seen.connections.size() == 2);
  CHECK(seen.Peer(Shared().port).Text(true) == kRequest);
}

TEST_CASE("targets: the agent itself is never one", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  Observed how{.hooks = hooks};
  how.targets = [](TargetSpec& targets, uint32_t) { targets.ports.push_back(Shared().port); };
  how.on_phase = [](BpfSource&, Observation&) {
    // In the agent's process: it listens on the target port and talks through it.
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ListenOn(listener, Shared().port);
    const int client = Connect(Shared().port);
    const int server = accept(listener, nullptr, nullptr);
    SendAll(client, kRequest);
    ReceiveAll(server, kRequest.size());
    for (const int socket : {listener, client, server}) close(socket);
  };
  const Observation seen = Observe(
      how, [] { close(Listen(&Shared().port)); }, [] { Phase(); });
  CHECK(seen.connections.empty());
}

TEST_CASE("names: rules of the command line", "[bpf]") {
  if (!CanLoad()) return;
  const int rule = GENERATE(0, 1, 2, 3, 4);
  Observed how;
  how.targets = [rule](TargetSpec& targets, uint32_t child) {
    targets.pids.push_back(child);
    if (rule == 1) targets.service_name = "for-all";
    if (rule == 2) targets.service_names = {{"nobody", "wrong"}, {std::to_string(child), "by-pid"}};
    if (rule == 3) targets.service_names = {{std::to_string(Shared().numbers[0]), "by-port"}};
    if (rule == 4) targets.service_names = {{std::string(program_invocation_short_name), "by-exe"}};
  };
  const Observation seen = Observe(
      how,
      [] {
        uint16_t port = 0;
        MUST(Listen(&port) >= 0);
        Shared().numbers[0] = port;
      },
      [] { Talk(); });
  const char* expected[] = {"", "for-all", "by-pid", "by-port", "by-exe"};
  const Process& process = seen.processes.at(seen.child).back();
  CHECK(process.name == expected[rule]);
  CHECK(process.named == (rule != 0));
  CHECK(process.listen_port == Shared().numbers[0]);
}

TEST_CASE("names: a process is announced anew after exec, with its own variables", "[bpf]") {
  if (!CanLoad()) return;
  const Observation seen = Observe({}, [] {
    uint16_t port = 0;
    MUST(Listen(&port) >= 0);
    const pid_t child = fork();
    if (child == 0) {
      Shared().numbers[0] = static_cast<uint64_t>(getpid());
      Talk();
      Phase();  // announced as what it is now
      const std::string talk =
          "exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(port) + "; printf x >&3; read -t 0.3 <&3; exit 0";
      setenv("OTEL_SERVICE_NAME", "own-name", 1);
      setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b,c=d", 1);
      execl("/bin/bash", "bash", "-c", talk.c_str(), nullptr);
      _exit(9);
    }
    WaitFor(child);
  });
  const std::vector<Process>& announced = seen.processes.at(static_cast<uint32_t>(Shared().numbers[0]));
  REQUIRE(announced.size() >= 2);
  CHECK_FALSE(announced.front().named);
  CHECK(announced.back().exe.find("bash") != std::string::npos);
  CHECK(announced.back().name == "own-name");
  CHECK(announced.back().named);
  CHECK(announced.back().attributes == "a=b,c=d");
}

TEST_CASE("names: a server that listens after its first connection is announced again", "[bpf]") {
  if (!CanLoad()) return;
  Observed how;
  how.on_phase = [](BpfSource&, Observation& so_far) {
    CHECK(so_far.processes.at(so_far.child).back().listen_port == Shared().numbers[0]);
  };
  const Observation seen = Observe(how, [] {
    const Pair first = TcpPair();
    SendAll(first.client, kRequest);
    Phase();
    uint16_t port = 0;
    const int listener = Listen(&port);
    Shared().numbers[0] = port;
    const int client = Connect(port);
    const int server = accept(listener, nullptr, nullptr);
    SendAll(client, kRequest);
    ReceiveAll(server, kRequest.size());
    Phase();
  });
  CHECK(seen.processes.at(seen.child).size() == 2);
}

}  // namespace spantap::testing
