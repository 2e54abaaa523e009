// SPDX-License-Identifier: Apache-2.0
//
// --listen: the paths /metrics, /healthz, /readyz and /ledger over a StatusBoard. Lives as long as its address is
// wanted, across reloads. Used by agent/run.
//
// Made, asked and destroyed on the main thread; answers on a thread of its own.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/serve/http_server.h"
#include "agent/serve/status_board.h"

namespace spantap {

class Listener {
 public:
  // `text`: the value of --listen. InvalidArgument: malformed, or an address that cannot be had. `board` outlives it.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(absl::string_view text, const StatusBoard& board);

  const std::string& text() const { return text_; }        // as it was asked for
  const std::string& address() const { return address_; }  // as it is bound
  bool loopback() const { return loopback_; }

 private:
  Listener(UniqueFd fd, absl::string_view text, bool loopback, const StatusBoard& board);
  HttpResponse Answer(absl::string_view path) const;

  const std::string text_;
  const std::string address_;
  const bool loopback_;
  const StatusBoard& board_;
  HttpServer server_;
};

}  // namespace spantap
