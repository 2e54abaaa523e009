// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/config_file.h"

#include <yaml-cpp/yaml.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/cli/istio_provider.h"
#include "agent/cli/options.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

std::string Where(const std::string& file, const YAML::Mark& mark) { return absl::StrCat(file, ":", mark.line + 1); }

absl::Status NoValue(const std::string& file, const Option& option, const YAML::Mark& mark) {
  return absl::InvalidArgumentError(absl::StrCat(Where(file, mark), ": ", option.name, " takes ",
                                                 option.repeatable ? "a value or a list of values" : "one value", ": ",
                                                 option.form.accepted));
}

absl::Status Append(const std::string& file, const Option& option, const YAML::Node& node, RawValues& values) {
  if (!node.IsScalar()) return NoValue(file, option, node.Mark());
  std::string value = node.Scalar();
  if (option.value == nullptr) value = value == "true" ? "on" : value == "false" ? "off" : value;
  values[option.name].push_back({Where(file, node.Mark()), value});
  return absl::OkStatus();
}

absl::Status UnknownKey(const std::string& file, const YAML::Node& key) {
  std::string names;
  for (const Option& known : Options()) absl::StrAppend(&names, known.name, ", ");
  return absl::InvalidArgumentError(
      absl::StrCat(Where(file, key.Mark()), ": no such option",
                   key.IsScalar() ? absl::StrCat(" '", absl::CHexEscape(key.Scalar()), "'") : "", "; accepted: ", names,
                   kIstioProviderKey));
}

absl::Status TakeOption(const std::string& file, const YAML::Node& key, const YAML::Node& node, RawValues& values) {
  const Option* option = key.IsScalar() ? FindOption(key.Scalar()) : nullptr;
  if (option == nullptr) return UnknownKey(file, key);
  if (values.count(option->name) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(Where(file, key.Mark()), ": ", option->name, " is given twice"));
  }
  if (node.IsNull()) return NoValue(file, *option, key.Mark());  // yaml-cpp places what is not there on a later line
  if (!(option->repeatable && node.IsSequence())) return Append(file, *option, node, values);
  for (const YAML::Node& item : node) SPANTAP_RETURN_IF_ERROR(Append(file, *option, item, values));
  return absl::OkStatus();
}

absl::StatusOr<ConfigFile> TakeAll(const std::string& file, const YAML::Node& root, const Outside& outside) {
  ConfigFile config;
  if (root.IsNull()) return config;
  if (!root.IsMap()) {
    return absl::InvalidArgumentError(absl::StrCat(Where(file, root.Mark()), ": expected lines of 'option: value'"));
  }
  for (const auto& entry : root) {
    if (entry.first.IsScalar() && entry.first.Scalar() == kIstioProviderKey) {
      SPANTAP_RETURN_IF_ERROR(TakeIstioProvider(file, entry.second, outside, config));
    } else {
      SPANTAP_RETURN_IF_ERROR(TakeOption(file, entry.first, entry.second, config.values));
    }
  }
  return config;
}

}  // namespace

absl::StatusOr<ConfigFile> ParseConfigFile(const std::string& name, absl::string_view text, const Outside& outside) {
  try {  // yaml-cpp reports by exceptions; none leaves this function
    return TakeAll(name, YAML::Load(std::string(text)), outside);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(Where(name, error.mark), ": not valid YAML: ",
                                                   absl::CHexEscape(error.msg), "; expected lines of 'option: value'"));
  }
}

}  // namespace spantap
