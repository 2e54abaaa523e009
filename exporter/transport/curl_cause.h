// SPDX-License-Identifier: Apache-2.0
//
// Why a request over curl ended without a complete answer, in words that a person can act on. Used by
// curl_exchange.cc only; includes curl's header.
//
// Pure but for what it asks the handle. One thread. Results are one line of at most 512 bytes.
#pragma once

#include <curl/curl.h>

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/transport/settings.h"
#include "exporter/transport/tls_notes.h"

namespace spantap {

// Where a connection goes, for messages.
struct Peer {
  std::string host;
  std::string port;
  std::string unix_path;  // else empty
  bool tls = false;
  bool http2 = false;
  bool proxy = false;
  std::string name() const;  // "host:port" or the socket's path
};

// The facts about one request that ended with `code`.
struct RequestEnd {
  CURL* easy = nullptr;
  CURLcode code = CURLE_OK;
  absl::string_view curl_text;  // CURLOPT_ERRORBUFFER's
  size_t body_bytes = 0;
  absl::Duration timeout;
  absl::Duration connect_timeout;
};

std::string CauseInWords(const RequestEnd& end, const Peer& peer, const TlsNotes& tls, const TlsSettings& files);

}  // namespace spantap
