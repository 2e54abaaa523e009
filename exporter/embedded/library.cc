// SPDX-License-Identifier: Apache-2.0
//
// libspantap-embedded.so.0 as libspantap.so sees it (exporter/handoff/embedded.h): one symbol, three functions, and the
// end of the process.
//
// Any thread of the host. State of the process: two pointers, set once and never freed, so that nothing is destroyed
// while threads use it at the end; a child of fork() sets the second one anew.
#include <stdlib.h>

#include <atomic>
#include <exception>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "exporter/embedded/log.h"
#include "exporter/embedded/settings.h"
#include "exporter/embedded/worker.h"
#include "exporter/handoff/embedded.h"

namespace spantap {
namespace {

std::atomic<const EmbeddedEnvironment*> environment{nullptr};
std::atomic<Worker*> last_worker{nullptr};

// Nothing of it in a program that runs with more rights than its caller.
const char* Variable(const char* name) { return secure_getenv(name); }

// nullptr: not made in this process yet.
Worker* WorkerHere() {
  Worker* const worker = last_worker.load(std::memory_order_acquire);
  return worker != nullptr && !worker->InChild() ? worker : nullptr;
}

void StopAtExit() {
  try {
    if (Worker* const worker = WorkerHere(); worker != nullptr) worker->Stop();
  } catch (const std::exception&) {
  }
}

// exit() runs what was registered last first: StopAtExit() after the libraries behind the transports, which
// ReadEmbeddedEnvironment() has initialised, registered their own ends.
void OpenOnce() {
  if (environment.load(std::memory_order_acquire) != nullptr) return;
  // In Debian's build of abseil each lock takes a spin lock of the whole process for this, and a child of fork() may
  // find that locked for ever.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  auto read = std::make_unique<EmbeddedEnvironment>(ReadEmbeddedEnvironment(Variable));
  const EmbeddedEnvironment* none = nullptr;
  if (!environment.compare_exchange_strong(none, read.get(), std::memory_order_acq_rel)) return;
  const EmbeddedEnvironment& opened = *read.release();
  (void)atexit(StopAtExit);
  for (const std::string& warning : opened.warnings) WriteLogLine(opened.settings.log, warning);
  if (!opened.usable.ok()) {
    WriteLogLine(opened.settings.log,
                 absl::StrCat("embedded: nothing is sent: ", std::string(opened.usable.message())));
  }
}

int Open() {
  try {
    OpenOnce();
    const EmbeddedEnvironment* const opened = environment.load(std::memory_order_acquire);
    if (opened->settings.disabled) return SPANTAP_EMBEDDED_OFF;
    return opened->settings.exports && opened->usable.ok() ? SPANTAP_EMBEDDED_ON : SPANTAP_EMBEDDED_NOWHERE;
  } catch (const std::exception&) {
    return SPANTAP_EMBEDDED_NOWHERE;
  }
}

int Connect(const uint8_t* hello, uint32_t bytes) {
  try {
    const EmbeddedEnvironment* const opened = environment.load(std::memory_order_acquire);
    if (opened == nullptr || !opened->usable.ok()) return -1;
    Worker* worker = last_worker.load(std::memory_order_acquire);
    if (worker == nullptr || worker->InChild()) {
      auto fresh = std::make_unique<Worker>(opened->settings);
      // If another thread was first, `worker` becomes that one's.
      if (last_worker.compare_exchange_strong(worker, fresh.get(), std::memory_order_acq_rel)) worker = fresh.release();
    }
    return worker->Connect(absl::string_view(reinterpret_cast<const char*>(hello), bytes));
  } catch (const std::exception&) {
    return -1;
  }
}

int Flush(uint32_t timeout_ms) {
  try {
    Worker* const worker = WorkerHere();
    return worker == nullptr || worker->Flush(absl::Milliseconds(timeout_ms)) ? 1 : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

constexpr spantap_embedded kFunctions = {Open, Connect, Flush};

}  // namespace
}  // namespace spantap

extern "C" __attribute__((visibility("default"))) const spantap_embedded* spantap_embedded_1() {
  return &spantap::kFunctions;
}
