// SPDX-License-Identifier: Apache-2.0
//
// A small agent for the tests of libspantap.so: serves the socket, makes rings, reads and decodes records, and can lie,
// pause, end in order, or vanish as if killed. Does nothing by itself: Serve() and Take() do what is due and return.
// One thread, but for Take() beside the producers' threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exporter/handoff/ring_layout.h"
#include "spantap/spantap.h"

namespace spantap {

struct TakenAttr {
  uint16_t key = 0;
  uint8_t type = 0;
  std::string name;
  std::string text;  // of a string
  int64_t number = 0;
  double real = 0;
};

struct TakenPart {  // an event, or a link
  uint64_t time = 0;
  std::string text;  // name, or trace state
  std::string trace_id, span_id;
  uint8_t flags = 0;
  std::vector<TakenAttr> attrs;
};

struct TakenSpan {
  spantap_span_record fixed = {};
  std::string name, trace_state, status_message;
  std::vector<TakenAttr> attrs;
  std::vector<TakenPart> events, links;
};

// Throws std::runtime_error if it is not exactly one well-formed record with zeros behind it.
TakenSpan DecodeSpan(const std::string& record);

// What a bad agent says; defaults are those of a good one.
struct Lies {
  bool sealed = true;
  bool pass_memory = true;
  int32_t status = 0;
  uint32_t welcome_version = SPANTAP_HANDOFF_VERSION;
  uint64_t ring_magic = SPANTAP_RING_MAGIC;
  uint64_t said_bytes = 0;  // 0: the truth
  bool silent = false;      // accepts, never answers
};

class RingAgent {
 public:
  explicit RingAgent(std::string path, uint64_t data_bytes = SPANTAP_RING_MIN_BYTES);
  ~RingAgent();  // as SIGKILL: sockets close, rings stay as they are
  RingAgent(const RingAgent&) = delete;
  RingAgent& operator=(const RingAgent&) = delete;

  void Serve();
  // Records of all rings, at most `limit`.
  std::vector<std::string> TakeRecords(size_t limit = SIZE_MAX);
  std::vector<TakenSpan> Take(size_t limit = SIZE_MAX);
  // All records that lie there, which stay.
  std::vector<std::string> PeekRecords() const;
  void SetState(uint32_t state);
  // Order of an end, second half, after SetState(CLOSED) and a last Take().
  void HangUp();
  size_t producers() const { return peers_.size(); }
  const std::string& hello(size_t producer) const { return peers_[producer]->hello; }
  spantap_ring* ring(size_t producer) { return peers_[producer]->ring; }
  bool HungUp(size_t producer) const;

  Lies lies;
  uint64_t start = 0;  // first position of new rings

 private:
  struct Peer {
    int connection = -1;
    std::string hello;
    spantap_ring* ring = nullptr;
    uint64_t tail = 0;
    uint64_t data_bytes = 0;
  };
  void Answer(Peer* peer);
  static uint64_t Read(const Peer& peer, size_t limit, std::vector<std::string>* records);

  std::string path_;
  uint64_t data_bytes_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Peer>> peers_;
};

// A folder of its own with a socket's path, removed at the end.
class Place {
 public:
  Place();
  ~Place();
  const std::string& socket() const { return socket_; }

 private:
  std::string folder_, socket_;
};

spantap_str Str(const std::string& text);

// Client and producer of the calling thread, closed at the end; needs no agent.
struct Host {
  explicit Host(const std::string& socket, spantap_options options = SPANTAP_OPTIONS_INIT);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  // Attaches within three seconds, serving the agent meanwhile.
  bool Attach(RingAgent* agent);
  spantap_stats Stats() const;

  spantap_client* client = nullptr;
  spantap_producer* producer = nullptr;
};

// A valid span "GET /" that took 5 ms; `number` is in its span id and times.
spantap_span MakeSpan(uint64_t number);
uint64_t NumberOf(const spantap_span_record& record);
int OpenDescriptors();

}  // namespace spantap
