// SPDX-License-Identifier: Apache-2.0
//
// Options of the way in: what is observed, and how.
#include "absl/strings/str_cat.h"
#include "agent/cli/forms.h"
#include "agent/cli/option_tables.h"

namespace spantap {
namespace {

using forms::Bad;

Form Exe() {
  return forms::Each(
      "a file name without a folder, such as nginx", [](auto& d) -> auto& { return d.settings.targets.exes; },
      [](absl::string_view word) -> absl::StatusOr<std::string> {
        if (word.empty() || word.find('/') != absl::string_view::npos) return Bad("is not a bare file name");
        return std::string(word);
      },
      [](const std::string& exe) { return exe; });
}

Form Cgroup() {
  return forms::Each(
      "a cgroup v2 folder, absolute or below the mount point",
      [](auto& d) -> auto& { return d.settings.targets.cgroups; },
      [](absl::string_view word) -> absl::StatusOr<std::string> {
        if (word.empty()) return Bad("is empty");
        return std::string(word);
      },
      [](const std::string& cgroup) { return cgroup; });
}

absl::Status AddServiceName(absl::string_view word, Draft& draft) {
  TargetSpec& targets = draft.settings.targets;
  const size_t equals = word.find('=');
  if (equals == absl::string_view::npos) {
    if (word.empty()) return Bad("is empty");
    targets.service_name = std::string(word);
    return absl::OkStatus();
  }
  const absl::string_view target = word.substr(0, equals), name = word.substr(equals + 1);
  if (target.empty() || name.empty()) return Bad("has an empty part");
  targets.service_names.emplace_back(std::string(target), std::string(name));
  return absl::OkStatus();
}

std::vector<std::string> ShowServiceNames(const Draft& draft) {
  const TargetSpec& targets = draft.settings.targets;
  std::vector<std::string> words;
  if (!targets.service_name.empty()) words.push_back(targets.service_name);
  for (const auto& [target, name] : targets.service_names) words.push_back(absl::StrCat(target, "=", name));
  return words;
}

Form Hooks() {
  return forms::OneOf<HookFamily>(
      [](auto& d) -> auto& { return d.settings.capture.hooks; },
      {{"auto", HookFamily::kAuto}, {"socket", HookFamily::kSocket}, {"syscall", HookFamily::kSyscall}}, "hook family");
}

Form RingBytes() {
  constexpr uint64_t kLow = 4096, kHigh = 1 << 30;
  return forms::One(
      "a power of two, 4096 to 1073741824, or with a unit: 512KiB, 16MiB",
      [](auto& d) -> auto& { return d.settings.capture.ring_bytes; },
      [](absl::string_view word) {
        absl::StatusOr<uint64_t> bytes = forms::ParseBytes(word, kLow, kHigh);
        if (bytes.ok() && (*bytes & (*bytes - 1))) return absl::StatusOr<uint64_t>(Bad("is not a power of two"));
        return bytes;
      },
      forms::ShowBytes);
}

Form Ports() {
  return forms::Each(
      "a port, 1 to 65535", [](auto& d) -> auto& { return d.settings.targets.ports; },
      [](absl::string_view word) { return forms::ParseCount(word, 1, 65535); }, forms::ShowCount);
}

// The rest is checked where it is opened: it depends on the machine.
Form Sockets() {
  constexpr size_t kMaxPathBytes = 107;  // of sockaddr_un
  return forms::Each(
      absl::StrCat("a path of 1 to ", kMaxPathBytes, " bytes, such as /run/spantap/agent.sock"),
      [](auto& d) -> auto& { return d.settings.handoff.sockets; },
      [](absl::string_view word) -> absl::StatusOr<std::string> {
        if (word.empty()) return Bad("is empty");
        if (word.size() > kMaxPathBytes) return Bad("is too long");
        return std::string(word);
      },
      [](const std::string& path) { return path; });
}

Form AllowedUids() {
  return forms::Each(
      "a user id, 0 to 4294967294", [](auto& d) -> auto& { return d.settings.handoff.allowed_uids; },
      [](absl::string_view word) { return forms::ParseCount(word, 0, 4294967294); }, forms::ShowCount);
}

Form Pids() {
  return forms::Each(
      "a process id, 1 to 4194304", [](auto& d) -> auto& { return d.settings.targets.pids; },
      [](absl::string_view word) { return forms::ParseCount(word, 1, 4194304); }, forms::ShowCount);
}

}  // namespace

// clang-format off
std::vector<Option> CaptureOptions() {
  return {
    {"pid", "N", kForLive, kRepeatable, {}, "observe process N and its descendants", Pids()},
    {"exe", "NAME", kForLive, kRepeatable, {}, "observe processes whose executable has this file name, running or started later",
     Exe()},
    {"port", "N", kForLive, kRepeatable, {}, "observe the process that listens on TCP port N, now or later", Ports()},
    {"cgroup", "PATH", kForLive, kRepeatable, {}, "observe the processes of a cgroup and those below it", Cgroup()},
    {"socket", "PATH", kForAgent, kRepeatable, {},
     "take finished spans from programs that use libspantap.so, by this Unix socket; no target is needed then (default: none)", Sockets()},
    {"socket-allow-uid", "UID", kForAgent, kRepeatable, {}, "take spans from processes of this user only (default: of all)", AllowedUids()},
    {"service-name", "[TARGET=]NAME", kForLive, kRepeatable, {},
     "service.name of all targets, or of those a target named (else the process's own OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES, "
     "else --default-service-name, else executable:port)",
     {"NAME, or TARGET=NAME where TARGET is a pid, executable, port or cgroup given above", AddServiceName, ShowServiceNames}},
    {"hooks", "FAMILY", kForLive, kOnce, {}, "hook family: auto, socket or syscall", Hooks()},
    {"turns", "on|off", kForLive, kOnce, {}, "count the event loop turns of targets while their links need them",
     forms::OnOff([](auto& d) -> auto& { return d.settings.capture.turns; })},
    {"ring-bytes", "BYTES", kForLive, kOnce, {}, "size of the ring buffer in bytes", RingBytes()},
    {"head-bytes", "N", kForLive, kOnce, {}, "most bytes copied of one message head",
     forms::Count([](auto& d) -> auto& { return d.settings.capture.head_bytes; }, 256, 65536, "bytes")},
  };
}
// clang-format on

}  // namespace spantap
