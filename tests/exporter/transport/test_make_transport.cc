// SPDX-License-Identifier: Apache-2.0
//
// Settings of a transport: what is refused, with the accepted form and without secrets.
#include <catch2/catch.hpp>
#include <filesystem>

#include "absl/strings/match.h"
#include "exporter/transport/settings.h"
#include "tests/exporter/transport/server_certificates.h"

namespace spantap {
namespace {

TransportSettings Good(Protocol protocol = Protocol::kHttpProtobuf) {
  TransportSettings settings;
  settings.endpoint = ParseEndpoint("https://localhost:4318", protocol, EndpointForm::kBase).value();
  return settings;
}

void CheckRefused(const TransportSettings& settings, const std::string& words) {
  const auto transport = MakeTransport(settings);
  REQUIRE_FALSE(transport.ok());
  INFO(transport.status());
  CHECK(transport.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(absl::StrContains(transport.status().message(), words));
  CHECK_FALSE(absl::StrContains(transport.status().message(), "hunter2"));
}

TEST_CASE("transport: each protocol, connected to nothing", "[transport]") {
  for (const Protocol protocol : {Protocol::kHttpProtobuf, Protocol::kHttpJson, Protocol::kGrpc}) {
    TransportSettings settings = Good(protocol);
    settings.headers = {{"Authentication", "x"}};
    settings.proxy = "http://localhost:3128";
    const auto transport = MakeTransport(settings);
    REQUIRE(transport.ok());
    CHECK(absl::StartsWith((*transport)->Describe(), "https://localhost:4318"));
  }
}

TEST_CASE("transport: settings that cannot be used", "[transport]") {
  TransportSettings settings = Good();
  settings.headers = {{"a b", "hunter2"}};
  CheckRefused(settings, "NAME=VALUE");
  settings.headers.assign(65, {"a", "hunter2"});
  CheckRefused(settings, "more than 64");
  for (const char* proxy : {"localhost:3128", "socks5://h:1", "http://", "http://user:hunter2@"}) {
    settings = Good();
    settings.proxy = proxy;
    CheckRefused(settings, "http://HOST:PORT");
  }
  for (const std::string& name : {std::string("a b"), std::string("a/b"), std::string("a:1"), std::string(254, 'a')}) {
    settings = Good();
    settings.tls.server_name = name;
    CheckRefused(settings, "server name");
  }
}

TEST_CASE("transport: TLS files are looked at before the first connection", "[transport]") {
  char name[] = "/tmp/spantap_files_XXXXXX";
  const std::string folder = mkdtemp(name);
  const TestCa ca("CA");
  const Pem one = ca.Issue("one", ""), two = ca.Issue("two", "");
  const std::string ca_file = WriteFile(folder + "/ca.pem", ca.pem());
  const std::string certificate = WriteFile(folder + "/one.pem", one.certificate);
  const std::string key = WriteFile(folder + "/one.key", one.key);
  const std::string other_key = WriteFile(folder + "/two.key", two.key);
  const std::string garbage = WriteFile(folder + "/garbage", "not PEM");
  const std::string locked = WriteFile(folder + "/locked.key",
                                       "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n"
                                       "-----END ENCRYPTED PRIVATE KEY-----\n");
  struct Row {
    int line;
    TlsSettings tls;
    std::string words;  // empty: accepted
  };
  const Row rows[] = {
      {__LINE__, {ca_file}, ""},
      {__LINE__, {ca_file, certificate, key}, ""},
      {__LINE__, {folder + "/none"}, "CA file " + folder + "/none: cannot be read: No such file"},
      {__LINE__, {folder}, "is no file"},
      {__LINE__, {garbage}, "BEGIN CERTIFICATE"},
      {__LINE__, {key}, "BEGIN CERTIFICATE"},
      {__LINE__, {"", certificate}, "belong together"},
      {__LINE__, {"", "", key}, "belong together"},
      {__LINE__, {"", certificate, other_key}, "belongs to the client certificate"},
      {__LINE__, {"", certificate, garbage}, "private key"},
      {__LINE__, {"", certificate, locked}, "without passphrase"},
      {__LINE__, {"", garbage, key}, "client certificate " + garbage},
      {__LINE__, {"", certificate, folder + "/none"}, "client key " + folder + "/none: cannot be read"},
  };
  for (const Row& row : rows) {
    INFO("line " << row.line);
    TransportSettings settings = Good();
    settings.tls = row.tls;
    if (row.words.empty()) {
      CHECK(MakeTransport(settings).ok());
    } else {
      CheckRefused(settings, row.words);
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace spantap
