// SPDX-License-Identifier: Apache-2.0
//
// What the worker's own thread does: from rings into the exporter's queue, until nobody is left or the process ends.
#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/background.h"
#include "base/clock.h"
#include "exporter/embedded/log.h"
#include "exporter/embedded/worker.h"
#include "exporter/send/stop_state.h"

namespace spantap {
namespace {

constexpr uint64_t kLookNs = 1'000'000'000;
constexpr absl::Duration kPause = absl::Milliseconds(2);
constexpr absl::Duration kIdleLook = absl::Milliseconds(500);  // without a producer

}  // namespace

// Nothing that is thrown, for want of memory say, may reach the host: the rings are closed, and it goes on without.
void Worker::Run() {
  pthread_setname_np(pthread_self(), "spantap-read");
  InterruptNobody();
  try {
    while (Work()) {
      if (!Leave()) continue;
      if (!stopping_.load(std::memory_order_acquire)) return;
      break;
    }
  } catch (const std::exception& error) {
    Say(absl::StrCat("embedded: given up: ", error.what()));
  }
  {
    HostLock lock(&mutex_);
    closed_ = true;
    for (std::unique_ptr<Source>& source : arrivals_) sources_.push_back(std::move(source));
    arrivals_.clear();
  }
  for (const std::unique_ptr<Source>& source : sources_) source->Close();
  sources_.clear();  // producers see the end of their connections
  ended_.store(true, std::memory_order_release);
}

// False if no exporter is to be had.
bool Worker::Work() {
  if (!Open()) return false;
  alone_since_ns_ = MonoNs();
  while (!stopping_.load(std::memory_order_acquire)) {
    TakeArrivals();
    ReadRings();
    if (Idle(MonoNs())) break;
    wakeup_.Wait(sources_.empty() ? kIdleLook : absl::Milliseconds(pace_.rest_ms()));
  }
  if (stopping_.load(std::memory_order_acquire)) DrainRings();
  exporter_->Stop();
  Say(absl::StrCat("embedded: ended, ", ledger_.Snapshot().Format(), " handoff_dropped.full=", drops_.full,
                   " handoff_dropped.too_large=", drops_.too_large, " handoff_dropped.no_agent=", drops_.no_agent,
                   " handoff_dropped.invalid=", drops_.invalid));
  return true;
}

bool Worker::Idle(uint64_t now_ns) {
  if (!sources_.empty()) alone_since_ns_ = now_ns;
  return now_ns - alone_since_ns_ > kRestNs && ledger_.Snapshot().in_flight() == 0;
}

// False if somebody has come meanwhile.
bool Worker::Leave() {
  std::unique_ptr<Exporter> gone;
  {
    HostLock lock(&mutex_);
    gone = std::move(exporter_);
  }
  gone.reset();  // not under the lock, which threads of the host take
  HostLock lock(&mutex_);
  if (!arrivals_.empty()) return false;
  started_ = stopping_.load(std::memory_order_acquire);
  return true;
}

bool Worker::Open() {
  ExporterSettings settings = settings_.exporter;
  settings.drain = settings.drain * 3 / 4;  // the rest is for what the queue has no room for at first
  auto made = Exporter::Create(settings, ledger_, [this](absl::string_view line) { Say(line); });
  if (!made.ok()) {
    Say(absl::StrCat("embedded: ", std::string(made.status().message())));
    return false;
  }
  (*made)->Start();
  HostLock lock(&mutex_);  // which threads of the host take: for no longer than this
  exporter_ = *std::move(made);
  return true;
}

void Worker::TakeArrivals() {
  HostLock lock(&mutex_);
  for (std::unique_ptr<Source>& source : arrivals_) sources_.push_back(std::move(source));
  arrivals_.clear();
}

void Worker::ReadRings() {
  const uint64_t now_ns = MonoNs();
  const bool look = now_ns >= look_again_ns_;
  if (look) look_again_ns_ = now_ns + kLookNs;
  double fill = 0;
  bool more = false;
  for (auto at = sources_.begin(); at != sources_.end();) {
    Source& source = **at;
    source.ended = source.ended || (look && source.ProducerGone());
    if (ReadOne(source, &fill, &more)) {
      ++at;
      continue;
    }
    at = sources_.erase(at);
    HostLock lock(&mutex_);
    --count_;
  }
  pace_.OnTurn(fill, more, now_ns);
  turns_.fetch_add(1, std::memory_order_release);
}

// One turn of one ring; false if it is the ring's last. What the queue has no room for stays in the ring, where the
// producer sees it: a full ring is a drop that the host can count.
bool Worker::ReadOne(Source& source, double* fill, bool* more) {
  SpanQueue& queue = exporter_->queue();
  const size_t room = queue.limits().max_spans - std::min(queue.size(), queue.limits().max_spans);
  const bool heavy = queue.bytes() > queue.limits().max_bytes / 2;
  std::vector<Span> spans;
  const size_t records = heavy ? 0 : std::min(room, kRecordsPerTurn);
  const RingReader::Turn turn = source.Take(records, decoder_, scratch_, &spans);
  if (!spans.empty()) queue.PushAll(std::move(spans));
  drops_ += source.TakeClaims();
  if (turn.lied) {
    Say("embedded: a ring is not what its contract says; its producer gets another");
    source.Close();
    return false;
  }
  *fill = std::max(*fill, static_cast<double>(turn.waiting) / static_cast<double>(source.data_bytes()));
  *more = *more || (turn.left != 0 && records != 0);
  return turn.left != 0 || !source.ended;
}

// drain:  |- rings -|---- the exporter's drain ----|
void Worker::DrainRings() {
  const uint64_t rings_end_ns = After(MonoNs(), settings_.exporter.drain / 4);
  TakeArrivals();
  for (const std::unique_ptr<Source>& source : sources_) {
    source->Close();
    source->ended = true;
  }
  for (;;) {
    ReadRings();
    if (sources_.empty() || MonoNs() >= rings_end_ns) break;
    if (pace_.rest_ms() != 0) absl::SleepFor(kPause);
  }
}

void Worker::Say(absl::string_view line) const { WriteLogLine(settings_.log, line); }

}  // namespace spantap
