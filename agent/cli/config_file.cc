// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/config_file.h"

#include <yaml-cpp/yaml.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "agent/cli/options.h"

namespace spantap {
namespace {

using Values = std::map<std::string, std::vector<RawValue>>;

std::string Where(const std::string& path, const YAML::Mark& mark) { return absl::StrCat(path, ":", mark.line + 1); }

absl::Status Append(const std::string& path, const Option& option, const YAML::Node& node, Values& values) {
  if (!node.IsScalar()) {
    return absl::InvalidArgumentError(absl::StrCat(Where(path, node.Mark()), ": ", option.name, " takes ",
                                                   option.repeatable ? "a value or a list of values" : "one value",
                                                   ": ", option.accepted));
  }
  std::string value = node.Scalar();
  if (option.value == nullptr) value = value == "true" ? "on" : value == "false" ? "off" : value;
  values[option.name].push_back({Where(path, node.Mark()), value});
  return absl::OkStatus();
}

absl::Status Take(const std::string& path, const YAML::Node& key, const YAML::Node& node, Values& values) {
  const Option* option = key.IsScalar() ? FindOption(key.Scalar()) : nullptr;
  if (option == nullptr) {
    std::string names;
    for (const Option& known : Options()) absl::StrAppend(&names, names.empty() ? "" : ", ", known.name);
    return absl::InvalidArgumentError(absl::StrCat(Where(path, key.Mark()), ": no such option",
                                                   key.IsScalar() ? absl::StrCat(" '", key.Scalar(), "'") : "",
                                                   "; accepted: ", names));
  }
  if (values.count(option->name) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(Where(path, key.Mark()), ": ", option->name, " is given twice"));
  }
  if (!(option->repeatable && node.IsSequence())) return Append(path, *option, node, values);
  for (const YAML::Node& item : node) {
    absl::Status status = Append(path, *option, item, values);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  if (!in || !(in.read(text.data(), static_cast<std::streamsize>(text.size())) || in.eof())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read; --config takes a YAML file"));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": longer than ", kMaxConfigBytes, " bytes"));
  }
  return text;
}

}  // namespace

absl::StatusOr<Values> ReadConfigFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadAll(path);
  if (!text.ok()) return text.status();
  Values values;
  try {  // yaml-cpp reports by exceptions; none leaves this function
    const YAML::Node root = YAML::Load(*text);
    if (root.IsNull()) return values;
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(absl::StrCat(Where(path, root.Mark()), ": expected lines of 'option: value'"));
    }
    for (const auto& entry : root) {
      absl::Status status = Take(path, entry.first, entry.second, values);
      if (!status.ok()) return status;
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(Where(path, error.mark), ": not valid YAML: ", error.msg, "; expected lines of 'option: value'"));
  }
  return values;
}

}  // namespace spantap
