// SPDX-License-Identifier: Apache-2.0
#include "agent/link/head_digest.h"

#include <cstring>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace spantap {
namespace {

// What a header line means for links. Anything not listed is end-to-end: compared.
enum class HeaderKind : uint8_t {
  kEndToEnd,
  kIgnored,  // hop-by-hop, or rewritten by proxies without telling anything
  kMark,     // added or extended by proxies: not compared, but tells a proxy
  kHost,
  kContentLength,
  kTraceParent,
  kRequestId,
  kUserAgent,  // end-to-end, too
  kEtag,
  kLastModified,
  kLocation,
};

struct HeaderRow {
  const char* name;  // lower case
  HeaderKind kind;
};

constexpr HeaderRow kRows[] = {
    // RFC 9110 7.6.1 and its predecessors: hop-by-hop.
    {"connection", HeaderKind::kIgnored},
    {"keep-alive", HeaderKind::kIgnored},
    {"transfer-encoding", HeaderKind::kIgnored},
    {"te", HeaderKind::kIgnored},
    {"trailer", HeaderKind::kIgnored},
    {"upgrade", HeaderKind::kIgnored},
    // Answered by the proxy itself, or counted down by it.
    {"expect", HeaderKind::kIgnored},
    {"max-forwards", HeaderKind::kIgnored},
    // Trace contexts: rewritten by whoever takes part in a trace.
    {"tracestate", HeaderKind::kIgnored},
    {"b3", HeaderKind::kIgnored},
    {"sw8", HeaderKind::kIgnored},
    {"uber-trace-id", HeaderKind::kIgnored},
    {"grpc-trace-bin", HeaderKind::kIgnored},
    {"x-cloud-trace-context", HeaderKind::kIgnored},
    {"x-amzn-trace-id", HeaderKind::kIgnored},
    {"x-ot-span-context", HeaderKind::kIgnored},
    // Signs of a proxy.
    {"via", HeaderKind::kMark},
    {"forwarded", HeaderKind::kMark},
    {"x-real-ip", HeaderKind::kMark},
    {"x-client-ip", HeaderKind::kMark},
    {"x-cluster-client-ip", HeaderKind::kMark},
    {"x-scheme", HeaderKind::kMark},
    {"x-original-uri", HeaderKind::kMark},
    {"x-original-url", HeaderKind::kMark},
    {"x-original-forwarded-for", HeaderKind::kMark},
    // Read, and not compared as they are.
    {"host", HeaderKind::kHost},
    {"content-length", HeaderKind::kContentLength},
    {"traceparent", HeaderKind::kTraceParent},
    {"x-request-id", HeaderKind::kRequestId},
    {"user-agent", HeaderKind::kUserAgent},
    {"etag", HeaderKind::kEtag},
    {"last-modified", HeaderKind::kLastModified},
    {"location", HeaderKind::kLocation},
};

struct PrefixRow {
  absl::string_view prefix;
  HeaderKind kind;
};
constexpr size_t kPrefixes = 5;
const PrefixRow kPrefixRows[kPrefixes] = {
    {"x-forwarded-", HeaderKind::kMark},  {"x-envoy-", HeaderKind::kMark},  {"x-b3-", HeaderKind::kIgnored},
    {"x-datadog-", HeaderKind::kIgnored}, {"proxy-", HeaderKind::kIgnored},
};

// The rows by hash of the name, open addressing: one probe for most names, listed or not.
class KindTable {
 public:
  KindTable() {
    for (const HeaderRow& row : kRows) {
      const uint64_t hash = HashBytes(row.name, true);
      size_t slot = hash % kSlots;
      while (slots_[slot].hash != 0) slot = (slot + 1) % kSlots;
      slots_[slot] = {hash, row.kind};
    }
  }
  HeaderKind Find(uint64_t hash) const {
    for (size_t slot = hash % kSlots; slots_[slot].hash != 0; slot = (slot + 1) % kSlots) {
      if (slots_[slot].hash == hash) return slots_[slot].kind;
    }
    return HeaderKind::kEndToEnd;
  }

 private:
  static constexpr size_t kSlots = 256;
  static_assert(std::size(kRows) * 4 <= kSlots);
  struct {
    uint64_t hash = 0;
    HeaderKind kind = HeaderKind::kEndToEnd;
  } slots_[kSlots];
};

HeaderKind KindOf(absl::string_view name, uint64_t name_hash) {
  static const KindTable* const table = new KindTable;
  if (const HeaderKind kind = table->Find(name_hash); kind != HeaderKind::kEndToEnd) return kind;
  const char first = name.empty() ? '\0' : static_cast<char>(name[0] | 0x20);
  if (first != 'x' && first != 'p') return HeaderKind::kEndToEnd;
  for (const PrefixRow& row : kPrefixRows) {
    if (absl::StartsWithIgnoreCase(name, row.prefix)) return row.kind;
  }
  return HeaderKind::kEndToEnd;
}

bool IsExportPath(absl::string_view target) {
  const absl::string_view path = target.substr(0, target.find('?'));
  return absl::EndsWith(path, "/v1/traces") || absl::EndsWith(path, ".TraceService/Export");
}

// Headers seen while digesting one head.
struct Seen {
  int traceparents = 0;
  int request_ids = 0;
  bool otel_user_agent = false;
};

void DigestHeader(const HttpHeader& header, HeadDigest& digest, Seen& seen) {
  const uint64_t name_hash = HashBytes(header.name, true);
  switch (KindOf(header.name, name_hash)) {
    case HeaderKind::kIgnored:
      return;
    case HeaderKind::kMark:
      ++digest.proxy_marks;
      return;
    case HeaderKind::kHost:
      digest.host = HashBytes(header.value, true);
      return;
    case HeaderKind::kContentLength:
      if (!absl::SimpleAtoi(header.value, &digest.content_length) || digest.content_length < 0) {
        digest.content_length = -1;
      }
      return;
    case HeaderKind::kTraceParent:
      if (++seen.traceparents == 1) digest.traceparent = ParseTraceParent(header.value);
      return;
    case HeaderKind::kRequestId:
      if (++seen.request_ids == 1) digest.request_id = header.value;
      return;
    case HeaderKind::kEtag: {
      absl::string_view value = header.value;
      // A proxy that compresses weakens the validator (RFC 9110 8.8.3.3).
      if (absl::StartsWith(value, "W/")) value.remove_prefix(2);
      digest.etag = HashBytes(value);
      return;
    }
    case HeaderKind::kLastModified:
      digest.last_modified = HashBytes(header.value);
      return;
    case HeaderKind::kLocation:
      digest.location = HashBytes(header.value);
      return;
    case HeaderKind::kUserAgent:
      seen.otel_user_agent |= absl::StartsWith(header.value, "OTel-OTLP-Exporter");
      break;
    case HeaderKind::kEndToEnd:
      break;
  }
  digest.headers += HashCombine(name_hash, HashBytes(header.value));
  ++digest.header_count;
}

uint64_t Load8(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, 8);
  return word;
}

// Up to 8 bytes without a loop; bytes may be read twice, which does no harm to a hash with the length in it.
uint64_t LoadTail(const char* from, size_t bytes) {
  if (bytes >= 4) {
    uint32_t low, high;
    std::memcpy(&low, from, 4);
    std::memcpy(&high, from + bytes - 4, 4);
    return uint64_t{high} << 32 | low;
  }
  const auto byte = [from](size_t i) { return static_cast<uint64_t>(static_cast<uint8_t>(from[i])); };
  return byte(0) | byte(bytes / 2) << 8 | byte(bytes - 1) << 16;
}

// "http://h?b" is passed on as "/?b" (RFC 9112 3.2.1): both are hashed as "?b".
uint64_t HashTarget(absl::string_view target) {
  target = OriginForm(target);
  if (absl::StartsWith(target, "/?")) target.remove_prefix(1);
  return HashBytes(target);
}

}  // namespace

uint64_t HashRequestId(absl::string_view value) {
  if (value.empty()) return 0;
  const uint64_t hash = value.size() == 36
                            ? HashCombine(HashBytes(value.substr(0, 14), true), HashBytes(value.substr(15), true))
                            : HashBytes(value);
  return hash != 0 ? hash : 1;
}

uint64_t HashBytes(absl::string_view bytes, bool fold) {
  const uint64_t mask = fold ? 0x2020202020202020u : 0;
  uint64_t hash = 0x51ed270b9f652295u ^ bytes.size();
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left > 8; left -= 8, at += 8) hash = HashCombine(hash, Load8(at) | mask);
  return left == 0 ? hash : HashCombine(hash, LoadTail(at, left) | mask);
}

absl::string_view OriginForm(absl::string_view target) {
  if (target.empty() || target[0] == '/') return target;
  const size_t scheme = target.find("://");
  if (scheme == absl::string_view::npos) return target;
  const size_t end = target.find_first_of("/?", scheme + 3);
  return end == absl::string_view::npos ? absl::string_view("/") : target.substr(end);
}

uint64_t HeadDigest::Fingerprint() const {
  return HashCombine(HashCombine(method_target, headers), static_cast<uint64_t>(content_length));
}

HeadDigest DigestHead(const HttpHead& head) {
  HeadDigest digest;
  Seen seen;
  for (const HttpHeader& header : head.headers) DigestHeader(header, digest, seen);
  digest.truncated = head.truncated || head.headers_dropped != 0;
  digest.status = head.status;
  if (seen.traceparents > 1) digest.traceparent.reset();
  if (seen.request_ids > 1) digest.request_id = {};
  digest.request_id_hash = HashRequestId(digest.request_id);
  if (head.is_request) {
    digest.method_target = HashCombine(HashBytes(head.method), HashTarget(head.target));
    // Only a gateway makes CGI parameters of a request.
    if (head.protocol == "fastcgi") ++digest.proxy_marks;
    digest.own_export = seen.otel_user_agent && head.method == "POST" && IsExportPath(head.target);
  }
  return digest;
}

bool IsEndToEnd(absl::string_view name) {
  const HeaderKind kind = KindOf(name, HashBytes(name, true));
  return kind == HeaderKind::kEndToEnd || kind == HeaderKind::kUserAgent;
}

bool ResponseAgrees(const HeadDigest& inner, const HeadDigest& outer) {
  const auto same_if_both = [](uint64_t a, uint64_t b) { return a == 0 || b == 0 || a == b; };
  if (inner.status != outer.status) return false;
  if (inner.content_length >= 0 && outer.content_length >= 0 && inner.content_length != outer.content_length) {
    return false;
  }
  return same_if_both(inner.etag, outer.etag) && same_if_both(inner.last_modified, outer.last_modified) &&
         same_if_both(inner.location, outer.location);
}

}  // namespace spantap
