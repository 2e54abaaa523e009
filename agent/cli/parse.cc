// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/parse.h"

#include <cstdlib>
#include <map>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/cli/check.h"
#include "agent/cli/config_file.h"
#include "agent/cli/finish.h"
#include "agent/cli/help.h"
#include "agent/cli/options.h"
#include "agent/cli/resolve.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

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
  const absl::string_view positional = command.positional;
  sub->add_option(positional == "[FILE]" ? "--config,FILE" : "--config", raw.config)->expected(1)->take_all();
  if (positional == "FILE") sub->add_option("FILE", raw.file);
  for (const Option& option : Options()) {
    if (!(option.commands & command.bit)) continue;
    const std::string flag = absl::StrCat("--", option.name);
    if (option.value == nullptr) {
      sub->add_flag(flag, raw.switches[option.name]);
    } else {
      // One value per occurrence; how often it may be given is checked in resolve.cc.
      sub->add_option(flag, raw.values[option.name])->expected(1)->allow_extra_args(false)->take_all();
    }
  }
}

RawValues FromCommandLine(const Raw& raw) {
  RawValues values;
  for (const auto& [name, words] : raw.values) {
    for (const std::string& word : words) values[name].push_back({absl::StrCat("--", name), word});
  }
  for (const auto& [name, on] : raw.switches) {
    if (on) values[name].push_back({absl::StrCat("--", name), "on"});
  }
  return values;
}

// The configuration file, if one is named.
absl::StatusOr<ConfigFile> ReadConfigFile(const Raw& raw, const Outside& outside) {
  if (raw.config.size() > 1) return absl::InvalidArgumentError("--config: given more than once; it takes one file");
  const char* const variable = outside.variable("SPANTAP_CONFIG");
  const std::string path = !raw.config.empty() ? raw.config[0] : variable != nullptr ? variable : "";
  if (path.empty() && raw.config.empty()) return ConfigFile();
  const absl::StatusOr<std::string> text = outside.file(path);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", std::string(text.status().message()), "; --config takes a YAML file"));
  }
  return ParseConfigFile(path, *text, outside);
}

absl::Status CheckWhole(const CommandInfo& command, const Settings& settings) {
  if (absl::string_view(command.positional) == "FILE" && settings.file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("spantap ", command.name, ": no FILE given; usage: spantap ", command.name, " FILE [OPTIONS]"));
  }
  const bool needs_target = settings.command != Command::kReplay && settings.command != Command::kCheck;
  if (needs_target && settings.targets.empty() && settings.handoff.sockets.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("spantap ", command.name,
                     ": no target; say what to observe with --pid N, --exe NAME, --port N or --cgroup PATH",
                     settings.command == Command::kAgent ? ", or where spans are handed over with --socket PATH" : ""));
  }
  return absl::OkStatus();
}

absl::StatusOr<ParsedCommandLine> RunParser(const CommandInfo& command, const Raw& raw, const Outside& outside) {
  SPANTAP_ASSIGN_OR_RETURN(ConfigFile file, ReadConfigFile(raw, outside));
  const auto bit = static_cast<Command>(command.bit);
  SPANTAP_ASSIGN_OR_RETURN(Resolved resolved, Resolve(bit, FromCommandLine(raw), file.values, outside));
  resolved.warnings.insert(resolved.warnings.begin(), file.warnings.begin(), file.warnings.end());
  ParsedCommandLine parsed;
  SPANTAP_ASSIGN_OR_RETURN(parsed.settings, Finish(resolved.draft));
  parsed.settings.command = bit;
  parsed.settings.file = raw.file;
  SPANTAP_RETURN_IF_ERROR(CheckWhole(command, parsed.settings));
  if (bit == Command::kCheck) {
    SPANTAP_ASSIGN_OR_RETURN(parsed.print, CheckText(resolved, parsed.settings));
  }
  parsed.warnings = std::move(resolved.warnings);
  return parsed;
}

// A word that was not expected, without what may be a secret: the end of an unquoted header, say.
std::string Unexpected(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining(true);
  const absl::string_view word = words.empty() ? absl::string_view() : absl::string_view(words[0]);
  if (!absl::StartsWith(word, "-")) {
    return "a word that belongs to no option was not expected (quote a value that has spaces); see spantap --help";
  }
  return absl::StrCat("'", absl::CHexEscape(word.substr(0, word.find('='))), "' was not expected; see spantap --help");
}

// CLI11's own message, with the accepted form of the option that it names.
std::string Explain(absl::string_view message) {
  const size_t begin = message.find("--");
  if (begin == absl::string_view::npos) return absl::StrCat(message, "; see spantap --help");
  const absl::string_view name = message.substr(begin + 2);
  const Option* option = FindOption(name.substr(0, name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-")));
  if (option == nullptr) return absl::StrCat(message, "; see spantap --help");
  return absl::StrCat(message, "; accepted: ", option->form.accepted, "; see spantap --help");
}

std::string CommandNames() {
  std::string names;
  for (const CommandInfo& command : Commands()) absl::StrAppend(&names, names.empty() ? "" : ", ", command.name);
  return names;
}

// A word where a command belongs, and is none; empty if there is no such word.
std::string UnknownCommand(int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  for (const CommandInfo& command : Commands()) {
    if (absl::string_view(argv[1]) == command.name) return "";
  }
  return absl::StrCat("'", absl::CHexEscape(argv[1]), "' is no command; accepted: ", CommandNames(),
                      "; see spantap --help");
}

const Outside& RealOutside() {
  static const auto& outside =
      *new Outside{[](const char* name) -> const char* { return std::getenv(name); }, ReadRegularFile};
  return outside;
}

}  // namespace

absl::StatusOr<ParsedCommandLine> ParseCommandLine(int argc, const char* const* argv) {
  return ParseCommandLine(argc, argv, RealOutside());
}

absl::StatusOr<ParsedCommandLine> ParseCommandLine(int argc, const char* const* argv, const Outside& outside) {
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
  } catch (const CLI::ExtrasError&) {
    return absl::InvalidArgumentError(Unexpected(app));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(Explain(error.what()));
  }
  if (version) return ParsedCommandLine{VersionText()};
  for (size_t i = 0; i < Commands().size(); ++i) {
    if (!app.got_subcommand(Commands()[i].name)) continue;
    if (raws[i].help || help) return ParsedCommandLine{CommandHelp(Commands()[i])};
    return RunParser(Commands()[i], raws[i], outside);
  }
  if (help) return ParsedCommandLine{GeneralHelp()};
  return absl::InvalidArgumentError(
      absl::StrCat("no command given; accepted: ", CommandNames(), "; see spantap --help"));
}

}  // namespace spantap
