// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/admission.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "exporter/handoff/ring_layout.h"

namespace spantap {
namespace {

uint64_t WishedSize(uint32_t wished_bytes) {
  if (wished_bytes == 0) return SPANTAP_RING_DEFAULT_BYTES;
  return std::clamp<uint64_t>(std::bit_ceil(uint64_t{wished_bytes}), SPANTAP_RING_MIN_BYTES, SPANTAP_RING_MAX_BYTES);
}

uint64_t Left(uint64_t limit, uint64_t held) { return limit > held ? limit - held : 0; }

}  // namespace

bool Admission::Allowed(uid_t uid) const {
  return allowed_uids_.empty() || std::find(allowed_uids_.begin(), allowed_uids_.end(), uid) != allowed_uids_.end();
}

bool Admission::TakeToken(User& user, uint64_t mono_ns) const {
  const double passed_s = static_cast<double>(mono_ns - user.tokens_ns) * 1e-9;
  user.tokens =
      std::min(limits_.attach_burst,
               user.tokens_ns == 0 ? limits_.attach_burst : user.tokens + passed_s * limits_.attach_per_second);
  user.tokens_ns = mono_ns;
  if (user.tokens < 1) return false;
  user.tokens -= 1;
  return true;
}

Admission::Answer Admission::Admit(const Peer& peer, uint32_t wished_bytes, uint64_t mono_ns) {
  if (!Allowed(peer.uid)) return {EACCES, 0};
  ForgetIdle(mono_ns);
  if (users_.size() >= kMaxEntries || processes_.size() >= kMaxEntries) return {EMFILE, 0};
  User& user = users_[peer.uid];
  Process& process = processes_[{peer.uid, peer.pid}];
  if (mono_ns < process.refused_until_ns) return {EACCES, 0};
  if (!TakeToken(user, mono_ns) || all_.connections >= limits_.connections ||
      user.held.connections >= limits_.connections_per_uid ||
      process.held.connections >= limits_.connections_per_process) {
    return {EMFILE, 0};
  }
  const uint64_t room = std::min({Left(limits_.bytes, all_.bytes), Left(limits_.bytes_per_uid, user.held.bytes),
                                  Left(limits_.bytes_per_process, process.held.bytes)});
  if (room < SPANTAP_RING_MIN_BYTES) return {ENOMEM, 0};
  const uint64_t bytes = std::min(WishedSize(wished_bytes), std::bit_floor(room));
  for (Held* held : {&all_, &user.held, &process.held}) {
    ++held->connections;
    held->bytes += bytes;
  }
  return {0, bytes};
}

void Admission::Release(const Peer& peer, uint64_t data_bytes) {
  for (Held* held : {&all_, &users_[peer.uid].held, &processes_[{peer.uid, peer.pid}].held}) {
    --held->connections;
    held->bytes -= data_bytes;
  }
}

void Admission::Quarantine(const Peer& peer, uint64_t mono_ns) {
  processes_[{peer.uid, peer.pid}].refused_until_ns = mono_ns + kQuarantineNs;
}

// Only when there are many: a scan of each, per newcomer at most.
void Admission::ForgetIdle(uint64_t mono_ns) {
  constexpr size_t kMany = kMaxEntries / 2;
  if (processes_.size() >= kMany) {
    absl::erase_if(processes_, [mono_ns](const auto& entry) {
      return entry.second.held.connections == 0 && entry.second.refused_until_ns <= mono_ns;
    });
  }
  if (users_.size() >= kMany) {
    absl::erase_if(users_, [](const auto& entry) { return entry.second.held.connections == 0; });
  }
}

}  // namespace spantap
