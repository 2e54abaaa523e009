// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/simulation.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace spantap {
namespace {

constexpr double kLikely = 0.3;  // share of what follows at which it is expected
constexpr double kMostSure = 0.98;
constexpr int kMostChained = 16;
constexpr double kNever = -1e9;
constexpr double kLogUnexpected = -6;  // of a call that no handler is known to make now
constexpr double kLogWaited = -2;      // of one that somebody may make after having waited
constexpr double kLogOther = -1.5;     // of a reply that is not of whom it was expected of
constexpr double kOftenInTurn = 0.15;  // share of turns that tell, from where on a loop is thought to do so
constexpr uint8_t kLeftOut = 1, kUnexpected = 2, kMatched = 3;

}  // namespace

Simulation::Thread* Simulation::Advance(const Moment& at) {
  if (!at.counted) return nullptr;
  if (threads_.size() >= kMaxThreads && !threads_.contains(at.tid)) {
    absl::erase_if(threads_,
                   [](const auto& entry) { return entry.second.expected.empty() && entry.second.written.empty(); });
    if (threads_.size() >= kMaxThreads) return nullptr;
  }
  Thread& thread = threads_[at.tid];
  if (thread.turn != at.turn) {
    Align(thread);
    thread.turn = at.turn;
  }
  return &thread;
}

void Simulation::OnIncoming(Handler& handler) {
  Advance(handler.begin);
  handler.simulated = Progress(handler);
  Expect(handler);
}

// What the handler is to do next, as long as that follows at once and always in the same number of turns.
void Simulation::Expect(Handler& handler) {
  Progress at = handler.simulated;
  if (!at.at.counted || handler.over) return;
  const auto thread = threads_.find(at.at.tid);
  if (thread == threads_.end() || thread->second.expected.size() >= kMaxExpected) return;
  double sure = 1;
  uint32_t due = at.at.turn;
  for (int i = 0; i < kMostChained; ++i) {
    const Program::NextLabels* const labels = learned_.program.NextOf(at.state);
    if (labels == nullptr) return;
    float all = 0;
    const std::pair<Label, float>* next = nullptr;
    for (const auto& each : *labels) {
      all += each.second;
      const StepContext context = at.Next(each.first);
      const bool known = learned_.odds.Immediate(context) && learned_.odds.HopOf(context) != kAnyHop;
      if (known && (next == nullptr || each.second > next->second)) next = &each;
    }
    if (next == nullptr || next->second < kLikely * all) return;
    sure *= std::min<double>(kMostSure, next->second / all);
    due += learned_.odds.HopOf(at.Next(next->first));
    thread->second.expected.push_back({&handler, next->first, at.at.tid, due, at.at.ns,
                                       static_cast<float>(std::log(sure)), static_cast<float>(std::log(1 - sure)),
                                       static_cast<uint8_t>(i), i == 0 ? at.answered : 0});
    if (next->first == kReply) return;
    at.Imagine(next->first);
  }
}

void Simulation::Take(Call& call, Handler& handler, Proposal kind) {
  call.proposed = &handler;
  call.proposal = kind;
  handler.proposed.push_back(&call);
  handler.simulated.ReadUntil(call.sent.ns);
  handler.simulated.Send(call);
}

void Simulation::OnOutgoing(Call& call) {
  const auto found = threads_.find(call.sent.tid);
  const bool past =
      found != threads_.end() && call.sent.counted && static_cast<int32_t>(call.sent.turn - found->second.turn) < 0;
  if (past) {  // it was dialled for: its turn is over
    for (auto it = overdue_.begin(); it != overdue_.end(); ++it) {
      if (it->label != call.label || it->due != call.sent.turn || it->tid != call.sent.tid || it->handler->over)
        continue;
      Handler& handler = *it->handler;
      overdue_.erase(it);
      return Take(call, handler, Proposal::kDue);
    }
    return Place(call);
  }
  Thread* const thread = Advance(call.sent);
  if (thread == nullptr || thread->written.size() >= kMaxTurn) return Place(call);
  thread->written.push_back({&call, nullptr, call.sent.ns});
}

void Simulation::OnReply(Handler& handler) {
  Thread* const thread = Advance(handler.reply);
  std::erase_if(overdue_, [&](const Expected& entry) { return entry.handler == &handler; });
  if (thread != nullptr && thread->written.size() < kMaxTurn) {
    thread->written.push_back({nullptr, &handler, handler.reply.ns});
  }
}

void Simulation::OnAnswer(Call& call) {
  Advance(call.answer);
  if (call.proposed == nullptr || call.proposed->over) return;
  call.proposed->simulated.ReadUntil(call.answer.ns);
  Expect(*call.proposed);
}

double Simulation::Match(const Expected& entry, const Written& written) const {
  if (written.ns < entry.trigger_ns) return kNever;
  if (written.reply != nullptr) {
    return entry.label == kReply && entry.handler == written.reply ? entry.log_done : kNever;
  }
  if (entry.label != written.call->label) return kNever;
  // Nothing is written for a request that has been answered.
  if (entry.handler->over && entry.handler->end_ns < written.ns) return kNever;
  return entry.log_done + (settings_.use_tokens ? learned_.TokenOdds(*entry.handler, *written.call) : 0);
}

double Simulation::Leave(const Written& written) const {
  if (written.reply != nullptr) return 0;
  if (written.call->proposed != nullptr) return 0;  // known
  if ((written.call->dequeued && learned_.waits) || written.call->dialled) return -1;
  for (const Handler* handler : open_) {
    const Program::NextLabels* const labels = learned_.program.NextOf(handler->simulated.state);
    if (labels == nullptr) return kLogWaited;
    for (const auto& [label, seen] : *labels) {
      if (label == written.call->label && !learned_.odds.Immediate(handler->simulated.Next(label))) {
        return kLogWaited;
      }
    }
  }
  return kLogUnexpected;
}

Simulation::Alignment Simulation::AlignInOrder(const Due& due, absl::Span<const Written> written,
                                               absl::Span<const double> leave) const {
  const size_t rows = due.size(), columns = written.size();
  Alignment aligned;
  aligned.how.assign((rows + 1) * (columns + 1), 0);
  absl::InlinedVector<double, 64> best(aligned.how.size(), kNever);
  const auto at = [&](size_t i, size_t j) { return i * (columns + 1) + j; };
  best[0] = 0;
  for (size_t i = 0; i <= rows; ++i) {
    for (size_t j = 0; j <= columns; ++j) {
      double& here = best[at(i, j)];
      uint8_t& how = aligned.how[at(i, j)];
      if (i > 0 && best[at(i - 1, j)] + due[i - 1].log_left > here) {
        here = best[at(i - 1, j)] + due[i - 1].log_left, how = kLeftOut;
      }
      if (j > 0 && best[at(i, j - 1)] + leave[j - 1] > here)
        here = best[at(i, j - 1)] + leave[j - 1], how = kUnexpected;
      if (i > 0 && j > 0) {
        const double match = best[at(i - 1, j - 1)] + Match(due[i - 1], written[j - 1]);
        if (match > here) here = match, how = kMatched;
      }
    }
  }
  aligned.best = best.back();
  aligned.whole = rows == columns;
  for (size_t i = rows; aligned.whole && i > 0; --i) aligned.whole = aligned.how[at(i, i)] == kMatched;
  return aligned;
}

// What is due, in the order in which a loop does it that takes one thing of each read in turn: what a read leads to
// later is done when everything was begun that had been read until then. Empty if that is the order of the reads.
Simulation::Due Simulation::InTurn(const Due& due, absl::Span<const Written> written) {
  absl::InlinedVector<std::pair<uint64_t, uint32_t>, 16> order;
  for (uint32_t i = 0; i < due.size(); ++i) {
    uint64_t ns = due[i].trigger_ns;
    if (due[i].depth > 0) {
      const auto first = std::find_if(written.begin(), written.end(), [&](const Written& each) {
        return each.ns >= ns && (each.call == nullptr ? kReply : each.call->label) == due[i].label;
      });
      if (first != written.end()) ns = first->ns;
    }
    order.emplace_back(ns, i);
  }
  if (std::is_sorted(order.begin(), order.end())) return {};
  std::sort(order.begin(), order.end());
  Due in_turn;
  for (const auto& [ns, i] : order) in_turn.push_back(due[i]);
  return in_turn;
}

// What was due in the turn that is over. What is due later stays, what was due earlier has been waiting since.
Simulation::Due Simulation::TakeDue(Thread& thread) {
  Due due;
  std::erase_if(thread.expected, [&](const Expected& entry) {
    if (entry.due == thread.turn && due.size() < kMaxTurn) {
      due.push_back(entry);
    } else if (static_cast<int32_t>(entry.due - thread.turn) > 0) {
      return false;
    } else if (!entry.handler->over && entry.label != kReply && overdue_.size() < kMaxExpected) {
      overdue_.push_back(entry);
    }
    return true;
  });
  std::stable_sort(due.begin(), due.end(),
                   [](const Expected& a, const Expected& b) { return a.trigger_ns < b.trigger_ns; });
  return due;
}

// The turn is over: the best alignment of what was due in it with what was written, both in order. Of what follows one
// read, a loop may do everything before it goes on to the next one, or one thing of each in turn.
void Simulation::Align(Thread& thread) {
  Due due = TakeDue(thread);
  written_.clear();
  written_.swap(thread.written);
  const std::vector<Written>& written = written_;
  const size_t rows = due.size(), columns = written.size();
  absl::InlinedVector<double, 16> leave(columns);
  for (size_t j = 0; j < columns; ++j) leave[j] = rows == 0 ? 0 : Leave(written[j]);
  Alignment aligned = AlignInOrder(due, written, leave);
  Due others = InTurn(due, written);
  if (!others.empty()) {
    Alignment other = AlignInOrder(others, written, leave);
    if (other.whole != aligned.whole) in_turn_.Add(other.whole);
    if (in_turn_.value() > kOftenInTurn && other.best > aligned.best)
      due = std::move(others), aligned = std::move(other);
  }
  absl::InlinedVector<Handler*, 16> whose(columns, nullptr);
  absl::InlinedVector<bool, 16> left(rows, false);
  for (size_t i = rows, j = columns; i > 0 || j > 0;) {
    const uint8_t step = aligned.how[i * (columns + 1) + j];
    if (step == kMatched) {
      whose[--j] = due[--i].handler;
    } else if (step == kLeftOut) {
      left[--i] = true;
    } else {
      --j;
    }
  }
  for (size_t i = 0; i < rows; ++i) {
    if (left[i] && due[i].label != kReply && !due[i].handler->over && overdue_.size() < kMaxExpected) {
      overdue_.push_back(due[i]);
    }
  }
  AlignReplies(due, written);
  for (size_t j = 0; j < columns; ++j) {
    Call* const call = written[j].call;
    if (call == nullptr || call->proposed != nullptr) continue;
    if (whose[j] != nullptr) {
      Take(*call, *whose[j], Proposal::kDue);
    } else {
      Place(*call);
    }
  }
}

// A loop replies in the order in which it read what was waited for, to whomever: that tells whose the calls were which
// were answered so, even if they were proposed to the wrong ones.
void Simulation::AlignReplies(const Due& due, absl::Span<const Written> written) const {
  absl::InlinedVector<const Expected*, 16> rows;
  absl::InlinedVector<Handler*, 16> columns;
  for (const Expected& entry : due) {
    if (entry.label == kReply && entry.answered != 0) rows.push_back(&entry);
  }
  for (const Written& each : written) {
    if (each.reply != nullptr) columns.push_back(each.reply);
  }
  if (rows.empty() || columns.empty()) return;
  const size_t width = columns.size() + 1;
  absl::InlinedVector<double, 64> best((rows.size() + 1) * width, 0);
  for (size_t i = 1; i <= rows.size(); ++i) {
    for (size_t j = 0; j < width; ++j) {
      double& here = best[i * width + j];
      here = best[(i - 1) * width + j] + rows[i - 1]->log_left;
      if (j == 0) continue;
      const double other = rows[i - 1]->handler == columns[j - 1] ? 0 : kLogOther;
      here = std::max({here, best[i * width + j - 1], best[(i - 1) * width + j - 1] + rows[i - 1]->log_done + other});
    }
  }
  for (size_t i = rows.size(), j = columns.size(); i > 0 && j > 0;) {
    const double here = best[i * width + j];
    if (here == best[i * width + j - 1]) {
      --j;
    } else if (here == best[(i - 1) * width + j] + rows[i - 1]->log_left) {
      --i;
    } else {
      columns[--j]->ended = rows[--i]->answered;
    }
  }
}

// A call that was not due.
void Simulation::Place(Call& call) {
  if (call.proposed != nullptr) return;
  if (call.dequeued || call.dialled) {
    auto found = overdue_.end();
    double most = kNever;
    for (auto it = overdue_.begin(); it != overdue_.end(); ++it) {
      if (it->label != call.label || it->handler->over) continue;
      const double odds = settings_.use_tokens ? learned_.TokenOdds(*it->handler, call) : 0;
      if (odds > most + 1e-6) most = odds, found = it;
    }
    if (found != overdue_.end()) {
      Handler& handler = *found->handler;
      overdue_.erase(found);
      return Take(call, handler, Proposal::kQueue);
    }
  }
  if (Handler* const only = OnlyOneWaiting(call.label)) Take(call, *only, Proposal::kAlone);
}

Handler* Simulation::OnlyOneWaiting(Label wanted) const {
  Handler* only = nullptr;
  for (Handler* handler : open_) {
    const Progress& at = handler->simulated;
    const Program::NextLabels* const labels = learned_.program.NextOf(at.state);
    if (labels == nullptr) continue;
    for (const auto& [label, seen] : *labels) {
      if (label != wanted || learned_.odds.Immediate(at.Next(label))) continue;
      if (only != nullptr) return nullptr;
      only = handler;
    }
  }
  return only;
}

void Simulation::OnKnown(Call& call, Handler* handler) {
  if (call.proposed == handler) return;
  Withdraw(call);
  if (handler == nullptr || handler->over) return;
  const auto remove = [&](std::vector<Expected>& list) {
    const auto it = std::find_if(list.begin(), list.end(), [&](const Expected& entry) {
      return entry.handler == handler && entry.label == call.label;
    });
    if (it != list.end()) list.erase(it);
  };
  if (const auto thread = threads_.find(call.sent.tid); thread != threads_.end()) remove(thread->second.expected);
  remove(overdue_);
  Insert(call, *handler, Proposal::kKnown);
}

void Simulation::Propose(Call& call, Handler& handler) {
  if (call.proposed == &handler) return;
  Withdraw(call);
  Insert(call, handler, Proposal::kQueue);
}

void Simulation::Withdraw(Call& call) {
  Handler* const wrong = std::exchange(call.proposed, nullptr);
  if (wrong == nullptr) return;
  wrong->proposed.erase(std::find(wrong->proposed.begin(), wrong->proposed.end(), &call));
  Rebuild(*wrong);
}

void Simulation::Insert(Call& call, Handler& handler, Proposal kind) {
  call.proposed = &handler;
  call.proposal = kind;
  handler.proposed.insert(std::upper_bound(handler.proposed.begin(), handler.proposed.end(), &call, SentBefore), &call);
  Rebuild(handler);
}

void Simulation::Rebuild(Handler& handler) {
  handler.simulated = Progress(handler);
  for (Call* call : handler.proposed) {
    handler.simulated.ReadUntil(call->sent.ns);
    handler.simulated.Send(*call);
  }
  handler.simulated.ReadUntil(UINT64_MAX - 1);
}

void Simulation::Forget(const Handler& handler) {
  const auto of = [&](const Expected& entry) { return entry.handler == &handler; };
  for (auto& [tid, thread] : threads_) {
    auto& list = thread.expected;
    std::erase_if(list, of);
    auto& written = thread.written;
    std::erase_if(written, [&](const Written& entry) { return entry.reply == &handler; });
  }
  std::erase_if(overdue_, of);
}

void Simulation::Forget(const Call& call) {
  if (const auto it = threads_.find(call.sent.tid); it != threads_.end()) {
    auto& written = it->second.written;
    std::erase_if(written, [&](const Written& entry) { return entry.call == &call; });
  }
  if (Handler* const handler = call.proposed; handler != nullptr) {
    auto& list = handler->proposed;
    std::erase(list, &call);
    auto& waiting = handler->simulated.outstanding;
    waiting.erase(std::remove(waiting.begin(), waiting.end(), &call), waiting.end());
    handler->simulated.state.outstanding = !waiting.empty();
  }
}

}  // namespace spantap
