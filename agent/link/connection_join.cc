// SPDX-License-Identifier: Apache-2.0
#include "agent/link/connection_join.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/string_view.h"

namespace spantap {
namespace {

constexpr int kMaxLooked = 64;  // members with one key: chance makes it one, a hostile peer a few

bool IsTcp(const ConnectionEnds& endpoint) {
  return endpoint.family == SPANTAP_FAMILY_INET || endpoint.family == SPANTAP_FAMILY_INET6;
}

uint16_t ClientPort(const Node& node) {
  const ConnectionEnds& endpoint = node.exchange->endpoint;
  return node.role == Role::kClient ? endpoint.local_port : endpoint.peer_port;
}

// The client's address as 16 bytes, IPv4 as v4-mapped.
std::array<uint8_t, 16> ClientAddress(const Node& node) {
  const ConnectionEnds& endpoint = node.exchange->endpoint;
  const uint8_t* const from = node.role == Role::kClient ? endpoint.local_addr : endpoint.peer_addr;
  std::array<uint8_t, 16> address = {};
  if (endpoint.family == SPANTAP_FAMILY_INET6) {
    std::memcpy(address.data(), from, 16);
  } else {
    address[10] = address[11] = 0xff;
    std::memcpy(address.data() + 12, from, 4);
  }
  return address;
}

uint64_t JoinKey(const Node& node) {
  const ConnectionEnds& endpoint = node.exchange->endpoint;
  const uint64_t position = node.exchange->request_stamp.position;
  uint64_t key = 0;
  if (IsTcp(endpoint) && ClientPort(node) != 0) {
    key = HashCombine(ClientPort(node), static_cast<uint32_t>(position));
  } else if (endpoint.family == SPANTAP_FAMILY_UNIX && endpoint.unix_pair != 0) {
    key = HashCombine(endpoint.unix_pair, position);
  } else {
    return 0;
  }
  return key != 0 ? key : 1;
}

bool SameConnection(const Node& a, const Node& b) {
  const ConnectionEnds& left = a.exchange->endpoint;
  const ConnectionEnds& right = b.exchange->endpoint;
  if (a.role == b.role || left.conn_id == right.conn_id) return false;
  if (a.request.method_target != b.request.method_target) return false;
  const uint64_t left_position = a.exchange->request_stamp.position;
  const uint64_t right_position = b.exchange->request_stamp.position;
  if (IsTcp(left) != IsTcp(right)) return false;
  if (!IsTcp(left)) return left.unix_pair == right.unix_pair && left_position == right_position;
  return ClientPort(a) == ClientPort(b) &&
         static_cast<uint32_t>(left_position) == static_cast<uint32_t>(right_position) &&
         ClientAddress(a) == ClientAddress(b);
}

}  // namespace

Node* ConnectionJoin::Find(Node& node) {
  node.join_key = JoinKey(node);
  if (node.join_key == 0) return nullptr;
  Node* found = nullptr;
  waiting_.Each(node.join_key, kMaxLooked, [&](Member& member) {
    Node& other = static_cast<Node&>(member);
    if (SameConnection(node, other)) found = &other;
    return found == nullptr;
  });
  if (found == nullptr) {
    waiting_.Add(node.join_key, node.hooks[kSlotJoin]);
    return nullptr;
  }
  Forget(*found);
  node.joined = found->joined = true;
  return found;
}

void ConnectionJoin::Forget(Node& node) {
  if (node.join_key != 0 && !node.joined) waiting_.Remove(node.join_key, node.hooks[kSlotJoin]);
}

bool ConnectionJoin::Lonely(const Node& node) const {
  const uint64_t conn_id = node.exchange->endpoint.conn_id;
  return lonely_[HashCombine(conn_id, 0) % lonely_.size()] == conn_id;
}

void ConnectionJoin::NoteLonely(const Node& node, bool lonely) {
  const uint64_t conn_id = node.exchange->endpoint.conn_id;
  uint64_t& cell = lonely_[HashCombine(conn_id, 0) % lonely_.size()];
  if (lonely) {
    cell = conn_id;
  } else if (cell == conn_id) {
    cell = 0;
  }
}

}  // namespace spantap
