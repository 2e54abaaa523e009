// SPDX-License-Identifier: Apache-2.0
//
// Every known connection: takes capture events, owns Connection objects, reports exchanges.
//
//   OPEN/DATA/END ──► Connection ──► 2 x Stream (gaps explicit) ──► Parser ──► pairing ──► ExchangeSink
//
// Connections that were open before we came are joined at the next message. A connection ends with its
// END record, with its process, after `idle_limit`, or by eviction (least recently used) at the cap;
// its open exchanges are then finished with an error.
//
// Event thread only. Memory: Settings::max_connections; at most Settings::max_pending open exchanges
// per connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "agent/capture/event_source.h"
#include "agent/connections/exchange.h"

namespace spantap {

struct ConnSettings {
  size_t max_connections = 16384;
  size_t max_pending = 256;                  // pipelined requests of one connection
  uint64_t idle_limit_ns = 600'000'000'000;  // without any event
  uint64_t order_min_bytes = 256 * 1024;     // a known body this long is worth an order
};

struct ConnCounters {
  uint64_t events = 0;  // kernel records taken (OPEN, DATA, END, FORK, EXEC, EXIT)
  uint64_t opened = 0;
  uint64_t closed = 0;
  uint64_t evicted = 0;  // table full: least recently used connection forgotten
  uint64_t idle = 0;
  uint64_t opaque = 0;          // connections that are not HTTP/1 (TLS, HTTP/2, other)
  uint64_t gaps_lost = 0;       // gaps that cost at least one message (resumed at a later head)
  uint64_t exchanges_lost = 0;  // exchanges dropped unpaired because a gap made the pairing unsure
  uint64_t head_truncated = 0;
  uint64_t invalid = 0;          // bytes that are no legal message; resumed at a later head
  uint64_t duplicate_bytes = 0;  // positions seen twice (ignored)
  uint64_t pending_overflow = 0;
  uint64_t exchanges = 0;  // requests reported
};

class ConnTable {
 public:
  using OrderFn = std::function<void(uint64_t conn_id, const spantap_order&)>;
  ConnTable(const ConnSettings& settings, ExchangeSink& sink, OrderFn order);
  ~ConnTable();

  void OnEvent(const EventView& event);
  void OnTime(uint64_t mono_ns);  // idle connections
  // Ends every connection: open exchanges are finished as kUnfinished.
  void FinishAll(uint64_t mono_ns);
  const ConnCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spantap
