// SPDX-License-Identifier: Apache-2.0
//
// What the turns of an event loop tell about a proxy: a head read in one turn is passed on a fixed number of turns
// later, and of the requests of one turn the first takes the upstream connection that came free last.
//
// Learned from links that are sure without it. Used by the rule `proxy` (crowd_turns.cc). Event thread only.
// Memory: of fixed size; FreeConnections 4 KiB, for proxies only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "agent/connections/exchange.h"

namespace spantap {

struct Member;

// A share, old observations fading.
struct Share {
  uint32_t good = 0;
  uint32_t total = 0;
  void Add(bool is_good) {
    good += is_good;
    if (++total == 256) good /= 2, total /= 2;
  }
  double value() const { return total == 0 ? 1.0 : static_cast<double>(good) / total; }
};

// Loop turns of a thread from reading a head to writing what it passes on: in an event loop a constant of the code.
struct TurnHop {
  uint32_t turns = 0;
  Share same;  // of heads passed on, those after so many turns
  void Add(uint32_t seen) {
    if (seen != turns && same.value() < 0.5) *this = {seen, {}};
    if (same.total == 0) turns = seen;
    same.Add(seen == turns);
  }
  bool known() const { return same.total >= 16 && same.value() >= 0.98; }
};

// Were all heads seen that a thread read? Its own count says so.
class HeadCounts {
 public:
  // A head of the thread, in order. `read`: it was read, not written.
  void Note(const HeadStamp& stamp, bool read);
  // None of this turn is missing so far.
  bool Complete(uint32_t turn) const;

 private:
  bool known_ = false;
  uint32_t turn_ = 0;
  uint32_t reads_ = 0;
  uint32_t gap_from_ = 0;  // turns of the last heads that are missing
  uint32_t gap_to_ = 0;
};

// When connections to upstreams had their last response. Of those that share four cells, the longest unused is
// forgotten.
class FreeConnections {
 public:
  void Note(uint64_t conn_id, uint64_t free_ns);
  uint64_t Find(uint64_t conn_id) const;  // 0: unknown

 private:
  struct Cell {
    uint64_t conn_id = 0;
    uint64_t free_ns = 0;
  };
  using Four = std::array<Cell, 4>;
  Four& FourOf(uint64_t conn_id) const;
  std::unique_ptr<std::array<Four, 64>> cells_;
};

// Does the pool give what came free last? Two requests of one thread and turn, and the connections that they got. And
// does a new connection carry the request that was read last before it was dialled?
class PoolHabit {
 public:
  void Learn(const Member& client);  // linked, its cause set
  bool Known(bool dialled) const { return Of(dialled).total >= 8 && Of(dialled).value() >= 0.98; }
  bool Spotless(bool dialled) const { return Of(dialled).good == Of(dialled).total; }

 private:
  struct Taking {
    uint64_t server = 0;
    uint64_t pool = 0;
    uint32_t turn = 0;
    uint32_t tid = 0;
    uint64_t read_ns = 0;
    uint64_t free_ns = 0;
  };
  const Share& Of(bool dialled) const { return dialled ? own_dial_ : latest_first_; }
  Taking last_;
  Share latest_first_;
  Share own_dial_;
};

// The connection of `client` was dialled when `server` was the last that its thread had read.
bool DialledFor(const Member& client, const Member& server);

// Equal for connections of one thread to one upstream.
uint64_t PoolOf(const Member& client);

}  // namespace spantap
