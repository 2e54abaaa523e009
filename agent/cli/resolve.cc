// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/resolve.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "agent/cli/cross_checks.h"
#include "agent/cli/options.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

std::string Message(const Option& option, absl::string_view where, absl::string_view word, absl::string_view why,
                    absl::string_view accepted) {
  return absl::StrCat(where, ": '", ForPeople(option, word), "' ", why, "; accepted: ", accepted);
}

class Resolver {
 public:
  Resolver(Command command, const RawValues& flags, const RawValues& file, const Outside& outside)
      : command_(command), flags_(flags), file_(file), outside_(outside) {}

  // Each round that does not return leaves out one more variable.
  absl::StatusOr<Resolved> Run() {
    for (;;) {
      now_ = Resolved();
      for (const Option& option : Options()) {
        if (option.commands & static_cast<unsigned>(command_)) SPANTAP_RETURN_IF_ERROR(TakeOption(option));
      }
      AdaptDefaults(command_, now_.origins, now_.draft);
      const std::optional<Contradiction> found = FindContradiction(now_.draft, now_.origins, outside_);
      if (!found) break;
      SPANTAP_RETURN_IF_ERROR(Settle(*found));
    }
    now_.warnings = std::move(warnings_);
    return std::move(now_);
  }

 private:
  absl::Status TakeOption(const Option& option) {
    now_.origins[option.name] = Origin();
    if (const auto it = flags_.find(option.name); it != flags_.end()) return Take(option, it->second, Rank::kFlag);
    if (auto values = OwnVariable(option); !values.empty()) return Take(option, values, Rank::kVariable);
    for (const StandardVariable& variable : option.standard) {
      if (TakeStandard(option, variable)) return absl::OkStatus();
    }
    if (const auto it = file_.find(option.name); it != file_.end()) return Take(option, it->second, Rank::kFile);
    return absl::OkStatus();
  }

  absl::Status Take(const Option& option, const std::vector<RawValue>& values, Rank rank) {
    if (values.empty()) return absl::OkStatus();
    if (!option.repeatable && values.size() > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(values[1].where, ": given more than once; it takes one value: ", option.form.accepted));
    }
    Origin origin{rank, {}};
    for (const RawValue& value : values) {
      const absl::Status status = option.form.apply(value.value, now_.draft);
      if (!status.ok()) {
        return absl::InvalidArgumentError(
            Message(option, value.where, value.value, std::string(status.message()), option.form.accepted));
      }
      origin.where.push_back(value.where);
    }
    now_.origins[option.name] = std::move(origin);
    return absl::OkStatus();
  }

  // False: not set, or left out.
  bool TakeStandard(const Option& option, const StandardVariable& variable) {
    const char* const text = outside_.variable(variable.name);
    if (text == nullptr || *text == '\0' || ignored_.count(variable.name) != 0) return false;
    const StandardVariable::Words words = variable.words(text);
    absl::Status status = words.status();
    Draft draft = now_.draft;  // a list with one bad member is ignored as a whole
    for (size_t i = 0; status.ok() && i < words->size(); ++i) {
      status =
          option.repeatable || i == 0 ? option.form.apply((*words)[i], draft) : absl::InvalidArgumentError("is a list");
    }
    if (!status.ok()) {
      Ignore(variable.name, Message(option, variable.name, option.secret == Secret::kHeader ? "" : text,
                                    std::string(status.message()), AcceptedForm(option, variable)));
      return false;
    }
    if (words->empty()) return false;
    now_.draft = std::move(draft);
    now_.origins[option.name] = {Rank::kStandard, {variable.name}};
    return true;
  }

  static absl::string_view AcceptedForm(const Option& option, const StandardVariable& variable) {
    return variable.accepted != nullptr ? absl::string_view(variable.accepted) : option.form.accepted;
  }

  std::vector<RawValue> OwnVariable(const Option& option) const {
    const std::string name = VariableName(option.name);
    const char* const text = outside_.variable(name.c_str());
    std::vector<RawValue> values;
    if (text == nullptr || *text == '\0') return values;
    if (!option.repeatable) return {{name, text}};
    for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
      values.push_back({name, std::string(absl::StripAsciiWhitespace(part))});
    }
    return values;
  }

  // The first of those to blame that is an OTEL_* variable is left out; if there is none, it is an error.
  absl::Status Settle(const Contradiction& found) {
    const Option& first = *FindOption(found.options[0]);
    const Origin& first_origin = now_.origins[first.name];
    const std::string first_word = WordOf(first, found.word);
    for (const char* name : found.options) {
      const Option& option = *FindOption(name);
      const StandardVariable* const variable = VariableOf(option);
      if (variable == nullptr) continue;
      const bool is_first = &option == &first;
      const std::string why = is_first
                                  ? found.why
                                  : absl::StrCat("does not go with ", first.name, " (", ForPeople(first, first_word),
                                                 ", from ", first_origin.OfWord(found.word), ")");
      Ignore(variable->name, Message(option, variable->name, is_first ? first_word : WordOf(option, 0), why,
                                     AcceptedForm(option, *variable)));
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        Message(first, first_origin.OfWord(found.word), first_word, found.why, first.form.accepted));
  }

  // Where the option's value comes from, if that is a variable of the specification.
  const StandardVariable* VariableOf(const Option& option) {
    const Origin& origin = now_.origins[option.name];
    for (const StandardVariable& variable : option.standard) {
      if (origin.rank == Rank::kStandard && origin.where[0] == variable.name) return &variable;
    }
    return nullptr;
  }

  std::string WordOf(const Option& option, size_t index) const {
    const std::vector<std::string> words = option.form.show(now_.draft);
    return index < words.size() ? words[index] : "";
  }

  void Ignore(const std::string& variable, absl::string_view message) {
    ignored_.insert(variable);
    warnings_.push_back(absl::StrCat(message, "; ignored"));
  }

  const Command command_;
  const RawValues& flags_;
  const RawValues& file_;
  const Outside& outside_;
  Resolved now_;
  std::set<std::string, std::less<>> ignored_;
  std::vector<std::string> warnings_;
};

}  // namespace

absl::StatusOr<Resolved> Resolve(Command command, const RawValues& flags, const RawValues& file,
                                 const Outside& outside) {
  return Resolver(command, flags, file, outside).Run();
}

std::string VariableName(absl::string_view option) {
  return absl::StrCat("SPANTAP_", absl::StrReplaceAll(absl::AsciiStrToUpper(option), {{"-", "_"}}));
}

}  // namespace spantap
