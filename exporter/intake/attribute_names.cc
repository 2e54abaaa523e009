// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/attribute_names.h"

#include <array>
#include <iterator>

#include "spantap/spantap.h"

namespace spantap {
namespace {

struct Row {
  uint16_t key;
  absl::string_view name;
};

// In the order of the header, so that a key is an index; checked below.
constexpr Row kNames[] = {
    {SPANTAP_KEY_NAMED, ""},
    {SPANTAP_KEY_HTTP_REQUEST_METHOD, "http.request.method"},
    {SPANTAP_KEY_HTTP_REQUEST_METHOD_ORIGINAL, "http.request.method_original"},
    {SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, "http.response.status_code"},
    {SPANTAP_KEY_HTTP_ROUTE, "http.route"},
    {SPANTAP_KEY_HTTP_REQUEST_BODY_SIZE, "http.request.body.size"},
    {SPANTAP_KEY_HTTP_RESPONSE_BODY_SIZE, "http.response.body.size"},
    {SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT, "http.request.resend_count"},
    {SPANTAP_KEY_URL_FULL, "url.full"},
    {SPANTAP_KEY_URL_SCHEME, "url.scheme"},
    {SPANTAP_KEY_URL_PATH, "url.path"},
    {SPANTAP_KEY_URL_QUERY, "url.query"},
    {SPANTAP_KEY_USER_AGENT_ORIGINAL, "user_agent.original"},
    {SPANTAP_KEY_SERVER_ADDRESS, "server.address"},
    {SPANTAP_KEY_SERVER_PORT, "server.port"},
    {SPANTAP_KEY_CLIENT_ADDRESS, "client.address"},
    {SPANTAP_KEY_CLIENT_PORT, "client.port"},
    {SPANTAP_KEY_NETWORK_PEER_ADDRESS, "network.peer.address"},
    {SPANTAP_KEY_NETWORK_PEER_PORT, "network.peer.port"},
    {SPANTAP_KEY_NETWORK_PROTOCOL_NAME, "network.protocol.name"},
    {SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, "network.protocol.version"},
    {SPANTAP_KEY_ERROR_TYPE, "error.type"},
    {SPANTAP_KEY_RPC_SYSTEM, "rpc.system"},
    {SPANTAP_KEY_RPC_SERVICE, "rpc.service"},
    {SPANTAP_KEY_RPC_METHOD, "rpc.method"},
    {SPANTAP_KEY_RPC_GRPC_STATUS_CODE, "rpc.grpc.status_code"},
    {SPANTAP_KEY_REQUEST_ID, "http.request.header.x-request-id"},
};
static_assert(std::size(kNames) == SPANTAP_KEY_COUNT_, "a key of spantap.h has no name here");

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i].key != i) return false;
  }
  return true;
}
static_assert(InOrder());

constexpr auto EncodeAll() {
  std::array<EncodedName, std::size(kNames)> all;
  for (size_t i = 0; i < all.size(); ++i) all[i] = EncodedName(kNames[i].name);
  return all;
}
constexpr auto kEncoded = EncodeAll();

}  // namespace

absl::string_view AttributeName(uint16_t key) {
  return key < std::size(kNames) ? kNames[key].name : absl::string_view();
}

const EncodedName& EncodedAttributeName(uint16_t key) { return kEncoded[key]; }

}  // namespace spantap
