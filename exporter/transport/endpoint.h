// SPDX-License-Identifier: Apache-2.0
//
// Endpoints as people write them, turned into what a request needs (OTLP specification, "Endpoint URLs for
// OTLP/HTTP"; exporter environment variables, OTEL_EXPORTER_OTLP_ENDPOINT and ..._TRACES_ENDPOINT).
//
// Accepted: http://HOST[:PORT][/PATH], https://..., HOST:PORT (gRPC only), unix:/ABSOLUTE/PATH (any protocol;
// plaintext). Default ports are the schemes' own, 80 and 443. Pure; any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spantap {

enum class Protocol : uint8_t { kHttpProtobuf, kHttpJson, kGrpc };
absl::string_view ProtocolName(Protocol protocol);  // "http/protobuf", "http/json", "grpc"

// What becomes of the path of an HTTP endpoint.
enum class EndpointForm : uint8_t {
  kBase,    // /v1/traces is appended unless the path ends in it (--endpoint, OTEL_EXPORTER_OTLP_ENDPOINT)
  kSignal,  // taken as it is; no path: "/" (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
};

struct Endpoint {
  Protocol protocol = Protocol::kHttpProtobuf;
  std::string url;         // what curl is given; the path included (for gRPC the method's)
  std::string unix_path;   // non-empty: connect to this socket instead of the URL's host
  std::string for_people;  // without user, password, query and fragment
};

// `insecure`: a scheme-less gRPC endpoint is plaintext (OTEL_EXPORTER_OTLP_INSECURE; its default is false: TLS).
// InvalidArgument names the accepted form.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, Protocol protocol, EndpointForm form,
                                       bool insecure = false);

// `url` without user, password, query and fragment.
std::string UrlWithoutSecrets(absl::string_view url);

}  // namespace spantap
