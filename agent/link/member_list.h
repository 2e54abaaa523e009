// SPDX-License-Identifier: Apache-2.0
//
// Intrusive lists of members (inference.h). A member stands in at most one list per slot; leaving a
// list is O(1), needs no list, and the order is always that of arrival: nothing that is delivered
// depends on the order of a hash table.
//
// Event thread only. No memory of its own.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"

namespace spantap {

struct Member;

// One place of a member in one list. Circular; alone it points at itself.
struct Hook {
  Hook* prev = this;
  Hook* next = this;
  Member* member = nullptr;  // null: the list itself

  Hook() = default;
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;

  bool linked() const { return next != this; }
  void Unlink() {
    prev->next = next;
    next->prev = prev;
    prev = next = this;
  }
  void InsertBefore(Hook& position) {
    prev = position.prev;
    next = &position;
    prev->next = this;
    position.prev = this;
  }
};

// A list with a fixed address.
class MemberList {
 public:
  bool empty() const { return !end_.linked(); }
  bool one() const { return !empty() && end_.next == end_.prev; }
  Member* front() const { return end_.next->member; }  // null if empty
  void PushBack(Hook& hook) { hook.InsertBefore(end_); }
  // for (const Hook* h = list.first(); h->member; h = h->next)
  const Hook* first() const { return end_.next; }
  const Hook* last() const { return end_.prev; }

 private:
  Hook end_;
};

// Members by key, each key's in order of arrival. Cost: one hash table operation for a key's first
// and last member, none to walk.
class MemberIndex {
 public:
  void Add(uint64_t key, Hook& hook) {
    const auto [it, fresh] = first_.try_emplace(key, &hook);
    if (!fresh) hook.InsertBefore(*it->second);
  }
  void Remove(uint64_t key, Hook& hook) {
    const auto it = first_.find(key);
    if (it == first_.end()) return;
    if (!hook.linked()) {
      if (it->second == &hook) first_.erase(it);
      return;
    }
    if (it->second == &hook) it->second = hook.next;
    hook.Unlink();
  }
  // Calls visit(Member&) for at most `limit` members of a key while it returns true. False if more
  // were there than the limit.
  template <typename Visit>
  bool Each(uint64_t key, int limit, Visit visit) const {
    const auto it = first_.find(key);
    if (it == first_.end()) return true;
    const Hook* hook = it->second;
    do {
      if (limit-- == 0) return false;
      if (!visit(*hook->member)) return true;
      hook = hook->next;
    } while (hook != it->second);
    return true;
  }

 private:
  absl::flat_hash_map<uint64_t, Hook*> first_;
};

}  // namespace spantap
