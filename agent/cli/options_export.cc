// SPDX-License-Identifier: Apache-2.0
//
// Options of the transports: where spans go, in which protocol, and with what credentials.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/cli/forms.h"
#include "agent/cli/option_tables.h"
#include "agent/cli/standard_variables.h"
#include "exporter/transport/curl_exchange.h"

namespace spantap {
namespace {

using forms::Bad;

constexpr char kEndpointForm[] =
    "http://HOST[:PORT][/PATH], https://..., unix:/PATH, for grpc also HOST:PORT; exact: before it if its path is not "
    "to be "
    "changed";

// Whether the endpoint suits the protocol is asked when both are known (cross_checks.cc).
Form Endpoints() {
  return forms::Each(
      kEndpointForm, [](auto& d) -> auto& { return d.endpoints; },
      [](absl::string_view word) -> absl::StatusOr<std::string> {
        const absl::string_view url = absl::StripPrefix(word, kExactPath);
        if (url.empty()) return Bad("is empty");
        absl::Status status = forms::AnyText(url);
        if (!status.ok()) return status;
        return std::string(word);
      },
      [](const std::string& endpoint) { return endpoint; });
}

Form ProtocolForm() {
  return forms::OneOf<Protocol>(
      [](auto& d) -> auto& { return d.protocol; },
      {{"grpc", Protocol::kGrpc}, {"http/protobuf", Protocol::kHttpProtobuf}, {"http/json", Protocol::kHttpJson}},
      "protocol");
}

Form CompressionForm() {
  return forms::OneOf<Compression>(
      [](auto& d) -> auto& { return d.transport.compression; },
      {{"none", Compression::kNone}, {"gzip", Compression::kGzip}, {"zstd", Compression::kZstd}}, "compression");
}

Form Headers() {
  return forms::Each(
      "NAME=VALUE", [](auto& d) -> auto& { return d.transport.headers; },
      [](absl::string_view word) -> absl::StatusOr<std::pair<std::string, std::string>> {
        auto pair = forms::ParsePair(word);
        if (!pair.ok()) return pair;
        absl::Status status = CheckHeader(pair->first, pair->second);
        if (!status.ok()) return Bad(absl::StrCat("cannot be a header: ", std::string(status.message())));
        return pair;
      },
      [](const std::pair<std::string, std::string>& header) { return absl::StrCat(header.first, "=", header.second); });
}

absl::Status CheckServerName(absl::string_view word) {
  constexpr char kAllowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  if (word.size() > 253 || word.find_first_not_of(kAllowed) != absl::string_view::npos) return Bad("is no host name");
  return absl::OkStatus();
}

absl::Status CheckProxy(absl::string_view word) {
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (absl::StartsWith(word, scheme) && word.size() > scheme.size() && word[scheme.size()] != '/') {
      return forms::AnyText(word);
    }
  }
  return Bad("is no URL of a proxy");
}

// A file of PEM text; that it is one is asked in cross_checks.cc.
template <typename Field>
Form PemFile(Field field) {
  return forms::Text("a PEM file that can be read", field, forms::AnyText);
}

}  // namespace

// clang-format off
std::vector<Option> ExportOptions() {
  return {
    {"exporter", "NAME", kForSpans, kOnce, standard::Of(standard::kTracesExporter, standard::Name),
     "otlp, or none: spans are made and counted, not exported",
     forms::OneOf<bool>([](auto& d) -> auto& { return d.exports; }, {{"otlp", true}, {"none", false}}, "exporter")},
    {"endpoint", "URL", kForSpans, kRepeatable,
     {{standard::kTracesEndpoint.name, standard::SignalEndpoint}, {standard::kEndpoint.name, standard::Plain}},
     "OTLP endpoint; the first of several that works is used; over HTTP /v1/traces is appended unless it is there; exact:URL stays as it is, unix:/PATH is a socket (default for agent: "
     "http://localhost:4318, for grpc port 4317; trace and replay export only if it is given)", Endpoints(), Secret::kUrl},
    {"protocol", "NAME", kForSpans, kOnce,
     standard::Of(standard::kProtocol, standard::Name),
     "how spans are sent: grpc, http/protobuf or http/json", ProtocolForm()},
    {"compression", "NAME", kForSpans, kOnce,
     standard::Of(standard::kCompression, standard::Name),
     "of requests: none, gzip or zstd (few collectors take zstd)", CompressionForm()},
    {"header", "NAME=VALUE", kForSpans, kRepeatable,
     standard::Of(standard::kHeaders, standard::Headers, standard::kHeadersForm),
     "extra header (gRPC metadata) of every export request; its value is never shown", Headers(), Secret::kHeader},
    {"timeout", "MS", kForSpans, kOnce,
     standard::Of(standard::kTimeout, standard::Timeout, standard::kTimeoutForm),
     "longest wait for one export request, in milliseconds",
     forms::Time([](auto& d) -> auto& { return d.settings.exporter.request_timeout; }, absl::Milliseconds(1), standard::kLongestTimeout)},
    {"certificate", "FILE", kForSpans, kOnce,
     standard::Of(standard::kCertificate, standard::Plain),
     "certificates that a collector's must lead to, instead of the system's; read again when it changes",
     PemFile([](auto& d) -> auto& { return d.transport.tls.ca_file; })},
    {"client-certificate", "FILE", kForSpans, kOnce,
     standard::Of(standard::kClientCertificate, standard::Plain),
     "our certificate and its chain (mTLS), with --client-key", PemFile([](auto& d) -> auto& { return d.transport.tls.certificate_file; })},
    {"client-key", "FILE", kForSpans, kOnce,
     standard::Of(standard::kClientKey, standard::Plain),
     "the key of --client-certificate", PemFile([](auto& d) -> auto& { return d.transport.tls.key_file; })},
    {"tls-server-name", "NAME", kForSpans, kOnce, {}, "name that a collector's certificate must have (else the endpoint's host)",
     forms::Text("a host name", [](auto& d) -> auto& { return d.transport.tls.server_name; }, CheckServerName)},
    {"insecure", "on|off", kForSpans, kOnce,
     standard::Of(standard::kInsecure, standard::Boolean, standard::kBooleanForm),
     "no TLS for a grpc endpoint without http:// or https://", forms::OnOff([](auto& d) -> auto& { return d.insecure; })},
    {"proxy", "URL", kForSpans, kOnce, {}, "proxy to the collector; what the environment says about proxies is not used",
     forms::Text("http://HOST:PORT or https://HOST:PORT, user and password before the host",
                 [](auto& d) -> auto& { return d.transport.proxy; }, CheckProxy), Secret::kUrl},
  };
}
// clang-format on

}  // namespace spantap
