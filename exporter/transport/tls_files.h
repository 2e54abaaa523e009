// SPDX-License-Identifier: Apache-2.0
//
// The PEM files of a TLS connection: checked once when a transport is made, watched afterwards, because certificates
// are renewed under a running agent. Used by settings.h's MakeTransport() and by curl_exchange.cc.
//
// One thread. Memory: three file stamps.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "exporter/transport/settings.h"

namespace spantap {

// InvalidArgument: a file cannot be read, holds no PEM of its kind, or key and certificate do not belong together.
absl::Status CheckTlsFiles(const TlsSettings& settings);

class TlsFileWatch {
 public:
  explicit TlsFileWatch(const TlsSettings& settings) : settings_(settings) { Changed(); }
  // Whether a file became another since the last call: renamed over (inode), rewritten (size, mtime, ctime), gone
  // or back again. Three stat() calls at most.
  bool Changed();

 private:
  struct Stamp {
    ino_t inode = 0;
    off_t size = -1;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  static Stamp StampOf(const std::string& path);

  const TlsSettings settings_;
  std::array<Stamp, 3> stamps_ = {};
};

}  // namespace spantap
