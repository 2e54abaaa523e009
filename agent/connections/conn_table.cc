// SPDX-License-Identifier: Apache-2.0
#include "agent/connections/conn_table.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/connections/connection.h"

namespace spantap {
namespace {

// A response whose end is hidden is over when nothing has come for this long.
constexpr uint64_t kQuietNs = 1'000'000'000;
constexpr uint64_t kQuietCheckNs = 100'000'000;

}  // namespace

struct ConnTable::State {
  struct Entry {
    uint64_t conn_id = 0;
    uint64_t last_ns = 0;
    bool quiet_listed = false;
    std::unique_ptr<Connection> connection;
  };
  using Entries = std::list<Entry>;  // least recently used first

  State(const ConnSettings& s, ExchangeSink& sink, OrderFn fn)
      : settings(s), order(std::move(fn)), env{settings, counters, sink, next_id, losses} {
    if (!order) order = [](uint64_t, const spantap_order&) {};
  }

  Entry& Find(uint64_t conn_id, const spantap_event_header& header);
  void Forget(Entries::iterator entry);
  void OnConnectionEvent(const EventView& event);
  void OnExit(const spantap_event_header& header);
  void OnIdle(uint64_t mono_ns);
  void OnQuiet(uint64_t mono_ns);

  ConnSettings settings;
  ConnCounters counters;
  OrderFn order;
  uint64_t next_id = 0;
  LossWatch losses;
  PairingEnv env;
  Entries entries;
  absl::flat_hash_map<uint64_t, Entries::iterator> by_id;
  std::vector<uint64_t> quiet;  // connections that had a hidden end
  uint64_t quiet_checked_ns = 0;
};

ConnTable::ConnTable(const ConnSettings& settings, ExchangeSink& sink, OrderFn order)
    : state_(std::make_unique<State>(settings, sink, std::move(order))) {}
ConnTable::~ConnTable() = default;

const ConnCounters& ConnTable::counters() const { return state_->counters; }

ConnTable::State::Entry& ConnTable::State::Find(uint64_t conn_id, const spantap_event_header& header) {
  auto [it, inserted] = by_id.try_emplace(conn_id);
  if (!inserted) {
    entries.splice(entries.end(), entries, it->second);
  } else {
    it->second = entries.insert(entries.end(), Entry{conn_id, header.mono_ns, false, nullptr});
    it->second->connection = std::make_unique<Connection>(env, order, conn_id, header.tgid);
    ++counters.opened;
    if (entries.size() > std::max<size_t>(settings.max_connections, 1)) {
      ++counters.evicted;
      entries.front().connection->Abandon(header.mono_ns);
      Forget(entries.begin());
    }
  }
  Entry& entry = entries.back();
  entry.last_ns = header.mono_ns;
  return entry;
}

void ConnTable::State::Forget(Entries::iterator entry) {
  by_id.erase(entry->conn_id);
  entries.erase(entry);
}

void ConnTable::State::OnConnectionEvent(const EventView& event) {
  const spantap_event_header& header = *event.header;
  // The end of a connection that we never saw, or have forgotten, is none of our business.
  if (header.type == SPANTAP_EVENT_END && !by_id.contains(header.conn_id)) return;
  Entry& entry = Find(header.conn_id, header);
  Connection& connection = *entry.connection;
  if (header.type == SPANTAP_EVENT_OPEN) {
    connection.OnOpen(event.As<spantap_open_event>());
  } else if (header.type == SPANTAP_EVENT_DATA) {
    connection.OnData(event);
  } else if (connection.OnEnd(event.As<spantap_end_event>())) {
    ++counters.closed;
    return Forget(std::prev(entries.end()));
  }
  if (!entry.quiet_listed && connection.EndHidden()) {
    entry.quiet_listed = true;
    quiet.push_back(entry.conn_id);
  }
}

void ConnTable::State::OnExit(const spantap_event_header& header) {
  for (auto it = entries.begin(); it != entries.end();) {
    const auto entry = it++;
    if (entry->connection->tgid() != header.tgid) continue;
    entry->connection->OnExit(header.mono_ns);
    ++counters.closed;
    Forget(entry);
  }
}

void ConnTable::OnEvent(const EventView& event) {
  State& state = *state_;
  state.losses.Add(event.header->mono_ns, event.header->lost);
  switch (event.header->type) {
    case SPANTAP_EVENT_OPEN:
    case SPANTAP_EVENT_DATA:
    case SPANTAP_EVENT_END:
      ++state.counters.events;
      return state.OnConnectionEvent(event);
    case SPANTAP_EVENT_EXIT:
      ++state.counters.events;
      return state.OnExit(*event.header);
    case SPANTAP_EVENT_FORK:
    case SPANTAP_EVENT_EXEC:
      ++state.counters.events;
      return;
    default:
      return;
  }
}

void ConnTable::State::OnIdle(uint64_t mono_ns) {
  while (!entries.empty()) {
    const Entry& oldest = entries.front();
    if (mono_ns <= oldest.last_ns || mono_ns - oldest.last_ns < settings.idle_limit_ns) return;
    ++counters.idle;
    oldest.connection->Abandon(mono_ns);
    Forget(entries.begin());
  }
}

void ConnTable::State::OnQuiet(uint64_t mono_ns) {
  if (quiet.empty() || mono_ns < quiet_checked_ns + kQuietCheckNs) return;
  quiet_checked_ns = mono_ns;
  std::vector<uint64_t> later;
  for (const uint64_t conn_id : quiet) {
    const auto found = by_id.find(conn_id);
    if (found == by_id.end()) continue;
    Entry& entry = *found->second;
    if (mono_ns < entry.last_ns + kQuietNs) {
      later.push_back(conn_id);
      continue;
    }
    entry.quiet_listed = false;
    entry.connection->OnQuiet();
  }
  quiet = std::move(later);
}

void ConnTable::OnTime(uint64_t mono_ns) {
  state_->OnIdle(mono_ns);
  state_->OnQuiet(mono_ns);
}

void ConnTable::FinishAll(uint64_t mono_ns) {
  while (!state_->entries.empty()) {
    state_->entries.front().connection->Abandon(mono_ns);
    state_->Forget(state_->entries.begin());
  }
}

}  // namespace spantap
