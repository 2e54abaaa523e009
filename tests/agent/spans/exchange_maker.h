// SPDX-License-Identifier: Apache-2.0
//
// Linked exchanges for tests of spans and of the view, and the attributes of a span read back from their
// wire bytes.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/link/linked_exchange.h"
#include "exporter/model/span.h"

namespace spantap {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// All views of the head point into its own text, as a parser's do.
inline HttpHead MakeHead(const std::string& method, const std::string& target, uint16_t status,
                         const HeaderList& headers) {
  HttpHead head;
  std::string text = method + target;
  for (const auto& [name, value] : headers) text += name + value;
  head.text.reset(new char[text.size()]);
  memcpy(head.text.get(), text.data(), text.size());
  head.text_bytes = text.size();
  size_t at = 0;
  const auto take = [&](size_t size) {
    const absl::string_view view(head.text.get() + at, size);
    at += size;
    return view;
  };
  head.is_request = status == 0;
  head.status = status;
  head.method = take(method.size());
  head.target = take(target.size());
  for (const auto& [name, value] : headers) {
    const absl::string_view name_view = take(name.size());
    head.headers.push_back({name_view, take(value.size())});
  }
  return head;
}

inline void SetIpv4(uint8_t (&address)[16], std::initializer_list<int> bytes) {
  int i = 0;
  for (int byte : bytes) address[i++] = static_cast<uint8_t>(byte);
}

// A finished exchange of 12.5 ms that began at monotonic 1 s, between 10.0.0.1:8080 and 10.0.0.2:41000
// (servers) or to 10.0.0.2:9080 (clients). `status` 0: no response.
inline LinkedExchange MakeLinked(Role role, const std::string& method, const std::string& target, uint16_t status,
                                 const HeaderList& headers = {}) {
  LinkedExchange linked;
  linked.exchange = std::make_unique<Exchange>();
  Exchange& exchange = *linked.exchange;
  exchange.role = role;
  exchange.tgid = 100;
  exchange.endpoint.family = SPANTAP_FAMILY_INET;
  SetIpv4(exchange.endpoint.local_addr, {10, 0, 0, 1});
  SetIpv4(exchange.endpoint.peer_addr, {10, 0, 0, 2});
  exchange.endpoint.local_port = role == Role::kServer ? 8080 : 41000;
  exchange.endpoint.peer_port = role == Role::kServer ? 41000 : 9080;
  exchange.request = MakeHead(method, target, 0, headers);
  exchange.request_stamp.mono_ns = 1'000'000'000;
  exchange.request_end_ns = 1'000'100'000;
  exchange.end_ns = 1'012'500'000;
  if (status != 0) {
    exchange.response = MakeHead("", "", status, {});
    exchange.response_stamp.mono_ns = 1'012'000'000;
  }
  linked.trace_id.bytes[15] = 1;
  linked.span_id.bytes[7] = 2;
  return linked;
}

// Attributes as text: strings as they are, ints in decimal, doubles by %g, bools true/false, arrays "[x]".
// Reads the wire form on its own (protobuf encoding, opentelemetry/proto/common/v1/common.proto).
class AttributeReader {
 public:
  explicit AttributeReader(const AttributeBlob& blob) {
    absl::string_view bytes = blob.bytes();
    while (!bytes.empty()) {
      absl::string_view key_value = Field(&bytes, 0x4a);
      const std::string key(Field(&key_value, 0x0a));
      duplicates_ += values_.count(key);
      values_[key] = Value(Field(&key_value, 0x12));
    }
  }
  bool Has(const std::string& key) const { return values_.count(key) > 0; }
  std::string operator[](const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? "(absent)" : found->second;
  }
  size_t duplicates() const { return duplicates_; }
  size_t size() const { return values_.size(); }

 private:
  static uint64_t Varint(absl::string_view* bytes) {
    uint64_t value = 0;
    for (int shift = 0; !bytes->empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>((*bytes)[0]);
      bytes->remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }
  static absl::string_view Field(absl::string_view* bytes, int tag) {
    if (Varint(bytes) != static_cast<uint64_t>(tag)) throw std::runtime_error("unexpected tag");
    const size_t size = Varint(bytes);
    if (size > bytes->size()) throw std::runtime_error("length runs over");
    const absl::string_view field = bytes->substr(0, size);
    bytes->remove_prefix(size);
    return field;
  }
  static std::string Value(absl::string_view bytes) {
    if (bytes.empty()) throw std::runtime_error("no value");
    switch (bytes[0]) {
      case 0x0a:
        return std::string(Field(&bytes, 0x0a));
      case 0x10:
        return bytes[1] ? "true" : "false";
      case 0x18:
        bytes.remove_prefix(1);
        return absl::StrCat(static_cast<int64_t>(Varint(&bytes)));
      case 0x21: {
        double value;
        memcpy(&value, bytes.data() + 1, sizeof(value));
        return absl::StrCat(value);
      }
      case 0x2a: {
        absl::string_view array = Field(&bytes, 0x2a);
        return "[" + Value(Field(&array, 0x0a)) + "]";
      }
      default:
        throw std::runtime_error("unexpected value type");
    }
  }
  std::map<std::string, std::string> values_;
  size_t duplicates_ = 0;
};

}  // namespace spantap
