// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/otlp_grpc.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/transport/compress.h"
#include "exporter/transport/curl_exchange.h"
#include "exporter/transport/grpc_answer.h"
#include "exporter/transport/secret_words.h"

namespace spantap {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kMaxResponseBytes = 4 << 20;

absl::string_view CodingName(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
    default:
      return "";
  }
}

// A header as gRPC metadata ("gRPC over HTTP2", Custom-Metadata): a lower-case name; the value printable ASCII, or,
// for names that end in -bin, any bytes, in base64 without padding.
absl::StatusOr<std::pair<std::string, std::string>> ToMetadata(absl::string_view name, absl::string_view value) {
  std::pair<std::string, std::string> entry(absl::AsciiStrToLower(name), value);
  if (absl::EndsWith(entry.first, "-bin")) {
    entry.second = absl::Base64Escape(value);
    entry.second.erase(std::find(entry.second.begin(), entry.second.end(), '='), entry.second.end());
  }
  if (absl::Status status = CheckHeader(name, entry.second); !status.ok()) return status;
  if (absl::StartsWith(entry.first, "grpc-") || entry.first == "te") {
    return absl::InvalidArgumentError(absl::StrCat("header ", name, ": reserved by gRPC"));
  }
  if (!std::all_of(entry.second.begin(), entry.second.end(), absl::ascii_isprint)) {
    return absl::InvalidArgumentError(absl::StrCat("header ", name, ": gRPC takes printable ASCII"));
  }
  return entry;
}

absl::StatusOr<std::vector<std::string>> AllHeaders(const TransportSettings& settings) {
  Headers metadata;
  for (const auto& [name, value] : settings.headers) {
    auto entry = ToMetadata(name, value);
    if (!entry.ok()) return entry.status();
    metadata.push_back(*std::move(entry));
  }
  std::vector<std::string> lines = {"te: trailers", "content-type: application/grpc", "grpc-accept-encoding: identity"};
  // Of the messages whose compressed flag is set; a message may always be sent as it is.
  if (settings.compression != Compression::kNone) {
    lines.push_back(absl::StrCat("grpc-encoding: ", CodingName(settings.compression)));
  }
  for (std::string& line : HeaderLines(metadata)) lines.push_back(std::move(line));
  return lines;
}

class OtlpGrpc final : public Transport {
 public:
  OtlpGrpc(const TransportSettings& settings, std::unique_ptr<CurlExchange> exchange)
      : exchange_(std::move(exchange)),
        compressor_(settings.compression),
        for_people_(settings.endpoint.for_people),
        secrets_(settings.headers),
        max_response_bytes_(std::min(settings.max_response_bytes, kMaxResponseBytes)) {}

  SendResult Send(absl::string_view request, absl::Duration timeout) override {
    const Compressor::Result message = compressor_.Compress(request);
    frame_.assign(1, message.coding.empty() ? '\0' : '\1');
    for (int shift = 24; shift >= 0; shift -= 8) frame_.push_back(static_cast<char>(message.body.size() >> shift));
    frame_.append(message.body.data(), message.body.size());
    // At most eight digits; a server may give up once the client has.
    const int64_t timeout_ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(timeout), 1, 99'999'999);
    GrpcAnswer answer(max_response_bytes_);
    const std::string extra_header = absl::StrCat("grpc-timeout: ", timeout_ms, "m");
    SendResult result = answer.Judge(exchange_->Post(frame_, extra_header, timeout, answer));
    secrets_.HideIn(&result.message);
    return result;
  }
  void Cancel() override { exchange_->Cancel(); }
  std::string Describe() const override { return for_people_; }

 private:
  const std::unique_ptr<CurlExchange> exchange_;
  Compressor compressor_;
  const std::string for_people_;
  const SecretWords secrets_;
  const size_t max_response_bytes_;
  std::string frame_;  // kept for its capacity
};

}  // namespace

absl::Status CheckMetadata(const TransportSettings& settings) { return AllHeaders(settings).status(); }

absl::StatusOr<std::unique_ptr<Transport>> MakeOtlpGrpc(const TransportSettings& settings) {
  auto headers = AllHeaders(settings);
  if (!headers.ok()) return headers.status();
  CurlExchange::Settings exchange_settings;
  exchange_settings.endpoint = settings.endpoint;
  exchange_settings.http2_only = true;
  exchange_settings.headers = *std::move(headers);
  exchange_settings.tls = settings.tls;
  exchange_settings.proxy = settings.proxy;
  auto exchange = CurlExchange::Create(exchange_settings);
  if (!exchange.ok()) return exchange.status();
  return std::make_unique<OtlpGrpc>(settings, *std::move(exchange));
}

}  // namespace spantap
