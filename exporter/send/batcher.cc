// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/batcher.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace spantap {
namespace {

// How often a full inbox is looked at together with the queue behind it. Only under load.
constexpr absl::Duration kLookAgain = absl::Milliseconds(5);
constexpr absl::Duration kSpoolAgain = absl::Seconds(1);
// A request costs both ends as much as some hundred spans: where a batch gathers within kFast, the next one may be
// twice as large, up to kMostTargets of what is set.
constexpr absl::Duration kFast = absl::Milliseconds(50);
constexpr size_t kMostTargets = 4;

}  // namespace

Batcher::Batcher(const BatchSettings& settings, const SpanLimits& limits, SpanQueue& queue, Inbox& inbox,
                 Overflow* overflow, Accounts& accounts, const StopState& stop, std::function<bool()> all_down)
    : settings_(settings),
      limits_(limits),
      queue_(queue),
      inbox_(inbox),
      overflow_(overflow),
      accounts_(accounts),
      stop_(stop),
      all_down_(std::move(all_down)),
      target_spans_(settings.target_spans) {}

void Batcher::Run() {
  std::vector<Span> batch;
  while (Gather(batch)) {
    if (batch.empty()) continue;
    for (Span& span : batch) ApplyLimits(limits_, span);
    Export(batch);
    last_ns_ = MonoNs();
  }
  inbox_.Close();
  if (overflow_ != nullptr) RescueInbox();
}

// Only at the end: what the sender has not taken when the time for sending is over goes to disk from here, because
// the sender may hang in a transport.
void Batcher::RescueInbox() {
  while (!inbox_.ended() && stop_.SendTimeLeft() > absl::ZeroDuration()) inbox_.WaitForRoom(stop_.SendTimeLeft());
  while (std::optional<Batch> batch = inbox_.Take()) {
    if (stop_.TimeLeft() > absl::ZeroDuration() && overflow_->Store(batch->request, batch->spans)) continue;
    accounts_.Dropped(DropReason::kShutdown, batch->spans);
  }
}

// On a quiet node the first span goes out at once; gathering begins with traffic. Without spans nothing wakes up.
bool Batcher::Gather(std::vector<Span>& batch) {
  const bool quiet = last_ns_ == 0 || MonoNs() >= After(last_ns_, settings_.max_delay);
  // Never more than half of what the queue holds: the other half is for what comes meanwhile.
  const size_t enough = std::clamp<size_t>(target_spans_, 1, std::max<size_t>(queue_.limits().max_spans / 2, 1));
  const size_t max_bytes = std::min(settings_.max_bytes, std::max<size_t>(queue_.limits().max_bytes / 2, 1));
  const uint64_t slow_ns = After(MonoNs(), kFast);
  const bool open = queue_.Pop(batch, quiet ? 1 : enough, settings_.max_spans, max_bytes,
                               quiet ? absl::InfiniteDuration() : settings_.max_delay);
  if (batch.empty()) last_ns_ = 0;
  const bool fast = batch.size() >= enough && MonoNs() < slow_ns;
  const size_t most = std::min(kMostTargets * settings_.target_spans, settings_.max_spans);
  target_spans_ = fast ? std::min(2 * target_spans_, most) : settings_.target_spans;
  return open;
}

// Splits what is larger than the limit once encoded.
void Batcher::Export(absl::Span<const Span> spans) {
  if (stop_.TimeLeft() <= absl::ZeroDuration()) return accounts_.Dropped(DropReason::kShutdown, spans.size());
  const absl::string_view request = encoder_.Encode(spans);
  if (request.size() > settings_.max_bytes) {
    if (spans.size() == 1) return accounts_.Dropped(DropReason::kTooLarge, 1);
    Export(spans.first(spans.size() / 2));
    return Export(spans.subspan(spans.size() / 2));
  }
  if (request.empty()) return accounts_.Dropped(DropReason::kEncode, spans.size());
  HandOver(request, spans.size());
}

// A sender that is merely slower than a burst is waited for, as long as the queue has room; disk is for collectors
// that are down and for loads that memory cannot hold.
bool Batcher::WaitInMemory() const {
  if (overflow_ == nullptr) return true;
  if (stop_.stopping() || all_down_()) return false;
  return queue_.size() < queue_.limits().max_spans / 2 && queue_.bytes() < queue_.limits().max_bytes / 2;
}

void Batcher::HandOver(absl::string_view request, uint64_t spans) {
  uint64_t spool_again_ns = 0;  // after a failure
  while (true) {
    const Inbox::PutResult put = inbox_.Put(request, spans);
    if (put == Inbox::PutResult::kTaken) return;
    const uint64_t now_ns = MonoNs();
    const bool to_disk = overflow_ != nullptr && now_ns >= spool_again_ns && !WaitInMemory();
    if (to_disk && stop_.TimeLeft() > absl::ZeroDuration()) {
      if (overflow_->Store(request, spans)) return;
      spool_again_ns = After(now_ns, kSpoolAgain);
    }
    if (put == Inbox::PutResult::kEnded || stop_.TimeLeft() <= absl::ZeroDuration()) {
      return accounts_.Dropped(DropReason::kShutdown, spans);
    }
    inbox_.WaitForRoom(std::min(overflow_ != nullptr ? kLookAgain : absl::InfiniteDuration(), stop_.TimeLeft()));
  }
}

}  // namespace spantap
