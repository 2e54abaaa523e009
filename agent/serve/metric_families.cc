// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/metric_families.h"

#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

prometheus::ClientMetric Metric(prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return metric;
}

}  // namespace

prometheus::MetricFamily& MetricFamilies::Add(std::string name, const char* help, prometheus::MetricType type) {
  families_.push_back({std::move(name), help, type, {}});
  return families_.back();
}

void MetricFamilies::Standard(const char* name, const char* help, prometheus::MetricType type, double value) {
  Add(name, help, type).metric.push_back(Metric(type, value));
}

void MetricFamilies::Counter(const char* name, const char* help, uint64_t value) {
  constexpr auto kType = prometheus::MetricType::Counter;
  Add(absl::StrCat("spantap_", name, "_total"), help, kType)
      .metric.push_back(Metric(kType, static_cast<double>(value)));
}

void MetricFamilies::Counter(const char* name, const char* help, const char* label,
                             const std::vector<Member>& members) {
  constexpr auto kType = prometheus::MetricType::Counter;
  prometheus::MetricFamily& family = Add(absl::StrCat("spantap_", name, "_total"), help, kType);
  for (const auto& [value, count] : members) {
    family.metric.push_back(Metric(kType, count));
    family.metric.back().label = {{label, value}};
  }
}

void MetricFamilies::Gauge(const char* name, const char* help, double value) {
  Standard(absl::StrCat("spantap_", name).c_str(), help, prometheus::MetricType::Gauge, value);
}

void MetricFamilies::Gauge(const char* name, const char* help, const char* label, const std::vector<Member>& members) {
  constexpr auto kType = prometheus::MetricType::Gauge;
  prometheus::MetricFamily& family = Add(absl::StrCat("spantap_", name), help, kType);
  for (const auto& [value, amount] : members) {
    family.metric.push_back(Metric(kType, amount));
    family.metric.back().label = {{label, value}};
  }
}

std::string MetricFamilies::Text() const { return prometheus::TextSerializer().Serialize(families_); }

}  // namespace spantap
