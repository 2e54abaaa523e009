// SPDX-License-Identifier: Apache-2.0
#include "exporter/send/sender.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace spantap {
namespace {

// A preferred endpoint that was down is asked again with a batch that another one would take at once.
constexpr absl::Duration kProbeTimeout = absl::Seconds(1);

DropReason StatusReason(const SendResult& result) {
  return result.grpc_status >= 0 ? DropReason::kGrpcStatus : DropReason::kHttpStatus;
}

}  // namespace

Sender::Sender(const RetrySettings& retry, absl::Duration request_timeout,
               std::vector<std::unique_ptr<Transport>> transports, Inbox& inbox, Overflow* overflow, Accounts& accounts,
               const StopState& stop, Wakeup& wakeup)
    : retry_(retry),
      request_timeout_(request_timeout),
      inbox_(inbox),
      overflow_(overflow),
      accounts_(accounts),
      stop_(stop),
      wakeup_(wakeup) {
  for (std::unique_ptr<Transport>& transport : transports) {
    routes_.push_back(std::make_unique<Route>(std::move(transport), retry, random_,
                                              [&accounts](absl::string_view line) { accounts.Log(line); }));
  }
}

void Sender::Run() {
  while (std::optional<Batch> batch = Next()) Deliver(*std::move(batch));
}

// ---------------------------------------------------------------- which batch

std::optional<Batch> Sender::Next() {
  while (true) {
    NoticeStop();
    if (std::optional<Batch> batch = TryNext()) return batch;
    if (inbox_.EndIfDone()) return std::nullopt;
    const absl::Duration left = stop_.TimeLeft();
    if (left <= absl::ZeroDuration()) {  // the batcher hangs, or is about to see the time too
      inbox_.End();
      return inbox_.Take();
    }
    wakeup_.Wait(std::min(BacklogWait(), left));
  }
}

// A batch of the backlog after each fresh one at most, and none while stopping: it is safe where it is.
std::optional<Batch> Sender::TryNext() {
  if ((last_was_fresh_ || inbox_.empty()) && BacklogWait() <= absl::ZeroDuration()) {
    last_was_fresh_ = false;
    if (std::optional<Batch> batch = overflow_->Take(MonoNs())) return batch;
  }
  std::optional<Batch> batch = inbox_.Take();
  if (batch.has_value()) last_was_fresh_ = true;
  return batch;
}

// Infinite: nothing is there. Its pace counts while a collector takes batches; while all are down one of them may
// be the probe, whenever a backoff ends.
absl::Duration Sender::BacklogWait() const {
  if (overflow_ == nullptr || stop_.stopping() || !overflow_->MayHave()) return absl::InfiniteDuration();
  return Until(std::max(overflow_->due_ns(), EarliestUsableNs()), MonoNs());
}

// ---------------------------------------------------------------- one batch

void Sender::Deliver(Batch batch) {
  Delivery delivery(std::move(batch), accounts_, overflow_);
  while (!delivery.pieces().empty()) {
    Route* route = AwaitRoute(delivery);
    if (route == nullptr) return PutAway(delivery);
    Attempt(delivery, *route);
  }
  delivery.Finish();
}

// The first endpoint that may be tried now, or as soon as one may be. nullptr: the batch is not to be sent now.
Route* Sender::AwaitRoute(const Delivery& delivery) {
  while (true) {
    NoticeStop();
    const absl::Duration left = stop_.SendTimeLeft();
    if (spool_only_ || left <= absl::ZeroDuration()) return nullptr;
    const uint64_t now_ns = MonoNs();
    if (Route* route = FirstUsable(now_ns)) return route;
    const absl::Duration wait = Until(EarliestUsableNs(), now_ns);
    if (NothingToWaitFor(delivery, wait)) return nullptr;
    wakeup_.Wait(std::min(wait, left));
  }
}

// All endpoints are down for `wait`.
bool Sender::NothingToWaitFor(const Delivery& delivery, absl::Duration wait) {
  if (delivery.spooled()) return true;  // it waits on disk as well as here
  if (stop_.stopping()) {
    spool_only_ = overflow_ != nullptr;
    return spool_only_ || wait >= stop_.SendTimeLeft();
  }
  const absl::Duration age = absl::Nanoseconds(MonoNs() - delivery.started_ns());
  return delivery.attempted() && age + wait > retry_.give_up;
}

// One request, at most, and what follows from the answer. After kRetry the batch stays as it is: the next endpoint
// gets it at once.
void Sender::Attempt(Delivery& delivery, Route& route) {
  Pieces& pieces = delivery.pieces();
  delivery.Via(&route);
  pieces.Fit(std::min(route.max_request_bytes(MonoNs()), pieces.refused_bytes() - 1));
  if (pieces.current().request.size() >= pieces.refused_bytes()) return Refuse(delivery, route, delivery.refusal());
  const uint64_t spans = pieces.current().spans;
  const SendResult result = route.Send(pieces.current().request, spans, TimeoutFor(route));
  delivery.Attempted();
  all_down_.store(result.kind == SendResult::Kind::kRetry && FirstUsable(MonoNs()) == nullptr,
                  std::memory_order_release);
  switch (result.kind) {
    case SendResult::Kind::kRetry:
      return;
    case SendResult::Kind::kAcknowledged: {
      const uint64_t rejected = std::min(result.rejected, spans);
      delivery.Acknowledged(spans - rejected);
      delivery.Dropped(DropReason::kRejected, rejected);
      ++delivered_;
      request_bytes_.fetch_add(pieces.current().request.size(), std::memory_order_relaxed);
      if (pieces.refused_bytes() != SIZE_MAX) {
        route.LearnLimit(pieces.refused_bytes(), pieces.current().request.size());
      }
      return Recycle(delivery);
    }
    case SendResult::Kind::kTooLarge:
      return Refuse(delivery, route, result);
    case SendResult::Kind::kDropHttp:
    case SendResult::Kind::kDropGrpc:
      Drop(delivery, route, result, StatusReason(result), spans);
      return Recycle(delivery);
    case SendResult::Kind::kDropResponse:
      Drop(delivery, route, result, DropReason::kBadResponse, spans);
      return Recycle(delivery);
  }
}

// The current piece is too large for this endpoint, by its answer or by what it said of a smaller one.
void Sender::Refuse(Delivery& delivery, Route& route, SendResult result) {
  const Batch& piece = delivery.pieces().current();
  const size_t bytes = piece.request.size();
  const bool one_span = piece.spans == 1 && result.http_status == 413;
  const Pieces::Loss loss = delivery.pieces().Refuse();
  if (loss.current == 0) {
    route.TooLarge(result, bytes);
  } else {
    Drop(delivery, route, result, one_span ? DropReason::kTooLarge : StatusReason(result), loss.current);
    if (loss.others > 0) Drop(delivery, route, result, StatusReason(result), loss.others);
  }
  delivery.refusal() = std::move(result);
}

void Sender::Drop(Delivery& delivery, Route& route, const SendResult& result, DropReason reason, uint64_t spans) {
  delivery.Dropped(reason, spans);
  route.Refused(result, spans);
}

void Sender::Recycle(Delivery& delivery) {
  Batch piece = delivery.pieces().Pop();
  if (!delivery.spooled()) inbox_.Recycle(std::move(piece.request));
}

// What is left of a batch that is not to be sent now: to disk, or lost.
void Sender::PutAway(Delivery& delivery) {
  if (delivery.spooled()) return PutBack(delivery);
  uint64_t lost = 0;
  const DropReason reason = stop_.stopping() ? DropReason::kShutdown : DropReason::kRetriesExhausted;
  while (!delivery.pieces().empty()) {
    const Batch& piece = delivery.pieces().current();
    const bool to_disk = overflow_ != nullptr && stop_.TimeLeft() > absl::ZeroDuration();
    if (!to_disk || !overflow_->Store(piece.request, piece.spans)) {
      lost += piece.spans;
      delivery.Dropped(reason, piece.spans);
    }
    Recycle(delivery);
  }
  if (lost > 0 && reason == DropReason::kRetriesExhausted) routes_.front()->GaveUp(lost);
}

void Sender::PutBack(Delivery& delivery) {
  if (!delivery.attempted() || stop_.stopping() || !overflow_->Suspect(*delivery.spool_id(), delivered_, retry_.max)) {
    return delivery.PutBack();
  }
  uint64_t lost = 0;
  while (!delivery.pieces().empty()) lost += delivery.pieces().Pop().spans;
  delivery.Dropped(DropReason::kRetriesExhausted, lost);
  delivery.Finish();
  routes_.front()->GaveUp(lost);
}

// ---------------------------------------------------------------- endpoints and the end

// Waiting for better times ends with them: one more try each, from the shortest backoff on.
void Sender::NoticeStop() {
  const bool cut = (!hurried_ && stop_.requested()) || (!draining_ && stop_.stopping());
  hurried_ = stop_.requested();
  draining_ = stop_.stopping();
  if (!cut) return;
  for (const std::unique_ptr<Route>& route : routes_) route->CutBackoff();
}

Route* Sender::FirstUsable(uint64_t now_ns) {
  for (const std::unique_ptr<Route>& route : routes_) {
    if (route->usable_ns() <= now_ns) return route.get();
  }
  return nullptr;
}

uint64_t Sender::EarliestUsableNs() const {
  uint64_t earliest_ns = UINT64_MAX;
  for (const std::unique_ptr<Route>& route : routes_) earliest_ns = std::min(earliest_ns, route->usable_ns());
  return earliest_ns;
}

absl::Duration Sender::TimeoutFor(const Route& route) const {
  const absl::Duration timeout = std::min(request_timeout_, stop_.SendTimeLeft());
  if (!route.failing()) return timeout;
  for (const std::unique_ptr<Route>& other : routes_) {
    if (other->up()) return std::min(timeout, kProbeTimeout);
  }
  return timeout;
}

void Sender::Cancel() {
  for (const std::unique_ptr<Route>& route : routes_) route->Cancel();
}

std::vector<ExporterStatus::Endpoint> Sender::status() const {
  std::vector<ExporterStatus::Endpoint> endpoints;
  for (const std::unique_ptr<Route>& route : routes_) endpoints.push_back(route->status());
  return endpoints;
}

}  // namespace spantap
