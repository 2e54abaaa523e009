// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/help.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/capture/bpf_source.h"
#include "agent/cli/options.h"

namespace spantap {
namespace {

constexpr CommandInfo kCommands[] = {
    {"agent", 1, "Observe processes and export their spans to an OpenTelemetry Collector.", ""},
    {"trace", 2, "Show the traces of processes in the terminal, live; no Collector needed.", ""},
    {"record", 4, "Write captured events to a file.", "FILE"},
    {"replay", 8, "Run a recorded file through the same pipeline: show its traces, or export them.", "FILE"},
    {"check", 16, "Show the settings that agent would run with, and where each comes from; do nothing.", "[FILE]"},
};

constexpr char kExitCodes[] =
    "Exit codes: 0 done, 1 failed while running, 2 wrong use or configuration.\n"
    "Every option is also a variable (SPANTAP_PID, lists with commas) and a key of the configuration file.\n";
constexpr char kLedger[] =
    "The last line on stderr is the ledger: created = acknowledged + dropped + in_flight + spooled.\n";

std::string Examples(const CommandInfo& command) {
  switch (static_cast<Command>(command.bit)) {
    case Command::kAgent:
      return "  spantap agent --exe envoy --endpoint http://127.0.0.1:4318\n"
             "  spantap agent --port 8080 --service-name checkout --sample 10\n"
             "  spantap agent --config /etc/spantap/spantap.yaml\n";
    case Command::kTrace:
      return "  spantap trace --pid 4242\n"
             "  spantap trace --exe nginx --exe haproxy --duration 10\n"
             "  spantap trace --port 8080 --json | jq .duration_ns\n";
    case Command::kRecord:
      return "  spantap record /tmp/capture.spantap --pid 4242 --duration 5\n"
             "  spantap record capture.spantap --exe envoy\n"
             "  spantap record capture.spantap --port 8080 --with-secrets\n";
    case Command::kReplay:
      return "  spantap replay capture.spantap\n"
             "  spantap replay capture.spantap --json\n"
             "  spantap replay capture.spantap --endpoint http://127.0.0.1:4318\n";
    case Command::kCheck:
      return "  spantap check\n"
             "  spantap check /etc/spantap/spantap.yaml\n"
             "  OTEL_TRACES_SAMPLER=always_on spantap check --endpoint http://collector:4318\n";
  }
  return "";
}

// " (default X)" from the fields themselves, so that it cannot be wrong.
std::string DefaultOf(const Option& option) {
  const std::vector<std::string> words = option.form.show(Draft());
  return option.value == nullptr || words.empty() ? "" : absl::StrCat(" (default ", words[0], ")");
}

}  // namespace

absl::Span<const CommandInfo> Commands() { return kCommands; }

std::string GeneralHelp() {
  std::string text =
      "spantap: traces of service-mesh proxies, observed from the kernel.\n\nUsage: spantap COMMAND [OPTIONS]\n\n";
  for (const CommandInfo& command : kCommands) {
    absl::StrAppendFormat(&text, "  %-8s %s\n", command.name, command.purpose);
  }
  absl::StrAppend(&text, "\n  spantap COMMAND --help   the command's options\n",
                  "  spantap --version        version, event version, what this kernel offers\n\n",
                  "EXAMPLES\n  spantap trace --pid 4242\n",
                  "  spantap agent --exe envoy --endpoint http://127.0.0.1:4318\n",
                  "  spantap record capture.spantap --exe nginx --duration 5\n\n", kExitCodes, kLedger);
  return text;
}

std::string CommandHelp(const CommandInfo& command) {
  std::string text = absl::StrCat(command.purpose, "\n\nUsage: spantap ", command.name, *command.positional ? " " : "",
                                  command.positional, " [OPTIONS]\n\n");
  for (const Option& option : Options()) {
    if (!(option.commands & command.bit)) continue;
    const std::string flag = absl::StrCat("--", option.name, option.value ? " " : "", option.value ? option.value : "",
                                          option.repeatable ? " ..." : "");
    absl::StrAppendFormat(&text, "  %-32s %s%s\n", flag, option.help, DefaultOf(option));
    if (option.standard.empty()) continue;
    const auto name = [](std::string* out, const StandardVariable& variable) { out->append(variable.name); };
    absl::StrAppendFormat(&text, "  %-32s also %s\n", "", absl::StrJoin(option.standard, ", ", name));
  }
  absl::StrAppendFormat(&text, "  %-32s %s\n  %-32s %s\n", "--config FILE", "YAML file with the same words as keys",
                        "--help", "this text");
  absl::StrAppend(&text, "\nEXAMPLES\n", Examples(command), "\n", kExitCodes,
                  command.bit == static_cast<unsigned>(Command::kCheck) ? "" : kLedger);
  return text;
}

std::string VersionText() {
  return absl::StrCat("spantap " SPANTAP_VERSION "\nevent version ", SPANTAP_EVENT_VERSION,
                      "\nkernel: ", DescribeKernelSupport(), "\n");
}

}  // namespace spantap
