// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/call_index.h"

#include <algorithm>

namespace spantap {
namespace {

uint64_t ThreadKey(Label label, uint32_t tid) { return static_cast<uint64_t>(label) << 32 | tid; }

void Insert(std::vector<Call*>& list, Call& call) {
  list.insert(std::upper_bound(list.begin(), list.end(), &call, SentBefore), &call);
}

CallIndex::Calls Cut(const std::vector<Call*>& list, uint64_t from_ns, uint64_t until_ns) {
  const auto from = std::lower_bound(list.begin(), list.end(), from_ns,
                                     [](const Call* call, uint64_t ns) { return call->sent.ns < ns; });
  const auto until =
      std::upper_bound(from, list.end(), until_ns, [](uint64_t ns, const Call* call) { return ns < call->sent.ns; });
  return {list.data() + (from - list.begin()), static_cast<size_t>(until - from)};
}

void DropBefore(std::vector<Call*>& list, uint64_t ns) {
  auto it = list.begin();
  while (it != list.end() && (*it)->sent.ns < ns) ++it;
  list.erase(list.begin(), it);
}

}  // namespace

bool SentBefore(const Call* a, const Call* b) {
  return a->sent.ns != b->sent.ns ? a->sent.ns < b->sent.ns : a->id < b->id;
}

void CallIndex::Add(Call& call) {
  if (by_label_.size() <= call.label) {
    by_label_.resize(call.label + 1);
    late_.resize(call.label + 1);
  }
  Insert(by_label_[call.label], call);
  if (call.reuses || call.dequeued || call.dialled) Insert(late_[call.label], call);
  Insert(by_thread_[ThreadKey(call.label, call.sent.tid)], call);
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
  const List& list = it->second;
  const auto from = std::lower_bound(list.begin(), list.end(), turn, [](const Call* call, uint32_t at) {
    return static_cast<int32_t>(call->sent.turn - at) < 0;
  });
  auto until = from;
  while (until != list.end() && (*until)->sent.turn == turn) ++until;
  return {list.data() + (from - list.begin()), static_cast<size_t>(until - from)};
}

void CallIndex::Trim(uint64_t before_ns) {
  for (List& list : by_label_) DropBefore(list, before_ns);
  for (List& list : late_) DropBefore(list, before_ns);
  for (auto& [key, list] : by_thread_) DropBefore(list, before_ns);
  absl::erase_if(by_thread_, [](const auto& entry) { return entry.second.empty(); });
  absl::erase_if(threads_, [=](const auto& entry) { return entry.second < before_ns; });
}

}  // namespace spantap
