// SPDX-License-Identifier: Apache-2.0
#include "exporter/intake/attribute_names.h"

#include <iterator>

namespace spantap {
namespace {

constexpr KnownAttribute Row(uint16_t key, absl::string_view name) { return {key, name, EncodedName(name)}; }

}  // namespace

// In the order of the header, so that a key is an index; checked below.
constexpr KnownAttribute kKnownAttributes[] = {
    Row(SPANTAP_KEY_NAMED, ""),
    Row(SPANTAP_KEY_HTTP_REQUEST_METHOD, "http.request.method"),
    Row(SPANTAP_KEY_HTTP_REQUEST_METHOD_ORIGINAL, "http.request.method_original"),
    Row(SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, "http.response.status_code"),
    Row(SPANTAP_KEY_HTTP_ROUTE, "http.route"),
    Row(SPANTAP_KEY_HTTP_REQUEST_BODY_SIZE, "http.request.body.size"),
    Row(SPANTAP_KEY_HTTP_RESPONSE_BODY_SIZE, "http.response.body.size"),
    Row(SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT, "http.request.resend_count"),
    Row(SPANTAP_KEY_URL_FULL, "url.full"),
    Row(SPANTAP_KEY_URL_SCHEME, "url.scheme"),
    Row(SPANTAP_KEY_URL_PATH, "url.path"),
    Row(SPANTAP_KEY_URL_QUERY, "url.query"),
    Row(SPANTAP_KEY_USER_AGENT_ORIGINAL, "user_agent.original"),
    Row(SPANTAP_KEY_SERVER_ADDRESS, "server.address"),
    Row(SPANTAP_KEY_SERVER_PORT, "server.port"),
    Row(SPANTAP_KEY_CLIENT_ADDRESS, "client.address"),
    Row(SPANTAP_KEY_CLIENT_PORT, "client.port"),
    Row(SPANTAP_KEY_NETWORK_PEER_ADDRESS, "network.peer.address"),
    Row(SPANTAP_KEY_NETWORK_PEER_PORT, "network.peer.port"),
    Row(SPANTAP_KEY_NETWORK_PROTOCOL_NAME, "network.protocol.name"),
    Row(SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, "network.protocol.version"),
    Row(SPANTAP_KEY_ERROR_TYPE, "error.type"),
    Row(SPANTAP_KEY_RPC_SYSTEM, "rpc.system"),
    Row(SPANTAP_KEY_RPC_SERVICE, "rpc.service"),
    Row(SPANTAP_KEY_RPC_METHOD, "rpc.method"),
    Row(SPANTAP_KEY_RPC_GRPC_STATUS_CODE, "rpc.grpc.status_code"),
    Row(SPANTAP_KEY_REQUEST_ID, "http.request.header.x-request-id"),
};
static_assert(std::size(kKnownAttributes) == SPANTAP_KEY_COUNT_, "a key of spantap.h has no name here");

namespace {

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kKnownAttributes); ++i) {
    if (kKnownAttributes[i].key != i) return false;
  }
  return true;
}
static_assert(InOrder());

}  // namespace
}  // namespace spantap
