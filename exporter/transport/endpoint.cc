// SPDX-License-Identifier: Apache-2.0
//
// The endpoint as a person writes it -> what a request needs. Parsing is curl's, the same that will send.
#include "exporter/transport/endpoint.h"

#include <curl/curl.h>
#include <sys/un.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

constexpr absl::string_view kTracesPath = "/v1/traces";
constexpr absl::string_view kGrpcPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr size_t kMaxUrlBytes = 2048;
constexpr size_t kMaxShownBytes = 200;

using UrlHandle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

absl::string_view AcceptedForm(Protocol protocol) {
  return protocol == Protocol::kGrpc
             ? "use http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:/PATH"
             : "use http://HOST:PORT or https://HOST:PORT, with a path if the collector has one, or unix:/PATH";
}

UrlHandle ParseUrl(absl::string_view text) {
  UrlHandle url(curl_url(), &curl_url_cleanup);
  const std::string copy(text);
  // curl takes one to three slashes; a missing host should be an error, not the path's first part.
  const size_t host = copy.find("://");
  if (host == std::string::npos || copy.compare(host, 4, ":///") == 0 || text.find('\0') != absl::string_view::npos ||
      copy.size() > kMaxUrlBytes || url == nullptr ||
      curl_url_set(url.get(), CURLUPART_URL, copy.c_str(), 0) != CURLUE_OK) {
    url.reset();
  }
  return url;
}

std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

absl::Status Refuse(absl::string_view text, Protocol protocol, absl::string_view why) {
  // What does not parse may hold a password in any place: shown only if it cannot.
  bool show = text.size() <= kMaxShownBytes && !absl::StrContains(text, "@") && !absl::StrContains(text, "?");
  for (const char c : text) show = show && absl::ascii_isprint(static_cast<unsigned char>(c));
  return absl::InvalidArgumentError(
      absl::StrCat("endpoint ", show ? absl::StrCat("\"", text, "\" ") : "", why, ": ", AcceptedForm(protocol)));
}

absl::StatusOr<Endpoint> UnixEndpoint(absl::string_view text, Protocol protocol) {
  absl::string_view path = text.substr(absl::string_view("unix:").size());
  if (absl::StartsWith(path, "///")) path.remove_prefix(2);  // unix:///PATH, as gRPC has it
  if (!absl::StartsWith(path, "/") || path.size() < 2 || path.size() >= sizeof(sockaddr_un::sun_path) ||
      path.find('\0') != absl::string_view::npos) {
    return Refuse(text, protocol, "has no absolute path of at most 107 bytes");
  }
  Endpoint endpoint;
  endpoint.protocol = protocol;
  endpoint.unix_path = std::string(path);
  endpoint.url = absl::StrCat("http://localhost", protocol == Protocol::kGrpc ? kGrpcPath : kTracesPath);
  endpoint.for_people = absl::StrCat("unix:", path);
  return endpoint;
}

std::string PathOf(CURLU* url, Protocol protocol, EndpointForm form) {
  if (protocol == Protocol::kGrpc) return std::string(kGrpcPath);
  std::string path = Part(url, CURLUPART_PATH);
  if (form == EndpointForm::kSignal) return path;
  while (!path.empty() && path.back() == '/') path.pop_back();
  if (!absl::EndsWith(path, kTracesPath)) absl::StrAppend(&path, kTracesPath);
  return path;
}

}  // namespace

absl::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttpProtobuf:
      return "http/protobuf";
    case Protocol::kHttpJson:
      return "http/json";
    case Protocol::kGrpc:
      return "grpc";
  }
  return "";
}

std::string UrlWithoutSecrets(absl::string_view text) {
  const UrlHandle url = ParseUrl(text);
  if (url == nullptr) return "(no URL)";
  for (const CURLUPart part :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
    curl_url_set(url.get(), part, nullptr, 0);
  }
  return Part(url.get(), CURLUPART_URL);
}

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, Protocol protocol, EndpointForm form, bool insecure) {
  const bool grpc = protocol == Protocol::kGrpc;
  if (absl::StartsWithIgnoreCase(text, "unix:")) return UnixEndpoint(text, protocol);
  const bool has_scheme = absl::StrContains(text, "://");
  const UrlHandle url =
      grpc && !has_scheme ? ParseUrl(absl::StrCat(insecure ? "http://" : "https://", text)) : ParseUrl(text);
  if (url == nullptr) return Refuse(text, protocol, "is no http or https URL");
  const std::string scheme = Part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return Refuse(text, protocol, "is no http or https URL");
  const std::string port = Part(url.get(), CURLUPART_PORT);
  if (port == "0" || (!has_scheme && port.empty())) return Refuse(text, protocol, "has no port");
  Endpoint endpoint;
  endpoint.protocol = protocol;
  // gRPC has one path for the method; what stands after the host is not for it (gRPC exporters ignore it, too).
  if (curl_url_set(url.get(), CURLUPART_PATH, PathOf(url.get(), protocol, form).c_str(), 0) != CURLUE_OK) {
    return Refuse(text, protocol, "has a path that cannot be used");
  }
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  if (grpc) curl_url_set(url.get(), CURLUPART_QUERY, nullptr, 0);
  endpoint.url = Part(url.get(), CURLUPART_URL);
  if (grpc) curl_url_set(url.get(), CURLUPART_PATH, "/", 0);
  endpoint.for_people = UrlWithoutSecrets(Part(url.get(), CURLUPART_URL));
  if (grpc && absl::EndsWith(endpoint.for_people, "/")) endpoint.for_people.pop_back();
  return endpoint;
}

}  // namespace spantap
