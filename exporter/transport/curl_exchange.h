// SPDX-License-Identifier: Apache-2.0
//
// One POST over libcurl, for every transport: a kept connection, no redirects, no proxy unless configured, TLS
// files watched, cancellable from another thread. It knows HTTP/1.1, HTTP/2, TLS and Unix sockets and nothing of
// OTLP. The only file of the transports that includes curl's headers is curl_exchange.cc (and endpoint.cc).
//
// One thread; Cancel() from any. Memory: curl's own buffers; answers go to the caller's sink as they come.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/transport/settings.h"

namespace spantap {

// Takes an answer as it comes. Both return false to stop reading (over a limit).
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  // A status line, header line, trailer line (gRPC), or the empty line after them; interim answers (1xx) included.
  [[nodiscard]] virtual bool AddHeadLine(absl::string_view untrusted_line) = 0;
  [[nodiscard]] virtual bool AddBody(absl::string_view untrusted_bytes) = 0;
};

class CurlExchange {
 public:
  struct Settings {
    Endpoint endpoint;
    bool http2_only = false;           // gRPC: prior knowledge for http://, ALPN for https://
    std::vector<std::string> headers;  // complete lines "Name: value" besides User-Agent, checked by CheckHeader()
    TlsSettings tls;
    std::string proxy;
  };
  struct Outcome {
    enum class End : uint8_t {
      kComplete,
      kBroken,   // no connection, reset, timeout, cancelled, stopped by the sink
      kGarbage,  // what came is not HTTP, or its head is over curl's own limit (100 KiB a line)
    };
    End end = End::kBroken;
    int http_status = 0;  // of the last status line; 0: none came
    std::string cause;    // unless complete: in words a person can act on (name not found, connection refused,
                          // TLS: certificate expired since 2026-01-02, no answer within 10s, ...); one line, bounded
    // HTTP/2: the server ended its answer without an error before the request was all sent (a refusal, as a rule),
    // and curl 7.88 does not pass it on.
    bool answer_lost = false;
  };

  static absl::StatusOr<std::unique_ptr<CurlExchange>> Create(const Settings& settings);
  ~CurlExchange();

  // `body` is borrowed for the call. `extra_header`: one more line for this request, or empty (Content-Encoding).
  Outcome Post(absl::string_view body, const std::string& extra_header, absl::Duration timeout, AnswerSink& sink);
  // Ends a Post() in progress; without one, has no effect on the next.
  void Cancel();

 private:
  struct State;
  explicit CurlExchange(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// InvalidArgument if it cannot be sent or is set by the exporter itself. Values are not repeated: they are secrets.
absl::Status CheckHeader(absl::string_view name, absl::string_view value);
// Both as complete lines, ready for Settings::headers.
std::vector<std::string> HeaderLines(const std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace spantap
