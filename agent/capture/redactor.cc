// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/redactor.h"

#include <algorithm>
#include <cstring>

namespace spantap {

Redactor::Connection& Redactor::Find(uint64_t conn_id) {
  if (const auto found = by_id_.find(conn_id); found != by_id_.end()) {
    connections_.splice(connections_.begin(), connections_, found->second);
    return connections_.front();
  }
  if (connections_.size() >= kMaxConnections) {
    by_id_.erase(connections_.back().id);
    connections_.pop_back();
  }
  connections_.emplace_front(conn_id);
  by_id_.emplace(conn_id, connections_.begin());
  return connections_.front();
}

void Redactor::OnOpen(const spantap_open_event& event) {
  Connection& connection = Find(event.header.conn_id);
  const auto place = [](Direction& direction, bool from_start, uint64_t position) {
    if (direction.placed) return;
    direction.placed = true;
    direction.next = position;
    if (from_start) direction.mask.AtBoundary();
  };
  const bool read_start = event.header.flags & SPANTAP_F_READ_FROM_START;
  const bool write_start = event.header.flags & SPANTAP_F_WRITE_FROM_START;
  place(connection.read, read_start, event.read_position);
  place(connection.write, write_start, event.write_position);
  if (event.role == SPANTAP_ROLE_ACCEPTED || event.role == SPANTAP_ROLE_CONNECTED) {
    connection.read.mask.SetRequests(event.role == SPANTAP_ROLE_ACCEPTED);
    connection.write.mask.SetRequests(event.role == SPANTAP_ROLE_CONNECTED);
  }
  // Requests that were pending before we came are not in the list.
  if (!read_start || !write_start) connection.methods.Forget();
}

void Redactor::OnData(const spantap_data_event& event, char* data) {
  Connection& connection = Find(event.header.conn_id);
  Direction& direction = event.header.flags & SPANTAP_F_WRITE ? connection.write : connection.read;
  uint64_t position = event.position;
  size_t size = event.copied_bytes;
  if (!direction.placed) {  // its OPEN record was lost
    direction.placed = true;
    direction.next = position;
    connection.methods.Forget();
  }
  // Bytes seen twice are ignored by every reader, so they may all go.
  if (position < direction.next) {
    const size_t seen = static_cast<size_t>(std::min<uint64_t>(size, direction.next - position));
    memset(data, 'x', seen);
    data += seen;
    size -= seen;
    position += seen;
    if (size == 0) return;
  }
  const uint64_t missing = position - direction.next;
  connection.is_fastcgi ? direction.fastcgi.Skip(missing) : direction.mask.Skip(missing);
  direction.next = position + size;
  const bool call_start = event.header.flags & (SPANTAP_F_CALL_START | SPANTAP_F_HEAD);
  Mask(connection, direction, data, size, call_start && position == event.position);
}

// What was HTTP stays HTTP, whatever a body looks like.
void Redactor::Mask(Connection& connection, Direction& direction, char* data, size_t size, bool call_start) {
  const bool http = connection.read.mask.seen_start() || connection.write.mask.seen_start();
  if (!connection.is_fastcgi && !http && call_start && BeginsFastCgiRequest({data, size})) {
    connection.is_fastcgi = true;
    direction.fastcgi.SetRequests();
  }
  connection.is_fastcgi ? direction.fastcgi.Feed(data, size, call_start) : direction.mask.Feed(data, size, call_start);
}

void Redactor::Redact(const EventView& event, char* record) {
  switch (event.header->type) {
    case SPANTAP_EVENT_OPEN:
      OnOpen(event.As<spantap_open_event>());
      break;
    case SPANTAP_EVENT_DATA:
      OnData(event.As<spantap_data_event>(), record + sizeof(spantap_data_event));
      break;
    case SPANTAP_EVENT_END:
      if (event.As<spantap_end_event>().reason != SPANTAP_END_CLOSED) break;
      if (const auto found = by_id_.find(event.header->conn_id); found != by_id_.end()) {
        connections_.erase(found->second);
        by_id_.erase(found);
      }
      break;
    default:
      break;
  }
}

}  // namespace spantap
