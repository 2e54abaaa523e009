// SPDX-License-Identifier: Apache-2.0
//
// One batch under way: its pieces, since when, and what has become of them in the ledger. The pieces of a fresh batch
// are settled one by one. Those of a batch from the spool are settled together, because it leaves the disk as a
// whole: until then its spans stay "spooled".
//
// Used by the sender, on its thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "exporter/send/accounts.h"
#include "exporter/send/overflow.h"
#include "exporter/send/pieces.h"
#include "exporter/transport/transport.h"

namespace spantap {

class Route;

class Delivery {
 public:
  // `overflow`: may be nullptr if the batch has no spool_id.
  Delivery(Batch batch, Accounts& accounts, Overflow* overflow);

  Pieces& pieces() { return pieces_; }
  bool spooled() const { return spool_id_.has_value(); }
  std::optional<uint64_t> spool_id() const { return spool_id_; }
  uint64_t started_ns() const { return started_ns_; }
  bool attempted() const { return attempted_; }
  void Attempted() { attempted_ = true; }
  // What is known of sizes holds for one endpoint.
  void Via(const Route* route);
  // The last answer that called a piece too large.
  SendResult& refusal() { return refusal_; }

  void Acknowledged(uint64_t spans);
  void Dropped(DropReason reason, uint64_t spans);
  // All pieces are settled: enters what was held back.
  void Finish();
  // Not to be settled now: back to the spool as a whole. Only if spooled().
  void PutBack() { overflow_->PutBack(*spool_id_); }

 private:
  Accounts& accounts_;
  Overflow* const overflow_;
  const uint64_t started_ns_ = MonoNs();
  const std::optional<uint64_t> spool_id_;
  const uint64_t spans_;
  Pieces pieces_;
  bool attempted_ = false;
  const Route* route_ = nullptr;
  SendResult refusal_;
  uint64_t acknowledged_ = 0;  // of a spooled batch, as yet
  std::array<uint64_t, static_cast<size_t>(DropReason::kCount)> dropped_ = {};
};

}  // namespace spantap
