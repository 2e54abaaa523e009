// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/queue_order.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace spantap {
namespace {

constexpr double kOvertakes = 0.02;
constexpr float kNegligible = 1e-8f;
constexpr uint64_t kAtOnceNs = 3'000'000;
constexpr float kLate = 0.01f;  // of a call that did not wait, though it was made long before
constexpr uint32_t kMostSkipped = 3;
constexpr double kLeastShare = 0.003;

}  // namespace

QueueOrder::QueueOrder(absl::Span<const Waiting> waiting, absl::Span<const Unsure> unsure, absl::Span<const Sent> sent,
                       double nobody, absl::FunctionRef<double(uint32_t who, uint32_t sent)> fits)
    : waiting_(waiting), unsure_(unsure), sent_(sent), nobody_(nobody), fits_(fits) {}

// The unsure ones to the stretches of time in which they may have been made.
void QueueOrder::Spread() {
  between_.resize(waiting_.size() + 1);
  pass_.assign(waiting_.size() + 1, 1);
  for (uint32_t i = 0; i < unsure_.size(); ++i) {
    const auto& until = unsure_[i].until;
    if (until.empty()) continue;
    const auto share_until = [&](uint64_t ns) -> double {
      if (ns >= until.back().first) return 1;
      if (ns <= until.front().first) return 0;
      size_t k = 1;
      while (until[k].first < ns) ++k;
      const double part = static_cast<double>(ns - until[k - 1].first) / (until[k].first - until[k - 1].first);
      return until[k - 1].second + part * (until[k].second - until[k - 1].second);
    };
    auto at = std::upper_bound(waiting_.begin(), waiting_.end(), until.front().first,
                               [](uint64_t ns, const Waiting& entry) { return ns < entry.since_ns; });
    double before = 0;
    for (auto place = static_cast<size_t>(at - waiting_.begin()); before < 0.9999; ++place) {
      const double now = place < waiting_.size() ? share_until(waiting_[place].since_ns) : 1;
      const auto share = static_cast<float>(now - before);
      if (share > 0.001f) {
        between_[place].push_back({i, share});
        pass_[place] *= 1 - std::min(0.9f, share);
      }
      before = now;
      if (place >= waiting_.size()) break;
    }
  }
}

void QueueOrder::Prepare(Column& column, uint32_t number, uint32_t states) {
  const Sent& sent = sent_[number];
  const auto places = std::min<size_t>(waiting_.size() + 1 - column.first, states + kMostSkipped + 1);
  column.match.assign(places + kPassed, 0);
  column.unsure.assign(places, 0);
  const uint32_t from = column.first < kPassed ? 0 : column.first - kPassed;
  const auto end = static_cast<uint32_t>(std::min<size_t>(waiting_.size(), column.first + places));
  column.match.assign(end - from, 0);
  for (uint32_t i = from; i < end; ++i) {
    const Waiting& entry = waiting_[i];
    if (entry.since_ns > sent.ns) break;
    if (entry.label != sent.label) continue;
    const bool late = sent.at_once && sent.ns - entry.since_ns > kAtOnceNs;
    column.match[i - from] = static_cast<float>(fits_(entry.who, number)) * (late ? kLate : 1);
  }
  for (uint32_t k = 0; k < column.unsure.size(); ++k) {
    const uint32_t place = column.first + k;
    if (place > 0 && waiting_[place - 1].since_ns > sent.ns) break;
    const bool late =
        sent.at_once && place < waiting_.size() && waiting_[place].since_ns + kAtOnceNs < sent.ns;
    double sum = 0;
    for (const Between& some : between_[place]) {
      const Unsure& entry = unsure_[some.unsure];
      if (entry.label != sent.label || entry.until.front().first > sent.ns) continue;
      sum += some.share * fits_(entry.who, number);
    }
    column.unsure[k] = static_cast<float>(sum) * (late ? kLate : 1);
  }
}

// What may have happened when the call was sent, from a state: visit(gone, passed, weight, waiting place or -1 for an unsure one, -2 for nobody)
template <class Visit>
void QueueOrder::Next(const Column& column, uint32_t gone, int passed, Visit visit) const {
  const uint32_t from = column.first < kPassed ? 0 : column.first - kPassed;
  const auto match = [&](uint32_t place) -> double {
    return place - from < column.match.size() ? column.match[place - from] : 0;
  };
  visit(gone, passed, nobody_, -2);
  if (const double unsure = column.unsure[gone - column.first]; unsure > 0) visit(gone, passed, unsure, -1);
  if (passed > 0) {
    const uint32_t place = gone - 1 - static_cast<uint32_t>(passed);
    if (const double weight = match(place); weight > 0) visit(gone, 0, weight, static_cast<int>(place));
  }
  double skipped = 1;
  for (uint32_t place = gone; place <= gone + kMostSkipped && place < waiting_.size(); ++place) {
    if (const double weight = skipped * pass_[place] * match(place); weight > 0) {
      if (passed == 0) {
        visit(place + 1, 0, weight, static_cast<int>(place));
      } else {
        const uint32_t hole = gone - 1 - static_cast<uint32_t>(passed);
        const int more = passed + static_cast<int>(place - gone) + 1;
        if (more < kPassed) visit(place + 1, more, weight, static_cast<int>(place));
        visit(place + 1, 0, weight * waiting_[hole].not_made, static_cast<int>(place));
      }
    }
    if (passed == 0 && place == gone && place + 1 < waiting_.size()) {
      const double weight = kOvertakes * pass_[place] * pass_[place + 1] * match(place + 1);
      if (weight > 0) visit(place + 2, 1, weight, static_cast<int>(place + 1));
    }
    skipped *= waiting_[place].not_made;
  }
}

void QueueOrder::Forward(uint32_t number) {
  Column& column = columns_[number];
  Column& after = columns_[number + 1];
  const auto states = static_cast<uint32_t>(column.forward.size());
  Prepare(column, number, states);
  std::vector<std::array<float, kPassed>> next(
      std::min<size_t>(states + kMostSkipped + 1, waiting_.size() + 1 - column.first));
  for (uint32_t k = 0; k < states; ++k) {
    for (int passed = 0; passed < kPassed; ++passed) {
      const float here = column.forward[k][passed];
      if (here <= 0) continue;
      Next(column, column.first + k, passed, [&](uint32_t gone, int p, double weight, int) {
        if (gone - column.first < next.size()) next[gone - column.first][p] += static_cast<float>(here * weight);
      });
    }
  }
  float most = 0;
  for (const auto& state : next) most = std::max(most, *std::max_element(state.begin(), state.end()));
  uint32_t first = 0, last = static_cast<uint32_t>(next.size());
  const auto negligible = [&](const auto& state) {
    return *std::max_element(state.begin(), state.end()) < most * kNegligible;
  };
  while (first + 1 < last && negligible(next[first])) ++first;
  while (first + 1 < last && negligible(next[last - 1])) --last;
  last = std::min<uint32_t>(last, first + kMostStates);
  after.first = column.first + first;
  after.forward.assign(next.begin() + first, next.begin() + last);
  for (auto& state : after.forward) {
    for (float& weight : state) weight /= most;
  }
}

void QueueOrder::Add(Shares& shares, uint32_t who, double probability) const {
  for (Share& share : shares) {
    if (share.who != who) continue;
    share.probability += static_cast<float>(probability);
    return;
  }
  shares.push_back({who, static_cast<float>(probability)});
}

// One step back; what each way there is worth goes to whose call it was.
void QueueOrder::Collect(uint32_t number, std::vector<std::array<double, kPassed>>& backward, Shares& shares) const {
  const Column& column = columns_[number];
  const Column& after = columns_[number + 1];
  std::vector<std::array<double, kPassed>> before(column.forward.size());
  std::vector<double> unsure(column.forward.size());
  double all = 0;
  for (uint32_t k = 0; k < column.forward.size(); ++k) {
    for (int passed = 0; passed < kPassed; ++passed) {
      const float here = column.forward[k][passed];
      double& sum = before[k][passed];
      sum = 0;
      if (here <= 0) continue;
      Next(column, column.first + k, passed, [&](uint32_t gone, int p, double weight, int what) {
        if (gone < after.first || gone - after.first >= backward.size()) return;
        const double way = weight * backward[gone - after.first][p];
        if (way <= 0) return;
        sum += way;
        all += here * way;
        if (what >= 0) Add(shares, waiting_[what].who, here * way);
        if (what == -1) unsure[k] += here * way;
      });
    }
  }
  for (uint32_t k = 0; k < unsure.size(); ++k) {
    if (unsure[k] <= all * 1e-4) continue;
    double sum = 0;
    const auto& some = between_[column.first + k];
    const auto weight = [&](const Between& each) {
      const Unsure& entry = unsure_[each.unsure];
      if (entry.label != sent_[number].label || entry.until.front().first > sent_[number].ns) return 0.0;
      return each.share * fits_(entry.who, number);
    };
    for (const Between& each : some) sum += weight(each);
    for (const Between& each : some) {
      if (sum > 0) Add(shares, unsure_[each.unsure].who, unsure[k] * weight(each) / sum);
    }
  }
  double most = 0;
  for (const auto& state : before) most = std::max(most, *std::max_element(state.begin(), state.end()));
  for (auto& state : before) {
    for (double& weight : state) weight /= most > 0 ? most : 1;
  }
  backward = std::move(before);
  if (all <= 0) return shares.clear();
  for (Share& share : shares) share.probability /= static_cast<float>(all);
  shares.erase(std::remove_if(shares.begin(), shares.end(),
                              [](const Share& share) { return share.probability < kLeastShare; }),
               shares.end());
  std::sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) { return a.probability > b.probability; });
}

std::vector<QueueOrder::Shares> QueueOrder::Solve() {
  Spread();
  columns_.resize(sent_.size() + 1);
  columns_[0].forward.assign(1, {1, 0, 0, 0});
  for (uint32_t i = 0; i < sent_.size(); ++i) Forward(i);
  std::vector<Shares> shares(sent_.size());
  const Column& last = columns_.back();
  std::vector<std::array<double, kPassed>> backward(last.forward.size(), {1, 1, 1, 1});
  for (auto i = static_cast<uint32_t>(sent_.size()); i-- > 0;) Collect(i, backward, shares[i]);
  return shares;
}

}  // namespace spantap
