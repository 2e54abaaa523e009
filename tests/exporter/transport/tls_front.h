// SPDX-License-Identifier: Apache-2.0
//
// TLS in front of a plaintext fake: takes connections on a loopback port, does the server's part of the handshake,
// and passes bytes on to a port of this machine and back.
//
// One thread of its own, one connection at a time. The certificate can be replaced while it runs.
#pragma once

#include <openssl/ssl.h>
#include <poll.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "tests/exporter/transport/server_certificates.h"
#include "tests/fakes/loopback.h"

namespace spantap {

class TlsFront {
 public:
  struct Options {
    Pem pem;
    std::string client_ca = "";  // PEM text; non-empty: a client certificate of it is required
    std::string alpn = "";       // one protocol, chosen if it is offered; empty: no ALPN
    int max_version = 0;         // TLS1_2_VERSION, ...; 0: whatever both have
  };

  TlsFront(Options options, const std::string& backend_url)
      : options_(std::move(options)), backend_port_(std::stoi(backend_url.substr(backend_url.rfind(':') + 1))) {
    thread_ = std::thread([this] { Serve(); });
  }
  ~TlsFront() {
    stop_ = true;
    thread_.join();
  }

  int port() const { return listener_.port; }
  std::string url() const { return listener_.url("https"); }
  int handshakes() const { return handshakes_; }
  std::string server_name() {  // of the last handshake
    absl::MutexLock lock(&mutex_);
    return server_name_;
  }
  std::string client_name() {  // common name of the last client certificate
    absl::MutexLock lock(&mutex_);
    return client_name_;
  }
  void SetOptions(Options options) {
    absl::MutexLock lock(&mutex_);
    options_ = std::move(options);
  }

 private:
  static X509* ReadCertificate(const std::string& pem) {
    BIO* in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    X509* certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
    BIO_free(in);
    return certificate;
  }
  static int OnAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void* wanted) {
    const auto* text = static_cast<const std::string*>(wanted);
    for (unsigned int at = 0; at < in_size; at += in[at] + 1u) {
      if (text->size() != in[at] || text->compare(0, in[at], reinterpret_cast<const char*>(in) + at + 1, in[at]) != 0)
        continue;
      *out = in + at + 1;
      *out_size = in[at];
      return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }

  SSL_CTX* NewContext(const Options& options) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    X509* certificate = ReadCertificate(options.pem.certificate);
    SSL_CTX_use_certificate(context, certificate);
    X509_free(certificate);
    BIO* in = BIO_new_mem_buf(options.pem.key.data(), static_cast<int>(options.pem.key.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(context, key);
    EVP_PKEY_free(key);
    BIO_free(in);
    if (!options.client_ca.empty()) {
      X509* ca = ReadCertificate(options.client_ca);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca);
      X509_free(ca);
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    if (!options.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, OnAlpn, &alpn_);
    if (options.max_version != 0) SSL_CTX_set_max_proto_version(context, options.max_version);
    return context;
  }

  void Serve() {
    sigset_t pipe;  // OpenSSL writes without MSG_NOSIGNAL; blocked in this thread only, the client must not need it
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    while (!stop_) {
      pollfd poll_fd = {listener_.fd.get(), POLLIN, 0};
      if (poll(&poll_fd, 1, 20) <= 0) continue;
      const UniqueFd client(accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const timeval limit = {1, 0};
      setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
      setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
      Options options;
      {
        absl::MutexLock lock(&mutex_);
        options = options_;
      }
      alpn_ = options.alpn;
      SSL_CTX* context = NewContext(options);
      SSL* ssl = SSL_new(context);
      SSL_set_fd(ssl, client.get());
      if (SSL_accept(ssl) == 1) {
        ++handshakes_;
        Note(ssl);
        Relay(ssl, client.get());
        SSL_shutdown(ssl);
      }
      // A close over unread bytes would be a reset, which can overtake the alert.
      shutdown(client.get(), SHUT_WR);
      char rest[4096];
      while (!stop_ && recv(client.get(), rest, sizeof(rest), 0) > 0) {
      }
      SSL_free(ssl);
      SSL_CTX_free(context);
    }
  }

  void Note(SSL* ssl) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char client[100] = {};
    if (X509* certificate = SSL_get1_peer_certificate(ssl)) {
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, client, sizeof(client));
      X509_free(certificate);
    }
    absl::MutexLock lock(&mutex_);
    server_name_ = name == nullptr ? "" : name;
    client_name_ = client;
  }

  void Relay(SSL* ssl, int client) {
    const UniqueFd backend(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = Loopback(backend_port_);
    if (connect(backend.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return;
    char buffer[16384];
    while (!stop_) {
      pollfd fds[2] = {{client, POLLIN, 0}, {backend.get(), POLLIN, 0}};
      if (SSL_pending(ssl) == 0 && poll(fds, 2, 20) <= 0) continue;
      if (SSL_pending(ssl) > 0 || fds[0].revents != 0) {
        const int n = SSL_read(ssl, buffer, sizeof(buffer));
        if (n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) return;
        if (n > 0 && send(backend.get(), buffer, static_cast<size_t>(n), MSG_NOSIGNAL) != n) return;
      }
      if (fds[1].revents != 0) {
        const ssize_t n = recv(backend.get(), buffer, sizeof(buffer), 0);
        if (n <= 0 || SSL_write(ssl, buffer, static_cast<int>(n)) <= 0) return;
      }
    }
  }

  absl::Mutex mutex_;
  Options options_ ABSL_GUARDED_BY(mutex_);
  std::string server_name_ ABSL_GUARDED_BY(mutex_);
  std::string client_name_ ABSL_GUARDED_BY(mutex_);
  const int backend_port_;
  std::string alpn_;  // of the connection being served
  LoopbackListener listener_;
  std::atomic<bool> stop_{false};
  std::atomic<int> handshakes_{0};
  std::thread thread_;
};

}  // namespace spantap
