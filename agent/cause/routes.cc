// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/routes.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "agent/cause/request_target.h"
#include "agent/cause/segment_template.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace spantap {
namespace {

constexpr absl::string_view kId = "*";
constexpr absl::string_view kDeeper = "**";
constexpr absl::string_view kOtherPlaces = "other places";

// Without a key and the same on every machine: xxHash reads bytes in one order everywhere. 0 means none to others.
uint64_t Hash(uint64_t before, absl::string_view text) {
  const uint64_t hash = XXH3_64bits_withSeed(text.data(), text.size(), before);
  return hash != 0 ? hash : 1;
}

// Any other counts as one, so that nobody multiplies routes by making methods up.
absl::string_view KnownMethod(absl::string_view method) {
  static constexpr std::array<absl::string_view, 9> kMethods = {"GET",  "POST",    "PUT",   "DELETE", "PATCH",
                                                                "HEAD", "OPTIONS", "TRACE", "CONNECT"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end() ? method : absl::string_view();
}

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

// "/pkg.v1.Service/Method": both are names in a program, whatever they look like.
bool IsGrpc(absl::string_view method, absl::string_view path) {
  if (method != "POST" || path.empty() || path[0] != '/') return false;
  path.remove_prefix(1);
  const absl::string_view service = TakePart(path, '/');
  const size_t dot = service.rfind('.');
  return dot != absl::string_view::npos && dot + 1 < service.size() && IsUpper(service[dot + 1]) && !path.empty() &&
         IsUpper(path[0]) && std::all_of(path.begin(), path.end(), [](char c) {
           return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c)) != 0;
         });
}

}  // namespace

uint64_t RouteTable::RouteOf(const HttpHead& request, uint64_t place) {
  absl::string_view path = SplitTarget(request.target).path;
  const bool grpc = IsGrpc(request.method, path);
  uint64_t at = Root(place);
  size_t segments = 0;
  while (!path.empty()) {
    absl::string_view rest = TakePart(path, '/');
    const absl::string_view segment = TakePart(rest, ';');  // without its parameters (";jsessionid=...")
    if (segment.empty()) continue;
    if (++segments > kMaxSegments) {
      at = Hash(at, kDeeper);
      break;
    }
    char decoded[kMaxSegmentBytes + 1];  // one more tells what is too long
    char buffer[kMaxSegmentBytes];
    const absl::string_view name = Unescape(segment, decoded);
    at = Step(at, grpc && name.size() <= kMaxSegmentBytes ? name : SegmentTemplate(name, buffer));
  }
  return Hash(at, KnownMethod(request.method));
}

uint64_t RouteTable::Root(uint64_t place) {
  uint64_t key = Hash(place, absl::string_view());
  if (nodes_.contains(key)) return key;
  if (places_ < kMaxPlaces && nodes_.size() < kMaxNodes) {
    ++places_;
  } else {
    key = Hash(0, kOtherPlaces);
  }
  Insert(key, 0);
  return key;
}

uint64_t RouteTable::Step(uint64_t at, absl::string_view segment_template) {
  if (segment_template == kId) return StepToId(at);
  const uint64_t key = Hash(at, segment_template);
  if (const auto known = nodes_.find(key); known != nodes_.end()) {
    Node& node = known->second;
    node.hits = std::min<uint16_t>(node.hits + 1, kKeepHits);
    return key;
  }
  const auto here = nodes_.find(at);
  if (here == nodes_.end() || here->second.crowded) return StepToId(at);
  if (here->second.children == kMaxChildren) {
    Crowd(at, here->second);
    return StepToId(at);
  }
  if (nodes_.size() >= kMaxNodes) return StepToId(at);
  ++here->second.children;
  Insert(key, at);
  return key;
}

uint64_t RouteTable::StepToId(uint64_t at) {
  const uint64_t key = Hash(at, kId);
  if (nodes_.contains(at)) Insert(key, at);
  return key;
}

void RouteTable::Insert(uint64_t key, uint64_t before) {
  if (nodes_.size() < kMaxNodes) nodes_.try_emplace(key, Node{before, 1, 0, false});
}

// Also forgets what is behind the words that are no more. Each time costs at least kMaxChildren new ones.
void RouteTable::Crowd(uint64_t at, Node& node) {
  node.crowded = true;
  const uint64_t id = Hash(at, kId);
  size_t erased = absl::erase_if(nodes_, [&](const auto& entry) {
    return entry.second.before == at && entry.second.hits < kKeepHits && entry.first != id;
  });
  while (erased != 0) {
    erased = absl::erase_if(
        nodes_, [&](const auto& entry) { return entry.second.before != 0 && !nodes_.contains(entry.second.before); });
  }
}

}  // namespace spantap
