// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/cause_keeper.h"

#include <utility>

namespace spantap {

void CauseKeeper::Begin(CauseMemory memory) {
  on_ = true;
  memory_ = std::move(memory);
}

void CauseKeeper::OnProgram(uint32_t tgid, uint64_t program, ProcessCauses* process) {
  if (!on_ || (programs_.size() >= kMaxProcesses && !programs_.contains(tgid))) return;
  const auto [it, fresh] = programs_.try_emplace(tgid, program);
  if (!fresh && it->second == program) return;
  it->second = program;
  if (process != nullptr) OnBegin(tgid, *process);
}

void CauseKeeper::OnBegin(uint32_t tgid, ProcessCauses& process) {
  const auto it = programs_.find(tgid);
  if (it == programs_.end()) return;
  LearnedImage image = memory_.Find(it->second);
  if (image.empty()) return;
  ++counters_.recalled;
  process.Remember(std::move(image));
}

void CauseKeeper::Take(uint32_t tgid, const ProcessCauses& process) {
  const auto it = programs_.find(tgid);
  if (it != programs_.end()) memory_.Add(it->second, process.Image());
}

}  // namespace spantap
