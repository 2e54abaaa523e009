// SPDX-License-Identifier: Apache-2.0
//
// Which processes call which over unreadable connections: however many are opened at once, and in whatever order their
// ends turn out to be unreadable, both ends find each other.
#include <catch2/catch.hpp>

#include "agent/link/encrypted_legs.h"
#include "bpf/events.h"

namespace spantap {
namespace {

constexpr uint32_t kCaller = 100;
constexpr uint32_t kCalled = 200;

// The caller's end of its connection from that port; or the called one's.
ConnectionEnds End(uint16_t port, bool dialled) {
  ConnectionEnds ends;
  ends.family = SPANTAP_FAMILY_INET;
  ends.local_addr[0] = ends.peer_addr[0] = 127;
  ends.local_port = dialled ? port : 15006;
  ends.peer_port = dialled ? 15006 : port;
  return ends;
}

void Dial(EncryptedLegs& legs, uint16_t port) { legs.Add(kCaller, End(port, true), Opener::kThis); }
void Take(EncryptedLegs& legs, uint16_t port) { legs.Add(kCalled, End(port, false), Opener::kPeer); }

}  // namespace

TEST_CASE("encrypted legs: as many as come at once", "[link][encrypted]") {
  EncryptedLegs legs;
  constexpr uint16_t kMany = 4000;
  for (uint16_t port = 1; port <= kMany; ++port) Dial(legs, port);
  CHECK(legs.Dials(kCaller));
  CHECK_FALSE(legs.Calls(kCaller, kCalled));
  for (uint16_t port = kMany; port >= 1; --port) Take(legs, port);
  CHECK(legs.Calls(kCaller, kCalled));
  CHECK_FALSE(legs.HasStrangers(kCalled));
}

TEST_CASE("encrypted legs: a port that is used again is another connection", "[link][encrypted]") {
  EncryptedLegs legs;
  Dial(legs, 7);
  Take(legs, 7);
  Take(legs, 7);  // of somebody who is not observed
  CHECK(legs.HasStrangers(kCalled));
}

TEST_CASE("encrypted legs: the oldest whose other end is nowhere make place", "[link][encrypted]") {
  EncryptedLegs legs;
  for (uint32_t i = 0; i < 3 * EncryptedLegs::kEnds; ++i) {
    ConnectionEnds ends = End(static_cast<uint16_t>(i), true);
    ends.local_addr[1] = static_cast<uint8_t>(i >> 16);
    legs.Add(kCaller, ends, Opener::kThis);
  }
  Dial(legs, 60000);
  Take(legs, 60000);
  CHECK(legs.Calls(kCaller, kCalled));
  CHECK_FALSE(legs.HasStrangers(kCalled));
  Take(legs, 1);  // was forgotten: nothing is claimed
  CHECK(legs.HasStrangers(kCalled));
}

}  // namespace spantap
