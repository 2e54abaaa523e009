// SPDX-License-Identifier: Apache-2.0
//
// Collects metric families one line each and writes them in Prometheus' text format. Used by metrics.cc.
// One thread; values.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace spantap {

class MetricFamilies {
 public:
  // Name and value of the one label of a family's member.
  using Member = std::pair<std::string, double>;

  // Names without "spantap_" and "_total": both are added where they belong.
  void Counter(const char* name, const char* help, uint64_t value);
  void Counter(const char* name, const char* help, const char* label, const std::vector<Member>& members);
  void Gauge(const char* name, const char* help, double value);
  void Gauge(const char* name, const char* help, const char* label, const std::vector<Member>& members);
  // A family of the names that Prometheus gives every process: taken as it is.
  void Standard(const char* name, const char* help, prometheus::MetricType type, double value);

  std::string Text() const;

 private:
  prometheus::MetricFamily& Add(std::string name, const char* help, prometheus::MetricType type);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace spantap
