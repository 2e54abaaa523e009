// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: configuration. The input is a readable script: a YAML file, a line "%%", then lines that are
// flags (--name=value) or variables (NAME=VALUE). The file is also what every PEM option reads.
//
// No input crashes; errors are one printable line each; what is printed is accepted again and means the same;
// OTEL_* variables alone never make an error, and the values of headers are in no message.
// Corpus: tests/data/fuzz_config.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/cli/config_file.h"
#include "agent/cli/finish.h"
#include "agent/cli/options.h"
#include "agent/cli/resolve.h"

namespace spantap {
namespace {

constexpr absl::string_view kSecret = "s3cret";

void Require(bool good, const char* what, absl::string_view text) {
  if (good) return;
  std::fprintf(stderr, "%s: %s\n", what, std::string(text).c_str());
  std::abort();
}

struct Script {
  std::string file;
  RawValues flags;
  std::map<std::string, std::string> variables;
};

Script Split(absl::string_view text) {
  Script script;
  const size_t end = text.find("\n%%\n");
  script.file = std::string(text.substr(0, end));
  if (end == absl::string_view::npos) return script;
  for (const absl::string_view line : absl::StrSplit(text.substr(end + 4), '\n')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(line, absl::MaxSplits('=', 1));
    const std::string name(absl::StripPrefix(pair.first, "--")), value(pair.second);
    if (name.size() != pair.first.size()) {
      if (FindOption(name) != nullptr) script.flags[name].push_back({std::string(pair.first), value});
    } else if (value.find('\0') == std::string::npos) {
      script.variables[name] = value;
    }
  }
  return script;
}

void CheckMessage(absl::string_view message, bool secret_in_headers_only) {
  Require(!message.empty(), "empty message", "");
  for (const char c : message) Require(absl::ascii_isprint(static_cast<unsigned char>(c)), "not printable", message);
  if (secret_in_headers_only) Require(!absl::StrContains(message, kSecret), "secret", message);
}

size_t Count(absl::string_view text) {
  size_t count = 0;
  for (size_t at = text.find(kSecret); at != absl::string_view::npos; at = text.find(kSecret, at + 1)) ++count;
  return count;
}

void CheckResolved(const Resolved& resolved) {
  Require(Finish(resolved.draft).ok(), "resolved, but not finished", "");
  Draft again;
  std::vector<std::vector<std::string>> shown;
  for (const Option& option : Options()) {
    shown.push_back(option.form.show(resolved.draft));
    for (const std::string& word : shown.back()) {
      Require(option.form.apply(word, again).ok(), option.name, word);
      CheckMessage("x" + ForPeople(option, word), false);
    }
  }
  for (size_t i = 0; i < shown.size(); ++i) {
    const Option& option = Options()[i];
    Require(option.form.show(again) == shown[i], "shown otherwise", option.name);
  }
}

void Run(absl::string_view text) {
  const Script script = Split(text);
  const Outside outside = {[&script](const char* name) -> const char* {
                             const auto it = script.variables.find(name);
                             return it == script.variables.end() ? nullptr : it->second.c_str();
                           },
                           [&script](const std::string&) -> absl::StatusOr<std::string> { return script.file; }};
  size_t in_headers = 0;
  for (const char* name : {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "SPANTAP_HEADER"}) {
    if (const char* value = outside.variable(name)) in_headers += Count(value);
  }
  const bool hidden = in_headers == Count(text);

  const absl::StatusOr<ConfigFile> file = ParseConfigFile("f", script.file, outside);
  if (!file.ok()) CheckMessage(std::string(file.status().message()), hidden);
  const RawValues from_file = file.ok() ? file->values : RawValues();
  for (const Command command : {Command::kCheck, Command::kReplay}) {
    const absl::StatusOr<Resolved> resolved = Resolve(command, script.flags, from_file, outside);
    if (!resolved.ok()) CheckMessage(std::string(resolved.status().message()), hidden);
    if (!resolved.ok()) continue;
    for (const std::string& warning : resolved->warnings) CheckMessage(warning, hidden);
    CheckResolved(*resolved);
  }

  const Outside standard = {[&outside](const char* name) -> const char* {
                              return absl::StartsWith(name, "OTEL_") ? outside.variable(name) : nullptr;
                            },
                            outside.file};
  const absl::StatusOr<Resolved> alone = Resolve(Command::kCheck, {}, {}, standard);
  Require(alone.ok(), "OTEL_* alone is an error", std::string(alone.status().message()));
}

}  // namespace
}  // namespace spantap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spantap::Run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
