// SPDX-License-Identifier: Apache-2.0
#include "agent/run/run.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/run/handing.h"
#include "agent/run/log.h"
#include "agent/run/memory_file.h"
#include "agent/run/stop_signal.h"
#include "agent/serve/ledger_line.h"
#include "agent/serve/listener.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "exporter/transport/settings.h"

namespace spantap {
namespace {

// Wrong use or configuration: what the caller asked for does not exist or cannot be meant.
int ExitCodeOf(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? 2 : 1;
}

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  Log(LogLevel::kError, std::string(status.message()));
  return ExitCodeOf(status);
}

// The listener of the present session, and that of the next while the present one ends.
class Port {
 public:
  absl::Status Prepare(const std::string& text) {
    next_.reset();
    keep_ = current_ != nullptr && current_->text() == text;
    if (keep_ || text.empty()) return absl::OkStatus();
    board_.Turn(MonoNs());
    const SignalsHeld held;
    SPANTAP_ASSIGN_OR_RETURN(next_, Listener::Open(text, board_));
    Log(LogLevel::kInfo, "listening", absl::StrCat("address=", next_->address()));
    if (!next_->loopback()) {
      Log(LogLevel::kWarn, "the listener can be reached from other hosts, and has no password");
    }
    return absl::OkStatus();
  }
  void Switch() {
    if (!keep_) current_ = std::move(next_);
  }
  StatusBoard* board() { return current_ != nullptr ? &board_ : nullptr; }

 private:
  StatusBoard board_;
  std::unique_ptr<Listener> current_;
  std::unique_ptr<Listener> next_;
  bool keep_ = false;
};

// What only the transports know: a key that is not (yet) the certificate's, say, while the two files are replaced.
// Found here it keeps the old settings; found by the next run it would end the agent.
absl::Status CheckEndpoints(const Settings& settings) {
  if (settings.disabled) return absl::OkStatus();
  for (const TransportSettings& endpoint : settings.exporter.endpoints) {
    SPANTAP_RETURN_IF_ERROR(MakeTransport(endpoint).status());
  }
  return absl::OkStatus();
}

struct Outcome {
  int code = 0;
  std::optional<Settings> next;
};

// The ledger is the last line of each, whatever happened.
Outcome RunOne(const Settings& settings, const ReloadFn& reload, StatusBoard* board, Handoff* handoff) {
  Outcome outcome;
  Session session(settings, reload, board, handoff);
  absl::Status status = session.Open();
  if (status.ok()) {
    Log(LogLevel::kInfo, "ready");
    status = session.Loop();
    status.Update(session.Close());
    outcome.next = session.next();
  }
  outcome.code = Report(status);
  std::fprintf(stderr, "%s\n", session.Balance().c_str());
  return outcome;
}

}  // namespace

int Run(Settings settings, const ReloadFn& reload) {
  InstallStopSignals();
  Port port;
  if (const absl::Status status = port.Prepare(settings.listen); !status.ok()) {
    const int code = Report(status);
    std::fprintf(stderr, "%s\n", LedgerLine(RunStatus{}).c_str());
    return code;
  }
  Handing handing;
  const ReloadFn reload_all = [&]() -> absl::StatusOr<Settings> {
    SPANTAP_ASSIGN_OR_RETURN(Settings next, reload());
    SPANTAP_RETURN_IF_ERROR(CheckEndpoints(next));
    SPANTAP_RETURN_IF_ERROR(handing.Check(next));
    if (!next.link_memory.empty()) SPANTAP_RETURN_IF_ERROR(CheckMemoryPath(next.link_memory));
    SPANTAP_RETURN_IF_ERROR(port.Prepare(next.listen));
    return next;
  };
  for (;;) {
    port.Switch();
    if (const absl::Status status = handing.Switch(settings); !status.ok()) {
      const int code = Report(status);
      std::fprintf(stderr, "%s\n", LedgerLine(RunStatus{}).c_str());
      return code;
    }
    Outcome outcome = RunOne(settings, reload_all, port.board(), handing.handoff());
    if (outcome.code != 0 || !outcome.next) return outcome.code;
    settings = *std::move(outcome.next);
    SetLogLevel(settings.log_level);
    Log(LogLevel::kInfo, "reloaded");
  }
}

}  // namespace spantap
