// SPDX-License-Identifier: Apache-2.0
//
// Certificates made on the spot for the tests of TLS: a CA, server and client certificates with chosen names and
// dates, in PEM. Elliptic keys: made in a millisecond.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace spantap {

struct Pem {
  std::string certificate;
  std::string key;
};

class TestCa {
 public:
  explicit TestCa(const std::string& name) : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    Fill(certificate_, name, key_, -1, 3650);
    X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_));
    Extend(certificate_, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(certificate_, key_, EVP_sha256());
  }
  ~TestCa() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  TestCa(const TestCa&) = delete;

  std::string pem() const { return ToPem(certificate_); }

  // `names`: subjectAltName as OpenSSL writes it, "DNS:a,IP:127.0.0.1". Valid from and to in days from now.
  Pem Issue(const std::string& common_name, const std::string& names, int from_days = -1, int to_days = 30) const {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    Fill(certificate, common_name, key, from_days, to_days);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate_));
    if (!names.empty()) Extend(certificate, NID_subject_alt_name, names.c_str());
    X509_sign(certificate, key_, EVP_sha256());
    Pem pem;
    pem.certificate = ToPem(certificate);
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    pem.key = Text(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pem;
  }

 private:
  static void Fill(X509* certificate, const std::string& name, EVP_PKEY* key, int from_days, int to_days) {
    static int64_t serial = 1000;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 86400L * from_days);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * to_days);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  }
  static void Extend(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  static std::string ToPem(X509* certificate) {
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, certificate);
    return Text(out);
  }
  static std::string Text(BIO* out) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(out);
    return text;
  }

  EVP_PKEY* key_;
  X509* certificate_;
};

inline std::string WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::trunc | std::ios::binary) << text;
  return path;
}

}  // namespace spantap
