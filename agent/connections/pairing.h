// SPDX-License-Identifier: Apache-2.0
//
// Messages of the two directions of one connection -> exchanges. HTTP/1 answers in order, so the n-th
// final response belongs to the n-th request; the whole difficulty is to know n after a loss.
//
//   sure      every request and response since a known point has been seen: pair in order, report
//   unsure    a head may have been lost: report nothing new, look for a clean cycle
//             (kIdle -request-> kAsked -final response-> kAnswering -its end-> kClean -request-> sure)
//
// The argument why this never pairs wrongly, and what it assumes, is in the folder's README.
// Used by Connection; is the sink of both parsers. Event thread. Memory: max_pending exchanges.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "agent/connections/conn_table.h"
#include "agent/connections/exchange.h"
#include "agent/connections/loss_watch.h"
#include "agent/protocols/parser.h"

namespace spantap {

// The system call that the bytes being parsed came with.
struct CallStamp {
  uint64_t mono_ns = 0;
  uint32_t tid = 0;
  uint32_t tgid = 0;
  bool counted = false;
  spantap_turns turns = {};
};

// What all connections share.
struct PairingEnv {
  const ConnSettings& settings;
  ConnCounters& counters;
  ExchangeSink& sink;
  uint64_t& next_id;
  const LossWatch& losses;
};

// A client's response that was reported before its request: another thread read it while the writing
// one's call had not returned yet.
struct EarlyResponse {
  HttpHead head;
  HeadStamp stamp;
  bool ended = false;
  uint64_t end_ns = 0;
  uint64_t body_bytes = 0;
  BodyEnd how = BodyEnd::kExact;
};

class Pairing final : public MessageContext {
 public:
  // How the connection came to be known.
  enum class Start : uint8_t {
    kWhole,    // from its first bytes on
    kJoined,   // open already; nothing lost since
    kUnknown,  // something is missing: its open record, or whole calls
  };
  Pairing(const PairingEnv& env, const ConnectionEnds& endpoint, Role role, Start start);

  ParserSink& requests() { return requests_; }
  ParserSink& responses() { return responses_; }
  // The parser of the responses, to ask whether the end of one is hidden.
  void SetResponseParser(const Parser* parser) { response_parser_ = parser; }
  // The connect() of the process `tgid`; its position is that of the first byte written afterwards.
  void SetDial(const HeadStamp& dial, uint32_t tgid) { dial_ = dial, dial_tgid_ = tgid; }

  // Before bytes are parsed: the call they came with. `end`: no bytes, the direction ended.
  void SetCall(const CallStamp& call, bool end) { call_ = call, at_end_ = end; }
  const CallStamp& call() const { return call_; }
  // After bytes were parsed.
  void NoteBytes(bool request) { last_ns_[request] = call_.mono_ns; }

  // No response will come any more; what is open has failed, at `failed_ns`.
  void ResponsesEnded(uint64_t failed_ns);
  // Everything open is given up.
  void Abandon(uint64_t mono_ns);

  // Set by a parser: nothing more can be paired on this connection.
  const char* opaque() const { return opaque_; }
  // If a response is open whose end is hidden: ends it at its last bytes seen.
  bool EndHiddenResponse();

  Request PendingRequest() const override;
  bool MayBegin(bool request) override;
  bool Sure() const override { return sure_; }
  bool MayHide(bool request, bool within_call) const override;

 private:
  class Side final : public ParserSink {
   public:
    Side(Pairing& pairing, bool request) : pairing_(pairing), request_(request) {}
    void OnMessageBegin(uint64_t position, bool resumed) override;
    void OnHead(HttpHead head) override;
    void OnMessageEnd(uint64_t end_position, uint64_t body_bytes, BodyEnd how) override;
    void OnLost(LossReason reason) override;
    void OnOpaque(const char* reason) override { pairing_.opaque_ = reason; }

    HeadStamp stamp;  // of the message that begins
    bool resumed = false;
    uint64_t before_ns = 0;  // the last bytes before it

   private:
    // When the message that ends at `end_position` was over.
    uint64_t EndTime(uint64_t end_position, BodyEnd how) const;
    Pairing& pairing_;
    const bool request_;
  };
  struct Slot {
    std::unique_ptr<Exchange> exchange;
    Request kind = Request::kOrdinary;
    bool request_broken = false;  // aborted, or still open
  };
  enum class Cycle : uint8_t { kIdle, kAsked, kAnswering, kClean };
  enum class Current : uint8_t { kNone, kPaired, kCycle, kEarly };  // the response being read

  void RequestHead(HttpHead head);
  void RequestEnd(uint64_t ns, uint64_t bytes, BodyEnd how);
  void ResponseHead(HttpHead head);
  void ResponseEnd(uint64_t ns, uint64_t bytes, BodyEnd how);
  void RequestsLost();
  void ResponsesLost();
  bool CycleRequest(Request kind);
  void CycleResponse();
  void Report(HttpHead head, Request kind);
  void Attach(HttpHead head, const HeadStamp& stamp);
  void TakeEarly();
  void Finish(size_t index, ExchangeError error, uint64_t end_ns);
  void DropAll(uint64_t ns);
  void Unsure();
  size_t FirstUnanswered() const { return current_ == Current::kPaired ? 1 : 0; }
  bool Unanswered() const { return slots_.size() > FirstUnanswered(); }

  PairingEnv env_;
  const ConnectionEnds& endpoint_;
  const Role role_;
  Side requests_;
  Side responses_;
  const Parser* response_parser_ = nullptr;
  std::optional<HeadStamp> dial_;
  uint32_t dial_tgid_ = 0;
  CallStamp call_;
  bool at_end_ = false;
  uint64_t last_ns_[2] = {};  // of bytes, by direction
  const char* opaque_ = nullptr;

  std::vector<Slot> slots_;           // open exchanges in order; the first may have its response
  Exchange* open_request_ = nullptr;  // whose body is being read; in slots_
  Current current_ = Current::kNone;
  bool sure_;
  bool pipelined_ = false;
  Cycle cycle_ = Cycle::kIdle;
  Request cycle_kind_ = Request::kUnknown;
  uint32_t cycle_open_ = 0;    // requests since the loss without a response
  uint32_t clean_cycles_ = 0;  // in a row
  bool asked_ = false;         // a request has been seen
  bool paired_ = false;        // a response has been paired
  bool drained_;               // sure, and after a pair, a request found nothing open
  const bool joined_;
  std::optional<EarlyResponse> early_;
  bool refused_request_ = false;
  uint64_t refused_ns_ = 0;  // a head-like piece was taken for body, see MayBegin()
};

}  // namespace spantap
