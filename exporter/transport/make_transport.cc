// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/transport/curl_exchange.h"
#include "exporter/transport/otlp_grpc.h"
#include "exporter/transport/otlp_http.h"
#include "exporter/transport/settings.h"
#include "exporter/transport/tls_files.h"

namespace spantap {
namespace {

constexpr size_t kMaxHeaders = 64;
constexpr size_t kMaxServerName = 253;

absl::Status CheckProxy(const std::string& proxy) {
  if (proxy.empty()) return absl::OkStatus();
  const bool known = absl::StartsWithIgnoreCase(proxy, "http://") || absl::StartsWithIgnoreCase(proxy, "https://");
  if (known && UrlWithoutSecrets(proxy) != "(no URL)") return absl::OkStatus();
  return absl::InvalidArgumentError("proxy: use http://HOST:PORT or https://HOST:PORT");  // it may hold a password
}

absl::Status CheckServerName(const std::string& name) {
  const bool ok = name.size() <= kMaxServerName && std::all_of(name.begin(), name.end(), [](unsigned char c) {
                    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
                  });
  return ok ? absl::OkStatus() : absl::InvalidArgumentError("TLS server name: use a host's name, such as otel.example");
}

}  // namespace

absl::Status CheckHeaders(const TransportSettings& settings) {
  if (settings.headers.size() > kMaxHeaders) {
    return absl::InvalidArgumentError(absl::StrCat("headers: more than ", kMaxHeaders));
  }
  for (const auto& [name, value] : settings.headers) {
    if (absl::Status status = CheckHeader(name, value); !status.ok()) return status;
  }
  return settings.endpoint.protocol == Protocol::kGrpc ? CheckMetadata(settings) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(const TransportSettings& settings) {
  for (const absl::Status& status : {CheckHeaders(settings), CheckProxy(settings.proxy),
                                     CheckServerName(settings.tls.server_name), CheckTlsFiles(settings.tls)}) {
    if (!status.ok()) return status;
  }
  return settings.endpoint.protocol == Protocol::kGrpc ? MakeOtlpGrpc(settings) : MakeOtlpHttp(settings);
}

}  // namespace spantap
