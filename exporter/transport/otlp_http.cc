// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/otlp_http.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "exporter/otlp/otlp_json.h"
#include "exporter/transport/compress.h"
#include "exporter/transport/curl_exchange.h"
#include "exporter/transport/http_answer.h"
#include "exporter/transport/secret_words.h"

namespace spantap {
namespace {

constexpr size_t kMaxResponseBytes = 4 << 20;

class OtlpHttpTransport final : public Transport {
 public:
  OtlpHttpTransport(const TransportSettings& settings, std::unique_ptr<CurlExchange> exchange)
      : protocol_(settings.endpoint.protocol),
        max_response_bytes_(std::min(settings.max_response_bytes, kMaxResponseBytes)),
        name_(settings.endpoint.for_people),
        secrets_(settings.headers),
        compressor_(settings.compression),
        exchange_(std::move(exchange)) {}

  SendResult Send(absl::string_view request, absl::Duration timeout) override {
    const uint64_t started_ns = MonoNs();
    if (protocol_ == Protocol::kHttpJson) {
      if (!RequestToJson(request, &json_)) {
        SendResult result;
        result.kind = SendResult::Kind::kDropResponse;
        result.message = "the batch cannot be written as JSON: it is no export request";
        return result;
      }
      request = json_;
    }
    const Compressor::Result body = compressor_.Compress(request);
    const std::string coding = body.coding.empty() ? "" : absl::StrCat("Content-Encoding: ", body.coding);
    HttpAnswer answer({protocol_, body.coding, max_response_bytes_});
    const absl::Duration left = timeout - absl::Nanoseconds(MonoNs() - started_ns);
    SendResult result = answer.Judge(exchange_->Post(body.body, coding, left, answer));
    secrets_.HideIn(&result.message);
    return result;
  }
  void Cancel() override { exchange_->Cancel(); }
  std::string Describe() const override { return name_; }

 private:
  const Protocol protocol_;
  const size_t max_response_bytes_;
  const std::string name_;
  const SecretWords secrets_;
  std::string json_;
  Compressor compressor_;
  const std::unique_ptr<CurlExchange> exchange_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Transport>> MakeOtlpHttp(const TransportSettings& settings) {
  CurlExchange::Settings exchange;
  exchange.endpoint = settings.endpoint;
  exchange.headers = HeaderLines(settings.headers);
  exchange.headers.push_back(settings.endpoint.protocol == Protocol::kHttpJson
                                 ? "Content-Type: application/json"
                                 : "Content-Type: application/x-protobuf");
  exchange.tls = settings.tls;
  exchange.proxy = settings.proxy;
  auto made = CurlExchange::Create(exchange);
  if (!made.ok()) return made.status();
  return std::unique_ptr<Transport>(std::make_unique<OtlpHttpTransport>(settings, *std::move(made)));
}

}  // namespace spantap
