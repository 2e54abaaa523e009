// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/istio_provider.h"

#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/cli/draft.h"
#include "agent/cli/forms.h"
#include "base/status_macros.h"

namespace spantap {
namespace {

// snake_case as camelCase: both are Istio's.
std::string Camel(absl::string_view key) {
  std::string camel;
  bool upper = false;
  for (const char c : key) {
    if (c == '_') {
      upper = true;
    } else {
      camel.push_back(upper ? absl::ascii_toupper(static_cast<unsigned char>(c)) : c);
      upper = false;
    }
  }
  return camel;
}

class Provider {
 public:
  Provider(const std::string& file, const Outside& outside, ConfigFile& config)
      : file_(file), outside_(outside), config_(config) {}

  absl::Status Take(const YAML::Node& node) {
    SPANTAP_RETURN_IF_ERROR(
        EachField(node, "service, port, http, grpc, maxTagLength, resourceDetectors",
                  [this](const std::string& key, const YAML::Node& value) { return Field(key, value); }));
    if (service_.empty() || port_.empty()) return Bad(node, "opentelemetry needs service and port");
    SPANTAP_RETURN_IF_ERROR(Add(node, "protocol", http_ ? "http/protobuf" : "grpc"));
    const std::string authority = absl::StrCat("http://", service_, ":", port_);
    if (!http_) return Add(node, "endpoint", authority);
    return Add(node, "endpoint", absl::StrCat(kExactPath, authority, absl::StartsWith(path_, "/") ? "" : "/", path_));
  }

 private:
  using FieldFn = std::function<absl::Status(const std::string& key, const YAML::Node& value)>;

  absl::Status Bad(const YAML::Node& node, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(file_, ":", node.Mark().line + 1, ": ", what));
  }

  absl::Status EachField(const YAML::Node& node, absl::string_view known, const FieldFn& take) const {
    if (!node.IsMap()) return Bad(node, absl::StrCat("expected a mapping; accepted: ", known));
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? Camel(entry.first.Scalar()) : "";
      absl::Status status = take(key, entry.second);
      if (absl::IsNotFound(status)) {
        return Bad(entry.first, absl::StrCat("no such field '", absl::CHexEscape(key), "'; accepted: ", known));
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Field(const std::string& key, const YAML::Node& value) {
    if (key == "service") return Service(value);
    if (key == "port") return Port(value);
    if (key == "http" || key == "grpc") return Call(key, value);
    if (key == "resourceDetectors") return Detectors(value);
    if (key == "maxTagLength" || key == "dynatraceSampler" || key == "serviceAttributeEnrichment") {
      return NoEffect(key, value);
    }
    return absl::NotFoundError("");
  }

  absl::Status Service(const YAML::Node& value) {
    if (!value.IsScalar()) return Bad(value, "service is [NAMESPACE/]HOST");
    const std::string& text = value.Scalar();
    service_ = text.substr(text.find('/') + 1);
    constexpr char kHost[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (!service_.empty() && service_.find_first_not_of(kHost) == std::string::npos) return absl::OkStatus();
    return Bad(value, "service is [NAMESPACE/]HOST");
  }

  absl::Status Port(const YAML::Node& value) {
    if (!value.IsScalar() || !forms::ParseCount(value.Scalar(), 1, 65535).ok()) return Bad(value, "port is 1 to 65535");
    port_ = value.Scalar();
    return absl::OkStatus();
  }

  absl::Status Call(const std::string& kind, const YAML::Node& node) {
    if (called_) return Bad(node, "http and grpc exclude each other");
    called_ = true;
    http_ = kind == "http";
    const std::string headers = http_ ? "headers" : "initialMetadata";
    SPANTAP_RETURN_IF_ERROR(EachField(node, absl::StrCat(http_ ? "path, " : "", "timeout, ", headers),
                                      [&](const std::string& key, const YAML::Node& value) {
                                        if (key == "timeout") return Timeout(value);
                                        if (key == headers) return Headers(value);
                                        return http_ && key == "path" ? Path(value) : absl::NotFoundError("");
                                      }));
    return http_ && path_.empty() ? Bad(node, "http needs path: /v1/traces") : absl::OkStatus();
  }

  absl::Status Path(const YAML::Node& value) {
    if (!value.IsScalar() || value.Scalar().empty()) return Bad(value, "path is the path of traces: /v1/traces");
    path_ = value.Scalar();
    return absl::OkStatus();
  }

  absl::Status Timeout(const YAML::Node& value) {
    absl::Duration timeout;
    if (!value.IsScalar() || !absl::ParseDuration(value.Scalar(), &timeout) || timeout <= absl::ZeroDuration() ||
        timeout > absl::Hours(1)) {
      return Bad(value, "timeout is a duration up to an hour, such as 5s");
    }
    return Add(value, "timeout", absl::StrCat(std::max<int64_t>(absl::ToInt64Milliseconds(timeout), 1)));
  }

  absl::Status Headers(const YAML::Node& list) {
    if (!list.IsSequence()) return Bad(list, "headers are a list of {name, value}");
    for (const YAML::Node& item : list) {
      std::string name, text;
      SPANTAP_RETURN_IF_ERROR(
          EachField(item, "name, value, envName", [&](const std::string& key, const YAML::Node& value) {
            if (key != "name" && key != "value" && key != "envName") return absl::NotFoundError("");
            if (!value.IsScalar()) return Bad(value, absl::StrCat(key, " is a text"));
            if (key == "name") name = value.Scalar();
            if (key == "value") text = value.Scalar();
            if (key != "envName") return absl::OkStatus();
            const char* const variable = outside_.variable(value.Scalar().c_str());
            if (variable == nullptr) return Bad(value, "envName names a variable that is not set");
            text = variable;
            return absl::OkStatus();
          }));
      config_.values["header"].push_back({WhereOf(item), absl::StrCat(name, "=", text)});
    }
    return absl::OkStatus();
  }

  absl::Status Detectors(const YAML::Node& node) {
    return EachField(node, "environment", [this](const std::string& key, const YAML::Node& value) {
      if (key == "environment") return absl::OkStatus();
      return key == "dynatrace" ? NoEffect(key, value) : absl::NotFoundError("");
    });
  }

  absl::Status NoEffect(const std::string& key, const YAML::Node& value) {
    config_.warnings.push_back(absl::StrCat(WhereOf(value), ": opentelemetry.", key, " has no effect in this version"));
    return absl::OkStatus();
  }

  absl::Status Add(const YAML::Node& node, const char* option, std::string word) {
    if (config_.values.count(option) != 0) return Bad(node, absl::StrCat(option, " is given twice"));
    config_.values[option].push_back({WhereOf(node), std::move(word)});
    return absl::OkStatus();
  }

  std::string WhereOf(const YAML::Node& node) const { return absl::StrCat(file_, ":", node.Mark().line + 1); }

  const std::string& file_;
  const Outside& outside_;
  ConfigFile& config_;
  std::string service_, port_, path_;
  bool called_ = false;
  bool http_ = false;
};

}  // namespace

absl::Status TakeIstioProvider(const std::string& file, const YAML::Node& node, const Outside& outside,
                               ConfigFile& config) {
  return Provider(file, outside, config).Take(node);
}

}  // namespace spantap
