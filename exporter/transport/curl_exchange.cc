// SPDX-License-Identifier: Apache-2.0
//
// curl's multi interface with one transfer: unlike the easy one it can be woken from another thread at once, which
// the shutdown deadline needs.
#include "exporter/transport/curl_exchange.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "exporter/transport/curl_cause.h"
#include "exporter/transport/spin_guard.h"
#include "exporter/transport/tls_files.h"
#include "exporter/transport/tls_notes.h"

namespace spantap {
namespace {

constexpr char kUserAgent[] = "spantap/" SPANTAP_VERSION " OTel-OTLP-Exporter-Cpp/" SPANTAP_VERSION;

size_t OnHead(char* data, size_t size, size_t count, void* sink) {
  return static_cast<AnswerSink*>(sink)->AddHeadLine({data, size * count}) ? size * count : 0;
}
size_t OnBody(char* data, size_t size, size_t count, void* sink) {
  return static_cast<AnswerSink*>(sink)->AddBody({data, size * count}) ? size * count : 0;
}
// For a request that may use the kept connection only.
curl_socket_t RefuseToOpen(void* refused, curlsocktype /*purpose*/, curl_sockaddr* /*address*/) {
  *static_cast<bool*>(refused) = true;
  return CURL_SOCKET_BAD;
}
CURLcode OnTlsContext(CURL* /*easy*/, void* context, void* notes) {
  static_cast<TlsNotes*>(notes)->Observe(static_cast<SSL_CTX*>(context));
  return CURLE_OK;
}

std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

// A connection to another name than the URL's: the request, SNI and verification get `server_name`, the connection
// goes to the host that was configured. Fills *connect_to for CURLOPT_CONNECT_TO.
bool RenameHost(CURLU* url, const std::string& server_name, std::string* connect_to) {
  const std::string port = Part(url, CURLUPART_PORT);
  *connect_to = absl::StrCat(server_name, ":", port, ":", Part(url, CURLUPART_HOST), ":", port);
  return curl_url_set(url, CURLUPART_HOST, server_name.c_str(), 0) == CURLUE_OK;
}

}  // namespace

struct CurlExchange::State {
  Settings settings;
  TlsNotes notes;  // before the handles: closing connections still writes to it
  TlsFileWatch files;
  Peer peer;
  std::string url;
  // Guards the pointer against Cancel(); only Post() changes it.
  absl::Mutex mutex;
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  curl_slist* connect_to = nullptr;
  std::atomic<bool> cancelled{false};
  bool kept = false;  // the last request left a connection
  char error[CURL_ERROR_SIZE] = {};

  explicit State(const Settings& from) : settings(from), files(from.tls) {}
  ~State() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    curl_slist_free_all(connect_to);
  }
  static bool Append(curl_slist** list, const std::string& line) {
    curl_slist* longer = curl_slist_append(*list, line.c_str());
    if (longer != nullptr) *list = longer;
    return longer != nullptr;
  }
  template <typename Value>
  bool Set(CURLoption option, Value value) {
    return curl_easy_setopt(easy, option, value) == CURLE_OK;
  }
  bool Init();
  bool NewMulti();
  bool SetAddress();
  bool SetHttp();
  bool SetTls();
  bool SetProxy();
  CURLcode Perform(absl::Duration timeout);
  CURLcode PerformOnKept(absl::Duration timeout);
  CURLcode Run(absl::Duration timeout);
  Outcome OutcomeOf(const RequestEnd& end);
};

bool CurlExchange::State::Init() {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  easy = curl_easy_init();
  if (global != CURLE_OK || easy == nullptr || !NewMulti()) return false;
  return SetAddress() && SetHttp() && SetProxy() && (!peer.tls || SetTls()) && Set(CURLOPT_NOSIGNAL, 1L) &&
         Set(CURLOPT_TCP_KEEPALIVE, 1L) && Set(CURLOPT_ERRORBUFFER, error) &&
         // A name look-up still going on must not hold up the end of a request; and when a connection is made anew,
         // the name may have moved.
         Set(CURLOPT_QUICK_EXIT, 1L) && Set(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
}

// Closes the kept connection and forgets the CA certificates read. After a failure: HTTP/2 would keep a connection on
// which a request timed out, was cut off or was cancelled, and it may well be dead.
bool CurlExchange::State::NewMulti() {
  CURLM* fresh = curl_multi_init();
  if (fresh == nullptr) return multi != nullptr;
  curl_multi_setopt(fresh, CURLMOPT_MAXCONNECTS, 1L);
  CURLM* old = multi;
  {
    absl::MutexLock lock(&mutex);
    multi = fresh;
  }
  curl_multi_cleanup(old);
  return true;
}

bool CurlExchange::State::SetAddress() {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parts(curl_url(), &curl_url_cleanup);
  if (parts == nullptr || curl_url_set(parts.get(), CURLUPART_URL, settings.endpoint.url.c_str(), 0) != CURLUE_OK) {
    return false;
  }
  peer.tls = Part(parts.get(), CURLUPART_SCHEME) == "https";
  peer.port = Part(parts.get(), CURLUPART_PORT);
  peer.unix_path = settings.endpoint.unix_path;
  peer.http2 = settings.http2_only;
  if (peer.tls && !settings.tls.server_name.empty()) {
    std::string rule;
    if (!RenameHost(parts.get(), settings.tls.server_name, &rule) || !Append(&connect_to, rule) ||
        !Set(CURLOPT_CONNECT_TO, connect_to)) {
      return false;
    }
  }
  peer.host = Part(parts.get(), CURLUPART_HOST);
  url = Part(parts.get(), CURLUPART_URL);
  return Set(CURLOPT_URL, url.c_str()) &&
         (peer.unix_path.empty() || Set(CURLOPT_UNIX_SOCKET_PATH, peer.unix_path.c_str()));
}

bool CurlExchange::State::SetHttp() {
  bool ok = Append(&headers, "Expect:");  // no 100-continue round trip
  for (const std::string& line : settings.headers) ok = ok && Append(&headers, line);
  // One request at a time gains nothing from HTTP/2; HTTP/1.1 has a clear end of each connection.
  long version = CURL_HTTP_VERSION_1_1;
  if (settings.http2_only) version = peer.tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
  return ok && Set(CURLOPT_HTTP_VERSION, version) && Set(CURLOPT_USERAGENT, kUserAgent) &&
         Set(CURLOPT_PROTOCOLS_STR, "http,https") && Set(CURLOPT_POST, 1L) && Set(CURLOPT_FOLLOWLOCATION, 0L) &&
         Set(CURLOPT_HEADERFUNCTION, OnHead) && Set(CURLOPT_WRITEFUNCTION, OnBody);
}

bool CurlExchange::State::SetTls() {
  const TlsSettings& tls = settings.tls;
  // A resumed session would skip the certificates, and with them an expiry or a renewal.
  bool ok = Set(CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
            Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2)) && Set(CURLOPT_SSL_VERIFYPEER, 1L) &&
            Set(CURLOPT_SSL_VERIFYHOST, 2L) &&
            Set(CURLOPT_KEYPASSWD, "") &&  // else OpenSSL asks for one on the terminal
            Set(CURLOPT_SSL_CTX_FUNCTION, OnTlsContext) && Set(CURLOPT_SSL_CTX_DATA, &notes);
  if (!tls.ca_file.empty()) {
    ok = ok && Set(CURLOPT_CAINFO, tls.ca_file.c_str()) && Set(CURLOPT_CAPATH, nullptr);
  }
  if (!tls.certificate_file.empty()) {
    ok = ok && Set(CURLOPT_SSLCERT, tls.certificate_file.c_str()) && Set(CURLOPT_SSLKEY, tls.key_file.c_str());
  }
  return ok;
}

bool CurlExchange::State::SetProxy() {
  if (settings.proxy.empty() || !peer.unix_path.empty()) return Set(CURLOPT_NOPROXY, "*");
  peer.proxy = true;
  return Set(CURLOPT_PROXY, settings.proxy.c_str()) && Set(CURLOPT_NOPROXY, "") &&
         Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && (!settings.http2_only || Set(CURLOPT_HTTPPROXYTUNNEL, 1L));
}

// Runs the prepared transfer to its end, its timeout or Cancel().
CURLcode CurlExchange::State::Perform(absl::Duration timeout) {
  const uint64_t started_ns = MonoNs();
  CURLcode result = CURLE_OPERATION_TIMEDOUT;
  SpinGuard guard(easy);
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
    guard.AfterWait();
  }
  int left_in_queue = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left_in_queue)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  curl_multi_remove_handle(multi, easy);
  return result;
}

// curl 7.88 cannot use a connection again under "prior knowledge" (it puts a second layer of HTTP/2 on it, curl issue
// 10634), but can under "2.0", which however would open a new one with HTTP/1.1. So a request is first allowed the
// kept connection only. CURLE_OK and errors as Perform(); CURLE_COULDNT_CONNECT: it is gone, nothing was sent.
CURLcode CurlExchange::State::PerformOnKept(absl::Duration timeout) {
  bool refused = false;
  Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2_0));
  Set(CURLOPT_OPENSOCKETFUNCTION, RefuseToOpen);
  Set(CURLOPT_OPENSOCKETDATA, &refused);
  const CURLcode code = Perform(timeout);
  Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
  Set(CURLOPT_OPENSOCKETFUNCTION, nullptr);
  Set(CURLOPT_OPENSOCKETDATA, nullptr);
  return refused ? CURLE_COULDNT_CONNECT : code;
}

CURLcode CurlExchange::State::Run(absl::Duration timeout) {
  static const unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
  const bool has_10634 = version >= 0x075800 && version < 0x080000;
  const uint64_t started_ns = MonoNs();
  if (kept && has_10634 && settings.http2_only && !peer.tls) {
    const CURLcode code = PerformOnKept(timeout);
    if (code != CURLE_COULDNT_CONNECT) return code;
    NewMulti();
    error[0] = '\0';
    timeout = std::max(timeout - absl::Nanoseconds(MonoNs() - started_ns), absl::Milliseconds(1));
  }
  return Perform(timeout);
}

CurlExchange::Outcome CurlExchange::State::OutcomeOf(const RequestEnd& end) {
  Outcome outcome;
  long status = 0;
  long version = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  outcome.http_status = static_cast<int>(status);
  if (status > 0 && settings.http2_only && version != CURL_HTTP_VERSION_2_0) {
    outcome.end = Outcome::End::kGarbage;
    outcome.http_status = 0;
    outcome.cause = absl::StrCat(peer.name(), " does not speak HTTP/2, which gRPC needs (it chose HTTP/1.1)");
    return outcome;
  }
  if (end.code == CURLE_OK) {
    outcome.end = Outcome::End::kComplete;
    return outcome;
  }
  const bool garbage = end.code == CURLE_UNSUPPORTED_PROTOCOL ||  // no status line ("HTTP/0.9")
                       end.code == CURLE_WEIRD_SERVER_REPLY ||
                       end.code == CURLE_OUT_OF_MEMORY;  // so curl 7.88 calls a line over its limit
  outcome.end = garbage ? Outcome::End::kGarbage : Outcome::End::kBroken;
  outcome.cause = CauseInWords(end, peer, notes, settings.tls);
  outcome.answer_lost = end.code == CURLE_HTTP2_STREAM && error[0] == '\0';
  return outcome;
}

CurlExchange::CurlExchange(std::unique_ptr<State> state) : state_(std::move(state)) {}
CurlExchange::~CurlExchange() = default;

absl::StatusOr<std::unique_ptr<CurlExchange>> CurlExchange::Create(const Settings& settings) {
  auto state = std::make_unique<State>(settings);
  if (!state->Init()) {
    return absl::InvalidArgumentError(absl::StrCat("endpoint ", settings.endpoint.for_people,
                                                   ": libcurl does not take its settings: ", state->error));
  }
  return std::unique_ptr<CurlExchange>(new CurlExchange(std::move(state)));
}

CurlExchange::Outcome CurlExchange::Post(absl::string_view body, const std::string& extra_header,
                                         absl::Duration timeout, AnswerSink& sink) {
  State& state = *state_;
  state.cancelled.store(false, std::memory_order_release);
  state.error[0] = '\0';
  state.notes.Clear();
  const int64_t timeout_ms =
      std::clamp<int64_t>(absl::ToInt64Milliseconds(absl::Ceil(timeout, absl::Milliseconds(1))), 1, 3'600'000);
  const int64_t connect_ms = std::max<int64_t>(timeout_ms / 2, 1);
  curl_slist with_extra = {const_cast<char*>(extra_header.c_str()), state.headers};
  if (state.files.Changed()) state.kept = !state.NewMulti();
  state.Set(CURLOPT_HTTPHEADER, extra_header.empty() ? state.headers : &with_extra);
  state.Set(CURLOPT_HEADERDATA, &sink);
  state.Set(CURLOPT_WRITEDATA, &sink);
  state.Set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
  state.Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_ms));
  state.Set(CURLOPT_POSTFIELDS, body.data());
  state.Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  RequestEnd end;
  end.easy = state.easy;
  end.code = state.Run(absl::Milliseconds(timeout_ms));
  end.curl_text = state.error[0] != '\0' ? state.error : curl_easy_strerror(end.code);
  end.body_bytes = body.size();
  end.timeout = absl::Milliseconds(timeout_ms);
  end.connect_timeout = absl::Milliseconds(connect_ms);
  Outcome outcome = state.OutcomeOf(end);
  state.kept = end.code == CURLE_OK;
  if (!state.kept) state.NewMulti();
  state.Set(CURLOPT_HTTPHEADER, state.headers);  // with_extra ends here
  return outcome;
}

void CurlExchange::Cancel() {
  state_->cancelled.store(true, std::memory_order_release);
  absl::MutexLock lock(&state_->mutex);
  curl_multi_wakeup(state_->multi);
}

}  // namespace spantap
