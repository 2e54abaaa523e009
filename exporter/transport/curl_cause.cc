// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/curl_cause.h"

#include <openssl/ssl.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

constexpr size_t kMaxCause = 512;

int64_t Microseconds(CURL* easy, CURLINFO which) {
  curl_off_t value = 0;
  curl_easy_getinfo(easy, which, &value);
  return value;
}

long Number(CURL* easy, CURLINFO which) {
  long value = 0;
  curl_easy_getinfo(easy, which, &value);
  return value;
}

std::string NoConnection(const RequestEnd& end, const Peer& peer) {
  const int error = static_cast<int>(Number(end.easy, CURLINFO_OS_ERRNO));
  const std::string where = absl::StrCat(peer.proxy ? "to the proxy or " : "to ", peer.name());
  switch (error) {
    case ECONNREFUSED:
      return absl::StrCat("connection ", where, " refused: nothing listens there");
    case ENOENT:
      return absl::StrCat("no connection ", where, ": there is no such socket");
    case 0:
      return absl::StrCat("no connection ", where, ": ", end.curl_text);
    default:
      return absl::StrCat("no connection ", where, ": ", strerror(error));
  }
}

// Says how far it came.
std::string Timeout(const RequestEnd& end, const Peer& peer, const TlsNotes& tls) {
  const bool reused =
      Number(end.easy, CURLINFO_NUM_CONNECTS) == 0 && Microseconds(end.easy, CURLINFO_PRETRANSFER_TIME_T) > 0;
  const std::string connect_limit = absl::FormatDuration(end.connect_timeout);
  if (!reused) {
    if (peer.unix_path.empty() && Microseconds(end.easy, CURLINFO_NAMELOOKUP_TIME_T) == 0) {
      return absl::StrCat("DNS: no answer for the name ", peer.host, " within ", connect_limit);
    }
    // curl 7.88 sets the time of the connection when TLS has its handshake, too.
    if (peer.tls ? !tls.started : Microseconds(end.easy, CURLINFO_CONNECT_TIME_T) == 0) {
      return absl::StrCat("no connection to ", peer.name(), " within ", connect_limit);
    }
    if (peer.tls && Microseconds(end.easy, CURLINFO_APPCONNECT_TIME_T) == 0) {
      return absl::StrCat("TLS: no handshake with ", peer.name(), " within ", connect_limit,
                          " (if it speaks plain HTTP, use http://)");
    }
  }
  const auto sent = static_cast<size_t>(Microseconds(end.easy, CURLINFO_SIZE_UPLOAD_T));
  if (sent < end.body_bytes) {
    return absl::StrCat(peer.name(), " took ", sent, " of ", end.body_bytes, " bytes within ",
                        absl::FormatDuration(end.timeout));
  }
  return absl::StrCat("no answer from ", peer.name(), " within ", absl::FormatDuration(end.timeout));
}

// An alert that the other side sent, or an empty string.
std::string AlertCause(const TlsNotes& tls) {
  if (tls.alert == 0) return "";
  const std::string alert = absl::StrCat("alert \"", SSL_alert_desc_string_long(tls.alert), "\"");
  if (tls.client_certificate_wanted) {
    return absl::StrCat("TLS: the server wants a client certificate (give --client-certificate and --client-key); ",
                        alert);
  }
  switch (tls.alert) {
    case SSL3_AD_BAD_CERTIFICATE:
    case SSL3_AD_UNSUPPORTED_CERTIFICATE:
    case SSL3_AD_CERTIFICATE_REVOKED:
    case SSL3_AD_CERTIFICATE_EXPIRED:
    case SSL3_AD_CERTIFICATE_UNKNOWN:
    case TLS1_AD_UNKNOWN_CA:
    case TLS1_AD_DECRYPT_ERROR:
      return absl::StrCat("TLS: the server refused our client certificate: ", alert);
    case TLS1_AD_PROTOCOL_VERSION:
      return absl::StrCat("TLS: no version in common with the server (TLS 1.2 or later is needed): ", alert);
    case TLS1_AD_UNRECOGNIZED_NAME:
      return absl::StrCat("TLS: the server does not know the name it was asked for: ", alert);
    default:
      return absl::StrCat("TLS: the server ended the handshake: ", alert);
  }
}

std::string CertificateCause(const RequestEnd& end, const Peer& peer, const TlsNotes& tls) {
  if (!tls.verify_cause.empty()) return absl::StrCat("TLS: ", tls.verify_cause);
  if (tls.certificate_names.empty()) return absl::StrCat("TLS: ", end.curl_text);
  return absl::StrCat("TLS: the server's certificate is for ", tls.certificate_names, ", not for ", peer.host);
}

std::string HandshakeCause(const RequestEnd& end, const Peer& peer) {
  if (absl::StrContains(end.curl_text, "wrong version number") || absl::StrContains(end.curl_text, "http request") ||
      absl::StrContains(end.curl_text, "packet length too long")) {
    return absl::StrCat("TLS: ", peer.name(), " does not speak TLS (if it speaks plain HTTP, use http://)");
  }
  return absl::StrCat("TLS: no handshake with ", peer.name(), ": ", end.curl_text);
}

// The connection was there and then was not.
std::string Broken(const RequestEnd& end, const Peer& peer, const TlsNotes& tls, const TlsSettings& files) {
  if (tls.client_certificate_wanted) {  // TLS 1.3 tells it after the handshake, and some servers just hang up
    return "TLS: the server wants a client certificate (give --client-certificate and --client-key)";
  }
  const bool reset = Number(end.easy, CURLINFO_OS_ERRNO) == ECONNRESET;
  const bool answered = Number(end.easy, CURLINFO_RESPONSE_CODE) != 0;
  absl::string_view hint;
  if (!answered && tls.started && !files.certificate_file.empty()) {
    hint = " (it may have refused our client certificate)";
  } else if (!answered && peer.http2) {  // so do HTTP/1 servers that are spoken to in HTTP/2
    hint = " (does it speak HTTP/2? a collector's OTLP/gRPC port is 4317)";
  } else if (!answered && !peer.tls && peer.unix_path.empty()) {  // so do TLS servers that are spoken to in HTTP
    hint = " (if it speaks TLS, use https://)";
  }
  return absl::StrCat(peer.name(), reset ? " reset" : " closed", " the connection",
                      answered ? " during its answer" : " without an answer", hint);
}

std::string Http2Cause(const RequestEnd& end, const Peer& peer) {
  if (end.code == CURLE_HTTP2_STREAM && end.curl_text == curl_easy_strerror(end.code)) {
    return absl::StrCat(peer.name(), " answered before the request was all sent, and the answer was lost");
  }
  return absl::StrCat(peer.name(), ": ", end.curl_text);
}

std::string FromCode(const RequestEnd& end, const Peer& peer, const TlsNotes& tls, const TlsSettings& files) {
  switch (end.code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return "cancelled";
    case CURLE_COULDNT_RESOLVE_HOST:
      return absl::StrCat("DNS: the name ", peer.host, " was not found");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "DNS: the proxy's name was not found";
    case CURLE_COULDNT_CONNECT:
      return NoConnection(end, peer);
    case CURLE_OPERATION_TIMEDOUT:
      return Timeout(end, peer, tls);
    case CURLE_PEER_FAILED_VERIFICATION:
      return CertificateCause(end, peer, tls);
    case CURLE_SSL_CACERT_BADFILE:
      return absl::StrCat("TLS: the CA file ", files.ca_file, " cannot be used: ", end.curl_text);
    case CURLE_SSL_CERTPROBLEM:
      return absl::StrCat("TLS: ", files.certificate_file, " and ", files.key_file, " cannot be used: ", end.curl_text);
    case CURLE_SSL_CONNECT_ERROR:
      return HandshakeCause(end, peer);
    case CURLE_WRITE_ERROR:
      return "the answer is larger than the limit";
    case CURLE_OUT_OF_MEMORY:
      return "a line in the head of the answer is larger than the limit";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return absl::StrCat(peer.name(), " does not answer in HTTP", peer.tls ? "" : " (if it speaks TLS, use https://)");
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return Http2Cause(end, peer);
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return Broken(end, peer, tls, files);
    default:
      return std::string(end.curl_text);
  }
}

}  // namespace

std::string Peer::name() const {
  if (!unix_path.empty()) return unix_path;
  return absl::StrCat(host, ":", port);
}

std::string CauseInWords(const RequestEnd& end, const Peer& peer, const TlsNotes& tls, const TlsSettings& files) {
  std::string cause;
  if (end.code != CURLE_ABORTED_BY_CALLBACK && tls.verify_error == 0) cause = AlertCause(tls);
  if (cause.empty()) cause = FromCode(end, peer, tls, files);
  if (cause.size() > kMaxCause) cause.resize(kMaxCause);
  for (char& c : cause) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return cause;
}

}  // namespace spantap
