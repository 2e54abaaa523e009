// SPDX-License-Identifier: Apache-2.0
//
// curl 7.88 returns from each wait at once while the socket could take bytes and HTTP/2's window is shut: a collector
// that stops reading would cost a core. A wait that takes no time and moves nothing, several times in a row, is
// followed by a rest. Used by curl_exchange.cc only; includes curl's header.
//
// One thread, one transfer.
#pragma once

#include <curl/curl.h>

#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace spantap {

class SpinGuard {
 public:
  explicit SpinGuard(CURL* easy) : easy_(easy) {}
  void AfterWait() {
    const int64_t moved = Moved();
    idle_waits_ = moved == moved_ ? idle_waits_ + 1 : 0;
    moved_ = moved;
    const uint64_t now_ns = MonoNs();
    if (now_ns - last_ns_ > kRestNs) idle_waits_ = 0;
    if (idle_waits_ > kAllowed) absl::SleepFor(absl::Nanoseconds(kRestNs));
    last_ns_ = MonoNs();
  }

 private:
  static constexpr int kAllowed = 20;
  static constexpr uint64_t kRestNs = 2'000'000;
  int64_t Moved() const {
    curl_off_t up = 0, down = 0;
    long head = 0;
    curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(easy_, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(easy_, CURLINFO_HEADER_SIZE, &head);
    return up + down + head;
  }
  CURL* const easy_;
  int64_t moved_ = 0;
  uint64_t last_ns_ = 0;
  int idle_waits_ = 0;
};

}  // namespace spantap
