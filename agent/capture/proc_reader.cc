// SPDX-License-Identifier: Apache-2.0
//
// targets.h over /proc. Every read is bounded; what vanishes while we look is simply not there.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/capture/targets.h"
#include "include/base/unique_fd.h"

namespace spantap {
namespace {

// An environment may be as large as an argument list (2 MiB); the variables that we want stand wherever
// the parent put them. A socket table grows with its connections; listeners come first in it.
constexpr size_t kMaxEnvironBytes = 2 << 20;
constexpr size_t kMaxTableBytes = 1 << 20;
constexpr size_t kMaxSmallBytes = 4096;
constexpr int kMaxDescriptors = 65536;
// The inode of the initial pid namespace, fixed by the kernel (PROC_PID_INIT_INO).
constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;
constexpr int kTcpListen = 10;

std::string ReadFile(const std::string& path, size_t limit) {
  std::string content;
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return content;
  char buffer[16384];
  while (content.size() < limit) {
    const ssize_t bytes = read(file.get(), buffer, std::min(sizeof(buffer), limit - content.size()));
    if (bytes <= 0) break;
    content.append(buffer, static_cast<size_t>(bytes));
  }
  return content;
}

std::string ReadLink(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t bytes = readlink(path.c_str(), target, sizeof(target));
  return bytes > 0 ? std::string(target, static_cast<size_t>(bytes)) : std::string();
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};

// Calls `visit(name)` for each numeric entry, at most `limit` of them.
template <typename Visit>
void ForEachNumber(const std::string& path, int limit, Visit visit) {
  const std::unique_ptr<DIR, DirectoryCloser> directory(opendir(path.c_str()));
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory.get())) {
    uint32_t number = 0;
    if (!absl::SimpleAtoi(entry->d_name, &number)) continue;
    if (limit-- == 0) return;
    visit(number);
  }
}

// The fields of /proc/<pid>/stat after the command name, which may contain anything.
struct Stat {
  std::string comm;
  uint32_t parent = 0;
  uint64_t start_ticks = 0;
};

bool ReadStat(uint32_t tgid, Stat* stat) {
  const std::string text = ReadFile(absl::StrCat("/proc/", tgid, "/stat"), kMaxSmallBytes);
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open || close + 2 > text.size()) return false;
  stat->comm = text.substr(open + 1, close - open - 1);
  // From field 3 (state) on: parent is field 4, start time field 22.
  const std::vector<absl::string_view> fields = absl::StrSplit(absl::string_view(text).substr(close + 2), ' ');
  return fields.size() > 19 && absl::SimpleAtoi(fields[1], &stat->parent) &&
         absl::SimpleAtoi(fields[19], &stat->start_ticks);
}

// Socket inode -> local port of every listening TCP socket in the network namespace of `tgid`.
absl::flat_hash_map<uint64_t, uint16_t> ReadListeners(uint32_t tgid) {
  absl::flat_hash_map<uint64_t, uint16_t> listeners;
  for (const char* table : {"tcp", "tcp6"}) {
    const std::string text = ReadFile(absl::StrCat("/proc/", tgid, "/net/", table), kMaxTableBytes);
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      // "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 12345 ..."
      const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      uint32_t state = 0, port = 0;
      uint64_t inode = 0;
      if (fields.size() < 10 || !absl::SimpleHexAtoi(fields[3], &state) || state != kTcpListen) continue;
      const size_t colon = fields[1].rfind(':');
      if (colon == absl::string_view::npos || !absl::SimpleHexAtoi(fields[1].substr(colon + 1), &port)) continue;
      if (absl::SimpleAtoi(fields[9], &inode)) listeners[inode] = static_cast<uint16_t>(port);
    }
  }
  return listeners;
}

// Calls `visit(inode)` for every socket that `tgid` holds.
template <typename Visit>
void ForEachSocket(uint32_t tgid, Visit visit) {
  const std::string folder = absl::StrCat("/proc/", tgid, "/fd");
  ForEachNumber(folder, kMaxDescriptors, [&](uint32_t number) {
    const std::string target = ReadLink(absl::StrCat(folder, "/", number));
    absl::string_view inode_text = target;
    uint64_t inode = 0;
    if (!absl::ConsumePrefix(&inode_text, "socket:[") || !absl::ConsumeSuffix(&inode_text, "]")) return;
    if (absl::SimpleAtoi(inode_text, &inode)) visit(inode);
  });
}

uint16_t LowestListenPort(uint32_t tgid) {
  const auto listeners = ReadListeners(tgid);
  if (listeners.empty()) return 0;
  uint16_t lowest = 0;
  ForEachSocket(tgid, [&](uint64_t inode) {
    const auto found = listeners.find(inode);
    if (found != listeners.end() && (lowest == 0 || found->second < lowest)) lowest = found->second;
  });
  return lowest;
}

void ReadEnvironment(uint32_t tgid, ProcessFacts* facts) {
  const std::string text = ReadFile(absl::StrCat("/proc/", tgid, "/environ"), kMaxEnvironBytes);
  for (absl::string_view variable : absl::StrSplit(text, '\0')) {
    if (absl::ConsumePrefix(&variable, "OTEL_SERVICE_NAME=")) {
      facts->otel_service_name = std::string(variable);
    } else if (absl::ConsumePrefix(&variable, "OTEL_RESOURCE_ATTRIBUTES=")) {
      facts->otel_resource_attributes = std::string(variable);
    }
  }
}

}  // namespace

absl::StatusOr<ProcessFacts> ReadProcess(uint32_t tgid) {
  Stat stat;
  if (!ReadStat(tgid, &stat)) return absl::NotFoundError(absl::StrCat("no process ", tgid));
  ProcessFacts facts;
  facts.tgid = tgid;
  facts.parent = stat.parent;
  facts.comm = stat.comm;
  // Ticks since boot; CLOCK_MONOTONIC does not count suspend, which a node's processes do not see.
  facts.start_mono_ns = stat.start_ticks * (1'000'000'000u / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
  facts.exe = ReadLink(absl::StrCat("/proc/", tgid, "/exe"));
  if (absl::EndsWith(facts.exe, " (deleted)")) facts.exe.resize(facts.exe.size() - 10);
  ReadEnvironment(tgid, &facts);
  facts.listen_port = LowestListenPort(tgid);
  return facts;
}

std::vector<std::pair<uint32_t, uint32_t>> ListProcesses() {
  std::vector<std::pair<uint32_t, uint32_t>> processes;
  ForEachNumber("/proc", INT_MAX, [&](uint32_t tgid) {
    Stat stat;
    if (ReadStat(tgid, &stat)) processes.emplace_back(tgid, stat.parent);
  });
  return processes;
}

std::vector<uint32_t> ListenersOn(uint16_t port) {
  // Processes of one network namespace share one table: read it once.
  absl::flat_hash_map<std::string, absl::flat_hash_set<uint64_t>> inodes_of;
  std::vector<uint32_t> found;
  ForEachNumber("/proc", INT_MAX, [&](uint32_t tgid) {
    const std::string space = ReadLink(absl::StrCat("/proc/", tgid, "/ns/net"));
    if (space.empty()) return;
    const auto [entry, fresh] = inodes_of.try_emplace(space);
    if (fresh) {
      for (const auto& [inode, its_port] : ReadListeners(tgid)) {
        if (its_port == port) entry->second.insert(inode);
      }
    }
    if (entry->second.empty()) return;
    bool listens = false;
    ForEachSocket(tgid, [&, &inodes = entry->second](uint64_t inode) { listens |= inodes.contains(inode); });
    if (listens) found.push_back(tgid);
  });
  return found;
}

bool InInitialPidNamespace() {
  struct stat space = {};
  return stat("/proc/self/ns/pid", &space) == 0 && space.st_ino == kInitialPidNamespace;
}

}  // namespace spantap
