// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/agent/cause/loop.h"

namespace spantap {
namespace {

constexpr Label kCall = 5;

// A loop whose handlers call in the turn after their request was read.
class Loop : public cause_test::Loop {
 public:
  Loop() {
    Progress at{Handler{}};
    Learn(at, kCall, 1);
  }
  Call& Out(Label label = kCall) { return cause_test::Loop::Out(label); }
};

TEST_CASE("simulation: first come, first served", "[cause]") {
  Loop loop;
  Handler& a = loop.In();
  Handler& b = loop.In();
  Handler& c = loop.In();
  loop.Turn();
  Call& x = loop.Out();
  Call& y = loop.Out();
  Call& z = loop.Out();
  CHECK(x.proposed == nullptr);  // the turn is not over
  loop.Finish();
  CHECK(x.proposed == &a);
  CHECK(y.proposed == &b);
  CHECK(z.proposed == &c);
  CHECK(x.proposal == Proposal::kDue);
}

TEST_CASE("simulation: calls of a later turn are a later request's", "[cause]") {
  Loop loop;
  Handler& a = loop.In();
  loop.Turn();
  Handler& b = loop.In();
  Call& x = loop.Out();
  loop.Turn();
  Call& y = loop.Out();
  loop.Finish();
  CHECK(x.proposed == &a);
  CHECK(y.proposed == &b);
}

TEST_CASE("simulation: what nobody is to send is nobody's", "[cause]") {
  Loop loop;
  Handler& a = loop.In();
  loop.Turn();
  Call& other = loop.Out(kCall + 1);
  Call& x = loop.Out();
  loop.Finish();
  CHECK(other.proposed == nullptr);
  CHECK(x.proposed == &a);
}

TEST_CASE("simulation: a call without a connection leaves with the next that becomes free", "[cause]") {
  Loop loop;
  Handler& a = loop.In();
  loop.Turn();
  loop.Finish();  // it was due, and did not come
  loop.Turn();
  Call late;
  late.id = 2000, late.label = kCall, late.dequeued = true;
  late.sent = {9'000'000, 1, 50, 0, 0, 0, true};
  loop.simulation.OnOutgoing(late);
  Call marker;
  marker.id = 2001, marker.label = kCall + 1;
  marker.sent = {9'100'000, 1, 51, 0, 0, 0, true};
  loop.simulation.OnOutgoing(marker);
  CHECK(late.proposed == &a);
  CHECK(late.proposal == Proposal::kQueue);
  loop.simulation.Forget(late);
  loop.simulation.Forget(marker);
  CHECK(a.proposed.empty());
}

TEST_CASE("simulation: what is known stands, whatever was proposed", "[cause]") {
  Loop loop;
  Handler& a = loop.In();
  Handler& b = loop.In();
  loop.Turn();
  Call& x = loop.Out();
  Call& y = loop.Out();
  loop.Finish();
  loop.simulation.OnKnown(x, &b);
  CHECK(x.proposed == &b);
  CHECK(x.proposal == Proposal::kKnown);
  CHECK(a.proposed.empty());
  CHECK(b.proposed.size() == 2);
  loop.simulation.OnKnown(y, nullptr);
  CHECK(y.proposed == nullptr);
  CHECK(b.proposed.size() == 1);
}

TEST_CASE("simulation: handlers and calls may go at any time", "[cause]") {
  Loop loop;
  Handler& a = loop.In();
  Handler& b = loop.In();
  loop.Turn();
  Call& x = loop.Out();
  Call& y = loop.Out();
  loop.simulation.Forget(a);
  loop.simulation.Forget(x);
  loop.Finish();
  CHECK(x.proposed == nullptr);
  CHECK(y.proposed == &b);
}

}  // namespace
}  // namespace spantap
