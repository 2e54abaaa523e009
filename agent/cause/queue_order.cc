// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/queue_order.h"

#include <algorithm>

namespace spantap {
namespace {

constexpr float kGoneBefore = 0.1f;  // one that is taken to wait was sent earlier
constexpr double kOvertakes = 0.02;
constexpr float kNegligible = 1e-10f;
constexpr uint64_t kAtOnceNs = 3'000'000;
constexpr double kLate = 0.01;  // of a call that did not wait, though it was made long before
constexpr uint32_t kMostSkipped = 3;
constexpr float kLeastShare = 0.003f;
constexpr double kLeastBetween = 0.001;

// How much of it was made until then.
double ShareUntil(const QueueOrder::Unsure& entry, uint64_t ns) {
  const auto& until = entry.until;
  if (ns >= until.back().first) return 1;
  if (ns <= until.front().first) return 0;
  size_t k = 1;
  while (until[k].first < ns) ++k;
  const auto part =
      static_cast<double>(ns - until[k - 1].first) / static_cast<double>(until[k].first - until[k - 1].first);
  return until[k - 1].second + part * (until[k].second - until[k - 1].second);
}

float Most(const std::array<float, 4>& state) { return *std::max_element(state.begin(), state.end()); }

}  // namespace

QueueOrder::QueueOrder(absl::Span<const Waiting> waiting, absl::Span<const Unsure> unsure, absl::Span<const Sent> sent,
                       double nobody, absl::FunctionRef<double(uint32_t who, uint32_t sent)> fits)
    : waiting_(waiting), unsure_(unsure), sent_(sent), nobody_(nobody), fits_(fits) {}

// The unsure ones to the stretches of time in which they may have been made.
void QueueOrder::Spread() {
  between_.resize(waiting_.size() + 1);
  pass_.assign(waiting_.size() + 1, 1);
  unsure_fits_.resize(unsure_.size());
  for (uint32_t i = 0; i < unsure_.size(); ++i) {
    if (!unsure_[i].until.empty()) SpreadOne(i);
  }
}

void QueueOrder::SpreadOne(uint32_t number) {
  const Unsure& entry = unsure_[number];
  const auto at = std::upper_bound(waiting_.begin(), waiting_.end(), entry.until.front().first,
                                   [](uint64_t ns, const Waiting& waiting) { return ns < waiting.since_ns; });
  double before = 0;
  for (auto place = static_cast<size_t>(at - waiting_.begin()); place <= waiting_.size(); ++place) {
    const double now = place < waiting_.size() ? ShareUntil(entry, waiting_[place].since_ns) : 1;
    if (now - before > kLeastBetween) {
      between_[place].push_back({number, static_cast<float>(now - before)});
      pass_[place] *= static_cast<float>(1 - std::min(0.9, now - before));
    }
    if (now > 0.9999) return;
    before = now;
  }
}

double QueueOrder::WeightOf(const Between& some, uint32_t sent) {
  const Unsure& entry = unsure_[some.unsure];
  if (entry.label != sent_[sent].label || entry.until.front().first > sent_[sent].ns) return 0;
  Fit& fit = unsure_fits_[some.unsure];  // it is asked for in each stretch in which it may have been made
  if (fit.sent != sent) fit = {sent, fits_(entry.who, sent)};
  return some.share * fit.fits;
}

double QueueOrder::Inserted(uint32_t place, uint32_t sent) {
  const uint64_t ns = sent_[sent].ns;
  if (between_[place].empty() || (place > 0 && waiting_[place - 1].since_ns > ns)) return 0;
  double sum = 0;
  for (const Between& some : between_[place]) sum += WeightOf(some, sent);
  const bool late = sent_[sent].at_once && place < waiting_.size() && waiting_[place].since_ns + kAtOnceNs < ns;
  return late ? sum * kLate : sum;
}

void QueueOrder::Prepare(Column& column, uint32_t number) {
  const Sent& sent = sent_[number];
  column.from = column.first < kPassed ? 0 : column.first - kPassed;
  const auto end =
      static_cast<uint32_t>(std::min<size_t>(waiting_.size(), column.first + column.states + kMostSkipped + 1));
  column.places = end > column.from ? end - column.from : 0;
  column.match = match_.size();
  match_.resize(match_.size() + column.places, 0);
  for (uint32_t i = column.from; i < end; ++i) {
    const Waiting& entry = waiting_[i];
    if (entry.since_ns > sent.ns) break;
    if (entry.label != sent.label) continue;
    const bool late = sent.at_once && sent.ns - entry.since_ns > kAtOnceNs;
    match_[column.match + i - column.from] = static_cast<float>(fits_(entry.who, number) * (late ? kLate : 1));
  }
  insert_.resize(forward_.size(), 0);
  for (uint32_t k = 0; k < column.states; ++k) {
    insert_[column.forward + k] = static_cast<float>(Inserted(column.first + k, number));
  }
}

// How likely the call is which, when so many have gone; the same whether or not one of them was passed over.
struct QueueOrder::Ways {
  float unsure;
  float overtakes;                            // it is the next but one
  uint32_t places;                            // that are looked at
  std::array<float, kMostSkipped + 1> place;  // it is the one there
};

float QueueOrder::Match(const Column& column, uint32_t place) const {
  return place - column.from < column.places ? match_[column.match + place - column.from] : 0.0f;
}

QueueOrder::Ways QueueOrder::WaysFrom(const Column& column, uint32_t gone) const {
  Ways ways;
  ways.unsure = insert_[column.forward + gone - column.first];
  const auto count = static_cast<uint32_t>(waiting_.size());
  ways.places = std::min(count - gone, kMostSkipped + 1);
  float skipped = 1;
  for (uint32_t i = 0; i < ways.places; ++i) {
    ways.place[i] = skipped * pass_[gone + i] * Match(column, gone + i);
    skipped *= waiting_[gone + i].not_made;
  }
  ways.overtakes = 0;
  if (gone + 1 < count) {
    ways.overtakes = static_cast<float>(kOvertakes) * pass_[gone] * pass_[gone + 1] * Match(column, gone + 1);
  }
  return ways;
}

// What may have happened when the call was sent, from a state: visit(gone, passed, weight, the place or what it was).
template <class Visit>
void QueueOrder::Next(const Column& column, const Ways& ways, uint32_t gone, uint32_t passed, Visit visit) const {
  visit(gone, passed, static_cast<float>(nobody_), kNobody);
  if (ways.unsure > 0) visit(gone, passed, ways.unsure, kUnsure);
  const uint32_t hole = gone - 1 - passed;
  if (passed > 0 && Match(column, hole) > 0) visit(gone, 0u, Match(column, hole), static_cast<int>(hole));
  for (uint32_t i = 0; i < ways.places; ++i) {
    const float weight = ways.place[i];
    if (weight <= 0) continue;
    const uint32_t after = gone + i + 1;
    const auto what = static_cast<int>(gone + i);
    if (passed == 0) {
      visit(after, 0u, weight, what);
      continue;
    }
    const uint32_t more = passed + i + 1;
    if (more < kPassed) visit(after, more, weight, what);
    visit(after, 0u, weight * waiting_[hole].not_made, what);
  }
  if (passed == 0 && ways.overtakes > 0) visit(gone + 2, 1u, ways.overtakes, static_cast<int>(gone + 1));
}

void QueueOrder::Forward(uint32_t number) {
  Prepare(columns_[number], number);
  const Column& column = columns_[number];
  next_.assign(std::min<size_t>(column.states + kMostSkipped + 1, waiting_.size() + 1 - column.first), State{});
  for (uint32_t k = 0; k < column.states; ++k) {
    const State here = forward_[column.forward + k];
    const Ways ways = WaysFrom(column, column.first + k);
    for (uint32_t passed = 0; passed < kPassed; ++passed) {
      if (here[passed] <= 0) continue;
      Next(column, ways, column.first + k, passed, [&](uint32_t gone, uint32_t p, float weight, int) {
        if (gone - column.first < next_.size()) next_[gone - column.first][p] += here[passed] * weight;
      });
    }
  }
  Keep(column, columns_[number + 1]);
}

// Those that matter, the greatest becoming 1.
void QueueOrder::Keep(const Column& column, Column& after) {
  float most = 0;
  for (const State& state : next_) most = std::max(most, Most(state));
  uint32_t first = 0, last = static_cast<uint32_t>(next_.size());
  while (first + 1 < last && Most(next_[first]) < most * kNegligible) ++first;
  while (first + 1 < last && Most(next_[last - 1]) < most * kNegligible) --last;
  last = std::min<uint32_t>(last, first + kMostStates);
  after.first = column.first + first;
  after.states = last - first;
  after.forward = forward_.size();
  for (uint32_t k = first; k < last; ++k) {
    State& state = forward_.emplace_back(next_[k]);
    for (float& weight : state) weight = weight < most * kNegligible ? 0 : weight / most;
  }
}

// One step back; what each way there is worth goes to those whose call it was.
void QueueOrder::Backward(uint32_t number, Shares& shares) {
  const Column& column = columns_[number];
  const Column& after = columns_[number + 1];
  next_.assign(column.states, State{});
  taken_.assign(column.places, 0);
  inserted_.assign(column.states, 0);
  double all = 0;
  float most = 0;
  for (uint32_t k = 0; k < column.states; ++k) {
    const State here = forward_[column.forward + k];
    const Ways ways = WaysFrom(column, column.first + k);
    for (uint32_t passed = 0; passed < kPassed; ++passed) {
      if (here[passed] <= 0) continue;
      float sum = 0;
      Next(column, ways, column.first + k, passed, [&](uint32_t gone, uint32_t p, float weight, int what) {
        if (gone - after.first >= after.states) return;  // or before the first
        const float way = weight * backward_[gone - after.first][p];
        sum += way;
        if (what >= 0) taken_[static_cast<uint32_t>(what) - column.from] += here[passed] * way;
        if (what == kUnsure) inserted_[k] += here[passed] * way;
      });
      next_[k][passed] = sum;
      most = std::max(most, sum);
      all += here[passed] * sum;
    }
  }
  if (most > 0) {
    for (State& state : next_) {
      for (float& weight : state) weight /= most;
    }
  }
  backward_.swap(next_);
  if (all > 0) Name(number, all, shares);
}

void QueueOrder::Name(uint32_t number, double all, Shares& shares) {
  const Column& column = columns_[number];
  const auto add = [&](uint32_t who, double weight) {
    const auto same = std::find_if(shares.begin(), shares.end(), [who](const Share& s) { return s.who == who; });
    if (same != shares.end()) {
      same->probability += static_cast<float>(weight / all);
    } else {
      shares.push_back({who, static_cast<float>(weight / all)});
    }
  };
  for (uint32_t i = 0; i < column.places; ++i) {
    if (taken_[i] > 1e-4 * all) add(waiting_[column.from + i].who, taken_[i]);
  }
  for (uint32_t k = 0; k < column.states; ++k) {
    if (inserted_[k] <= 1e-4 * all) continue;
    const auto& some = between_[column.first + k];
    double sum = 0;
    for (const Between& each : some) sum += WeightOf(each, number);
    for (const Between& each : some) add(unsure_[each.unsure].who, inserted_[k] * WeightOf(each, number) / sum);
  }
  shares.erase(
      std::remove_if(shares.begin(), shares.end(), [](const Share& share) { return share.probability < kLeastShare; }),
      shares.end());
  std::sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.who < b.who;
  });
}

std::vector<QueueOrder::Shares> QueueOrder::Solve() {
  Spread();
  const auto count = static_cast<uint32_t>(std::min(sent_.size(), kMostSent));
  columns_.resize(count + 1);
  columns_[0].states = static_cast<uint32_t>(std::min(waiting_.size() + 1, kMostStates));
  float weight = 1;
  for (uint32_t k = 0; k < columns_[0].states; ++k, weight *= kGoneBefore) forward_.push_back({weight, 0, 0, 0});
  for (uint32_t i = 0; i < count; ++i) Forward(i);
  std::vector<Shares> shares(sent_.size());
  backward_.assign(columns_.back().states, {1, 1, 1, 1});
  for (uint32_t i = count; i-- > 0;) Backward(i, shares[i]);
  return shares;
}

}  // namespace spantap
