// SPDX-License-Identifier: Apache-2.0
//
// What a record file must not hold: values of authorization, cookie, set-cookie, proxy-authorization and
// x-api-key (overwritten by '*' of equal length), and body bytes (by 'x'), wherever they fall: split
// across events at any byte, in folded lines, in any letter case, behind lost bytes. message_mask.h has
// the rule.
//
// Of FastCGI (fastcgi_mask.h) the same, and the values of parameters that are no part of the request.
//
// What stays readable: start lines (with their query values, which spans redact later), other headers,
// line ends, white space inside secret values, chunk sizes, a '0' at a line's start, and behind lost bytes
// what may still become a method ("POST"). What a replay loses: secrets of equal length are equal, so two
// requests that differ in nothing else may be linked less surely; and where events were lost, an exchange
// may rarely be missing or its end be a guess (1 of 30,000 conversations that lost 4 % of their events; more with
// FastCGI).
//
// Used by RecordWriter. One thread. Memory: at most kMaxConnections of some 600 bytes; the least recently
// used is forgotten, and what follows on it is masked until its next message begins.
#pragma once

#include <cstdint>
#include <list>

#include "absl/container/flat_hash_map.h"
#include "agent/capture/event_source.h"
#include "agent/capture/fastcgi_mask.h"
#include "agent/capture/message_mask.h"

namespace spantap {

class Redactor {
 public:
  static constexpr size_t kMaxConnections = 16384;

  // Takes every event in order. `record` is a writable copy of event.record; the bytes of a data event
  // are masked in it.
  void Redact(const EventView& event, char* record);
  size_t connections() const { return connections_.size(); }

 private:
  struct Direction {
    explicit Direction(PendingMethods* methods) : mask(methods) {}
    MessageMask mask;
    FastCgiMask fastcgi;
    uint64_t next = 0;    // position of the byte behind the last one seen
    bool placed = false;  // `next` is valid
  };
  // Stays at its address (list node): the directions point to `methods`.
  struct Connection {
    explicit Connection(uint64_t conn_id) : id(conn_id) {}
    Connection(const Connection&) = delete;
    const uint64_t id;
    PendingMethods methods;
    bool is_fastcgi = false;
    Direction read{&methods}, write{&methods};
  };

  Connection& Find(uint64_t conn_id);
  static void Mask(Connection& connection, Direction& direction, char* data, size_t size, bool call_start);
  void OnOpen(const spantap_open_event& event);
  void OnData(const spantap_data_event& event, char* data);

  std::list<Connection> connections_;  // most recently used first
  absl::flat_hash_map<uint64_t, std::list<Connection>::iterator> by_id_;
};

}  // namespace spantap
