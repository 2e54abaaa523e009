// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <random>

#include "agent/capture/redactor.h"
#include "tests/agent/capture/event_maker.h"

namespace spantap {
namespace {

constexpr uint16_t kRead = SPANTAP_F_CALL_START | SPANTAP_F_CALL_END;
constexpr uint16_t kWrite = kRead | SPANTAP_F_WRITE;

// Feeds one connection; positions follow by themselves.
class Wire {
 public:
  explicit Wire(bool from_start = true) {
    EventRecord open = MakeOpen(1, SPANTAP_ROLE_ACCEPTED, from_start);
    redactor_.Redact(open.view(), open.bytes());
  }
  std::string Send(uint16_t flags, const std::string& bytes, uint32_t true_bytes = 0) {
    uint64_t& position = flags & SPANTAP_F_WRITE ? written_ : read_;
    const std::string masked = At(flags, position, bytes, true_bytes);
    position += std::max<uint64_t>(bytes.size(), true_bytes);
    return masked;
  }
  std::string At(uint16_t flags, uint64_t position, const std::string& bytes, uint32_t true_bytes = 0) {
    EventRecord source = MakeData({1, position, true_bytes, flags, 1}, bytes), copy = source;
    redactor_.Redact(source.view(), copy.bytes());
    return std::string(copy.bytes() + sizeof(spantap_data_event), bytes.size());
  }
  void Lose(uint16_t flags, uint64_t bytes) { (flags & SPANTAP_F_WRITE ? written_ : read_) += bytes; }
  std::string Read(const std::string& bytes, uint32_t true_bytes = 0) { return Send(kRead, bytes, true_bytes); }
  std::string Write(const std::string& bytes, uint32_t true_bytes = 0) { return Send(kWrite, bytes, true_bytes); }

 private:
  Redactor redactor_;
  uint64_t read_ = 0, written_ = 0;
};

const char kGet[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

TEST_CASE("redactor: each secret header, and nothing else in a head", "[redactor]") {
  const std::string head =
      "GET /path?q=1 HTTP/1.1\r\nHost: example\r\nAuthorization: Bearer abc.def\r\ncookie: a=b; c=d\r\n"
      "X-API-KEY:\tk1 \r\nProxy-Authorization: Basic Zm9v\r\nX-Request-Id: 7\r\nCookies: plain\r\n"
      "X-Authorization: plain\r\n\r\n";
  CHECK(Wire().Read(head) ==
        "GET /path?q=1 HTTP/1.1\r\nHost: example\r\nAuthorization: ****** *******\r\ncookie: **** ***\r\n"
        "X-API-KEY:\t** \r\nProxy-Authorization: ***** ****\r\nX-Request-Id: 7\r\nCookies: plain\r\n"
        "X-Authorization: plain\r\n\r\n");
  Wire wire;
  wire.Read(kGet);
  CHECK(wire.Write("HTTP/1.1 200 OK\r\nSet-Cookie: s=1; HttpOnly\r\nContent-Length: 5\r\n\r\nhello") ==
        "HTTP/1.1 200 OK\r\nSet-Cookie: **** ********\r\nContent-Length: 5\r\n\r\nxxxxx");
}

TEST_CASE("redactor: the same at every split point", "[redactor]") {
  const std::string head =
      "POST / HTTP/1.1\r\nAUTHORIZATION : Bearer abc\r\nContent-Length: 3\r\n\r\nabc" + std::string(kGet);
  const std::string masked =
      "POST / HTTP/1.1\r\nAUTHORIZATION : ****** ***\r\nContent-Length: 3\r\n\r\nxxx" + std::string(kGet);
  for (size_t split = 0; split <= head.size(); ++split) {
    Wire wire;
    INFO("split " << split);
    const std::string first = wire.Read(head.substr(0, split));
    CHECK(first + wire.Read(head.substr(split)) == masked);
  }
  Wire wire;
  std::string bytewise;
  for (char c : head) bytewise += wire.Read(std::string(1, c));
  CHECK(bytewise == masked);
}

TEST_CASE("redactor: folded lines and lines that are no headers", "[redactor]") {
  CHECK(Wire().Read("GET / HTTP/1.1\r\nCookie: a\r\n b\r\n\tc\r\nHost: h\r\n more\r\n\r\n") ==
        "GET / HTTP/1.1\r\nCookie: *\r\n *\r\n\t*\r\nHost: h\r\n more\r\n\r\n");
  CHECK(Wire().Read("GET / HTTP/1.1\r\nHost: h\r\n Authorization: x\r\n y\r\n\r\n") ==
        "GET / HTTP/1.1\r\nHost: h\r\n Authorization: *\r\n *\r\n\r\n");
  CHECK(Wire().Read("GET / HTTP/1.1\r\n Cookie: x\r\n\r\n") == "GET / HTTP/1.1\r\n Cookie: *\r\n\r\n");
  CHECK(Wire().Read("GET / HTTP/1.1\r\nAuthorization Basic x\r\nCook\x01ie: y\r\n\r\n") ==
        "GET / HTTP/1.1\r\nAuthorization ***** *\r\nCook**** *\r\n\r\n");
  CHECK(Wire().Read("GET / HTTP/1.1\nCookie: x\nA: b\n\n") == "GET / HTTP/1.1\nCookie: *\nA: b\n\n");
}

TEST_CASE("redactor: bodies go, framing stays", "[redactor]") {
  Wire wire;
  wire.Read(kGet);
  CHECK(wire.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
                   "5;note=\"secret\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nSet-Cookie: t\r\nEtag: e\r\n\r\n") ==
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
        "5;xxxxxxxxxxxxx\r\nxxxxx\r\nA\r\nxxxxxxxxxx\r\n0\r\nSet-Cookie: *\r\nEtag: e\r\n\r\n");
  wire.Read("HEAD / HTTP/1.1\r\n\r\n" + std::string(kGet) + kGet);
  CHECK(wire.Write("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n"
                   "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end") ==
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n"
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\n\r\nxxxxxxxxxxxxx");
  CHECK(wire.Write("HTTP/1.1 200 OK\r\n") == "xxxxxxxxxxxxxxx\r\n");  // still the same body
}

std::string Zeros(const std::string& text) {
  std::string bytes = text;
  std::replace(bytes.begin(), bytes.end(), '0', '\0');
  return bytes;
}
// Records, '0' for the byte 0. Bytes that nobody writes are masked, too: here they are it already.
const std::string kBegin = Zeros(
                               "\1\1"
                               "0\1"
                               "0\10"
                               "00"
                               "0\1"
                               "000") +
                           "xxx";
const std::string kNoParams = Zeros(
    "\1\4"
    "0\1"
    "0000");
const std::string kNoStdin = Zeros(
    "\1\5"
    "0\1"
    "0000");
const std::string kFcgiEnd = Zeros(
                                 "\1\3"
                                 "0\1"
                                 "0\10"
                                 "00"
                                 "00000") +
                             "xxx";

std::string Record(char type, const std::string& content, const std::string& padding = "") {
  return Zeros("\1") + type + Zeros("0\1") + static_cast<char>(content.size() >> 8) +
         static_cast<char>(content.size()) + static_cast<char>(padding.size()) + '\0' + content + padding;
}

TEST_CASE("redactor: FastCGI, parameters of the request only", "[redactor]") {
  const std::string plain =
      "\16\3REQUEST_METHODGET\13\2REQUEST_URI/a\13\13HTTP_COOKIEa=b; "
      "c=defg\13\7DB_PASSWORDhunter2\13\7HTTP_X_TOKEvisible";
  const std::string masked =
      "\16\3REQUEST_METHODGET\13\2REQUEST_URI/a\13\13HTTP_COOKIE**** "
      "******\13\7DB_PASSWORD*******\13\7HTTP_X_TOKEvisible";
  const std::string wire = kBegin + Record(4, plain, "pad") + kNoParams + Record(5, "body", "p") + kNoStdin + kBegin;
  const std::string wanted = kBegin + Record(4, masked, "xxx") + kNoParams + Record(5, "xxxx", "x") + kNoStdin + kBegin;
  CHECK(Wire().Read(wire) == wanted);
  for (size_t split = kBegin.size() / 2; split < wire.size(); ++split) {
    Wire cut(split % 2 == 0);
    INFO("split " << split);
    const std::string first = cut.Read(wire.substr(0, split));
    CHECK(first + cut.Read(wire.substr(split)) == wanted);
  }
  // Over several records; lengths of four bytes.
  Wire wire2;
  CHECK(wire2.Read(kBegin +
                   Record(4, Zeros("\x80"
                                   "00\13\x80"
                                   "00\3HTTP_CO")) +
                   Record(4, "OKIEa") + Record(4, "bc")) == kBegin +
                                                                Record(4, Zeros("\x80"
                                                                                "00\13\x80"
                                                                                "00\3HTTP_CO")) +
                                                                Record(4, "OKIE*") + Record(4, "**"));
}

TEST_CASE("redactor: FastCGI, an answer's headers and none of its body", "[redactor]") {
  Wire wire;
  wire.Read(kBegin + kNoParams + kNoStdin);
  const std::string head = "Status: 200 OK\r\nSet-Cookie: s=1; b\r\nset-cookie : x\n\tmore\nA: b\r\n\r\n";
  const std::string kept = "Status: 200 OK\r\nSet-Cookie: **** *\r\nset-cookie : *\n\t****\nA: b\r\n\r\n";
  CHECK(wire.Write(Record(7, "a log line") + Record(6, head + "bo") + Record(6, "A: dy", "p") + kFcgiEnd) ==
        Record(7, "xxxxxxxxxx") + Record(6, kept + "xx") + Record(6, "xxxxx", "x") + kFcgiEnd);
  // What looks like a head behind a gap is body.
  wire.Lose(kWrite, 5);
  const std::string looks = Record(6, "Password: p\r\n\r\n");
  CHECK(wire.Write(looks) == std::string(looks.size(), 'x'));
  CHECK(wire.Write("rest of the body" + kFcgiEnd) == std::string(16, 'x') + kFcgiEnd);
}

TEST_CASE("redactor: FastCGI garbage, and no secret behind any of it", "[redactor]") {
  const std::string secret = "SECRETVALUE";
  const std::string request =
      kBegin + Record(4, "\13\2REQUEST_URI/a\13\13HTTP_COOKIE" + secret) + kNoParams + Record(5, secret) + kNoStdin;
  const std::string answer = Record(6, "A: b\r\nSet-Cookie: " + secret + "\r\n\r\n" + secret) + kFcgiEnd;
  std::mt19937 random(7);
  for (int round = 0; round < 4000; ++round) {
    Wire wire(round % 2 == 0);
    std::string seen[2];
    wire.Read(kBegin + kNoParams + kNoStdin);
    for (int n = 0; n < 6; ++n) {
      const uint16_t flags = random() % 2 == 0 ? kRead : kWrite;
      std::string bytes = flags == kRead ? request : answer;
      // Garbage of both kinds: bytes changed in headers only (a changed name is another parameter), and bytes lost.
      if (random() % 3 == 0) bytes[random() % 8] = static_cast<char>(random());
      for (size_t at = 0; at < bytes.size();) {
        const std::string part = bytes.substr(at, 8 + random() % 60);
        at += part.size();
        if (random() % 8 == 0) {
          wire.Lose(flags, part.size());
          seen[flags == kWrite] += "~";
        } else {
          seen[flags == kWrite] += wire.Send(flags, part);
        }
      }
    }
    INFO("round " << round << "\n" << seen[0] << "\n" << seen[1]);
    CHECK(seen[0].find("SECRETV") == std::string::npos);
    CHECK(seen[1].find("SECRETV") == std::string::npos);
  }
}

TEST_CASE("redactor: FastCGI behind a gap", "[redactor]") {
  Wire wire;
  wire.Read(kBegin + Record(4, "\13\2REQUEST_URI/a").substr(0, 12));
  wire.Lose(kRead, 400);
  CHECK(wire.Read("SECRET=1") == "xxxxxxxx");
  CHECK(wire.Read(kBegin) == kBegin);
  CHECK(wire.Read(Record(4, "\1\1ab")) == Record(4, "\1\1a*"));
  // Bytes of a record that were left out on purpose.
  CHECK(wire.Read(Record(4, std::string(200, 'v')).substr(0, 8), 108) == Record(4, std::string(200, 'v')).substr(0, 8));
  CHECK(wire.Read(std::string(100, 'v')) == std::string(100, '*'));
  CHECK(wire.Read(kNoParams + Record(5, "body")) == kNoParams + Record(5, "xxxx"));
  // What was HTTP stays HTTP.
  Wire http;
  http.Read("POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n");
  CHECK(http.Read(kBegin) == std::string(kBegin.size(), 'x'));
}

TEST_CASE("redactor: lost body bytes do not lose the framing", "[redactor]") {
  Wire wire;
  wire.Read("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\nabc", 1042);
  CHECK(wire.Read(kGet) == kGet);
  wire.Read("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
  wire.Lose(kRead, 1000);
  CHECK(wire.Send(SPANTAP_F_CALL_END, "\r\n2\r\nab\r\n0\r\n\r\n") == "\r\n2\r\nxx\r\n0\r\n\r\n");
  CHECK(wire.Read(kGet) == kGet);
}

TEST_CASE("redactor: behind a gap everything goes until a message begins", "[redactor]") {
  Wire wire;
  wire.Read("GET / HTTP/1.1\r\nAuthorization: Bearer ab");
  wire.Lose(kRead, 10);
  CHECK(wire.Read("cdef\r\nX-Other: also\r\n\r\n") == "xxxx\r\nxxxxxxxxxxxxx\r\n\r\n");
  CHECK(wire.Read("SECRET more\r\n") == "xxxxxxxxxxx\r\n");
  CHECK(wire.Read("POST") == "POST");  // may become a head
  CHECK(wire.Read("SECRET") == "xxxxxx");
  CHECK(wire.Read(kGet) == kGet);
  // Inside a call no parser resumes either.
  wire.Lose(kRead, 1);
  CHECK(wire.Send(SPANTAP_F_CALL_END, "GET / HTTP/1.1\r\n\r\n") == "xxxxxxxxxxxxxx\r\n\r\n");
  CHECK(wire.Send(SPANTAP_F_CALL_END | SPANTAP_F_HEAD, kGet) == kGet);
}

TEST_CASE("redactor: joining late, eviction, tunnels, other protocols", "[redactor]") {
  Wire late(false);
  CHECK(late.Read("tail of a body") == "xxxxxxxxxxxxxx");
  CHECK(late.Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") == "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  // That may have answered a HEAD.
  CHECK(late.Write("HTTP/1.1 200 OK\r\nCookie: a\r\n\r\n") == "HTTP/1.1 200 OK\r\nCookie: *\r\n\r\n");

  Wire tunnel;
  tunnel.Read("CONNECT h:443 HTTP/1.1\r\n\r\n");
  tunnel.Write("HTTP/1.1 200 OK\r\n\r\n");
  CHECK(tunnel.Read(kGet) == "xxxxxxxxxxxxxxx\r\nxxxxxxx\r\n\r\n");
  Wire upgrade;
  upgrade.Read("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
  upgrade.Write("HTTP/1.1 101 Switching\r\n\r\n");
  CHECK(upgrade.Write("\x81\x05hello") == "xxxxxxx");
  CHECK(upgrade.Read("GET /") == "xxxxx");

  CHECK(Wire().Read("AUTH secret\r\nGET key\r\n") == "xxxxxxxxxxx\r\nxxxxxxx\r\n");
  CHECK(Wire().Read("\x16\x03\x01\x02") == "xxxx");
}

TEST_CASE("redactor: bytes seen twice", "[redactor]") {
  Wire wire;
  const std::string head = "GET / HTTP/1.1\r\nCookie: abc\r\n\r\n";
  wire.At(kRead, 0, head.substr(0, 27));
  CHECK(wire.At(kRead, 16, "Cookie: abc\r\n\r\n") == "xxxxxxxxxxx\r\n\r\n");
  CHECK(wire.At(kRead, 0, head) == std::string(head.size(), 'x'));
  CHECK(wire.At(kRead, head.size(), kGet) == kGet);
}

TEST_CASE("redactor: memory is bounded", "[redactor]") {
  Redactor redactor;
  const auto feed = [&](uint64_t conn, uint64_t position, const std::string& bytes) {
    EventRecord source = MakeData({conn, position, 0, kRead, 1}, bytes), copy = source;
    redactor.Redact(source.view(), copy.bytes());
    return std::string(copy.bytes() + sizeof(spantap_data_event), bytes.size());
  };
  feed(1, 0, "GET / HTTP/1.1\r\nCookie: ab");
  for (uint64_t conn = 2; conn < 2 + Redactor::kMaxConnections; ++conn) feed(conn, 0, kGet);
  CHECK(redactor.connections() == Redactor::kMaxConnections);
  CHECK(feed(1, 26, "cd\r\n") == "xx\r\n");  // forgotten
  EventRecord end = MakeEnd(5, SPANTAP_END_CLOSED, 0, 0, 0);
  redactor.Redact(end.view(), end.bytes());
  CHECK(redactor.connections() == Redactor::kMaxConnections - 1);
}

// Random conversations with a secret in every secret header and in every body, cut and lost at random.
class Conversation {
 public:
  explicit Conversation(uint32_t seed) : random_(seed) {}
  static constexpr char kSecret[] = "GETSecretPOSTTOKEN";

  std::string Request() {
    return Head(Pick({"GET / HTTP/1.1", "POST /a?b=c HTTP/1.1", "HEAD / HTTP/1.0", "PUT /x HTTP/1.1"}));
  }
  std::string Response() {
    return Head(Pick({"HTTP/1.1 200 OK", "HTTP/1.1 404 No", "HTTP/1.1 304 Not", "HTTP/1.0 500 Err"}));
  }
  int Roll(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  std::string Pick(std::initializer_list<const char*> choices) {
    return choices.begin()[Roll(static_cast<int>(choices.size()))];
  }
  std::string Head(const std::string& start) {
    std::string text = start + "\r\nHost: h\r\n";
    for (int i = Roll(3); i >= 0; --i) {
      text +=
          Pick({"Authorization: Bearer ", "COOKIE:", "set-cookie:  a=", "X-Api-Key: ", "Proxy-Authorization: \r\n "});
      text += kSecret;
      text += Pick({"\r\n", "\r\n\tGETSecretPOSTTOKEN\r\n", "; GETSecretPOSTTOKEN \r\n"});
    }
    const std::string body = std::string(kSecret) + Pick({"", "\r\n", "\r\n0\r\n\r\n", "GETSecretPOSTTOKEN"});
    switch (Roll(3)) {
      case 0:
        return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
      case 1: {
        char size[16];
        snprintf(size, sizeof(size), "%zx\r\n", body.size());
        return text + "Transfer-Encoding: chunked\r\n\r\n" + size + body + "\r\n0\r\nCookie: " + kSecret + "\r\n\r\n";
      }
      default:
        return text + "\r\n";
    }
  }
  std::mt19937 random_;
};

// Longest part of the secret that is left in `masked` at the places where the original has the secret.
size_t LongestLeak(const std::string& original, const std::string& masked) {
  const std::string secret = Conversation::kSecret;
  size_t longest = 0;
  for (size_t at = 0; (at = original.find(secret, at)) != std::string::npos; at += secret.size()) {
    size_t run = 0;
    for (size_t i = at; i < at + secret.size(); ++i) {
      run = masked[i] == original[i] ? run + 1 : 0;
      longest = std::max(longest, run);
    }
  }
  return longest;
}

// A beginning that may become a head ("GET", "POST") has to stay visible; a whole secret never.
TEST_CASE("redactor: no secret survives random splits and gaps", "[redactor]") {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    Conversation talk(seed);
    const bool from_start = talk.Roll(2) == 0;
    Wire wire(from_start);
    const bool lossy = talk.Roll(3) > 0;
    const int step = 1 + talk.Roll(60);
    for (int message = 0; message < 6; ++message) {
      const bool response = message % 2 == 1;
      const std::string original = response ? talk.Response() : talk.Request();
      std::string masked;
      for (size_t at = 0; at < original.size();) {
        const std::string part = original.substr(at, static_cast<size_t>(1 + talk.Roll(step)));
        at += part.size();
        const uint16_t flags =
            static_cast<uint16_t>((response ? kWrite : kRead) & ~(talk.Roll(4) == 0 ? SPANTAP_F_CALL_START : 0));
        if (lossy && talk.Roll(8) == 0) {
          wire.Lose(flags, part.size());
          masked += std::string(part.size(), '?');
        } else {
          masked += wire.Send(flags, part);
        }
      }
      INFO("seed " << seed << "\n" << original << "\n---\n" << masked);
      REQUIRE(LongestLeak(original, masked) <= (lossy || !from_start ? 4 : 0));
      REQUIRE(masked.find(Conversation::kSecret) == std::string::npos);
    }
  }
}

TEST_CASE("redactor: garbage of any kind", "[redactor]") {
  std::mt19937 random(7);
  const std::string alphabet = "\r\n\r\n  :;0aGETHP/1.chunked\t\x80\x01";
  for (int round = 0; round < 2000; ++round) {
    Wire wire(round % 2 == 0);
    for (int piece = 0; piece < 10; ++piece) {
      std::string bytes;
      for (size_t i = random() % 40; i > 0; --i) bytes += alphabet[random() % alphabet.size()];
      const std::string masked = wire.Send(random() % 2 ? kRead : kWrite, bytes, static_cast<uint32_t>(random() % 60));
      REQUIRE(masked.size() == bytes.size());
      for (size_t i = 0; i < bytes.size(); ++i) {
        const bool line_end = bytes[i] == '\r' || bytes[i] == '\n';
        REQUIRE((masked[i] == bytes[i] || masked[i] == 'x' || masked[i] == '*'));
        if (line_end) REQUIRE((masked[i] == bytes[i] || masked[i] == 'x'));
      }
    }
  }
}

}  // namespace
}  // namespace spantap
