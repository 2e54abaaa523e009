// SPDX-License-Identifier: Apache-2.0
//
// The answers in JSON. The events of nlohmann-json's parser are read, no tree is built: a tree of a hostile answer
// (4 MiB of opening brackets) would take a hundred times its size.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/numbers.h"
#include "exporter/otlp/answer_text.h"
#include "exporter/otlp/otlp_decode.h"

namespace spantap {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDepth = 32;
constexpr absl::string_view kElement = "[]";  // the name of an array's elements; as a key it would change nothing

// A value is named by the keys on the way to it. Null is the empty text.
class AnswerReader : public Json::json_sax_t {
 public:
  // False: not JSON, not an object, nested too deep, or the reader does not bear with a field's type.
  bool Read(absl::string_view bytes) {
    return Json::sax_parse(bytes.begin(), bytes.end(), this, Json::input_format_t::json);
  }

  bool null() final { return Text({}); }
  bool boolean(bool /*value*/) final { return Scalar() && (!Ours() || OnOther()); }
  bool number_integer(int64_t value) final { return Scalar() && (!Ours() || OnNumber(value)); }
  bool number_unsigned(uint64_t value) final {
    return Scalar() && (!Ours() || (value <= INT64_MAX ? OnNumber(static_cast<int64_t>(value)) : OnOther()));
  }
  bool number_float(double value, const std::string& /*text*/) final {
    const bool whole = std::trunc(value) == value && std::fabs(value) < 0x1p63;
    return Scalar() && (!Ours() || (whole ? OnNumber(static_cast<int64_t>(value)) : OnOther()));
  }
  bool string(std::string& value) final { return Text(value); }
  bool binary(Json::binary_t& /*value*/) final { return false; }
  bool start_object(size_t /*size*/) final { return Begin({}); }
  bool key(std::string& value) final {
    path_.back() = CutUtf8(value, kMaxKey) == value ? value : "";
    return true;
  }
  bool end_object() final {
    path_.pop_back();
    return OnObjectEnd();
  }
  bool start_array(size_t /*size*/) final { return !path_.empty() && Begin(kElement); }
  bool end_array() final {
    path_.pop_back();
    return true;
  }
  bool parse_error(size_t /*position*/, const std::string& /*token*/, const Json::exception& /*error*/) final {
    return false;
  }

 protected:
  // Whether the value at this place is one that the message has, as a text or a number.
  virtual bool Ours() const = 0;
  // False ends the reading.
  virtual bool OnText(absl::string_view text) = 0;
  virtual bool OnNumber(int64_t value) = 0;
  virtual bool OnOther() = 0;  // a boolean, a fraction, an array, an object
  virtual bool OnObjectEnd() { return true; }
  bool At(std::initializer_list<absl::string_view> path) const {
    return std::equal(path_.begin(), path_.end(), path.begin(), path.end());
  }

 private:
  static constexpr size_t kMaxKey = 64;  // longer than any of ours
  bool Scalar() const { return !path_.empty(); }
  bool Text(absl::string_view text) { return Scalar() && (!Ours() || OnText(text)); }
  bool Begin(absl::string_view name) {
    if (path_.size() >= kMaxDepth || (!path_.empty() && Ours() && !OnOther())) return false;
    path_.emplace_back(name);
    return true;
  }

  std::vector<std::string> path_;
};

class ResponseReader final : public AnswerReader {
 public:
  int64_t rejected_spans = 0;
  std::string error_message;

 private:
  bool Ours() const override { return Rejected() || At({"partialSuccess", "errorMessage"}); }
  bool Rejected() const { return At({"partialSuccess", "rejectedSpans"}); }
  bool OnText(absl::string_view text) override {
    if (Rejected()) return text.empty() || absl::SimpleAtoi(text, &rejected_spans);
    error_message = TidyAnswerText(text);
    return true;
  }
  bool OnNumber(int64_t value) override {
    if (!Rejected()) return false;
    rejected_spans = value;
    return true;
  }
  bool OnOther() override { return false; }
};

// "1.5s"; nullopt: not that.
std::optional<absl::Duration> ParseDelay(absl::string_view text) {
  absl::Duration delay;
  if (text.find_first_not_of("-.0123456789s") != absl::string_view::npos || !absl::ParseDuration(text, &delay)) {
    return std::nullopt;
  }
  return std::max(delay, absl::ZeroDuration());
}

class StatusReader final : public AnswerReader {
 public:
  RpcStatus status;

 private:
  bool Ours() const override { return At({"message"}) || Type() || Delay(); }
  bool Type() const { return At({"details", kElement, "@type"}); }
  bool Delay() const { return At({"details", kElement, "retryDelay"}); }
  bool OnText(absl::string_view text) override {
    if (Type()) {
      is_retry_info_ = IsRetryInfoType(text);
    } else if (Delay()) {
      delay_ = ParseDelay(text);
    } else {
      status.message = TidyAnswerText(text);
    }
    return true;
  }
  // The answer is an error whatever it says: the rest of its text is worth having.
  bool OnNumber(int64_t /*value*/) override { return true; }
  bool OnOther() override { return true; }
  bool OnObjectEnd() override {
    if (!At({"details", kElement})) return true;
    if (is_retry_info_ && !status.retry_delay) status.retry_delay = delay_;
    is_retry_info_ = false;
    delay_ = absl::ZeroDuration();
    return true;
  }

  bool is_retry_info_ = false;
  std::optional<absl::Duration> delay_ = absl::ZeroDuration();  // without the field
};

}  // namespace

bool DecodeExportResponseJson(absl::string_view bytes, int64_t* rejected_spans, std::string* error_message) {
  ResponseReader reader;
  if (!bytes.empty() && !reader.Read(bytes)) return false;
  *rejected_spans = reader.rejected_spans;
  *error_message = std::move(reader.error_message);
  return true;
}

bool DecodeRpcStatusJson(absl::string_view bytes, RpcStatus* status) {
  StatusReader reader;
  if (!reader.Read(bytes)) return false;
  *status = std::move(reader.status);
  return true;
}

}  // namespace spantap
