// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/parse.h"

#include <cstdlib>
#include <map>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "agent/cli/config_file.h"
#include "agent/cli/help.h"
#include "agent/cli/options.h"

namespace spantap {
namespace {

using Values = std::map<std::string, std::vector<RawValue>>;

// What CLI11 collects for one command, as raw words.
struct Raw {
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> switches;
  std::string file;
  std::vector<std::string> config;
  bool help = false;
};

void Declare(CLI::App& app, const CommandInfo& command, Raw& raw) {
  CLI::App* sub = app.add_subcommand(command.name, command.purpose);
  sub->set_help_flag();
  sub->add_flag("--help,-h", raw.help);
  sub->add_option("--config", raw.config)->expected(1)->take_all();
  if (*command.positional) sub->add_option("FILE", raw.file);
  for (const Option& option : Options()) {
    if (!(option.commands & command.bit)) continue;
    const std::string flag = absl::StrCat("--", option.name);
    if (option.value == nullptr) {
      sub->add_flag(flag, raw.switches[option.name]);
    } else {
      // One value per occurrence; how often it may be given is checked in Apply().
      sub->add_option(flag, raw.values[option.name])->expected(1)->allow_extra_args(false)->take_all();
    }
  }
}

absl::Status Apply(const Option& option, const std::vector<RawValue>& values, Settings& settings) {
  if (!option.repeatable && values.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(values[1].where, ": given more than once; it takes one value: ", option.accepted));
  }
  for (const RawValue& value : values) {
    const absl::Status status = option.apply(value.value, settings);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(value.where, ": '", absl::CHexEscape(value.value), "' ",
                                                     std::string(status.message()), "; accepted: ", option.accepted));
    }
  }
  return absl::OkStatus();
}

std::string VariableName(const Option& option) {
  return absl::StrCat("SPANTAP_", absl::StrReplaceAll(absl::AsciiStrToUpper(option.name), {{"-", "_"}}));
}

// A variable's value; an empty one counts as not set (OpenTelemetry specification).
std::vector<RawValue> FromEnvironment(const std::string& name, const Option& option) {
  const char* text = std::getenv(name.c_str());
  std::vector<RawValue> values;
  if (text == nullptr || *text == '\0') return values;
  if (!option.repeatable) return {{name, text}};
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    values.push_back({name, std::string(absl::StripAsciiWhitespace(part))});
  }
  return values;
}

std::vector<RawValue> FromCommandLine(const Raw& raw, const Option& option) {
  std::vector<RawValue> values;
  const std::string flag = absl::StrCat("--", option.name);
  if (const auto it = raw.switches.find(option.name); it != raw.switches.end() && it->second)
    values.push_back({flag, "on"});
  if (const auto it = raw.values.find(option.name); it != raw.values.end()) {
    for (const std::string& value : it->second) values.push_back({flag, value});
  }
  return values;
}

// The OpenTelemetry variables with the same meaning, most specific first.
std::vector<RawValue> FromStandard(const Option& option) {
  for (absl::string_view name : absl::StrSplit(option.standard, ',', absl::SkipEmpty())) {
    std::vector<RawValue> values = FromEnvironment(std::string(name), option);
    if (!values.empty()) return values;
  }
  return {};
}

absl::Status Fill(const Raw& raw, unsigned command_bit, Values file, Settings& settings) {
  for (const Option& option : Options()) {
    if (!(option.commands & command_bit)) continue;
    std::vector<RawValue> values = FromCommandLine(raw, option);
    if (values.empty()) values = FromEnvironment(VariableName(option), option);
    if (values.empty()) values = FromStandard(option);
    if (values.empty()) values = file[option.name];
    absl::Status status = Apply(option, values, settings);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckWhole(const CommandInfo& command, const Raw& raw, Settings& settings) {
  settings.command = static_cast<Command>(command.bit);
  settings.file = raw.file;
  if (*command.positional && raw.file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("spantap ", command.name, ": no FILE given; usage: spantap ", command.name, " FILE [OPTIONS]"));
  }
  if (settings.command != Command::kReplay && settings.targets.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("spantap ", command.name,
                     ": no target; say what to observe with --pid N, --exe NAME, --port N or --cgroup PATH"));
  }
  if (settings.command == Command::kAgent && settings.endpoints.empty()) settings.endpoints = {"http://localhost:4318"};
  if (settings.endpoints.size() > 1) {
    return absl::InvalidArgumentError("--endpoint: given more than once; this version sends to one endpoint");
  }
  return absl::OkStatus();
}

absl::StatusOr<Settings> Finish(const CommandInfo& command, const Raw& raw) {
  if (raw.config.size() > 1) return absl::InvalidArgumentError("--config: given more than once; it takes one file");
  std::vector<RawValue> config;
  for (const std::string& path : raw.config) config.push_back({"--config", path});
  if (const char* path = std::getenv("SPANTAP_CONFIG"); config.empty() && path != nullptr && *path != '\0') {
    config.push_back({"SPANTAP_CONFIG", path});
  }
  Values file;
  if (!config.empty()) {
    absl::StatusOr<Values> read = ReadConfigFile(config[0].value);
    if (!read.ok()) return read.status();
    file = *std::move(read);
  }
  Settings settings;
  absl::Status status = Fill(raw, command.bit, std::move(file), settings);
  if (status.ok()) status = CheckWhole(command, raw, settings);
  if (!status.ok()) return status;
  return settings;
}

// CLI11's own message, with the accepted form of the option that it names.
std::string Explain(absl::string_view message) {
  const size_t begin = message.find("--");
  if (begin == absl::string_view::npos) return absl::StrCat(message, "; see spantap --help");
  const absl::string_view name = message.substr(begin + 2);
  const Option* option = FindOption(name.substr(0, name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-")));
  if (option == nullptr) return absl::StrCat(message, "; see spantap --help");
  return absl::StrCat(message, "; accepted: ", option->accepted, "; see spantap --help");
}

// A word where a command belongs, and is none; empty if there is no such word.
std::string UnknownCommand(int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  std::string names;
  for (const CommandInfo& command : Commands()) {
    if (absl::string_view(argv[1]) == command.name) return "";
    absl::StrAppend(&names, names.empty() ? "" : ", ", command.name);
  }
  return absl::StrCat("'", absl::CHexEscape(argv[1]), "' is no command; accepted: ", names, "; see spantap --help");
}

}  // namespace

absl::StatusOr<ParsedCommandLine> ParseCommandLine(int argc, const char* const* argv) {
  const std::string unknown = UnknownCommand(argc, argv);
  if (!unknown.empty()) return absl::InvalidArgumentError(unknown);
  CLI::App app;
  app.set_help_flag();
  bool help = false, version = false;
  app.add_flag("--help,-h", help);
  app.add_flag("--version", version);
  std::vector<Raw> raws(Commands().size());
  for (size_t i = 0; i < Commands().size(); ++i) Declare(app, Commands()[i], raws[i]);
  app.require_subcommand(0, 1);
  try {  // CLI11 reports by exceptions; none leaves this function
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(Explain(error.what()));
  }
  if (version) return ParsedCommandLine{VersionText(), {}};
  for (size_t i = 0; i < Commands().size(); ++i) {
    if (!app.got_subcommand(Commands()[i].name)) continue;
    if (raws[i].help || help) return ParsedCommandLine{CommandHelp(Commands()[i]), {}};
    absl::StatusOr<Settings> settings = Finish(Commands()[i], raws[i]);
    if (!settings.ok()) return settings.status();
    return ParsedCommandLine{std::nullopt, *std::move(settings)};
  }
  if (help) return ParsedCommandLine{GeneralHelp(), {}};
  return absl::InvalidArgumentError("no command given; accepted: agent, trace, record, replay; see spantap --help");
}

}  // namespace spantap
