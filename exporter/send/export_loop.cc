// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/export_loop.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "exporter/model/trace_context.h"
#include "exporter/otlp/otlp_encoder.h"
#include "exporter/send/collector_state.h"
#include "exporter/send/wakeup.h"

namespace spantap {
namespace {

constexpr double kBackoffFactor = 1.5;
constexpr absl::Duration kCancelInterval = absl::Milliseconds(50);

absl::Duration Since(uint64_t start_ns) { return absl::Nanoseconds(MonoNs() - start_ns); }

// Signals are the main thread's business.
std::thread StartWithoutSignals(std::function<void()> run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  try {
    thread = std::thread(std::move(run));
  } catch (const std::system_error&) {  // no thread to be had: the caller sees it is not joinable
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

struct ExportLoop::State {
  State(const Settings& settings, SpanQueue& queue, Ledger& ledger, std::unique_ptr<Transport> transport,
        std::function<void(absl::string_view)> log)
      : settings(settings),
        queue(queue),
        ledger(ledger),
        transport(std::move(transport)),
        log(std::move(log)),
        collector(this->transport->Describe(), this->log) {}

  const Settings settings;
  SpanQueue& queue;
  Ledger& ledger;
  const std::unique_ptr<Transport> transport;
  const std::function<void(absl::string_view)> log;
  std::thread thread;

  // Written by Stop(), read by the export thread.
  std::atomic<uint64_t> stop_deadline_ns{0};  // 0: running
  Wakeup stop;
  // The other way round.
  std::atomic<bool> ended{false};
  Wakeup end;

  // The export thread's own.
  OtlpEncoder encoder{SPANTAP_VERSION};
  CollectorState collector;
  RandomIds random;
  absl::Duration backoff;           // before the next retry, without jitter; zero: none failed
  uint64_t backoff_until_ns = 0;    // cut short by Stop()
  bool draining = false;            // has seen the stop
  uint64_t throttled_until_ns = 0;  // the server's Retry-After: holds even then

  void Run();
  void Export(absl::Span<const Span> spans);
  void Deliver(absl::string_view body, uint64_t spans);
  bool WaitForTurn();
  void Settle(const SendResult& result, uint64_t spans);
  void Postpone(const SendResult& result);
  absl::Duration StopTimeLeft() const;
  bool stopping() const { return stop_deadline_ns.load(std::memory_order_acquire) != 0; }
};

absl::Duration ExportLoop::State::StopTimeLeft() const {
  const uint64_t deadline_ns = stop_deadline_ns.load(std::memory_order_acquire);
  if (deadline_ns == 0) return absl::InfiniteDuration();
  const uint64_t now_ns = MonoNs();
  return now_ns >= deadline_ns ? absl::ZeroDuration() : absl::Nanoseconds(deadline_ns - now_ns);
}

void ExportLoop::State::Run() {
  std::vector<Span> batch;
  uint64_t last_ns = 0;
  for (;;) {
    // On a quiet node the first spans go out at once; gathering begins with traffic.
    const bool quiet = last_ns == 0 || Since(last_ns) >= settings.max_delay;
    if (!queue.Pop(batch, quiet ? 1 : settings.max_batch_spans, settings.max_batch_spans, settings.max_batch_bytes,
                   settings.max_delay)) {
      break;
    }
    if (batch.empty()) continue;
    Export(batch);
    last_ns = MonoNs();
  }
  batch.clear();
  ended.store(true, std::memory_order_release);
  end.Signal();
}

// Splits what is larger than the limit once encoded.
void ExportLoop::State::Export(absl::Span<const Span> spans) {
  if (StopTimeLeft() <= absl::ZeroDuration()) return ledger.Dropped(DropReason::kShutdown, spans.size());
  const absl::string_view body = encoder.Encode(spans);
  if (body.size() > settings.max_batch_bytes) {
    if (spans.size() == 1) return ledger.Dropped(DropReason::kTooLarge, 1);
    Export(spans.first(spans.size() / 2));
    return Export(spans.subspan(spans.size() / 2));
  }
  if (body.empty()) return ledger.Dropped(DropReason::kEncode, spans.size());
  Deliver(body, spans.size());
}

// The body stays in the encoder's buffer until the batch is settled, so a retry sends the same bytes.
// There is one thread and one request at a time, so a collector that is down sees one probe at a time.
void ExportLoop::State::Deliver(absl::string_view body, uint64_t spans) {
  const uint64_t started_ns = MonoNs();
  while (WaitForTurn()) {
    const SendResult result = transport->Send(body, std::min(settings.request_timeout, StopTimeLeft()));
    if (result.kind != SendResult::Kind::kRetry) return Settle(result, spans);
    if (StopTimeLeft() <= absl::ZeroDuration()) break;
    Postpone(result);
    if (!stopping() && Since(started_ns) + backoff > settings.retry_give_up) {
      collector.GaveUp(MonoNs(), spans);
      return ledger.Dropped(DropReason::kRetriesExhausted, spans);
    }
  }
  ledger.Dropped(DropReason::kShutdown, spans);
}

// True: send now. False: the time to stop would pass before.
bool ExportLoop::State::WaitForTurn() {
  while (true) {
    if (stopping() && !draining) {  // a last round of attempts, from the shortest backoff on
      draining = true;
      backoff = absl::ZeroDuration();
      backoff_until_ns = 0;
    }
    const uint64_t now_ns = MonoNs();
    const uint64_t turn_ns = std::max(backoff_until_ns, throttled_until_ns);
    const absl::Duration left = StopTimeLeft();
    if (left <= absl::ZeroDuration()) return false;
    if (turn_ns <= now_ns) return true;
    const absl::Duration wait = absl::Nanoseconds(turn_ns - now_ns);
    if (wait >= left) return false;
    stop.Wait(wait);
  }
}

void ExportLoop::State::Settle(const SendResult& result, uint64_t spans) {
  backoff = absl::ZeroDuration();
  backoff_until_ns = throttled_until_ns = 0;
  if (result.kind == SendResult::Kind::kAcknowledged) {
    const uint64_t rejected = std::min(result.rejected, spans);
    ledger.Acknowledged(spans - rejected);
    if (rejected > 0) ledger.Dropped(DropReason::kRejected, rejected);
    return collector.Accepted(MonoNs(), result, rejected);
  }
  const bool http = result.kind == SendResult::Kind::kDropHttp;
  ledger.Dropped(http ? DropReason::kHttpStatus : DropReason::kBadResponse, spans);
  collector.Refused(MonoNs(), result, spans);
}

// When the next attempt may be: exponential, with +-50 % jitter so that many agents do not come back at
// once; later if the server says so.
void ExportLoop::State::Postpone(const SendResult& result) {
  const uint64_t now_ns = MonoNs();
  collector.Unavailable(now_ns, result);
  backoff = backoff == absl::ZeroDuration() ? settings.retry_initial : backoff * kBackoffFactor;
  backoff = std::min(backoff, settings.retry_max);
  uint16_t random_bits;
  const SpanId random_id = random.NewSpanId();
  std::memcpy(&random_bits, random_id.bytes.data(), sizeof(random_bits));
  const absl::Duration jittered = std::min(backoff * (0.5 + random_bits / 65536.0), settings.retry_max);
  backoff_until_ns = now_ns + static_cast<uint64_t>(absl::ToInt64Nanoseconds(jittered));
  const absl::Duration asked =
      std::clamp(result.retry_after.value_or(absl::ZeroDuration()), absl::ZeroDuration(), settings.retry_max);
  throttled_until_ns = now_ns + static_cast<uint64_t>(absl::ToInt64Nanoseconds(asked));
}

ExportLoop::ExportLoop(const Settings& settings, SpanQueue& queue, Ledger& ledger, std::unique_ptr<Transport> transport,
                       std::function<void(absl::string_view)> log)
    : state_(std::make_unique<State>(settings, queue, ledger, std::move(transport), std::move(log))) {}

ExportLoop::~ExportLoop() { Stop(); }

void ExportLoop::Start() {
  State& state = *state_;
  if (state.thread.joinable() || state.stopping()) return;
  state.thread = StartWithoutSignals([&state] { state.Run(); });
  if (!state.thread.joinable()) state.log("export: no thread could be started; spans will be dropped");
}

void ExportLoop::Stop() {
  State& state = *state_;
  if (state.stopping()) return;
  const auto drain_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(state.settings.drain));
  state.stop_deadline_ns.store(MonoNs() + drain_ns, std::memory_order_release);
  state.queue.Close();
  state.stop.Signal();
  if (!state.thread.joinable()) return state.Run();  // never started: the drain happens here
  while (!state.ended.load(std::memory_order_acquire)) {
    const absl::Duration left = state.StopTimeLeft();
    if (left <= absl::ZeroDuration()) state.transport->Cancel();  // again and again: it may race a new Send()
    state.end.Wait(left > absl::ZeroDuration() ? left : kCancelInterval);
  }
  state.thread.join();
}

}  // namespace spantap
