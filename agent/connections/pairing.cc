// SPDX-License-Identifier: Apache-2.0
#include "agent/connections/pairing.h"

#include <utility>

namespace spantap {
namespace {

// How much later than its response's read a request's write may be reported: a thread can write and
// another read the answer before the first one's call has returned.
constexpr uint64_t kFlipNs = 10'000'000;
// Clean cycles wanted of a client that was never seen, without loss, to have nothing open.
constexpr uint32_t kCyclesOfStranger = 8;

MessageContext::Request KindOf(const HttpHead& head) {
  if (head.method == "HEAD") return MessageContext::Request::kHead;
  if (head.method == "CONNECT") return MessageContext::Request::kConnect;
  return MessageContext::Request::kOrdinary;
}

}  // namespace

Pairing::Pairing(const PairingEnv& env, const ConnectionEnds& endpoint, Role role, Start start)
    : env_(env),
      endpoint_(endpoint),
      role_(role),
      requests_(*this, true),
      responses_(*this, false),
      sure_(start != Start::kUnknown),
      drained_(start == Start::kJoined),
      joined_(start == Start::kJoined) {}

// ---------------------------------------------------------------- from the parsers

void Pairing::Side::OnMessageBegin(uint64_t position, bool resumed_here) {
  const CallStamp& call = pairing_.call_;
  stamp = {call.mono_ns, call.mono_ns, position, call.tid, call.counted, call.turns};
  resumed = resumed_here;
  before_ns = pairing_.last_ns_[request_];
}

void Pairing::Side::OnHead(HttpHead head) {
  stamp.end_mono_ns = pairing_.call_.mono_ns;
  if (head.truncated) ++pairing_.env_.counters.head_truncated;
  request_ ? pairing_.RequestHead(std::move(head)) : pairing_.ResponseHead(std::move(head));
}

void Pairing::Side::OnMessageEnd(uint64_t end_position, uint64_t body_bytes, BodyEnd how) {
  const uint64_t ns = EndTime(end_position, how);
  request_ ? pairing_.RequestEnd(ns, body_bytes, how) : pairing_.ResponseEnd(ns, body_bytes, how);
}

// A hidden end is taken at the last bytes seen before what proves that it has passed.
uint64_t Pairing::Side::EndTime(uint64_t end_position, BodyEnd how) const {
  if (how != BodyEnd::kGuessed) return pairing_.call_.mono_ns;
  uint64_t ns = pairing_.call_.mono_ns;
  if (pairing_.at_end_) {
    ns = pairing_.last_ns_[request_];
  } else if (end_position == stamp.position) {
    ns = before_ns;
  }
  return ns != 0 ? ns : pairing_.call_.mono_ns;
}

void Pairing::Side::OnLost(LossReason reason) {
  if (reason == LossReason::kInvalid) ++pairing_.env_.counters.invalid;
  const bool harmless = !request_ && pairing_.sure_ && !pairing_.Unanswered();
  if (reason == LossReason::kGap && !harmless) ++pairing_.env_.counters.gaps_lost;
  request_ ? pairing_.RequestsLost() : pairing_.ResponsesLost();
}

MessageContext::Request Pairing::PendingRequest() const {
  if (Unanswered()) return slots_[FirstUnanswered()].kind;
  return !sure_ && cycle_ == Cycle::kAsked ? cycle_kind_ : Request::kUnknown;
}

// Of a request while another is unanswered, and of a response while none is, what looks like a head
// is taken for body. In case it was none, RequestHead() doubts what comes after it.
bool Pairing::MayBegin(bool request) {
  if (request) {
    const bool may = !Unanswered() && (sure_ || cycle_open_ == 0);
    refused_request_ |= !may;
    return may;
  }
  const bool may = PendingRequest() != Request::kUnknown;
  if (!may) refused_ns_ = call_.mono_ns;
  return may;
}

// A response is only written (read) after its request was read (written): while we are sure and none is
// open, no gap holds one. A request can hide inside a call that begins with something else only if
// the client pipelines; between calls it can always.
bool Pairing::MayHide(bool request, bool within_call) const {
  if (request) return !within_call || pipelined_;
  return sure_ ? Unanswered() : !within_call || Unanswered() || cycle_open_ > 0;
}

// ---------------------------------------------------------------- requests

void Pairing::RequestHead(HttpHead head) {
  const Request kind = KindOf(head);
  // The client has gone on: the response before is over.
  if (!Unanswered()) EndHiddenResponse();
  const uint64_t ns = requests_.stamp.mono_ns;
  const bool flip = role_ == Role::kClient && early_.has_value() && !requests_.resumed;
  const bool same = early_.has_value() && early_->head.stream == head.stream;
  const bool take_early = flip && same && ns <= early_->stamp.mono_ns + kFlipNs;
  const bool refused = refused_ns_ != 0 && role_ == Role::kClient && ns <= refused_ns_ + kFlipNs;
  refused_ns_ = 0;
  if ((early_.has_value() && !take_early) || refused || refused_request_) Unsure();
  asked_ = true;
  pipelined_ |= refused_request_;  // most likely a pipelined one
  refused_request_ = false;
  if (!sure_ && !CycleRequest(kind)) {
    ++env_.counters.exchanges_lost;
    return;
  }
  if (slots_.size() >= env_.settings.max_pending) {
    ++env_.counters.pending_overflow;
    return Unsure();
  }
  drained_ |= slots_.empty() && paired_;
  Report(std::move(head), kind);
  if (take_early) TakeEarly();
}

void Pairing::Report(HttpHead head, Request kind) {
  auto exchange = std::make_unique<Exchange>();
  exchange->id = ++env_.next_id;
  exchange->role = role_;
  exchange->tgid = call_.tgid;
  exchange->endpoint = endpoint_;
  exchange->request = std::move(head);
  exchange->request_stamp = requests_.stamp;
  exchange->records_lost = env_.losses.losing();
  exchange->pipelined_behind = static_cast<uint32_t>(slots_.size());
  // Another process may use what this one dialled, and a first request that was lost had the dial.
  const bool dialled = role_ == Role::kClient && dial_.has_value() && dial_tgid_ == call_.tgid;
  if (dialled && dial_->position == requests_.stamp.position) exchange->dial = dial_;
  open_request_ = exchange.get();
  slots_.push_back({std::move(exchange), kind, true});
  ++env_.counters.exchanges;
  env_.sink.OnRequest(*open_request_);
}

void Pairing::RequestEnd(uint64_t ns, uint64_t bytes, BodyEnd how) {
  if (open_request_ == nullptr) return;
  open_request_->request_body_bytes = bytes;
  if (how != BodyEnd::kAborted) {
    open_request_->request_end_ns = ns;
    for (Slot& slot : slots_) slot.request_broken &= slot.exchange.get() != open_request_;
  }
  open_request_ = nullptr;
}

// Requests already read keep their order before whatever was lost after them.
void Pairing::RequestsLost() {
  if (open_request_ != nullptr) {
    open_request_->had_gap = true;
    for (Slot& slot : slots_) slot.request_broken &= slot.exchange.get() != open_request_;
    open_request_ = nullptr;
  }
  Unsure();
}

// ---------------------------------------------------------------- responses

void Pairing::ResponseHead(HttpHead head) {
  current_ = Current::kNone;
  if (head.status / 100 == 1 && head.status != 101) return;
  if (!slots_.empty()) {
    // A protocol that numbers its requests: the answer to another one comes first.
    if (head.stream != slots_[0].exchange->request.stream) return ResponsesLost();
    return Attach(std::move(head), responses_.stamp);
  }
  if (!sure_) return CycleResponse();
  if (joined_ && !asked_) {  // its request was before our time
    refused_ns_ = call_.mono_ns;
    return;
  }
  if (role_ == Role::kClient && !early_.has_value()) {
    early_.emplace();
    early_->head = std::move(head);
    early_->stamp = responses_.stamp;
    current_ = Current::kEarly;
    return;
  }
  // Nobody asked (a 408 on an idle connection): count on nothing.
  Unsure();
}

void Pairing::Attach(HttpHead head, const HeadStamp& stamp) {
  Exchange& exchange = *slots_[0].exchange;
  if (slots_.size() > 1) pipelined_ = true;
  paired_ = true;
  exchange.response = std::move(head);
  exchange.response_stamp = stamp;
  current_ = Current::kPaired;
  env_.sink.OnResponse(exchange);
}

void Pairing::ResponseEnd(uint64_t ns, uint64_t bytes, BodyEnd how) {
  const Current current = std::exchange(current_, Current::kNone);
  if (current == Current::kCycle) {
    cycle_ = how == BodyEnd::kAborted ? Cycle::kIdle : Cycle::kClean;
  } else if (current == Current::kEarly && early_.has_value()) {
    early_->ended = true;
    early_->end_ns = ns;
    early_->body_bytes = bytes;
    early_->how = how;
  } else if (current == Current::kPaired) {
    Exchange& exchange = *slots_[0].exchange;
    exchange.response_body_bytes = bytes;
    exchange.body_end = how;
    Finish(0, how == BodyEnd::kAborted ? ExchangeError::kResponseAborted : ExchangeError::kNone, ns);
  }
}

void Pairing::TakeEarly() {
  EarlyResponse early = std::move(*early_);
  early_.reset();
  Attach(std::move(early.head), early.stamp);
  if (early.ended) ResponseEnd(early.end_ns, early.body_bytes, early.how);
}

// Which of the open requests the next response answers is no longer known.
void Pairing::ResponsesLost() {
  if (current_ == Current::kPaired) {
    slots_[0].exchange->had_gap = true;
    const uint64_t last_ns = last_ns_[false];
    ResponseEnd(last_ns != 0 ? last_ns : call_.mono_ns, 0, BodyEnd::kGuessed);
  }
  current_ = Current::kNone;
  if (sure_ && slots_.empty()) return;  // no answer was due: none can have been lost
  env_.counters.exchanges_lost += slots_.size();
  DropAll(call_.mono_ns);
  Unsure();
}

bool Pairing::EndHiddenResponse() {
  uint64_t bytes = 0;
  const bool hidden = current_ != Current::kNone && response_parser_ != nullptr && response_parser_->EndHidden(&bytes);
  if (!hidden) return false;
  const uint64_t last_ns = last_ns_[false];
  ResponseEnd(last_ns != 0 ? last_ns : call_.mono_ns, bytes, BodyEnd::kGuessed);
  return true;
}

// ---------------------------------------------------------------- the clean cycle

// Returns whether this request is the first that is sure again.
bool Pairing::CycleRequest(Request kind) {
  const bool quiet = slots_.empty() && current_ == Current::kNone && cycle_open_ == 0;
  clean_cycles_ = quiet && cycle_ == Cycle::kClean ? clean_cycles_ + 1 : 0;
  if (clean_cycles_ >= (drained_ ? 1 : kCyclesOfStranger) && !pipelined_) {
    sure_ = true;
    clean_cycles_ = 0;
    return true;
  }
  ++cycle_open_;
  cycle_ = quiet ? Cycle::kAsked : Cycle::kIdle;
  cycle_kind_ = kind;
  return false;
}

void Pairing::CycleResponse() {
  if (cycle_ == Cycle::kAsked) {
    cycle_ = Cycle::kAnswering;
    current_ = Current::kCycle;
  } else {
    cycle_ = Cycle::kIdle;
  }
  pipelined_ |= cycle_open_ > 1;
  if (cycle_open_ > 0) --cycle_open_;
}

void Pairing::Unsure() {
  sure_ = false;
  cycle_ = Cycle::kIdle;
  cycle_open_ = clean_cycles_ = 0;
  early_.reset();
  if (current_ != Current::kPaired) current_ = Current::kNone;
}

// ---------------------------------------------------------------- ends

void Pairing::Finish(size_t index, ExchangeError error, uint64_t end_ns) {
  std::unique_ptr<Exchange> exchange = std::move(slots_[index].exchange);
  slots_.erase(slots_.begin() + static_cast<std::ptrdiff_t>(index));
  if (open_request_ == exchange.get()) open_request_ = nullptr;
  exchange->error = error;
  exchange->end_ns = end_ns != 0 ? end_ns : 1;
  env_.sink.OnFinished(std::move(exchange));
}

void Pairing::DropAll(uint64_t ns) {
  while (!slots_.empty()) {
    slots_[0].exchange->had_gap = true;
    Finish(0, ExchangeError::kUnfinished, ns);
  }
}

void Pairing::ResponsesEnded(uint64_t failed_ns) {
  while (!slots_.empty()) {
    Finish(0, slots_[0].request_broken ? ExchangeError::kRequestAborted : ExchangeError::kConnectionReset, failed_ns);
  }
}

void Pairing::Abandon(uint64_t mono_ns) {
  current_ = Current::kNone;
  while (!slots_.empty()) Finish(0, ExchangeError::kUnfinished, mono_ns);
}

}  // namespace spantap
