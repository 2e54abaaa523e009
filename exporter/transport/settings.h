// SPDX-License-Identifier: Apache-2.0
//
// What a transport is made from, and the one function that makes it. Used by exporter/send/exporter.cc
// and by the command line, which checks its settings with it.
//
// Values; any thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "exporter/transport/endpoint.h"
#include "exporter/transport/transport.h"

namespace spantap {

enum class Compression : uint8_t { kNone, kGzip, kZstd };

// PEM files. Looked at before each request; when one changes, the connection is made anew with it.
struct TlsSettings {
  std::string ca_file = {};           // empty: the system's certificates
  std::string certificate_file = {};  // mTLS: the client's chain; with key_file or not at all
  std::string key_file = {};
  std::string server_name = {};  // for SNI and verification; empty: the endpoint's host
};

struct TransportSettings {
  Endpoint endpoint;  // with the protocol
  Compression compression = Compression::kNone;
  std::vector<std::pair<std::string, std::string>> headers = {};  // sent with each request, e.g. Authentication
  TlsSettings tls = {};
  std::string proxy = {};                // URL; empty: none, whatever the environment says
  size_t max_response_bytes = 64 << 10;  // of the answer's body; at most 4 MiB
};

// What MakeTransport() would say of the headers alone, under the endpoint's protocol.
absl::Status CheckHeaders(const TransportSettings& settings);

// Not OK (InvalidArgument, with the accepted form): an endpoint, header or file that cannot be used. Values of
// headers are not repeated in messages: they are secrets. Connects to nothing.
absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(const TransportSettings& settings);

}  // namespace spantap
