// SPDX-License-Identifier: Apache-2.0
#include "agent/run/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace spantap {

void SetUpLog(const std::string& level) {
  auto logger = spdlog::stderr_logger_mt("spantap");
  logger->set_pattern("ts=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

void SetLogLevel(const std::string& level) { spdlog::set_level(spdlog::level::from_str(level)); }

void Log(LogLevel level, absl::string_view message, absl::string_view fields) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  const auto spd_level = kLevels[static_cast<size_t>(level)];
  if (!spdlog::should_log(spd_level)) return;
  spdlog::log(spd_level, "{}",
              absl::StrCat("msg=\"", absl::CHexEscape(message), "\"", fields.empty() ? "" : " ", fields));
}

}  // namespace spantap
