// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/tls_notes.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace spantap {
namespace {

constexpr size_t kMaxNames = 200;  // bytes
constexpr size_t kMaxName = 120;

int NotesIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

TlsNotes* NotesOf(const SSL* ssl) {
  if (ssl == nullptr) return nullptr;
  return static_cast<TlsNotes*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), NotesIndex()));
}

// A stranger's text for one line of a log.
std::string Printable(std::string text) {
  if (text.size() > kMaxName) text = text.substr(0, kMaxName) + "...";
  for (char& c : text) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return text;
}

std::string NameText(X509_NAME* name) {
  char text[256] = {};
  if (name == nullptr || X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text)) <= 0) {
    X509_NAME_oneline(name, text, sizeof(text));
  }
  return Printable(text);
}

std::string Date(const ASN1_TIME* time) {
  tm parts = {};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return "(no date)";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromTM(parts, absl::UTCTimeZone()), absl::UTCTimeZone());
}

// The DNS names of a certificate, or its common name.
std::string NamesOf(X509* certificate) {
  std::string names;
  auto* list = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list) && names.size() < kMaxNames; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    if (name->type != GEN_DNS) continue;
    const ASN1_STRING* text = name->d.dNSName;
    absl::StrAppend(&names, names.empty() ? "" : ", ",
                    Printable(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                          static_cast<size_t>(ASN1_STRING_length(text)))));
  }
  GENERAL_NAMES_free(list);
  return names.empty() ? NameText(X509_get_subject_name(certificate)) : names;
}

std::string CauseOf(int error, X509* certificate) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat("the certificate of ", NameText(X509_get_subject_name(certificate)), " expired on ",
                          Date(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat("the certificate of ", NameText(X509_get_subject_name(certificate)), " is valid from ",
                          Date(X509_get0_notBefore(certificate)), " only (is this node's clock right?)");
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      return absl::StrCat("the server's certificate is issued by an unknown CA, ",
                          NameText(X509_get_issuer_name(certificate)), " (give the CA's file with --certificate)");
    default:
      return absl::StrCat("the certificate of ", NameText(X509_get_subject_name(certificate)),
                          " was refused: ", X509_verify_cert_error_string(error));
  }
}

int OnVerify(int accepted, X509_STORE_CTX* store) {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsNotes* notes = NotesOf(ssl);
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  if (notes == nullptr || certificate == nullptr) return accepted;
  if (accepted == 0 && notes->verify_error == 0) {
    notes->verify_error = X509_STORE_CTX_get_error(store);
    notes->verify_cause = CauseOf(notes->verify_error, certificate);
  }
  if (X509_STORE_CTX_get_error_depth(store) == 0) notes->certificate_names = NamesOf(certificate);
  return accepted;
}

int OnClientCertificateWanted(SSL* ssl, X509** /*certificate*/, EVP_PKEY** /*key*/) {
  if (TlsNotes* notes = NotesOf(ssl)) notes->client_certificate_wanted = true;
  return 0;  // none
}

void OnInfo(const SSL* ssl, int where, int value) {
  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || (value >> 8) != SSL3_AL_FATAL) return;
  if (TlsNotes* notes = NotesOf(ssl)) notes->alert = value & 0xff;
}

}  // namespace

void TlsNotes::Observe(SSL_CTX* context) {
  started = true;
  SSL_CTX_set_ex_data(context, NotesIndex(), this);
  SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), OnVerify);
  SSL_CTX_set_client_cert_cb(context, OnClientCertificateWanted);
  SSL_CTX_set_info_callback(context, OnInfo);
}

}  // namespace spantap
