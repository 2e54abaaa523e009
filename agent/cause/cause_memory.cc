// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/cause_memory.h"

#include <algorithm>

#include "agent/cause/image_bytes.h"

namespace spantap {

LearnedImage CauseMemory::Find(uint64_t program) const {
  const auto it = programs_.find(program);
  return it == programs_.end() ? LearnedImage() : DecodeImage(*it->second.image).value_or(LearnedImage());
}

void CauseMemory::Add(uint64_t program, LearnedImage image) {
  if (image.empty()) return;
  Put(program, EncodeImage(Merge(std::move(image), Find(program))));
}

bool CauseMemory::AddBytes(uint64_t program, absl::string_view image) {
  if (!DecodeImage(image)) return false;
  Put(program, std::string(image));
  return true;
}

void CauseMemory::Put(uint64_t program, std::string image) {
  Program& known = programs_[program];
  if (known.image != nullptr) bytes_ -= known.image->size();
  bytes_ += image.size();
  known.image = std::make_shared<const std::string>(std::move(image));
  known.added = ++adds_;
  while (programs_.size() > kMaxPrograms || bytes_ > kMaxBytes) ForgetOldest();
}

// A scan: only where there are more programs than room.
void CauseMemory::ForgetOldest() {
  const auto oldest = std::min_element(programs_.begin(), programs_.end(),
                                       [](const auto& a, const auto& b) { return a.second.added < b.second.added; });
  bytes_ -= oldest->second.image->size();
  programs_.erase(oldest);
}

std::vector<CauseMemory::Entry> CauseMemory::Entries() const {
  std::vector<std::pair<uint64_t, uint64_t>> order;
  for (const auto& [key, program] : programs_) order.emplace_back(program.added, key);
  std::sort(order.begin(), order.end());
  std::vector<Entry> entries;
  for (const auto& [added, key] : order) entries.emplace_back(key, programs_.at(key).image);
  return entries;
}

}  // namespace spantap
