// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/cause_keeper.h"

#include <utility>

namespace spantap {

void CauseKeeper::Begin(CauseMemory memory) {
  on_ = true;
  memory_ = std::move(memory);
}

void CauseKeeper::OnProgram(uint32_t tgid, uint64_t program, const Processes& processes) {
  if (programs_.size() >= kMaxProcesses && !programs_.contains(tgid)) return;
  const auto [it, fresh] = programs_.try_emplace(tgid, program);
  if (!fresh && it->second == program) return;
  it->second = program;
  OnBegin(tgid, processes);
}

void CauseKeeper::OnBegin(uint32_t tgid, const Processes& processes) {
  const auto process = processes.find(tgid);
  const auto program = programs_.find(tgid);
  if (process == processes.end() || program == programs_.end()) return;
  LearnedImage image = KnownOf(tgid, program->second, processes);
  if (image.empty()) return;
  ++counters_.recalled;
  process->second->Remember(std::move(image));
}

LearnedImage CauseKeeper::KnownOf(uint32_t tgid, uint64_t program, const Processes& processes) const {
  LearnedImage image = memory_.Find(program);
  int asked = 0;
  for (const auto& [other, causes] : processes) {
    const auto runs = programs_.find(other);
    if (other == tgid || runs == programs_.end() || runs->second != program) continue;
    image = Merge(causes->Image(), image);
    if (++asked == kMostAsked) break;
  }
  return image;
}

void CauseKeeper::Take(uint32_t tgid, const ProcessCauses& process) {
  const auto it = programs_.find(tgid);
  if (on_ && it != programs_.end()) memory_.Add(it->second, process.Image());
}

}  // namespace spantap
