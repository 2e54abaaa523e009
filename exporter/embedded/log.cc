// SPDX-License-Identifier: Apache-2.0
#include "exporter/embedded/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/unique_fd.h"

namespace spantap {
namespace {

// As write(), but a pipe that nobody reads is no reason for a SIGPIPE, which would end the host.
void WriteWithoutSignal(int fd, absl::string_view text) {
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  if (write(fd, text.data(), text.size()) < 0 && errno == EPIPE && sigismember(&before, SIGPIPE) == 0) {
    const timespec none = {0, 0};
    sigtimedwait(&pipe, nullptr, &none);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

void WriteLogLine(const std::string& where, absl::string_view line) {
  if (where.empty()) return;
  const std::string text = absl::StrCat(absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()),
                                        " spantap[", getpid(), "]: ", line, "\n");
  if (where == "stderr") return WriteWithoutSignal(STDERR_FILENO, text);
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const UniqueFd file(open(where.c_str(), kFlags, 0640));
  if (file.valid()) WriteWithoutSignal(file.get(), text);
}

}  // namespace spantap
