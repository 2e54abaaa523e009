// SPDX-License-Identifier: Apache-2.0
#include "agent/handoff/handoff.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "agent/handoff/attach.h"
#include "agent/handoff/peer_resource.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "exporter/intake/welcome.h"

namespace spantap {
namespace {

constexpr int kEventsPerTurn = 64;
constexpr int kAcceptsPerEvent = 8;
constexpr uint64_t kAcceptPauseNs = 100'000'000;
constexpr uint64_t kFactsNs = 1'000'000'000;
constexpr uint64_t kLineNs = 1'000'000'000;
constexpr uint64_t kWakeId = UINT64_MAX >> 1;

// Each descriptor's tag: what it belongs to, and whether it is the process's rather than the connection.
constexpr uint64_t ConnectionTag(uint64_t id) { return id * 2; }
constexpr uint64_t ProcessTag(uint64_t id) { return id * 2 + 1; }

// A producer takes two descriptors; half of what the process may open is left to others.
HandoffSettings Fitting(HandoffSettings settings) {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
    settings.limits.connections = std::min<size_t>(settings.limits.connections, files.rlim_cur / 4);
  }
  return settings;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Handoff>> Handoff::Open(const HandoffSettings& settings, LogFn log) {
  std::vector<HandoffSocket> sockets;
  for (const std::string& path : settings.sockets) {
    SPANTAP_ASSIGN_OR_RETURN(HandoffSocket socket, HandoffSocket::Open(path));
    sockets.push_back(std::move(socket));
  }
  auto handoff = absl::WrapUnique(new Handoff(settings, std::move(sockets), std::move(log)));
  SPANTAP_RETURN_IF_ERROR(handoff->Start());
  return handoff;
}

Handoff::Handoff(const HandoffSettings& settings, std::vector<HandoffSocket> sockets, LogFn log)
    : settings_(settings),
      log_(std::move(log)),
      sockets_(std::move(sockets)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      admission_(Fitting(settings)),
      decoder_(settings.query_values) {}

absl::Status Handoff::Start() {
  bool watched = epoll_.valid() && wake_.valid() && Watch(wake_.get(), ConnectionTag(kWakeId), EPOLLIN);
  for (const HandoffSocket& socket : sockets_) {
    watched = watched && Watch(socket.fd(), ConnectionTag(next_id_++), EPOLLIN);
  }
  if (!watched) return absl::UnavailableError(absl::StrCat("hand-off: ", std::strerror(errno)));
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

Handoff::~Handoff() { Stop(); }

void Handoff::Begin(Ledger& ledger, SpanQueue* queue, HandedInbox* inbox) {
  absl::MutexLock lock(&mutex_);
  ledger_ = &ledger;
  queue_ = queue;
  inbox_ = inbox;
  for (const auto& [tgid, count] : hosts_) {
    if (inbox_ != nullptr) inbox_->AddProducer(tgid, count);
  }
  absl::MutexLock counters(&counters_mutex_);
  before_run_ = at_pause_;
}

// The thread reads once more: the run knows the exchanges of those spans, the next one will not.
void Handoff::Pause() {
  {
    absl::MutexLock lock(&mutex_);
    pause_turns_ = ledger_ != nullptr ? kPauseTurns : 0;
  }
  Wake();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int* turns) { return *turns == 0; }, &pause_turns_));
  absl::MutexLock counters(&counters_mutex_);
  at_pause_ = published_;
}

void Handoff::Stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  Wake();
  thread_.join();
}

void Handoff::Wake() const {
  const uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof(one));
}

HandoffCounters Handoff::counters() const {
  absl::MutexLock lock(&counters_mutex_);
  HandoffCounters counters = published_;
  counters.attached -= before_run_.attached;
  counters.refused -= before_run_.refused;
  counters.quarantined -= before_run_.quarantined;
  counters.spans -= before_run_.spans;
  counters.not_joined -= before_run_.not_joined;
  counters.dropped = counters.dropped - before_run_.dropped;
  return counters;
}

void Handoff::Run() {
  InterruptNobody();
  epoll_event events[kEventsPerTurn];
  while (!stopping_.load(std::memory_order_acquire)) {
    const int count = epoll_wait(epoll_.get(), events, kEventsPerTurn, pace_.rest_ms());
    const uint64_t now_ns = MonoNs();
    for (int i = 0; i < count; ++i) OnEvent(events[i].data.u64, now_ns);
    Housekeep(now_ns);
    ReadRings(now_ns);
  }
  End();
}

bool Handoff::Watch(int fd, uint64_t tag, uint32_t events) const {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

// An event may be of something that an earlier one of the same turn has ended.
void Handoff::OnEvent(uint64_t tag, uint64_t now_ns) {
  const uint64_t id = tag / 2;
  if (id == kWakeId) {
    uint64_t times = 0;
    (void)!read(wake_.get(), &times, sizeof(times));
    return;
  }
  if (id < sockets_.size()) return Accept(sockets_[id], now_ns);
  if (pending_.contains(id)) return OnHello(id, now_ns);
  const auto producer = producers_.find(id);
  if (producer != producers_.end()) OnProducer(producer, tag == ProcessTag(id), now_ns);
}

// ---------------------------------------------------------------- attaching

// Without room for another connection the listeners would be ready for ever.
void Handoff::WatchListeners(bool on) {
  for (size_t i = 0; i < sockets_.size(); ++i) {
    epoll_event event = {};
    event.events = on ? uint32_t{EPOLLIN} : 0;
    event.data.u64 = ConnectionTag(i);
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, sockets_[i].fd(), &event);
  }
}

void Handoff::Accept(const HandoffSocket& socket, uint64_t now_ns) {
  for (int i = 0; i < kAcceptsPerEvent; ++i) {
    UniqueFd connection(accept4(socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.valid()) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
      listen_again_ns_ = now_ns + kAcceptPauseNs;
      return WatchListeners(false);
    }
    if (pending_.size() >= kMaxPending) {  // whoever has been silent for longest makes room
      ++totals_.refused;
      pending_.erase(pending_.begin());
    }
    const uint64_t id = next_id_++;
    if (!Watch(connection.get(), ConnectionTag(id), EPOLLIN | EPOLLRDHUP)) {
      ++totals_.refused;
      continue;
    }
    const Peer peer = PeerOf(connection.get());
    pending_.emplace(id, Pending{std::move(connection), peer, now_ns + kHelloNs});
  }
}

void Handoff::OnHello(uint64_t id, uint64_t now_ns) {
  const auto at = pending_.find(id);
  const PacketState state = TakePacket(at->second.connection.get(), &packet_);
  if (state == PacketState::kNone) return;
  Pending pending = std::move(at->second);
  pending_.erase(at);
  if (state == PacketState::kEnd) {
    ++totals_.refused;
    return;
  }
  const std::optional<Hello> hello = ParseHello(packet_);
  if (!hello) return Refuse(pending, EPROTO);
  const Admission::Answer answer = admission_.Admit(pending.peer, hello->ring_bytes, now_ns);
  if (answer.error != 0) return Refuse(pending, answer.error);
  Attach(id, pending, *hello, answer, now_ns);
}

void Handoff::Attach(uint64_t id, Pending& pending, const Hello& hello, const Admission::Answer& answer,
                     uint64_t now_ns) {
  RingMemory memory(answer.data_bytes);
  const int fd = pending.connection.get();
  UniqueFd process = WatchPeer(fd, pending.peer);
  const bool watched = !process.valid() || Watch(process.get(), ProcessTag(id), EPOLLIN);
  if (!memory.valid() || !watched) {
    admission_.Release(pending.peer, answer.data_bytes);
    return Refuse(pending, ENOMEM);
  }
  const auto tgid = static_cast<uint32_t>(pending.peer.pid);
  CountHost(tgid, 1);  // first: a request that is over right after the welcome must not be exported without its span
  if (!SendWelcome(fd, 0, answer.data_bytes, memory.fd())) {
    CountHost(tgid, -1);
    admission_.Release(pending.peer, answer.data_bytes);
    ++totals_.refused;
    return;
  }
  memory.CloseFd();
  auto resource = MakePeerResource(hello, FactsOf(pending.peer, now_ns), settings_.resource_attributes);
  producers_.emplace(id, std::make_unique<Producer>(pending.peer, std::move(pending.connection), std::move(process),
                                                    std::move(memory), std::move(resource)));
  ++totals_.attached;
}

void Handoff::CountHost(uint32_t tgid, int change) {
  absl::MutexLock lock(&mutex_);
  CountHostLocked(tgid, change);
}

void Handoff::CountHostLocked(uint32_t tgid, int change) {
  if ((hosts_[tgid] += change) == 0) hosts_.erase(tgid);
  if (inbox_ != nullptr) inbox_->AddProducer(tgid, change);
}

void Handoff::Refuse(Pending& pending, int error) {
  ++totals_.refused;
  (void)SendWelcome(pending.connection.get(), error, 0, -1);
  Say("a hand-off producer was refused", pending.peer, std::strerror(error));
}

const ProcessFacts& Handoff::FactsOf(const Peer& peer, uint64_t now_ns) {
  const auto tgid = static_cast<uint32_t>(peer.pid);
  if (facts_.tgid == tgid && now_ns < facts_until_ns_) return facts_;
  absl::StatusOr<ProcessFacts> facts = tgid != 0 ? ReadProcess(tgid) : absl::NotFoundError("not seen from here");
  facts_ = facts.ok() ? *std::move(facts) : ProcessFacts{};
  facts_.tgid = tgid;
  facts_until_ns_ = now_ns + kFactsNs;
  return facts_;
}

// ---------------------------------------------------------------- ends

// A connection is silent after its hello; whatever comes is its end or a lie.
void Handoff::OnProducer(Producers::iterator at, bool process_ended, uint64_t now_ns) {
  Producer& producer = *at->second;
  if (!process_ended) {
    const PacketState state = TakePacket(producer.connection(), &packet_);
    if (state == PacketState::kNone) return;
    if (state == PacketState::kTaken) {
      Quarantine(producer, "it spoke after its hello", now_ns);
      absl::MutexLock lock(&mutex_);
      Forget(at);
      return;
    }
  }
  producer.End();
  // Said once: level-triggered descriptors would say it each turn until the ring is drained.
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, producer.connection(), nullptr);
  if (producer.process() >= 0) (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, producer.process(), nullptr);
}

void Handoff::Quarantine(Producer& producer, const char* why, uint64_t now_ns) {
  ++totals_.quarantined;
  admission_.Quarantine(producer.peer(), now_ns);
  producer.Close();
  Say("a hand-off producer was quarantined for 10 s", producer.peer(), why);
}

Handoff::Producers::iterator Handoff::Forget(Producers::iterator at) {
  totals_.dropped += at->second->TakeClaims();
  admission_.Release(at->second->peer(), at->second->data_bytes());
  CountHostLocked(static_cast<uint32_t>(at->second->peer().pid), -1);
  return producers_.erase(at);
}

void Handoff::Housekeep(uint64_t now_ns) {
  while (!pending_.empty() && pending_.begin()->second.deadline_ns <= now_ns) {  // in the order of their coming
    ++totals_.refused;
    pending_.erase(pending_.begin());
  }
  if (listen_again_ns_ != 0 && now_ns >= listen_again_ns_) {
    listen_again_ns_ = 0;
    WatchListeners(true);
  }
}

// tests/model/test_ring.cc has this order, and what reads and forgets a producer, once more.
void Handoff::End() {
  sockets_.clear();  // their files are removed: nobody attaches any more
  pending_.clear();
  for (const auto& [id, producer] : producers_) {
    producer->Close();
    producer->End();
  }
  {
    absl::MutexLock lock(&mutex_);
    const uint64_t now_ns = MonoNs();
    double fill = 0;
    bool more = false;
    for (const auto& [id, producer] : producers_) {
      while (ledger_ != nullptr && !ReadOne(*producer, now_ns, &fill, &more)) {
      }
    }
    for (auto at = producers_.begin(); at != producers_.end();) at = Forget(at);
  }
  Publish();
}

// ---------------------------------------------------------------- reading

void Handoff::ReadRings(uint64_t now_ns) {
  absl::MutexLock lock(&mutex_);
  double fill = 0;
  bool more = false;
  if (ledger_ != nullptr) {
    for (auto at = producers_.begin(); at != producers_.end();) {
      at = ReadOne(*at->second, now_ns, &fill, &more) ? Forget(at) : std::next(at);
    }
  }
  if (pause_turns_ > 0 && (!more || --pause_turns_ == 0)) {
    pause_turns_ = 0;
    ledger_ = nullptr;
    queue_ = nullptr;
    inbox_ = nullptr;
  }
  pace_.OnTurn(fill, more, now_ns);
  Publish();
}

// A process is observed from its first event on, which may come later than its first span.
bool Handoff::MayBeObserved(Producer& producer, uint64_t now_ns) {
  if (inbox_ == nullptr || producer.peer().pid == 0) return false;
  const bool new_here = producer.first_span_ns() == 0 || now_ns - producer.first_span_ns() < kDoubtNs;
  return new_here || inbox_->Observed(static_cast<uint32_t>(producer.peer().pid));
}

// One turn of one ring. True if the producer is to be forgotten.
bool Handoff::ReadOne(Producer& producer, uint64_t now_ns, double* fill, bool* more) {
  std::vector<Span> spans;
  std::vector<SpanConnection> connections;
  const bool to_join = MayBeObserved(producer, now_ns);
  const RingReader::Turn turn =
      producer.Take(kRecordsPerTurn, decoder_, scratch_, &spans, to_join ? &connections : nullptr);
  totals_.spans += spans.size();
  if (to_join && !spans.empty()) {
    producer.NoteSpans(now_ns);
    const size_t taken =
        inbox_->Offer(static_cast<uint32_t>(producer.peer().pid), spans, connections, now_ns, WallMinusMonoNs());
    spans.erase(spans.begin(), spans.begin() + static_cast<ptrdiff_t>(taken));
    totals_.not_joined += spans.size();
  }
  if (!spans.empty()) Push(std::move(spans));
  totals_.dropped += producer.TakeClaims();
  if (turn.lied) {
    Quarantine(producer, "its ring is not what the contract says", now_ns);
    return true;
  }
  *fill = std::max(*fill, static_cast<double>(turn.waiting) / static_cast<double>(producer.data_bytes()));
  const bool drained = producer.Drained(turn);
  *more = *more || !drained;
  return drained && producer.ended();
}

void Handoff::Push(std::vector<Span> spans) {
  if (queue_ != nullptr) return queue_->PushAll(std::move(spans));
  ledger_->Created(spans.size());
  ledger_->Dropped(DropReason::kNoExporter, spans.size());
}

void Handoff::Publish() {
  totals_.producers = producers_.size();
  absl::MutexLock lock(&counters_mutex_);
  published_ = totals_;
}

void Handoff::Say(const char* message, const Peer& peer, absl::string_view why) {
  const uint64_t now_ns = MonoNs();
  if (now_ns < next_line_ns_) return;
  next_line_ns_ = now_ns + kLineNs;
  log_(message, absl::StrCat("uid=", peer.uid, " pid=", peer.pid, " why=\"", why, "\""));
}

}  // namespace spantap
