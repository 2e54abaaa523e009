// SPDX-License-Identifier: Apache-2.0
//
// TLS and mTLS against a real handshake: what is accepted, what is refused and how that is said, and that renewed
// files are picked up.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "exporter/transport/otlp_http.h"
#include "tests/exporter/transport/tls_front.h"
#include "tests/fakes/fake_collector.h"
#include "tests/fakes/loopback.h"

namespace spantap {
namespace {

using Kind = SendResult::Kind;
constexpr char kLocal[] = "DNS:localhost,IP:127.0.0.1";
constexpr char kRequest[] = "a request";

// A folder with the CA's file and a client's, and a collector behind TLS.
struct Setup {
  std::string folder;
  TestCa ca{"Test CA"};
  TestCa other_ca{"Other CA"};
  FakeCollector collector;
  TransportSettings settings;

  Setup() {
    char name[] = "/tmp/spantap_tls_XXXXXX";
    folder = mkdtemp(name);
    settings.tls.ca_file = WriteFile(folder + "/ca.pem", ca.pem());
  }
  ~Setup() { std::filesystem::remove_all(folder); }

  void UseClient(const Pem& pem) {
    settings.tls.certificate_file = WriteFile(folder + "/client.pem", pem.certificate);
    settings.tls.key_file = WriteFile(folder + "/client.key", pem.key);
  }
  std::unique_ptr<Transport> Connect(const std::string& url) {
    settings.endpoint = ParseEndpoint(url, Protocol::kHttpProtobuf, EndpointForm::kBase).value();
    return MakeOtlpHttp(settings).value();
  }
  SendResult Send(const TlsFront& front) { return Connect(front.url())->Send(kRequest, absl::Seconds(10)); }
  void CheckRefused(const TlsFront& front, const std::vector<std::string>& words) {
    const SendResult result = Send(front);
    INFO(result.message);
    CHECK(result.kind == Kind::kRetry);
    CHECK(absl::StartsWith(result.message, "TLS: "));
    for (const std::string& word : words) CHECK(absl::StrContains(result.message, word));
    CHECK(collector.requests().empty());
  }
};

TEST_CASE("tls: a certificate of the configured CA is accepted, and one connection kept", "[transport]") {
  Setup setup;
  TlsFront front({setup.ca.Issue("server", kLocal)}, setup.collector.url());
  const auto transport = setup.Connect(front.url());
  for (int i = 0; i < 3; ++i) CHECK(transport->Send(kRequest, absl::Seconds(10)).kind == Kind::kAcknowledged);
  CHECK(front.handshakes() == 1);
  CHECK(setup.collector.requests().size() == 3);
  CHECK(setup.collector.requests()[0].body == kRequest);
}

TEST_CASE("tls: refused certificates, with the cause in words", "[transport]") {
  Setup setup;
  const std::string day = absl::FormatTime("%Y-%m-%d", absl::Now() - absl::Hours(48), absl::UTCTimeZone());
  setup.CheckRefused(TlsFront({setup.ca.Issue("old.example", kLocal, -9, -2)}, setup.collector.url()),
                     {"certificate of old.example expired on " + day});
  setup.CheckRefused(TlsFront({setup.ca.Issue("new.example", kLocal, 2, 9)}, setup.collector.url()),
                     {"certificate of new.example is valid from", "clock"});
  setup.CheckRefused(TlsFront({setup.ca.Issue("x", "DNS:otel.example,DNS:*.mesh.example")}, setup.collector.url()),
                     {"for otel.example, *.mesh.example, not for 127.0.0.1"});
  setup.CheckRefused(TlsFront({setup.ca.Issue("only-a-name.example", "")}, setup.collector.url()),
                     {"for only-a-name.example, not for 127.0.0.1"});
  setup.CheckRefused(TlsFront({setup.other_ca.Issue("server", kLocal)}, setup.collector.url()),
                     {"unknown CA, Other CA", "--certificate"});
  setup.settings.tls.ca_file.clear();  // the system's do not know it either
  setup.CheckRefused(TlsFront({setup.ca.Issue("server", kLocal)}, setup.collector.url()),
                     {"unknown CA, Test CA", "--certificate"});
}

TEST_CASE("tls: a stranger's names reach the log as one printable, bounded line", "[transport]") {
  Setup setup;
  const TlsFront front({setup.other_ca.Issue("a\nb\x1b[31m", kLocal, -9, -2)}, setup.collector.url());
  const SendResult result = setup.Send(front);
  INFO(result.message);
  CHECK(result.message.size() < 600);
  for (const char c : result.message) CHECK(absl::ascii_isprint(static_cast<unsigned char>(c)));
}

TEST_CASE("tls: another server name is sent and verified", "[transport]") {
  Setup setup;
  TlsFront front({setup.ca.Issue("otel", "DNS:otel.example")}, setup.collector.url());
  setup.settings.tls.server_name = "otel.example";
  CHECK(setup.Send(front).kind == Kind::kAcknowledged);
  CHECK(front.server_name() == "otel.example");
  REQUIRE(setup.collector.requests().size() == 1);
  CHECK(absl::StrContains(setup.collector.requests()[0].head, absl::StrCat("Host: otel.example:", front.port())));
  setup.settings.tls.server_name = "wrong.example";
  const SendResult result = setup.Send(front);
  CHECK(result.kind == Kind::kRetry);
  CHECK(absl::StrContains(result.message, "for otel.example, not for wrong.example"));
  CHECK(setup.collector.requests().size() == 1);
}

TEST_CASE("tls: a server that wants a client certificate", "[transport]") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    INFO(version);
    Setup setup;
    TlsFront front({setup.ca.Issue("server", kLocal), setup.ca.pem(), "", version}, setup.collector.url());
    setup.CheckRefused(front, {"wants a client certificate", "--client-certificate"});
    setup.UseClient(setup.other_ca.Issue("stranger", ""));
    setup.CheckRefused(front, {"refused our client certificate", "unknown"});
    setup.UseClient(setup.ca.Issue("client 7", "", -9, -2));
    setup.CheckRefused(front, {"refused our client certificate", "expired"});
    setup.UseClient(setup.ca.Issue("client 7", ""));
    CHECK(setup.Send(front).kind == Kind::kAcknowledged);
    CHECK(front.client_name() == "client 7");
  }
}

TEST_CASE("tls: one side speaks TLS, the other does not", "[transport]") {
  Setup setup;
  // A server that answers anything in plain text, and one that waits for the end of a line.
  const LoopbackListener listener(1);
  REQUIRE(listener.port != 0);
  std::thread server([&listener] {
    const UniqueFd fd(accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char hello[4096];
    (void)!recv(fd.get(), hello, sizeof(hello), 0);
    const std::string answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    (void)!send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  });
  const std::string url = listener.url("https");
  SendResult result = setup.Connect(url)->Send(kRequest, absl::Seconds(10));
  server.join();
  INFO(result.message);
  CHECK(result.kind == Kind::kRetry);
  CHECK(absl::StrContains(result.message, "does not speak TLS (if it speaks plain HTTP, use http://)"));
  result = setup.Connect("https" + setup.collector.url().substr(4))->Send(kRequest, absl::Milliseconds(100));
  INFO(result.message);
  CHECK(result.kind == Kind::kRetry);
  CHECK(absl::StrContains(result.message, "TLS: no handshake with 127.0.0.1:"));
  CHECK(absl::StrContains(result.message, "within 50ms (if it speaks plain HTTP, use http://)"));
  const TlsFront front({setup.ca.Issue("server", kLocal)}, setup.collector.url());
  result = setup.Connect("http" + front.url().substr(5))->Send(kRequest, absl::Seconds(10));
  INFO(result.message);
  CHECK(result.kind != Kind::kAcknowledged);
  CHECK(absl::StrContains(result.message, "https://"));
}

TEST_CASE("tls: versions below 1.2 are not spoken", "[transport]") {
  Setup setup;
  setup.CheckRefused(TlsFront({setup.ca.Issue("server", kLocal), "", "", TLS1_1_VERSION}, setup.collector.url()), {});
}

TEST_CASE("tls: renewed files are picked up at the next request, also on a kept connection", "[transport]") {
  Setup setup;
  setup.UseClient(setup.ca.Issue("first", ""));
  TlsFront front({setup.ca.Issue("server", kLocal), setup.ca.pem()}, setup.collector.url());
  const auto transport = setup.Connect(front.url());
  CHECK(transport->Send(kRequest, absl::Seconds(10)).kind == Kind::kAcknowledged);
  CHECK(front.client_name() == "first");
  // The client's certificate, written over.
  setup.UseClient(setup.ca.Issue("second", ""));
  CHECK(transport->Send(kRequest, absl::Seconds(10)).kind == Kind::kAcknowledged);
  CHECK(front.client_name() == "second");
  CHECK(front.handshakes() == 2);
  // The CA, renamed over, as a Kubernetes secret is: the old one is not trusted from now on.
  WriteFile(setup.folder + "/new.pem", setup.other_ca.pem());
  std::filesystem::rename(setup.folder + "/new.pem", setup.settings.tls.ca_file);
  SendResult result = transport->Send(kRequest, absl::Seconds(10));
  CHECK(result.kind == Kind::kRetry);
  CHECK(absl::StrContains(result.message, "unknown CA"));
  // And the server's renewal, after which both fit again.
  front.SetOptions({setup.other_ca.Issue("server", kLocal), setup.ca.pem()});
  CHECK(transport->Send(kRequest, absl::Seconds(10)).kind == Kind::kAcknowledged);
  // A file that is gone is said.
  std::filesystem::remove(setup.settings.tls.ca_file);
  result = transport->Send(kRequest, absl::Seconds(10));
  INFO(result.message);
  CHECK(result.kind == Kind::kRetry);
  CHECK(absl::StrContains(result.message, "ca.pem"));
}

TEST_CASE("tls: an expiry is noticed by the next connection, although the last one could be resumed", "[transport]") {
  Setup setup;
  FakeCollector closing({FakeCollector::Raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false)});
  TlsFront front({setup.ca.Issue("server", kLocal)}, closing.url());
  const auto transport = setup.Connect(front.url());
  CHECK(transport->Send(kRequest, absl::Seconds(10)).kind == Kind::kAcknowledged);
  front.SetOptions({setup.ca.Issue("server", kLocal, -9, -2)});
  const SendResult result = transport->Send(kRequest, absl::Seconds(10));
  CHECK(result.kind == Kind::kRetry);
  CHECK(absl::StrContains(result.message, "expired"));
}

TEST_CASE("tls: a connection that breaks while a large body is sent raises no signal", "[transport]") {
  Setup setup;
  FakeCollector closing({FakeCollector::Close()});
  TlsFront front({setup.ca.Issue("server", kLocal)}, "http://127.0.0.1:1");
  signal(SIGPIPE, SIG_DFL);
  const SendResult result = setup.Connect(front.url())->Send(std::string(3'000'000, 'x'), absl::Seconds(10));
  INFO(result.message);
  CHECK(result.kind == Kind::kRetry);
}

}  // namespace
}  // namespace spantap
