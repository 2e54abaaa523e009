// SPDX-License-Identifier: Apache-2.0
#include "agent/run/link_memory.h"

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/cause/store.h"
#include "agent/run/log.h"
#include "agent/run/memory_file.h"
#include "agent/run/stop_signal.h"

namespace spantap {
namespace {

std::string FileField(const std::string& path) { return absl::StrCat("file=\"", absl::CHexEscape(path), "\""); }

std::string Fields(const std::string& path, const absl::Status& why) {
  return absl::StrCat(FileField(path), " reason=\"", absl::CHexEscape(why.message()), "\"");
}

}  // namespace

LinkMemory::LinkMemory(std::string path, CauseFinder& causes, uint64_t now_ns)
    : path_(std::move(path)), saved_ns_(now_ns) {
  Load(causes);
}

LinkMemory::~LinkMemory() {
  if (writer_.joinable()) writer_.join();
}

void LinkMemory::Load(CauseFinder& causes) {
  CauseMemory known;
  absl::StatusOr<std::string> bytes = ReadMemoryFile(path_);
  absl::Status status = bytes.status();
  if (bytes.ok()) {
    absl::StatusOr<CauseMemory> read = ReadStore(*bytes);
    status = read.status();
    if (read.ok()) known = *std::move(read);
  }
  if (!status.ok() && !absl::IsNotFound(status)) {
    ++rejected_;
    Log(LogLevel::kWarn, "link memory not used: programs are learned anew, and the file is replaced at the next save",
        Fields(path_, status));
  }
  loaded_ = known.size();
  if (loaded_ > 0) Log(LogLevel::kInfo, "link memory", absl::StrCat(FileField(path_), " programs=", loaded_));
  causes.Remember(std::move(known));
}

void LinkMemory::OnTurn(uint64_t now_ns, CauseFinder& causes) {
  if (!saving_ && now_ns - saved_ns_ < kSaveNs) return;
  if (!saving_ && writing_) return;  // a disk that takes longer than that
  saving_ = !causes.Memorize(1);
  if (saving_) return;
  saved_ns_ = now_ns;
  Save(causes.memory());
}

void LinkMemory::Save(const CauseMemory& memory) {
  if (writer_.joinable()) writer_.join();  // it is done: see OnTurn()
  writing_ = true;
  const SignalsHeld held;
  writer_ = std::thread([this, entries = memory.Entries()] {
    Write(entries);
    writing_ = false;
  });
}

void LinkMemory::Close(CauseFinder& causes) {
  if (writer_.joinable()) writer_.join();
  if (saving_) causes.Memorize(SIZE_MAX);  // the rest of a round that began before
  causes.Memorize(SIZE_MAX);
  Write(causes.memory().Entries());
}

void LinkMemory::Write(const std::vector<CauseMemory::Entry>& entries) {
  const absl::Status status = WriteMemoryFile(path_, WriteStore(entries));
  if (status.ok()) {
    saved_ = entries.size();
    return;
  }
  ++write_errors_;
  Log(LogLevel::kWarn, "link memory not saved: what is there stays, tried again at the next save",
      Fields(path_, status));
}

MemoryCounters LinkMemory::counters() const { return {loaded_, rejected_, saved_, write_errors_}; }

}  // namespace spantap
