// SPDX-License-Identifier: Apache-2.0
//
// What the spool's tests share: a folder in memory that is gone afterwards, requests that carry a number, and a spool
// whose losses, log and clock the test sees.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exporter/spool/spool.h"

namespace spantap {

class TempFolder {
 public:
  TempFolder() {
    const std::string parent =
        std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string path = parent + "/spool_test_XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string spool() const { return path_ + "/spool"; }

 private:
  std::string path_;
};

inline void AppendField(int field, absl::string_view bytes, std::string* out) {
  out->push_back(static_cast<char>(field << 3 | 2));
  for (size_t n = bytes.size();; n >>= 7) {
    out->push_back(static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
    if (n <= 0x7f) break;
  }
  absl::StrAppend(out, bytes);
}

// An ExportTraceServiceRequest: `spans` spans named "batch <number>.<rest>", the first of them with `filling` bytes
// more.
inline std::string Request(int number, int spans = 1, size_t filling = 0) {
  std::string scope, resource, request;
  for (int i = 0; i < spans; ++i) {
    std::string span;
    AppendField(5, absl::StrCat("batch ", number, ".", std::string(i == 0 ? filling : 0, 'x')), &span);
    AppendField(2, span, &scope);
  }
  AppendField(2, scope, &resource);
  AppendField(1, resource, &request);
  return request;
}

// The number in it; -1: not one of those.
inline int Number(absl::string_view request) {
  constexpr absl::string_view kName = "batch ";
  const size_t begin = request.find(kName);
  if (begin == absl::string_view::npos) return -1;
  request.remove_prefix(begin + kName.size());
  int number = -1;
  return absl::SimpleAtoi(request.substr(0, request.find('.')), &number) ? number : -1;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void WriteFile(const std::string& path, absl::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// Names of the files but the lock, sorted.
inline std::vector<std::string> Files(const std::string& dir) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().filename() != "lock") names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct OpenSpool {
  explicit OpenSpool(const std::string& dir) { settings.dir = dir; }

  // False: `status` says why.
  bool Open() {
    settings.clock = [this] { return now; };
    spool.reset();
    auto opened = Spool::Open(
        settings, [this](SpoolLoss why, uint64_t spans) { losses[why] += spans; },
        [this](absl::string_view line) { log.emplace_back(line); });
    status = opened.status();
    if (opened.ok()) spool = *std::move(opened);
    return opened.ok();
  }
  bool Append(int number, int spans = 1, size_t filling = 0) {
    status = spool->Append(Request(number, spans, filling), static_cast<uint64_t>(spans));
    return status.ok();
  }
  // Takes, settles and lists whatever is there.
  std::vector<int> Drain() {
    std::vector<int> numbers;
    while (auto entry = spool->Take()) {
      numbers.push_back(Number(entry->request));
      spool->Done(entry->id);
    }
    return numbers;
  }
  // Takes and puts back, so that nothing changes.
  std::vector<int> Peek() {
    std::vector<int> numbers;
    std::vector<uint64_t> ids;
    while (auto entry = spool->Take()) {
      numbers.push_back(Number(entry->request));
      ids.push_back(entry->id);
    }
    for (const uint64_t id : ids) spool->PutBack(id);
    return numbers;
  }
  bool Logged(absl::string_view text) const {
    return std::any_of(log.begin(), log.end(), [&](const std::string& l) {
      return absl::string_view(l).find(text) != absl::string_view::npos;
    });
  }

  Spool::Settings settings;
  std::unique_ptr<Spool> spool;
  absl::Status status;
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  std::map<SpoolLoss, uint64_t> losses;
  std::vector<std::string> log;
};

}  // namespace spantap
