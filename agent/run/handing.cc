// SPDX-License-Identifier: Apache-2.0
#include "agent/run/handing.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/handoff/handoff_socket.h"
#include "agent/run/log.h"
#include "agent/run/stop_signal.h"
#include "base/status_macros.h"

namespace spantap {

HandoffSettings HandoffOf(const Settings& settings) {
  HandoffSettings handoff = settings.handoff;
  if (settings.disabled) handoff.sockets.clear();
  return handoff;
}

absl::Status Handing::Check(const Settings& settings) const {
  std::vector<std::string> ours;
  if (handoff_ != nullptr) ours = handoff_->settings().sockets;
  for (const std::string& path : HandoffOf(settings).sockets) {
    if (std::find(ours.begin(), ours.end(), path) != ours.end()) continue;
    SPANTAP_RETURN_IF_ERROR(CheckHandoffPath(path));
  }
  return absl::OkStatus();
}

absl::Status Handing::Switch(const Settings& settings) {
  const HandoffSettings wanted = HandoffOf(settings);
  if (handoff_ != nullptr && handoff_->settings() == wanted) return absl::OkStatus();
  handoff_.reset();
  if (wanted.sockets.empty()) return absl::OkStatus();
  const SignalsHeld held;
  SPANTAP_ASSIGN_OR_RETURN(handoff_, Handoff::Open(wanted, [](absl::string_view message, absl::string_view fields) {
                             Log(LogLevel::kWarn, message, fields);
                           }));
  for (const std::string& path : wanted.sockets) {
    Log(LogLevel::kInfo, "taking spans", absl::StrCat("socket=\"", absl::CHexEscape(path), "\""));
  }
  return absl::OkStatus();
}

}  // namespace spantap
