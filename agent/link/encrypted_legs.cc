// SPDX-License-Identifier: Apache-2.0
#include "agent/link/encrypted_legs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "agent/link/head_digest.h"
#include "bpf/events.h"

namespace spantap {
namespace {

constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// An IPv4 address has one key, whether an IPv6 socket holds it or not.
uint64_t KeyOf(uint8_t family, const uint8_t* address, uint16_t port) {
  const bool mapped = family == SPANTAP_FAMILY_INET6 && std::memcmp(address, kMapped, sizeof(kMapped)) == 0;
  const uint8_t* const begin = mapped ? address + sizeof(kMapped) : address;
  const size_t bytes = family == SPANTAP_FAMILY_INET || mapped ? 4 : 16;
  return HashCombine(HashBytes({reinterpret_cast<const char*>(begin), bytes}), port);
}

}  // namespace

void EncryptedLegs::Add(uint32_t tgid, const ConnectionEnds& ends, Opener opener) {
  if (ends.family != SPANTAP_FAMILY_INET && ends.family != SPANTAP_FAMILY_INET6) return;
  Process* const process = Of(tgid);
  if (process == nullptr) return;
  for (const bool dialled : {true, false}) {
    if (opener == (dialled ? Opener::kPeer : Opener::kThis)) continue;
    const uint64_t key = dialled ? KeyOf(ends.family, ends.local_addr, ends.local_port)
                                 : KeyOf(ends.family, ends.peer_addr, ends.peer_port);
    End& end = EndOf(key);
    (dialled ? end.dialler : end.taker) = tgid;
    if (dialled) process->dials = true;
    if (!dialled) ++process->taken;
    if (end.dialler == 0 || end.taker == 0 || end.dialler == end.taker) continue;
    Match(end);
    ends_.erase(key);  // the port may be used again
  }
}

EncryptedLegs::End& EncryptedLegs::EndOf(uint64_t key) {
  const auto [it, added] = ends_.try_emplace(key);
  if (!added) return it->second;
  const auto place = static_cast<uint32_t>(next_++ % kEnds);
  it->second.place = place;
  if (place == order_.size()) {
    order_.push_back(key);
  } else if (const auto oldest = ends_.find(std::exchange(order_[place], key));
             oldest != ends_.end() && oldest != it && oldest->second.place == place) {
    ends_.erase(oldest);
  }
  return it->second;
}

void EncryptedLegs::Forget(uint32_t tgid) {
  if (processes_.erase(tgid) == 0) return;
  absl::erase_if(ends_, [tgid](const auto& end) { return end.second.dialler == tgid || end.second.taker == tgid; });
  for (auto& [_, process] : processes_) {
    process.callers.erase(std::remove(process.callers.begin(), process.callers.end(), tgid), process.callers.end());
  }
}

bool EncryptedLegs::Dials(uint32_t tgid) const {
  const Process* const process = Find(tgid);
  return process != nullptr && process->dials;
}

bool EncryptedLegs::Takes(uint32_t tgid) const {
  const Process* const process = Find(tgid);
  return process != nullptr && process->taken > 0;
}

bool EncryptedLegs::Calls(uint32_t caller, uint32_t called) const {
  const Process* const process = Find(called);
  return process != nullptr &&
         std::find(process->callers.begin(), process->callers.end(), caller) != process->callers.end();
}

bool EncryptedLegs::HasStrangers(uint32_t tgid) const {
  const Process* const process = Find(tgid);
  return process == nullptr || process->crowded || process->matched < process->taken;
}

EncryptedLegs::Process* EncryptedLegs::Of(uint32_t tgid) {
  if (processes_.size() >= kMaxProcesses && !processes_.contains(tgid)) return nullptr;
  return &processes_[tgid];
}

const EncryptedLegs::Process* EncryptedLegs::Find(uint32_t tgid) const {
  const auto it = processes_.find(tgid);
  return it == processes_.end() ? nullptr : &it->second;
}

void EncryptedLegs::Match(const End& end) {
  Process& called = processes_[end.taker];
  ++called.matched;
  if (Calls(end.dialler, end.taker)) return;
  if (called.callers.size() < kMaxCallers) {
    called.callers.push_back(end.dialler);
  } else {
    called.crowded = true;
  }
}

}  // namespace spantap
