// SPDX-License-Identifier: Apache-2.0
//
// What OpenSSL sees during a handshake and curl does not pass on: why a certificate was refused (with its dates and
// names), which alert the other side sent, whether it asked for a client certificate. Used by curl_exchange.cc for
// causes in words; it observes only, and changes no decision of OpenSSL's.
//
// One thread. Memory: a few bounded strings.
#pragma once

#include <string>

typedef struct ssl_ctx_st SSL_CTX;

namespace spantap {

struct TlsNotes {
  bool started = false;                    // a handshake: the connection below it is there
  int verify_error = 0;                    // X509_V_ERR_*, of the first certificate that was refused
  std::string verify_cause;                // that in words; bounded, one line
  std::string certificate_names;           // what the server's certificate is for: "a.example, *.b.example"
  int alert = 0;                           // of the other side, fatal; 0: none (close_notify is none)
  bool client_certificate_wanted = false;  // and none was configured

  // Every connection made with `context` writes into *this from now on; *this must outlive them.
  void Observe(SSL_CTX* context);
  void Clear() { *this = TlsNotes(); }
};

}  // namespace spantap
