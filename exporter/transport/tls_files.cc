// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spantap {
namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

int64_t Ns(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

// Without this OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return 0; }

absl::Status Bad(absl::string_view what, const std::string& path, absl::string_view accepted) {
  return absl::InvalidArgumentError(absl::StrCat(what, " ", path, ": ", accepted));
}

absl::Status Readable(absl::string_view what, const std::string& path) {
  struct stat status = {};
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "re"), fclose);
  if (file == nullptr || fstat(fileno(file.get()), &status) != 0) {
    return Bad(what, path, absl::StrCat("cannot be read: ", strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) return Bad(what, path, "is no file: give a PEM file");
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTlsFiles(const TlsSettings& settings) {
  const Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (context == nullptr) return absl::InternalError("TLS: OpenSSL could not be set up");
  SSL_CTX_set_default_passwd_cb(context.get(), NoPassphrase);
  absl::Status status;
  if (!settings.ca_file.empty()) {
    if (status = Readable("CA file", settings.ca_file); !status.ok()) return status;
    if (SSL_CTX_load_verify_file(context.get(), settings.ca_file.c_str()) != 1) {
      status = Bad("CA file", settings.ca_file, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    }
  }
  if (settings.certificate_file.empty() != settings.key_file.empty()) {
    return absl::InvalidArgumentError(
        "client certificate and client key belong together: give both files or neither of them");
  }
  if (status.ok() && !settings.certificate_file.empty()) {
    if (status = Readable("client certificate", settings.certificate_file); !status.ok()) return status;
    if (status = Readable("client key", settings.key_file); !status.ok()) return status;
    if (SSL_CTX_use_certificate_chain_file(context.get(), settings.certificate_file.c_str()) != 1) {
      status = Bad("client certificate", settings.certificate_file,
                   "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    } else if (SSL_CTX_use_PrivateKey_file(context.get(), settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(context.get()) != 1) {
      status = Bad("client key", settings.key_file,
                   "holds no private key in PEM form without passphrase that belongs to the client certificate");
    }
  }
  ERR_clear_error();
  return status;
}

TlsFileWatch::Stamp TlsFileWatch::StampOf(const std::string& path) {
  struct stat status = {};
  if (path.empty() || stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_size, Ns(status.st_mtim), Ns(status.st_ctim)};
}

bool TlsFileWatch::Changed() {
  const std::array<Stamp, 3> now = {StampOf(settings_.ca_file), StampOf(settings_.certificate_file),
                                    StampOf(settings_.key_file)};
  const bool changed = now != stamps_;
  stamps_ = now;
  return changed;
}

}  // namespace spantap
