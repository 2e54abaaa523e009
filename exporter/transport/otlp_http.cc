// SPDX-License-Identifier: Apache-2.0
//
// curl's multi interface with one transfer: unlike the easy one it can be woken from another thread at
// once, which the shutdown deadline needs.
#include "exporter/transport/otlp_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "exporter/transport/http_answer.h"
#include "exporter/transport/http_url.h"

namespace spantap {
namespace {

constexpr size_t kMaxResponseBytes = 4 << 20;
constexpr char kUserAgent[] = "spantap/" SPANTAP_VERSION " OTel-OTLP-Exporter-Cpp/" SPANTAP_VERSION;

size_t OnHead(char* data, size_t size, size_t count, void* answer) {
  return static_cast<HttpAnswer*>(answer)->AddHeadLine({data, size * count}, absl::Now()) ? size * count : 0;
}
size_t OnBody(char* data, size_t size, size_t count, void* answer) {
  return static_cast<HttpAnswer*>(answer)->AddBody({data, size * count}) ? size * count : 0;
}

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
}

absl::Status CheckHeader(absl::string_view name, absl::string_view value) {
  if (name.empty() || name.size() > 256 || !std::all_of(name.begin(), name.end(), IsTokenChar)) {
    return absl::InvalidArgumentError("header: the name is no HTTP token: use NAME=VALUE");
  }
  for (const char c : value) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t') {
      return absl::InvalidArgumentError(absl::StrCat("header ", name, ": its value has a control character"));
    }
  }
  for (const char* ours : {"Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Expect"}) {
    if (absl::EqualsIgnoreCase(name, ours)) {
      return absl::InvalidArgumentError(absl::StrCat("header ", name, ": set by the exporter itself"));
    }
  }
  return absl::OkStatus();
}

HttpAnswer::End EndOf(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpAnswer::End::kComplete;
    case CURLE_UNSUPPORTED_PROTOCOL:  // what came has no status line ("HTTP/0.9")
    case CURLE_WEIRD_SERVER_REPLY:
      return HttpAnswer::End::kGarbage;
    default:
      return HttpAnswer::End::kBroken;
  }
}

}  // namespace

struct OtlpHttpTransport::State {
  Settings settings;
  std::string url_for_people;
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  std::atomic<bool> cancelled{false};
  char error[CURL_ERROR_SIZE] = {};

  ~State() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
  }
  bool AddHeader(const std::string& line) {
    curl_slist* longer = curl_slist_append(headers, line.c_str());
    if (longer != nullptr) headers = longer;
    return longer != nullptr;
  }
  bool Init();
  CURLcode Perform(absl::Duration timeout);
};

// What stays the same for each request.
bool OtlpHttpTransport::State::Init() {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  multi = curl_multi_init();
  easy = curl_easy_init();
  if (global != CURLE_OK || multi == nullptr || easy == nullptr) return false;
  bool ok = AddHeader("Content-Type: application/x-protobuf");
  ok = ok && AddHeader("Expect:");  // no 100-continue round trip
  for (const auto& [name, value] : settings.headers) {
    ok = ok && AddHeader(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value));
  }
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 1L);
  const bool proxy = !settings.proxy.empty();
  return ok && curl_easy_setopt(easy, CURLOPT_URL, settings.url.c_str()) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_USERAGENT, kUserAgent) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
         curl_easy_setopt(easy, proxy ? CURLOPT_PROXY : CURLOPT_NOPROXY, proxy ? settings.proxy.c_str() : "*") ==
             CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
         // A name look-up still going on must not hold up the end of a request.
         curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHead) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody) == CURLE_OK;
}

// Runs the prepared transfer to its end, its timeout or Cancel().
CURLcode OtlpHttpTransport::State::Perform(absl::Duration timeout) {
  const uint64_t started_ns = MonoNs();
  CURLcode result = CURLE_OPERATION_TIMEDOUT;
  curl_multi_add_handle(multi, easy);
  int running = 1;
  while (true) {
    if (cancelled.load(std::memory_order_acquire)) {
      result = CURLE_ABORTED_BY_CALLBACK;
      break;
    }
    if (curl_multi_perform(multi, &running) != CURLM_OK || running == 0) break;
    const absl::Duration left = timeout - absl::Nanoseconds(MonoNs() - started_ns);
    if (left <= absl::ZeroDuration()) break;
    const int64_t wait_ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(left), 1, 1000);
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait_ms), nullptr);
  }
  int left_in_queue = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left_in_queue)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  curl_multi_remove_handle(multi, easy);
  return result;
}

OtlpHttpTransport::OtlpHttpTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
OtlpHttpTransport::~OtlpHttpTransport() = default;

absl::StatusOr<std::unique_ptr<OtlpHttpTransport>> OtlpHttpTransport::Create(const Settings& settings) {
  if (const auto url = TracesUrl(settings.url); !url.ok()) return url.status();
  for (const auto& [name, value] : settings.headers) {
    if (absl::Status status = CheckHeader(name, value); !status.ok()) return status;
  }
  auto state = std::make_unique<State>();
  state->settings = settings;
  state->settings.max_response_bytes = std::min(settings.max_response_bytes, kMaxResponseBytes);
  state->url_for_people = UrlWithoutSecrets(settings.url);
  if (!state->Init()) return absl::InternalError("OTLP/HTTP: libcurl could not be set up");
  return std::unique_ptr<OtlpHttpTransport>(new OtlpHttpTransport(std::move(state)));
}

SendResult OtlpHttpTransport::Send(absl::string_view body, absl::Duration timeout) {
  State& state = *state_;
  state.cancelled.store(false, std::memory_order_release);
  state.error[0] = '\0';
  HttpAnswer answer(state.settings.max_response_bytes);
  const int64_t timeout_ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(timeout), 1, 3'600'000);
  curl_easy_setopt(state.easy, CURLOPT_HEADERDATA, &answer);
  curl_easy_setopt(state.easy, CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(state.easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
  curl_easy_setopt(state.easy, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(state.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  const CURLcode code = state.Perform(absl::Milliseconds(timeout_ms));
  long status = 0;
  curl_easy_getinfo(state.easy, CURLINFO_RESPONSE_CODE, &status);
  const char* error = state.error[0] != '\0' ? state.error : curl_easy_strerror(code);
  if (code == CURLE_ABORTED_BY_CALLBACK) error = "cancelled";
  return answer.Judge(static_cast<int>(status), EndOf(code), error);
}

void OtlpHttpTransport::Cancel() {
  state_->cancelled.store(true, std::memory_order_release);
  curl_multi_wakeup(state_->multi);
}

std::string OtlpHttpTransport::Describe() const { return state_->url_for_people; }

}  // namespace spantap
