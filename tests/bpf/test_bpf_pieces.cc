// SPDX-License-Identifier: Apache-2.0
//
// What the selector copies of a call: heads, bodies, iovecs, orders.
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/agent/protocols/fastcgi_wire.h"
#include "tests/bpf/observe.h"
#include "tests/bpf/sockets.h"

namespace spantap::testing {
namespace {

const std::string kHead = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";

std::string Body(size_t bytes) {
  std::string body(bytes, 'b');
  for (size_t i = 0; i < bytes; ++i) body[i] = static_cast<char>('a' + i % 23);
  return body;
}

}  // namespace

TEST_CASE("pieces: a head in three buffers and its body in a fourth", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    MUST(SendBy(Send::kWritev, pair.client, {"HTTP/1.1 ", "", "200 OK\r\nA: b", "\r\n\r\n", Body(300)}) == 325);
    MUST(ReceiveBy(Receive::kReadv, pair.server, {5, 10, 4096}) == 325);
  });
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  // A call that begins with a head is copied whole up to head_bytes: where the head ends is not known here.
  const std::string whole = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + Body(300);
  CHECK(client.Text(true) == whole);
  CHECK(server.Text(false) == whole);
  REQUIRE(client.out.size() == 4);
  CHECK(client.out[0].Has(SPANTAP_F_HEAD | SPANTAP_F_CALL_START));
  CHECK_FALSE(client.out[0].Has(SPANTAP_F_CALL_END));
  CHECK_FALSE(client.out[1].Has(SPANTAP_F_HEAD));
  CHECK_FALSE(client.out[1].Has(SPANTAP_F_CALL_START));
  CHECK(client.out[3].Has(SPANTAP_F_CALL_END));
  REQUIRE(server.in.size() == 3);
}

TEST_CASE("pieces: of a body call the first 32 and the last 64 bytes, across buffers", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string body = Body(131072);
  const Observation seen = Observe({.hooks = hooks}, [&body] {
    const Pair pair = TcpPair();
    const int room = 1 << 20;
    setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    SendAll(pair.client, kHead);
    ReceiveAll(pair.server, kHead.size());
    std::vector<std::string> parts;
    for (size_t i = 0; i < 8; ++i) parts.push_back(body.substr(i * 16384, 16384));
    MUST(SendBy(Send::kWritev, pair.client, parts) == 131072);
    size_t got = 0;
    while (got < body.size()) {
      const ssize_t bytes = ReceiveBy(Receive::kReadv, pair.server, std::vector<size_t>(8, 16384));
      MUST(bytes > 0);
      got += static_cast<size_t>(bytes);
    }
    // The last bytes lie in two buffers: 40 + 24.
    MUST(SendBy(Send::kWritev, pair.client, {body.substr(0, 20), body.substr(20, 300), body.substr(320, 24)}) == 344);
  });
  const std::vector<Piece>& out = seen.Peer(Shared().port).out;
  REQUIRE(out.size() == 7);
  CHECK(out[0].data == kHead);
  CHECK(out[1].data == body.substr(0, 32));
  CHECK(out[1].offset == kHead.size());
  CHECK(out[1].Has(SPANTAP_F_CALL_START));
  CHECK(out[2].data == body.substr(131072 - 64));
  CHECK(out[2].end() == kHead.size() + 131072);
  CHECK(out[2].Has(SPANTAP_F_CALL_END));
  CHECK(out[3].data == body.substr(0, 20));
  CHECK(out[4].data == body.substr(20, 12));
  CHECK(out[5].data == body.substr(280, 40));
  CHECK(out[6].data == body.substr(320, 24));
  // The reader's calls end where they end; every one shows its first and last bytes at the right place.
  const std::vector<Piece>& in = seen.Local(Shared().port).in;
  for (size_t i = 1; i < in.size(); ++i) {
    CHECK(in[i].data == body.substr(in[i].offset - kHead.size(), in[i].bytes));
    CHECK((in[i].bytes == 32 || in[i].bytes == 64 || in[i].bytes <= 128));
  }
  CHECK(in.back().end() == kHead.size() + body.size());
}

TEST_CASE("pieces: body calls of at most 128 bytes are copied whole", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, kHead);
    for (const size_t bytes : {1, 32, 33, 97, 128, 129}) SendAll(pair.client, "<" + Body(bytes - 1));
  });
  const std::vector<Piece>& out = seen.Peer(Shared().port).out;
  REQUIRE(out.size() == 8);
  for (size_t i = 1; i <= 5; ++i) CHECK(out[i].Has(SPANTAP_F_CALL_START | SPANTAP_F_CALL_END));
  CHECK(out[5].bytes == 128);
  CHECK(out[6].bytes == 32);
  CHECK(out[7].bytes == 64);
  CHECK(out[7].offset == out[6].end() + 33);
}

TEST_CASE("pieces: a head that arrives in many calls", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string head = "GET /split HTTP/1.1\r\nHost: a\r\nX: " + std::string(400, 'x') + "\r\n\r\n";
  const Observation seen = Observe({.hooks = hooks}, [&head] {
    const Pair pair = TcpPair();
    SendAll(pair.client, head.substr(0, 1));
    SendAll(pair.client, head.substr(1, 11));
    SendAll(pair.client, head.substr(12));  // more than a body call would show
    SendAll(pair.client, Body(200));        // the empty line has ended the head
  });
  const Connection& client = seen.Peer(Shared().port);
  REQUIRE(client.out.size() == 5);
  CHECK(client.out[0].data + client.out[1].data + client.out[2].data == head);
  CHECK(client.out[0].Has(SPANTAP_F_HEAD));
  CHECK_FALSE(client.out[2].Has(SPANTAP_F_HEAD));
  CHECK(client.out[3].bytes == 32);
  CHECK(client.out[4].bytes == 64);
}

TEST_CASE("pieces: a head beyond the cap is cut at it, and the call's end still shows", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const uint32_t cap = GENERATE(200, 4096, 10'000);
  const std::string head = "GET /long HTTP/1.1\r\nX: " + Body(20'000) + "\r\n\r\n";
  const Observation seen = Observe({.hooks = hooks, .head_bytes = cap}, [&head] {
    const Pair pair = TcpPair();
    MUST(write(pair.client, head.data(), head.size()) == static_cast<ssize_t>(head.size()));
    SendAll(pair.client, Body(500));
  });
  const std::vector<Piece>& out = seen.Peer(Shared().port).out;
  const size_t steps = (cap + 4095) / 4096;
  REQUIRE(out.size() == steps + 3);
  std::string copied;
  for (size_t i = 0; i < steps; ++i) copied += out[i].data;
  CHECK(copied == head.substr(0, cap));
  CHECK(out[steps].data == head.substr(head.size() - 64));
  CHECK(out[steps + 1].bytes == 32);
}

TEST_CASE("pieces: pipelined requests in one call come whole", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  std::string text;
  for (int i = 0; i < 20; ++i) text += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  const Observation seen = Observe({.hooks = hooks}, [&text] {
    const Pair pair = TcpPair();
    SendAll(pair.client, text);
    ReceiveAll(pair.server, text.size());
  });
  CHECK(seen.Local(Shared().port).Text(false) == text);
}

TEST_CASE("pieces: FastCGI as PHP-FPM reads it, and its answer", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string begin = FcgiBegin(), params = FcgiPairs({{"REQUEST_URI", std::string(500, '/')}});
  const std::string request = begin + FcgiRecord(4, 1, params) + FcgiRecord(4, 1, "") + FcgiRecord(5, 1, "");
  const std::string answer = FcgiRecord(6, 1, "Content-type: text/html\r\n\r\n" + Body(200)),
                    more = FcgiRecord(6, 1, Body(300));
  const Observation seen = Observe({.hooks = hooks, .turns = true}, [&] {
    const Pair pair = TcpPair();
    for (int i = 0; i < 2; ++i) {
      SendAll(pair.client, request);
      for (const size_t bytes : {size_t{8}, size_t{8}, size_t{8}, params.size(), size_t{8}})
        ReceiveAll(pair.server, bytes);
      SendAll(pair.server, answer);
      SendAll(pair.server, more + FcgiEnd());
      ReceiveAll(pair.client, answer.size());
      ReceiveAll(pair.client, more.size() + 16);
      ReceiveAll(pair.server, 8);  // the empty STDIN, late
    }
  });
  const Connection& client = seen.Peer(Shared().port);
  const Connection& server = seen.Local(Shared().port);
  // Heads come whole. A later record of an answer begins no message.
  CHECK(server.Text(false) == request + request);
  CHECK(client.Text(true) == request + request);
  const auto heads = [](const std::vector<Piece>& pieces) {
    return std::count_if(pieces.begin(), pieces.end(), [](const Piece& piece) { return piece.Has(SPANTAP_F_HEAD); });
  };
  for (const std::vector<Piece>* pieces : {&client.out, &client.in, &server.out, &server.in}) {
    CHECK(heads(*pieces) == 2);
    CHECK(pieces->front().Has(SPANTAP_F_HEAD | SPANTAP_F_COUNTED));
  }
  CHECK(server.in.front().bytes == 8);
  CHECK(server.out[0].bytes == answer.size());
  CHECK(server.out[1].bytes == more.size() + 16);  // what is left of the head's window
  // One thread did it all: both ends' requests and answers, in turn.
  uint32_t nreq = 0, nread = 0, nwrite = 0;
  for (const std::vector<Piece>* pieces : {&client.out, &client.in, &server.out, &server.in}) {
    for (const Piece& piece : *pieces) {
      nreq = std::max(nreq, piece.turns.nreq);
      nread = std::max(nread, piece.turns.nread);
      nwrite = std::max(nwrite, piece.turns.nwrite);
    }
  }
  CHECK(nreq == 2);
  CHECK(nread == 4);
  CHECK(nwrite == 4);
}

TEST_CASE("pieces: more buffers than we look at are counted", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    std::vector<std::string> buffers(SPANTAP_MAX_IOVECS, "x");
    buffers[0] = "GET / HTTP/1.1\r\n";
    MUST(SendBy(Send::kWritev, pair.client, buffers) > 0);
    buffers.emplace_back("last");
    MUST(SendBy(Send::kWritev, pair.client, buffers) > 0);
    SendAll(pair.client, "GET /next HTTP/1.1\r\n\r\n");
  });
  const Connection& client = seen.Peer(Shared().port);
  CHECK(seen.counters.iovecs == 1);
  REQUIRE(client.out.size() == 2 * SPANTAP_MAX_IOVECS + 1);
  CHECK(client.out.back().data == "GET /next HTTP/1.1\r\n\r\n");
  CHECK(client.out.back().offset == client.out[client.out.size() - 2].end() + 4);
}

TEST_CASE("pieces: an unreadable buffer is said and counted", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const Observation seen = Observe({.hooks = hooks}, [] {
    const Pair pair = TcpPair();
    // The iovec array itself lies in the buffer that is read into: afterwards its pointers are wild.
    alignas(16) char memory[64] = {};
    auto* vector = reinterpret_cast<iovec*>(memory);
    *vector = {memory, sizeof(memory)};
    SendAll(pair.client, std::string(64, 'w'));
    MUST(readv(pair.server, vector, 1) == 64);
  });
  const Connection& server = seen.Local(Shared().port);
  REQUIRE(server.in.size() == 1);
  CHECK(server.in[0].bytes == 64);
  CHECK(server.in[0].copied == 0);
  CHECK(server.in[0].Has(SPANTAP_F_UNREADABLE));
  CHECK(seen.counters.unreadable == 1);
}

TEST_CASE("orders: muted bytes make no event, the first byte behind them may begin a head", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  const std::string next = "GET /next HTTP/1.1\r\nX: " + Body(300) + "\r\n\r\n";
  constexpr size_t kBody = 100'000;
  Observed how{.hooks = hooks};
  how.on_phase = [](BpfSource& source, Observation& so_far) {
    const Connection& client = so_far.Peer(Shared().port);
    source.Order(client.open.header.conn_id, {0, client.open.write_position + kHead.size() + kBody});
  };
  const Observation seen = Observe(how, [&next] {
    const Pair pair = TcpPair();
    const int room = 1 << 20;
    setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    SendAll(pair.client, kHead);
    SendAll(pair.client, Body(1000));
    Phase();
    for (int i = 0; i < 49; ++i) SendAll(pair.client, Body(2000));
    // The last 1000 bytes of the body and the next message in one call.
    SendAll(pair.client, Body(1000) + next);
    SendAll(pair.client, Body(200));
  });
  const std::vector<Piece>& out = seen.Peer(Shared().port).out;
  REQUIRE(out.size() == 6);
  CHECK(out[2].end() == kHead.size() + 1000);
  CHECK(out[3].offset == kHead.size() + kBody);
  CHECK(out[3].data == next);
  CHECK(out[3].Has(SPANTAP_F_HEAD | SPANTAP_F_CALL_END));
  CHECK_FALSE(out[3].Has(SPANTAP_F_CALL_START));
  CHECK(out[4].bytes == 32);
}

TEST_CASE("orders: a connection muted for good stays silent until its end", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  Observed how{.hooks = hooks};
  how.on_phase = [](BpfSource& source, Observation& so_far) {
    source.Order(so_far.Peer(Shared().port).open.header.conn_id, {~0ull, ~0ull});
  };
  const Observation seen = Observe(how, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, std::string("\x16\x03\x01", 3) + Body(500));
    Phase();
    for (int i = 0; i < 20; ++i) SendAll(pair.client, Body(5000));
    close(pair.server);
    close(pair.client);
  });
  const Connection& client = seen.Peer(Shared().port);
  CHECK(client.out.size() == 2);
  CHECK((client.Ended(SPANTAP_END_CLOSED) || client.Ended(SPANTAP_END_RESET)));
}

TEST_CASE("orders: one that arrives late does no harm", "[bpf]") {
  if (!CanLoad()) return;
  const HookFamily hooks = GENERATE(from_range(Families()));
  Observed how{.hooks = hooks};
  how.on_phase = [](BpfSource& source, Observation& so_far) {
    const Connection& client = so_far.Peer(Shared().port);
    source.Order(client.open.header.conn_id, {0, client.open.write_position + 10});
  };
  const Observation seen = Observe(how, [] {
    const Pair pair = TcpPair();
    SendAll(pair.client, kHead);
    Phase();
    SendAll(pair.client, Body(40));
    SendAll(pair.client, kHead);
  });
  CHECK(seen.Peer(Shared().port).Text(true) == kHead + Body(40) + kHead);
}

}  // namespace spantap::testing
