// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/call_index.h"

#include <algorithm>

namespace spantap {
namespace {

uint64_t ThreadKey(Label label, uint32_t tid) { return static_cast<uint64_t>(label) << 32 | tid; }

}  // namespace

bool SentBefore(const Call* a, const Call* b) {
  return a->sent.ns != b->sent.ns ? a->sent.ns < b->sent.ns : a->id < b->id;
}

template <class Key>
void CallIndex::List<Key>::Insert(Call& call, Key key) {
  const auto at = std::upper_bound(calls.begin(), calls.end(), &call, SentBefore);
  keys.insert(keys.begin() + (at - calls.begin()), key);
  calls.insert(at, &call);
}

template <class Key>
void CallIndex::List<Key>::DropBefore(uint64_t ns) {
  auto it = calls.begin();
  while (it != calls.end() && (*it)->sent.ns < ns) ++it;
  keys.erase(keys.begin(), keys.begin() + (it - calls.begin()));
  calls.erase(calls.begin(), it);
}

CallIndex::Calls CallIndex::Cut(const Sent& list, uint64_t from_ns, uint64_t until_ns) {
  const auto from = std::lower_bound(list.keys.begin(), list.keys.end(), from_ns);
  const auto until = std::upper_bound(from, list.keys.end(), until_ns);
  return {list.calls.data() + (from - list.keys.begin()), static_cast<size_t>(until - from)};
}

void CallIndex::Add(Call& call) {
  if (by_label_.size() <= call.label) {
    by_label_.resize(call.label + 1);
    late_.resize(call.label + 1);
  }
  by_label_[call.label].Insert(call, call.sent.ns);
  if (call.reuses || call.dequeued || call.dialled) late_[call.label].Insert(call, call.sent.ns);
  by_thread_[ThreadKey(call.label, call.sent.tid)].Insert(call, call.sent.turn);
  uint64_t& last_ns = threads_[call.sent.tid];
  last_ns = std::max(last_ns, call.sent.ns);
}

CallIndex::Calls CallIndex::Between(Label label, uint64_t from_ns, uint64_t until_ns) const {
  return label < by_label_.size() ? Cut(by_label_[label], from_ns, until_ns) : Calls();
}

CallIndex::Calls CallIndex::Late(Label label, uint64_t from_ns, uint64_t until_ns) const {
  return label < late_.size() ? Cut(late_[label], from_ns, until_ns) : Calls();
}

CallIndex::Calls CallIndex::InTurn(Label label, uint32_t tid, uint32_t turn) const {
  const auto it = by_thread_.find(ThreadKey(label, tid));
  if (it == by_thread_.end()) return {};
  const auto& turns = it->second.keys;
  const auto from = std::lower_bound(turns.begin(), turns.end(), turn,
                                     [](uint32_t sent, uint32_t at) { return static_cast<int32_t>(sent - at) < 0; });
  auto until = from;
  while (until != turns.end() && *until == turn) ++until;
  return {it->second.calls.data() + (from - turns.begin()), static_cast<size_t>(until - from)};
}

void CallIndex::Trim(uint64_t before_ns) {
  for (Sent& list : by_label_) list.DropBefore(before_ns);
  for (Sent& list : late_) list.DropBefore(before_ns);
  for (auto& [key, list] : by_thread_) list.DropBefore(before_ns);
  absl::erase_if(by_thread_, [](const auto& entry) { return entry.second.calls.empty(); });
  absl::erase_if(threads_, [=](const auto& entry) { return entry.second < before_ns; });
}

}  // namespace spantap
