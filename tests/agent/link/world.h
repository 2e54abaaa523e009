// SPDX-License-Identifier: Apache-2.0
//
// Hand-built exchanges for the link tests: a clock, processes that read and write heads, and a sink
// that keeps what the linker delivers.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/link/linker.h"

namespace spantap::link_test {

using Headers = std::vector<std::pair<std::string, std::string>>;

inline HttpHead MakeHead(const std::vector<std::string>& first_words, const Headers& headers) {
  std::string text;
  std::vector<std::pair<size_t, size_t>> parts;
  const auto add = [&](const std::string& part) {
    parts.emplace_back(text.size(), part.size());
    text += part;
  };
  for (const auto& word : first_words) add(word);
  for (const auto& [name, value] : headers) {
    add(name);
    add(value);
  }
  HttpHead head;
  head.text = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(head.text.get(), text.data(), text.size());
  head.text_bytes = text.size();
  const auto view = [&](size_t i) { return absl::string_view(head.text.get() + parts[i].first, parts[i].second); };
  if (first_words.size() == 2) {
    head.is_request = true;
    head.method = view(0);
    head.target = view(1);
  }
  for (size_t i = first_words.size(); i < parts.size(); i += 2) head.headers.push_back({view(i), view(i + 1)});
  return head;
}

// One end of one connection.
struct Side {
  uint32_t tgid = 0;
  ConnectionEnds endpoint;
  uint64_t position = 0;          // of the next request
  std::optional<HeadStamp> dial;  // the first request goes out on a connection dialled then
};

// A TCP connection: `client` and `server` are its two ends.
struct Tcp {
  Side client, server;
};

class World final : public LinkedSink {
 public:
  explicit World(const LinkSettings& settings = {}, uint64_t seed = 1, std::unique_ptr<CauseFinder> finder = nullptr)
      : ids_(seed), linker_(std::make_unique<Linker>(settings, ids_, *this, std::move(finder))) {}

  // IPv4 between two processes; 0: that end is not observed, and its Side is not to be used.
  Tcp Connect(uint32_t client_tgid, uint32_t server_tgid) {
    Tcp tcp;
    const uint16_t port = static_cast<uint16_t>(20000 + ++connections_ % 40000);
    const uint64_t position = 1000 + connections_ * 7919;
    const uint8_t address[4] = {10, 0, 0, 1};
    tcp.client.tgid = client_tgid;
    tcp.server.tgid = server_tgid;
    tcp.client.position = (uint64_t{1} << 32) + position;
    tcp.server.position = (uint64_t{5} << 32) + position;
    for (Side* side : {&tcp.client, &tcp.server}) {
      side->endpoint.conn_id = ++conn_ids_;
      side->endpoint.family = SPANTAP_FAMILY_INET;
    }
    tcp.client.endpoint.local_port = tcp.server.endpoint.peer_port = port;
    tcp.client.endpoint.peer_port = tcp.server.endpoint.local_port = 80;
    std::memcpy(tcp.client.endpoint.local_addr, address, 4);
    std::memcpy(tcp.server.endpoint.peer_addr, address, 4);
    return tcp;
  }

  // The request head of an exchange at one end of a connection; 10 us pass.
  Exchange* Request(Role role, Side& side, uint32_t tid, const std::string& target, const Headers& headers = {},
                    const std::string& method = "GET") {
    auto exchange = std::make_unique<Exchange>();
    exchange->id = ++exchange_ids_;
    exchange->role = role;
    exchange->tgid = side.tgid;
    exchange->endpoint = side.endpoint;
    exchange->request = MakeHead({method, target}, headers);
    exchange->request.protocol = protocol_;
    exchange->records_lost = lossy_;
    exchange->request_stamp = Stamp(tid, role == Role::kServer);
    exchange->dial = std::exchange(side.dial, std::nullopt);
    exchange->request_stamp.position = side.position;
    side.position += 100;
    Exchange* const raw = exchange.get();
    open_[raw] = std::move(exchange);
    linker_->OnRequest(*raw);
    return raw;
  }
  Exchange* Read(Side& side, uint32_t tid, const std::string& target, const Headers& headers = {},
                 const std::string& method = "GET") {
    return Request(Role::kServer, side, tid, target, headers, method);
  }
  Exchange* Write(Side& side, uint32_t tid, const std::string& target, const Headers& headers = {},
                  const std::string& method = "GET") {
    return Request(Role::kClient, side, tid, target, headers, method);
  }
  // On connections of their own whose other end is not observed.
  Exchange* Read(uint32_t tgid, uint32_t tid, const std::string& target, const Headers& headers = {}) {
    Tcp tcp = Connect(0, tgid);
    return Read(tcp.server, tid, target, headers);
  }
  Exchange* Write(uint32_t tgid, uint32_t tid, const std::string& target, const Headers& headers = {}) {
    Tcp tcp = Connect(tgid, 0);
    return Write(tcp.client, tid, target, headers);
  }

  // What this connection carries turns out to be unreadable, at the ends that are observed.
  void Encrypt(const Tcp& tcp) {
    if (tcp.client.tgid != 0) linker_->OnForeign(tcp.client.tgid, tcp.client.endpoint, Opener::kThis);
    if (tcp.server.tgid != 0) linker_->OnForeign(tcp.server.tgid, tcp.server.endpoint, Opener::kPeer);
  }
  // Requests go over this from now on; static text.
  void Over(absl::string_view protocol) { protocol_ = protocol; }
  // Requests from now on come while records are being lost, or no longer.
  void Lossy(bool lossy) { lossy_ = lossy; }
  // Heads carry this loop turn from now on; 0: they carry no counters.
  void Turn(uint32_t turn) { turn_ = turn; }
  // The thread dials a connection.
  HeadStamp Dial(uint32_t tid) const { return StampOf(tid); }
  // The thread reads a head that is not seen.
  void Miss(uint32_t tid) { ++counts_[tid].nread; }

  void Respond(Exchange* exchange, uint32_t tid = 0, uint16_t status = 200, const Headers& headers = {}) {
    exchange->response = MakeHead({"HTTP/1.1"}, headers);
    exchange->response->status = status;
    exchange->response_stamp = Stamp(tid != 0 ? tid : exchange->request_stamp.tid, exchange->role == Role::kClient);
    linker_->OnResponse(*exchange);
  }
  void Finish(Exchange* exchange, ExchangeError error = ExchangeError::kNone) {
    now_ns_ += 10'000;
    exchange->end_ns = now_ns_;
    exchange->error = error;
    auto owned = std::move(open_[exchange]);
    open_.erase(exchange);
    linker_->OnFinished(std::move(owned));
  }
  void Answer(Exchange* exchange, uint32_t tid = 0, uint16_t status = 200, const Headers& headers = {}) {
    Respond(exchange, tid, status, headers);
    Finish(exchange);
  }

  void Pass(uint64_t ms) {
    now_ns_ += ms * 1'000'000;
    linker_->OnTime(now_ns_);
  }
  void End() {
    while (!open_.empty()) Finish(LowestOpen(), ExchangeError::kUnfinished);
    linker_->Flush();
  }

  Linker& linker() { return *linker_; }
  const LinkCounters& counters() const { return linker_->counters(); }
  uint64_t now_ns() const { return now_ns_; }

  // What was delivered, by exchange id; ids are numbered from 1 in order of requests.
  const LinkedExchange& operator[](uint64_t id) const { return *by_id_.at(id); }
  const LinkedExchange* Find(uint64_t id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second;
  }
  bool IsChild(uint64_t child, uint64_t parent) const {
    return (*this)[child].parent_span_id == (*this)[parent].span_id &&
           (*this)[child].trace_id == (*this)[parent].trace_id;
  }
  const std::vector<std::vector<LinkedExchange>>& trees() const { return trees_; }
  size_t delivered() const { return by_id_.size(); }

  // Spans that were delivered without an exchange, and the trace they go to.
  struct Lone {
    std::unique_ptr<HandedSpan> handed;
    TraceId trace_id;
  };
  const std::vector<Lone>& lone() const { return lone_; }
  // Whose threads' counters were said to be needed, or not; in order.
  const std::vector<std::pair<uint32_t, bool>>& turns() const { return turns_; }

 private:
  void OnSpan(std::unique_ptr<HandedSpan> handed, const TraceId& trace_id) override {
    lone_.push_back({std::move(handed), trace_id});
  }
  void OnTurns(uint32_t tgid, bool needed) override { turns_.emplace_back(tgid, needed); }
  void OnTree(std::vector<LinkedExchange> tree) override {
    trees_.push_back(std::move(tree));
    for (const LinkedExchange& linked : trees_.back()) by_id_[linked.exchange->id] = &linked;
  }
  Exchange* LowestOpen() const {
    Exchange* lowest = nullptr;
    for (const auto& [exchange, owned] : open_) {
      if (lowest == nullptr || exchange->id < lowest->id) lowest = exchange;
    }
    return lowest;
  }
  HeadStamp Stamp(uint32_t tid, bool read) {
    now_ns_ += 10'000;
    ++(read ? counts_[tid].nread : counts_[tid].nwrite);
    return StampOf(tid);
  }
  HeadStamp StampOf(uint32_t tid) const {
    HeadStamp stamp;
    stamp.mono_ns = stamp.end_mono_ns = now_ns_;
    stamp.tid = tid;
    stamp.counted = turn_ != 0;
    const auto it = counts_.find(tid);
    if (it != counts_.end()) stamp.turns = it->second;
    stamp.turns.turn = turn_;
    return stamp;
  }

  SeededIds ids_;
  uint64_t now_ns_ = 1'000'000'000;
  absl::string_view protocol_ = "http";
  bool lossy_ = false;
  uint32_t turn_ = 0;
  std::map<uint32_t, spantap_turns> counts_;  // by thread
  uint64_t connections_ = 0;
  uint64_t conn_ids_ = 0;
  uint64_t exchange_ids_ = 0;
  std::map<Exchange*, std::unique_ptr<Exchange>> open_;
  std::vector<std::vector<LinkedExchange>> trees_;
  std::vector<Lone> lone_;
  std::vector<std::pair<uint32_t, bool>> turns_;
  std::map<uint64_t, const LinkedExchange*> by_id_;
  std::unique_ptr<Linker> linker_;
};

// "00-<trace>-<span>-<flags>" from one digit each.
inline std::string Parent(char trace, char span, const char* flags = "01") {
  return "00-" + std::string(32, trace) + "-" + std::string(16, span) + "-" + flags;
}

}  // namespace spantap::link_test
