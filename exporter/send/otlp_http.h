// SPDX-License-Identifier: Apache-2.0
//
// OTLP/HTTP with protobuf bodies over libcurl: one keep-alive connection, no redirects, no proxy unless
// configured, every byte of the answer bounded.
//
// Made by the agent's start-up, used by ExportLoop on the export thread; Cancel() from any thread.
// Memory: the answer's kept part (Settings::max_response_bytes) and curl's own buffers.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/send/transport.h"

namespace spantap {

// The URL that traces go to: `endpoint` itself if its path ends in /v1/traces, otherwise with that
// appended. Not OK, with the accepted form in the message, for anything but http and https URLs.
absl::StatusOr<std::string> TracesUrl(absl::string_view endpoint);

// The wait that a Retry-After value asks for, seen at `now`: seconds or an HTTP date (RFC 9110 §10.2.3),
// never negative. nullopt if it is neither.
std::optional<absl::Duration> ParseRetryAfter(absl::string_view value, absl::Time now);

class OtlpHttpTransport final : public Transport {
 public:
  struct Settings {
    std::string url = {};                                           // as TracesUrl() makes it
    std::vector<std::pair<std::string, std::string>> headers = {};  // sent with each request, e.g. Authentication
    std::string proxy = {};                                         // empty: none, whatever the environment says
    size_t max_response_bytes = 64 << 10;                           // of the body; at most 4 MiB
  };
  // Not OK: a URL or header that cannot be sent (values are not repeated in the message: they are secrets).
  static absl::StatusOr<std::unique_ptr<OtlpHttpTransport>> Create(const Settings& settings);
  ~OtlpHttpTransport() override;

  SendResult Send(absl::string_view body, absl::Duration timeout) override;
  void Cancel() override;
  std::string Describe() const override;

 private:
  struct State;
  explicit OtlpHttpTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spantap
