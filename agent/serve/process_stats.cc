// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace spantap {
namespace {

// The first 4 KiB of a file of /proc.
std::string ReadProc(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t size = fd.valid() ? read(fd.get(), text.data(), text.size()) : -1;
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

double Number(const std::vector<absl::string_view>& fields, size_t index) {
  double value = 0;
  return index < fields.size() && absl::SimpleAtod(fields[index], &value) ? value : 0;
}

// Asked once, so that the start time does not waver with the clock.
double BootTime() {
  static const double boot_s =
      (static_cast<double>(ClockNs(CLOCK_REALTIME)) - static_cast<double>(ClockNs(CLOCK_BOOTTIME))) / 1e9;
  return boot_s;
}

uint64_t CountFds() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = readdir(dir)) count += entry->d_name[0] != '.';
  closedir(dir);
  return count - 1;  // without the one that was needed to look
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  // The name in parentheses may hold anything; the fields after the last one are numbers, "state" the first (3).
  const std::string text = ReadProc("/proc/self/stat");
  const size_t end = text.rfind(") ");
  if (end == std::string::npos) return stats;
  const std::vector<absl::string_view> fields = absl::StrSplit(absl::string_view(text).substr(end + 2), ' ');
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  stats.cpu_s = (Number(fields, 14 - 3) + Number(fields, 15 - 3)) / ticks;
  stats.threads = static_cast<uint64_t>(Number(fields, 20 - 3));
  stats.start_time_s = BootTime() + Number(fields, 22 - 3) / ticks;
  const std::string statm = ReadProc("/proc/self/statm");
  stats.resident_bytes =
      static_cast<uint64_t>(Number(absl::StrSplit(statm, ' '), 1)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  stats.open_fds = CountFds();
  return stats;
}

}  // namespace spantap
