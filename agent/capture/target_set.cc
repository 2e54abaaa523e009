// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/target_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "include/base/status_macros.h"

namespace spantap {
namespace {

// bpf/target.bpf.h: TARGET_CGROUP_LEVELS
constexpr uint32_t kMaxCgroupLevel = 15;
// A process tree that forks faster than we read /proc; the hooks have it by then.
constexpr int kMaxScanPasses = 16;
constexpr size_t kCommChars = SPANTAP_COMM_LEN - 1;

std::string FileName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Where cgroup v2 is mounted; "" if it is not.
std::string CgroupMount() {
  std::ifstream mounts("/proc/self/mounts");
  std::string line;
  while (std::getline(mounts, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 2 && fields[2] == "cgroup2") return fields[1];
  }
  return "";
}

// "/sys/fs/cgroup/a/b", "/a/b" and "a/b" all mean level 2 below the mount.
absl::StatusOr<std::pair<uint64_t, uint32_t>> FindCgroup(const std::string& given) {
  const std::string mount = CgroupMount();
  if (mount.empty()) return absl::FailedPreconditionError("--cgroup: no cgroup v2 hierarchy is mounted here");
  absl::string_view below = given;
  absl::ConsumePrefix(&below, mount);
  const std::vector<absl::string_view> parts = absl::StrSplit(below, '/', absl::SkipEmpty());
  std::string path = mount;
  for (const absl::string_view part : parts) {
    if (part == "..") return absl::InvalidArgumentError(absl::StrCat("--cgroup ", given, ": '..' is not accepted"));
    absl::StrAppend(&path, "/", part);
  }
  struct stat folder = {};
  if (stat(path.c_str(), &folder) != 0 || !S_ISDIR(folder.st_mode)) {
    return absl::NotFoundError(
        absl::StrCat("--cgroup ", given, ": no cgroup ", path, " (", strerror(errno), "); give a path below ", mount));
  }
  if (parts.size() > kMaxCgroupLevel) {
    return absl::InvalidArgumentError(
        absl::StrCat("--cgroup ", given, ": lies ", parts.size(), " levels deep, at most ", kMaxCgroupLevel, " work"));
  }
  // On 64-bit machines the inode number of a cgroup's folder is its id.
  return std::make_pair(static_cast<uint64_t>(folder.st_ino), static_cast<uint32_t>(parts.size()));
}

absl::Status CheckPid(uint32_t pid) {
  if (pid == static_cast<uint32_t>(getpid())) {
    return absl::InvalidArgumentError(absl::StrCat("--pid ", pid, ": that is spantap itself, which is never observed"));
  }
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  std::string line;
  uint32_t tgid = 0;
  bool zombie = false;
  while (std::getline(status, line)) {
    absl::string_view value = line;
    if (absl::ConsumePrefix(&value, "Tgid:")) (void)absl::SimpleAtoi(value, &tgid);
    if (absl::ConsumePrefix(&value, "State:"))
      zombie = absl::StrContains(value, "Z (") || absl::StrContains(value, "X (");
  }
  if (tgid == 0 || zombie) {
    return absl::NotFoundError(
        absl::StrCat("--pid ", pid, ": no process ", pid, zombie ? " any more (it has exited)" : "", "; see `ps -e`"));
  }
  if (tgid != pid) {
    return absl::InvalidArgumentError(
        absl::StrCat("--pid ", pid, ": that is a thread of process ", tgid, "; use --pid ", tgid));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TargetSet> TargetSet::Check(const TargetSpec& spec) {
  if (!InInitialPidNamespace()) {
    return absl::FailedPreconditionError(
        "spantap runs in a pid namespace of its own, where process ids differ from the kernel's; start it in the "
        "host's (Kubernetes: hostPID: true, docker: --pid=host)");
  }
  TargetSet set;
  set.spec_ = spec;
  for (const uint32_t pid : spec.pids) SPANTAP_RETURN_IF_ERROR(CheckPid(pid));
  for (const std::string& exe : spec.exes) set.kernel_.names.push_back(FileName(exe).substr(0, kCommChars));
  set.kernel_.ports = spec.ports;
  for (const std::string& cgroup : spec.cgroups) {
    SPANTAP_ASSIGN_OR_RETURN(auto found, FindCgroup(cgroup));
    set.kernel_.cgroups.push_back(found);
  }
  set.open_ended_ = !spec.exes.empty() || !spec.ports.empty() || !spec.cgroups.empty();
  return set;
}

absl::StatusOr<std::vector<uint32_t>> TargetSet::AddRunning(BpfPrograms& programs) {
  const uint32_t flags = programs.target_flags();
  absl::flat_hash_map<uint32_t, bool> chosen;  // targets of this scan -> descends from a --pid target
  for (const uint32_t pid : spec_.pids) {
    SPANTAP_RETURN_IF_ERROR(CheckPid(pid));  // it may have died while the programs were loaded
    SPANTAP_RETURN_IF_ERROR(programs.AddTarget(pid, flags));
    chosen[pid] = true;
    roots_[pid] = pid;
  }
  for (const uint16_t port : spec_.ports) {
    for (const uint32_t tgid : ListenersOn(port)) {
      SPANTAP_RETURN_IF_ERROR(programs.AddTarget(tgid, flags));
      chosen.emplace(tgid, false);
    }
  }
  for (int pass = 0; pass < kMaxScanPasses; ++pass) {
    bool added = false;
    for (const auto& [tgid, parent] : ListProcesses()) {
      if (chosen.contains(tgid) || tgid == static_cast<uint32_t>(getpid())) continue;
      const auto of_target = chosen.find(parent);
      if (of_target == chosen.end() && (pass > 0 || !MatchesExe(tgid))) continue;
      SPANTAP_RETURN_IF_ERROR(programs.AddTarget(tgid, flags));
      const bool of_pid = of_target != chosen.end() && of_target->second;
      chosen[tgid] = of_pid;
      if (of_pid) OnFork(parent, tgid);
      added = true;
    }
    if (!added) break;
  }
  std::vector<uint32_t> tgids;
  for (const auto& [tgid, of_pid] : chosen) tgids.push_back(tgid);
  return tgids;
}

bool TargetSet::MatchesExe(uint32_t tgid) const {
  if (spec_.exes.empty()) return false;
  char path[4096];
  const ssize_t bytes = readlink(absl::StrCat("/proc/", tgid, "/exe").c_str(), path, sizeof(path));
  const std::string exe = bytes > 0 ? FileName(std::string(path, static_cast<size_t>(bytes))) : "";
  std::ifstream comm_file(absl::StrCat("/proc/", tgid, "/comm"));
  std::string comm;
  std::getline(comm_file, comm);
  return std::any_of(spec_.exes.begin(), spec_.exes.end(), [&](const std::string& wanted) {
    const std::string name = FileName(wanted);
    return name == exe || name.substr(0, kCommChars) == comm;
  });
}

void TargetSet::OnFork(uint32_t parent, uint32_t child) {
  const auto found = roots_.find(parent);
  if (found == roots_.end()) return;
  const uint32_t root = found->second;
  roots_[child] = root;
}

void TargetSet::OnExit(uint32_t tgid) { roots_.erase(tgid); }

std::string TargetSet::ConfiguredName(uint32_t tgid, const ProcessFacts& facts) const {
  for (const auto& [target, name] : spec_.service_names) {
    if (RuleMatches(target, tgid, facts)) return name;
  }
  return spec_.service_name;
}

bool TargetSet::RuleMatches(const std::string& target, uint32_t tgid, const ProcessFacts& facts) const {
  uint32_t number = 0;
  if (absl::SimpleAtoi(target, &number)) {
    const auto root = roots_.find(tgid);
    return number == tgid || number == facts.listen_port || (root != roots_.end() && root->second == number);
  }
  const std::string file = FileName(target);
  return file == FileName(facts.exe) || file.substr(0, kCommChars) == facts.comm ||
         (absl::StrContains(target, '/') && InCgroup(tgid, target));
}

bool TargetSet::InCgroup(uint32_t tgid, const std::string& target) {
  std::ifstream memberships(absl::StrCat("/proc/", tgid, "/cgroup"));
  std::string line;
  absl::string_view wanted = target;
  absl::ConsumePrefix(&wanted, CgroupMount());
  const std::string below = absl::StrCat("/", absl::StrJoin(absl::StrSplit(wanted, '/', absl::SkipEmpty()), "/"));
  while (std::getline(memberships, line)) {
    absl::string_view path = line;
    if (!absl::ConsumePrefix(&path, "0::")) continue;
    return path == below || absl::StartsWith(path, absl::StrCat(below, "/"));
  }
  return false;
}

}  // namespace spantap
