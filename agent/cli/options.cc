// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spantap {
namespace {

constexpr unsigned kAgent = static_cast<unsigned>(Command::kAgent);
constexpr unsigned kTrace = static_cast<unsigned>(Command::kTrace);
constexpr unsigned kRecord = static_cast<unsigned>(Command::kRecord);
constexpr unsigned kReplay = static_cast<unsigned>(Command::kReplay);
constexpr unsigned kLive = kAgent | kTrace | kRecord;
constexpr unsigned kSpans = kAgent | kTrace | kReplay;
constexpr unsigned kAll = kLive | kReplay;

absl::Status Bad(absl::string_view why) { return absl::InvalidArgumentError(why); }

absl::Status Number(absl::string_view text, uint64_t low, uint64_t high, uint64_t& ret) {
  uint64_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) return Bad("is not a whole number");
  if (value < low || value > high) return Bad(absl::StrCat("is not between ", low, " and ", high));
  ret = value;
  return absl::OkStatus();
}

absl::Status Switch(absl::string_view text, bool& ret) {
  if (text != "on" && text != "off") return Bad("is neither on nor off");
  ret = text == "on";
  return absl::OkStatus();
}

absl::Status Pid(absl::string_view text, Settings& s) {
  uint64_t pid = 0;
  absl::Status status = Number(text, 1, 4194304, pid);
  if (status.ok()) s.targets.pids.push_back(static_cast<uint32_t>(pid));
  return status;
}

absl::Status Exe(absl::string_view text, Settings& s) {
  if (text.empty() || text.find('/') != absl::string_view::npos) return Bad("is not a bare file name");
  s.targets.exes.emplace_back(text);
  return absl::OkStatus();
}

absl::Status Port(absl::string_view text, Settings& s) {
  uint64_t port = 0;
  absl::Status status = Number(text, 1, 65535, port);
  if (status.ok()) s.targets.ports.push_back(static_cast<uint16_t>(port));
  return status;
}

absl::Status Cgroup(absl::string_view text, Settings& s) {
  if (text.empty()) return Bad("is empty");
  s.targets.cgroups.emplace_back(text);
  return absl::OkStatus();
}

absl::Status ServiceName(absl::string_view text, Settings& s) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) {
    if (text.empty()) return Bad("is empty");
    s.targets.service_name = std::string(text);
    return absl::OkStatus();
  }
  const absl::string_view target = text.substr(0, equals), name = text.substr(equals + 1);
  if (target.empty() || name.empty()) return Bad("has an empty part");
  s.targets.service_names.emplace_back(std::string(target), std::string(name));
  return absl::OkStatus();
}

absl::Status Hooks(absl::string_view text, Settings& s) {
  if (text == "auto") {
    s.capture.hooks = HookFamily::kAuto;
  } else if (text == "socket") {
    s.capture.hooks = HookFamily::kSocket;
  } else if (text == "syscall") {
    s.capture.hooks = HookFamily::kSyscall;
  } else {
    return Bad("is no hook family");
  }
  return absl::OkStatus();
}

absl::Status Turns(absl::string_view text, Settings& s) { return Switch(text, s.capture.turns); }

absl::Status RingBytes(absl::string_view text, Settings& s) {
  uint64_t bytes = 0;
  absl::Status status = Number(text, 4096, 1u << 30, bytes);
  if (!status.ok()) return status;
  if (bytes & (bytes - 1)) return Bad("is not a power of two");
  s.capture.ring_bytes = static_cast<uint32_t>(bytes);
  return absl::OkStatus();
}

absl::Status HeadBytes(absl::string_view text, Settings& s) {
  uint64_t bytes = 0;
  absl::Status status = Number(text, 256, kMaxHeadBytes, bytes);
  if (status.ok()) s.capture.head_bytes = static_cast<uint32_t>(bytes);
  return status;
}

absl::Status Endpoint(absl::string_view text, Settings& s) {
  if (!absl::StartsWith(text, "http://") && !absl::StartsWith(text, "https://")) return Bad("is no http or https URL");
  s.endpoints.emplace_back(text);
  return absl::OkStatus();
}

absl::Status Protocol(absl::string_view text, Settings&) {
  return text == "http/protobuf" ? absl::OkStatus() : Bad("is no protocol of this version");
}

absl::Status Header(absl::string_view text, Settings& s) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == absl::string_view::npos) return Bad("is not NAME=VALUE");
  for (char c : text) {
    if (c == '\r' || c == '\n' || c == '\0') return Bad("contains a line break");
  }
  s.headers.emplace_back(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
  return absl::OkStatus();
}

absl::Status Timeout(absl::string_view text, Settings& s) {
  uint64_t ms = 0;
  absl::Status status = Number(text, 1, 3'600'000, ms);
  if (status.ok()) s.timeout = absl::Milliseconds(ms);
  return status;
}

absl::Status Sample(absl::string_view text, Settings& s) {
  double percent = 0;
  if (!absl::SimpleAtod(absl::StripSuffix(text, "%"), &percent)) return Bad("is not a number");
  if (!(percent >= 0 && percent <= 100)) return Bad("is not between 0 and 100");
  s.links.sample_ratio = percent / 100;
  return absl::OkStatus();
}

absl::Status Adopt(absl::string_view text, Settings& s) { return Switch(text, s.links.adopt); }

absl::Status QueryValues(absl::string_view text, Settings& s) {
  if (text != "redacted" && text != "none") return Bad("is no such mode");
  s.style.query_values = text == "none" ? SpanStyle::QueryValues::kNone : SpanStyle::QueryValues::kRedacted;
  return absl::OkStatus();
}

absl::Status WithSecrets(absl::string_view text, Settings& s) { return Switch(text, s.with_secrets); }
absl::Status Json(absl::string_view text, Settings& s) { return Switch(text, s.json); }

absl::Status DurationSeconds(absl::string_view text, Settings& s) {
  double seconds = 0;
  if (!absl::SimpleAtod(text, &seconds)) return Bad("is not a number");
  if (!(seconds > 0 && seconds <= 1e9)) return Bad("is not between 0 and 1000000000");
  s.duration = absl::Seconds(seconds);
  return absl::OkStatus();
}

absl::Status LogLevel(absl::string_view text, Settings& s) {
  for (absl::string_view level : {"debug", "info", "warn", "error", "off"}) {
    if (text == level) {
      s.log_level = std::string(text);
      return absl::OkStatus();
    }
  }
  return Bad("is no log level");
}

// clang-format off
constexpr Option kOptions[] = {
    {"pid", "N", kLive, true, "", "observe process N and its descendants", "a process id, 1 to 4194304", Pid},
    {"exe", "NAME", kLive, true, "", "observe processes whose executable has this file name, running or started later",
     "a file name without a folder, such as nginx", Exe},
    {"port", "N", kLive, true, "", "observe the process that listens on TCP port N, now or later", "a port, 1 to 65535", Port},
    {"cgroup", "PATH", kLive, true, "", "observe the processes of a cgroup and those below it",
     "a cgroup v2 folder, absolute or below the mount point", Cgroup},
    {"service-name", "[TARGET=]NAME", kLive, true, "",
     "service.name of all targets, or of those a target named (default: the process's own OTEL_SERVICE_NAME, else executable:port)",
     "NAME, or TARGET=NAME where TARGET is a pid, executable, port or cgroup given above", ServiceName},
    {"hooks", "FAMILY", kLive, false, "", "hook family: auto, socket or syscall (default auto)", "auto, socket or syscall", Hooks},
    {"turns", "on|off", kLive, false, "", "count the event loop turns of targets, for linking (default off)", "on or off", Turns},
    {"ring-bytes", "N", kLive, false, "", "size of the ring buffer in bytes (default 16777216)",
     "a power of two, 4096 to 1073741824", RingBytes},
    {"head-bytes", "N", kLive, false, "", "most bytes copied of one message head (default 4096)", "256 to 65536", HeadBytes},
    {"endpoint", "URL", kSpans, true, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,OTEL_EXPORTER_OTLP_ENDPOINT",
     "OTLP/HTTP base URL, /v1/traces is appended unless it is there (default for agent: http://localhost:4318; trace and replay "
     "export only if it is given)", "http://HOST[:PORT][/PATH] or https://...", Endpoint},
    {"protocol", "NAME", kSpans, false, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,OTEL_EXPORTER_OTLP_PROTOCOL",
     "how spans are sent (default http/protobuf)", "http/protobuf", Protocol},
    {"header", "NAME=VALUE", kSpans, true, "OTEL_EXPORTER_OTLP_TRACES_HEADERS,OTEL_EXPORTER_OTLP_HEADERS",
     "extra header of every export request", "NAME=VALUE", Header},
    {"timeout", "MS", kSpans, false, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,OTEL_EXPORTER_OTLP_TIMEOUT",
     "longest wait for one export request, in milliseconds (default 10000)", "1 to 3600000", Timeout},
    {"sample", "PERCENT", kSpans, false, "", "share of new traces that is kept; a decision that came with a request is respected (default 100)",
     "a number from 0 to 100", Sample},
    {"adopt", "on|off", kSpans, false, "", "give what an inferred link connects one trace id (default on)", "on or off", Adopt},
    {"query-values", "MODE", kSpans, false, "", "URL query values in spans: redacted (known secrets) or none (default redacted)",
     "redacted or none", QueryValues},
    {"with-secrets", nullptr, kRecord, false, "", "keep the values of authorization, cookie and the like in the file", "on or off", WithSecrets},
    {"json", nullptr, kTrace | kReplay, false, "", "one JSON object per span and line instead of trees", "on or off", Json},
    {"duration", "SECONDS", kLive, false, "", "end after this time (default: never)", "a number above 0", DurationSeconds},
    {"log-level", "LEVEL", kAll, false, "", "debug, info, warn, error or off (default info)", "debug, info, warn, error or off", LogLevel},
};
// clang-format on

}  // namespace

absl::Span<const Option> Options() { return kOptions; }

const Option* FindOption(absl::string_view name) {
  for (const Option& option : kOptions) {
    if (name == option.name) return &option;
  }
  return nullptr;
}

}  // namespace spantap
