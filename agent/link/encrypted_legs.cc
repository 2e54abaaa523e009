// SPDX-License-Identifier: Apache-2.0
#include "agent/link/encrypted_legs.h"

#include <algorithm>
#include <cstring>

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
  if (ends_.empty()) ends_.resize(kEnds);
  for (const bool dialled : {true, false}) {
    if (opener == (dialled ? Opener::kPeer : Opener::kThis)) continue;
    const uint64_t key = dialled ? KeyOf(ends.family, ends.local_addr, ends.local_port)
                                 : KeyOf(ends.family, ends.peer_addr, ends.peer_port);
    End& end = ends_[key % kEnds];
    if (end.key != key) end = {key, 0, 0};
    (dialled ? end.dialler : end.taker) = tgid;
    if (dialled) process->dials = true;
    if (!dialled) ++process->taken;
    if (end.dialler != 0 && end.taker != 0 && end.dialler != end.taker) Match(end);
  }
}

void EncryptedLegs::Forget(uint32_t tgid) {
  if (processes_.erase(tgid) == 0) return;
  for (End& end : ends_) {
    if (end.dialler == tgid || end.taker == tgid) end = {};
  }
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
