// SPDX-License-Identifier: Apache-2.0
//
// Every system call that moves socket bytes, with both hook families and the same expectations.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

constexpr Send kSends[] = {Send::kWrite,   Send::kWritev,   Send::kSendto,
                           Send::kSendmsg, Send::kSendmmsg, Send::kPwritev2};
constexpr Receive kReceives[] = {Receive::kRead,    Receive::kReadv,    Receive::kRecvfrom,
                                 Receive::kRecvmsg, Receive::kRecvmmsg, Receive::kPreadv2};
constexpr uint16_t kSendNumbers[] = {1, 20, 44, 46, 307, 328};
constexpr uint16_t kReceiveNumbers[] = {0, 19, 45, 47, 299, 327};

std::string Request(int number) { return "GET /" + std::to_string(number) + " HTTP/1.1\r\nHost: a\r\n\r\n"; }

void CheckCalls(const std::vector<Piece>& pieces, const uint16_t (&numbers)[6], uint16_t direction) {
  REQUIRE(pieces.size() == 6);
  uint64_t offset = 0;
  for (int i = 0; i < 6; ++i) {
    INFO("call " << numbers[i]);
    CHECK(pieces[i].syscall == numbers[i]);
    CHECK(pieces[i].data == Request(i));
    CHECK(pieces[i].offset == offset);
    CHECK(pieces[i].bytes == Request(i).size());
    CHECK(pieces[i].flags == (direction | SPANTAP_F_HEAD | SPANTAP_F_CALL_START | SPANTAP_F_CALL_END));
    offset += pieces[i].bytes;
  }
}

void ExchangeOnEveryCall(const Pair& pair) {
  for (int i = 0; i < 6; ++i) {
    MUST(SendBy(kSends[i], pair.client, {Request(i)}) == static_cast<ssize_t>(Request(i).size()));
    MUST(ReceiveBy(kReceives[i], pair.server, {4096}) == static_cast<ssize_t>(Request(i).size()));
  }
}

}  // namespace

TEST_CASE("calls: each one that moves bytes, on TCP", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] { ExchangeOnEveryCall(TcpPair()); });
  REQUIRE(seen.connections.size() == 2);
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  CheckCalls(client.out, kSendNumbers, SPANTAP_F_WRITE);
  CheckCalls(server.in, kReceiveNumbers, 0);
  CHECK(client.in.empty());
  CHECK(server.out.empty());
  // The two ends agree on the sequence numbers.
  CHECK(static_cast<uint32_t>(client.open.write_position) == static_cast<uint32_t>(server.open.read_position));
  CHECK(static_cast<uint32_t>(client.open.read_position) == static_cast<uint32_t>(server.open.write_position));
  CHECK(client.open.role == SPANTAP_ROLE_CONNECTED);
  CHECK(server.open.role == SPANTAP_ROLE_ACCEPTED);
  CHECK(client.open.netns != 0);
  CHECK(client.open.netns == server.open.netns);
  for (const Connection* end : {&client, &server}) {
    CHECK(end->open.header.flags == (SPANTAP_F_READ_FROM_START | SPANTAP_F_WRITE_FROM_START));
    CHECK(end->open.family == SPANTAP_FAMILY_INET);
    CHECK(end->open.local_addr[0] == 127);
    CHECK(end->open.peer_addr[3] == 1);
    CHECK(end->open.header.tgid == seen.child);
  }
}

TEST_CASE("calls: each one that moves bytes, on a Unix socket", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] { ExchangeOnEveryCall(UnixPair()); });
  REQUIRE(seen.order.size() == 2);
  const Connection& client = seen.connections.at(seen.order[0]);
  const Connection& server = seen.connections.at(seen.order[1]);
  CheckCalls(client.out, kSendNumbers, SPANTAP_F_WRITE);
  CheckCalls(server.in, kReceiveNumbers, 0);
  CHECK(client.open.family == SPANTAP_FAMILY_UNIX);
  CHECK(client.open.unix_pair != 0);
  CHECK(client.open.unix_pair == server.open.unix_pair);
  CHECK(client.open.local_port == 0);
}

TEST_CASE("calls: both address families and a mapped address", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const bool mapped = GENERATE(false, true);
  const Observation seen = Observe({.hooks = hooks}, [mapped] {
    const Pair pair = mapped ? MappedPair() : TcpPair(AF_INET6);
    SendAll(pair.client, Request(0));
    ReceiveAll(pair.server, Request(0).size());
  });
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  CHECK(client.open.family == (mapped ? SPANTAP_FAMILY_INET : SPANTAP_FAMILY_INET6));
  CHECK(server.open.family == SPANTAP_FAMILY_INET6);
  CHECK(server.open.peer_port == Shared().other_port);
  CHECK(server.open.local_addr[15] == 1);
  CHECK(server.open.local_addr[10] == (mapped ? 0xff : 0));
  CHECK(client.Text(true) == Request(0));
  CHECK(server.Text(false) == Request(0));
}

TEST_CASE("calls: peeked bytes are seen once", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, Request(0));
    for (const Receive how : {Receive::kRecvfrom, Receive::kRecvmsg, Receive::kRecvmmsg})
      MUST(ReceiveBy(how, pair.server, {4096}, MSG_PEEK) > 0);
    MUST(ReceiveBy(Receive::kRecvfrom, pair.server, {4096}) > 0);
  });
  const Connection& server = seen.Local(Shared().port);
  REQUIRE(server.in.size() == 1);
  CHECK(server.in[0].data == Request(0));
}

TEST_CASE("calls: truncated reads move the position and copy nothing", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, std::string(500, 'x') + Request(1));
    char unused[500] = "unchanged";
    MUST(recv(pair.server, unused, sizeof(unused), MSG_TRUNC) == 500);
    MUST(std::string(unused) == "unchanged");
    ReceiveAll(pair.server, Request(1).size());
  });
  const Connection& server = seen.Local(Shared().port);
  REQUIRE(server.in.size() == 2);
  CHECK(server.in[0].bytes == 500);
  CHECK(server.in[0].copied == 0);
  CHECK(server.in[0].Has(SPANTAP_F_KERNEL_BYTES | SPANTAP_F_CALL_START | SPANTAP_F_CALL_END));
  CHECK(server.in[1].offset == 500);
  CHECK(server.in[1].data == Request(1));
}

TEST_CASE("calls: sendfile counts bytes and copies none", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  constexpr size_t kBytes = 300'000;
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    FILE* file = tmpfile();
    MUST(ftruncate(fileno(file), kBytes) == 0);
    const pid_t reader = fork();
    if (reader == 0) {
      ReceiveAll(pair.server, kBytes);
      _exit(0);
    }
    off_t offset = 0;
    while (offset < static_cast<off_t>(kBytes)) MUST(sendfile(pair.client, fileno(file), &offset, kBytes) > 0);
    SendAll(pair.client, "tail");
  });
  const Connection& client = seen.Peer(Shared().port);
  REQUIRE(client.out.size() >= 2);
  uint64_t end = 0;
  for (const Piece& piece : client.out) {
    CHECK(piece.offset == end);
    end = piece.end();
    if (piece.data == "tail") continue;
    CHECK(piece.Has(SPANTAP_F_KERNEL_BYTES));
    CHECK(piece.copied == 0);
    CHECK(piece.syscall == 40);
  }
  CHECK(end == kBytes + 4);
}

TEST_CASE("calls: splice is a gap or a piece without content", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    int out[2], in[2];
    MUST(pipe(out) == 0 && pipe(in) == 0);
    SendAll(pair.client, Request(0));
    ReceiveAll(pair.server, Request(0).size());
    MUST(write(out[1], std::string(700, 's').data(), 700) == 700);
    MUST(splice(out[0], nullptr, pair.client, nullptr, 700, 0) == 700);
    MUST(splice(pair.server, nullptr, in[1], nullptr, 700, 0) == 700);
    SendAll(pair.client, Request(2));
    ReceiveAll(pair.server, Request(2).size());
  });
  const uint64_t after = Request(0).size() + 700;
  for (const std::vector<Piece>* pieces : {&seen.Peer(Shared().port).out, &seen.Local(Shared().port).in}) {
    REQUIRE(pieces->size() >= 2);
    CHECK(pieces->back().offset == after);
    CHECK(pieces->back().data == Request(2));
    CHECK(pieces->back().Has(SPANTAP_F_HEAD));
    if (pieces->size() > 2) CHECK((*pieces)[1].copied == 0);
  }
}

TEST_CASE("calls: several messages in one frame are a gap, counted", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    std::string texts[3] = {Request(0), Request(1), Request(2)};
    iovec vectors[3];
    mmsghdr messages[3] = {};
    for (int i = 0; i < 3; ++i) {
      vectors[i] = {texts[i].data(), texts[i].size()};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    MUST(sendmmsg(pair.client, messages, 3, 0) == 3);
    SendAll(pair.client, Request(3));
    ReceiveAll(pair.server, 4 * Request(0).size());
  });
  const std::vector<Piece>& out = seen.Peer(Shared().port).out;
  CHECK(seen.counters.foreign_frame > 0);
  REQUIRE(!out.empty());
  CHECK(out.back().offset == 3 * Request(0).size());
  CHECK(out.back().data == Request(3));
  for (const Piece& piece : out) CHECK((piece.copied == 0 || piece.data == Request(3)));
}

TEST_CASE("calls: datagrams, pipes and files make no event", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    int ends[2], pair[2];
    char buffer[64];
    MUST(pipe(ends) == 0);
    MUST(write(ends[1], "GET / HTTP/1.1\r\n\r\n", 18) == 18);
    MUST(read(ends[0], buffer, 64) == 18);
    for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
      MUST(socketpair(AF_UNIX, type, 0, pair) == 0);
      MUST(send(pair[0], "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
      MUST(recv(pair[1], buffer, 64, 0) == 18);
    }
  });
  CHECK(seen.connections.empty());
}

}  // namespace spantap::testing
