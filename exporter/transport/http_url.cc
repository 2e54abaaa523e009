// SPDX-License-Identifier: Apache-2.0
//
// The endpoint as a person writes it -> the URL that is used. Parsing is curl's, the same that will send.
#include <curl/curl.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/transport/http_url.h"
#include "exporter/transport/otlp_http.h"

namespace spantap {
namespace {

constexpr absl::string_view kTracesPath = "/v1/traces";
constexpr size_t kMaxUrlBytes = 2048;
constexpr absl::string_view kAcceptedForm =
    "use http://HOST:PORT or https://HOST:PORT, with a path if the collector has one";

using UrlHandle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

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

}  // namespace

std::string UrlWithoutSecrets(absl::string_view text) {
  const UrlHandle url = ParseUrl(text);
  if (url == nullptr) return "(no URL)";
  for (const CURLUPart part :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
    curl_url_set(url.get(), part, nullptr, 0);
  }
  return Part(url.get(), CURLUPART_URL);
}

absl::StatusOr<std::string> TracesUrl(absl::string_view endpoint) {
  const UrlHandle url = ParseUrl(endpoint);
  if (url == nullptr || (Part(url.get(), CURLUPART_SCHEME) != "http" && Part(url.get(), CURLUPART_SCHEME) != "https")) {
    // What does not parse may hold a password in any place: shown only if it cannot.
    const bool show = endpoint.size() <= 200 && !absl::StrContains(endpoint, "@") && !absl::StrContains(endpoint, "?");
    return absl::InvalidArgumentError(absl::StrCat("endpoint ", show ? absl::StrCat("\"", endpoint, "\" ") : "",
                                                   "is no http or https URL: ", kAcceptedForm));
  }
  std::string path = Part(url.get(), CURLUPART_PATH);
  while (!path.empty() && path.back() == '/') path.pop_back();
  if (!absl::EndsWith(path, kTracesPath)) absl::StrAppend(&path, kTracesPath);
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  if (curl_url_set(url.get(), CURLUPART_PATH, path.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("endpoint: its path cannot be used: ", kAcceptedForm));
  }
  return Part(url.get(), CURLUPART_URL);
}

}  // namespace spantap
