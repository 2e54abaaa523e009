// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/pem_file.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spantap {
namespace {

constexpr int kMaxBlocks = 1024;  // a system's bundle holds about 150

bool IsKind(absl::string_view name, PemKind kind) {
  if (kind == PemKind::kKey) return absl::EndsWith(name, PEM_STRING_PKCS8INF);  // "RSA PRIVATE KEY", ... as well
  return name == PEM_STRING_X509 || name == PEM_STRING_X509_TRUSTED || name == PEM_STRING_X509_OLD;
}

bool HasBlock(const std::string& text, PemKind kind) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
                                                      &BIO_free);
  bool found = false;
  for (int i = 0; bio != nullptr && !found && i < kMaxBlocks; ++i) {
    char *name = nullptr, *header = nullptr;
    unsigned char* data = nullptr;
    long length = 0;  // NOLINT(google-runtime-int): OpenSSL's type
    if (PEM_read_bio(bio.get(), &name, &header, &data, &length) != 1) break;
    found = IsKind(name, kind);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<size_t>(length));
  }
  ERR_clear_error();
  return found;
}

}  // namespace

absl::Status CheckPemFile(const Outside& outside, const std::string& path, PemKind kind) {
  const absl::StatusOr<std::string> text = outside.file(path);
  if (!text.ok()) return text.status();
  if (HasBlock(*text, kind)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("holds no ", kind == PemKind::kKey ? "private key" : "certificate", " in PEM form"));
}

}  // namespace spantap
