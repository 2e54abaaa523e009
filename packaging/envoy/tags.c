/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/tags.h"

#include <string.h>

static const spantap_str kNames[TAG_COUNT] = {
    [TAG_CANCELED] = SPANTAP_STR("canceled"),
    [TAG_CLIENT_TRACE_ID] = SPANTAP_STR("guid:x-client-trace-id"),
    [TAG_COMPONENT] = SPANTAP_STR("component"),
    [TAG_DOWNSTREAM_CLUSTER] = SPANTAP_STR("downstream_cluster"),
    [TAG_ERROR] = SPANTAP_STR("error"),
    [TAG_ERROR_REASON] = SPANTAP_STR("error.reason"),
    [TAG_GRPC_AUTHORITY] = SPANTAP_STR("grpc.authority"),
    [TAG_GRPC_CONTENT_TYPE] = SPANTAP_STR("grpc.content_type"),
    [TAG_GRPC_MESSAGE] = SPANTAP_STR("grpc.message"),
    [TAG_GRPC_PATH] = SPANTAP_STR("grpc.path"),
    [TAG_GRPC_STATUS_CODE] = SPANTAP_STR("grpc.status_code"),
    [TAG_GRPC_TIMEOUT] = SPANTAP_STR("grpc.timeout"),
    [TAG_HTTP_METHOD] = SPANTAP_STR("http.method"),
    [TAG_HTTP_PROTOCOL] = SPANTAP_STR("http.protocol"),
    [TAG_HTTP_STATUS_CODE] = SPANTAP_STR("http.status_code"),
    [TAG_HTTP_URL] = SPANTAP_STR("http.url"),
    [TAG_NODE_ID] = SPANTAP_STR("node_id"),
    [TAG_PEER_ADDRESS] = SPANTAP_STR("peer.address"),
    [TAG_REQUEST_ID] = SPANTAP_STR("guid:x-request-id"),
    [TAG_REQUEST_SIZE] = SPANTAP_STR("request_size"),
    [TAG_RESPONSE_FLAGS] = SPANTAP_STR("response_flags"),
    [TAG_RESPONSE_SIZE] = SPANTAP_STR("response_size"),
    [TAG_RETRY_COUNT] = SPANTAP_STR("retry.count"),
    [TAG_UPSTREAM_ADDRESS] = SPANTAP_STR("upstream_address"),
    [TAG_UPSTREAM_CLUSTER] = SPANTAP_STR("upstream_cluster"),
    [TAG_UPSTREAM_CLUSTER_NAME] = SPANTAP_STR("upstream_cluster.name"),
    [TAG_USER_AGENT] = SPANTAP_STR("user_agent"),
    [TAG_ZONE] = SPANTAP_STR("zone"),
    [TAG_CONNECTION] = SPANTAP_STR("spantap.connection"),
};

/* Who has that length; TAG_OTHER ends the row. Checked against kNames by the test. */
static const uint8_t kByLength[23][6] = {
    [4] = {TAG_ZONE},
    [5] = {TAG_ERROR},
    [7] = {TAG_NODE_ID},
    [8] = {TAG_HTTP_URL, TAG_CANCELED},
    [9] = {TAG_COMPONENT, TAG_GRPC_PATH},
    [10] = {TAG_USER_AGENT},
    [11] = {TAG_HTTP_METHOD, TAG_RETRY_COUNT},
    [12] = {TAG_PEER_ADDRESS, TAG_REQUEST_SIZE, TAG_GRPC_TIMEOUT, TAG_GRPC_MESSAGE, TAG_ERROR_REASON},
    [13] = {TAG_HTTP_PROTOCOL, TAG_RESPONSE_SIZE},
    [14] = {TAG_RESPONSE_FLAGS, TAG_GRPC_AUTHORITY},
    [16] = {TAG_UPSTREAM_CLUSTER, TAG_HTTP_STATUS_CODE, TAG_UPSTREAM_ADDRESS, TAG_GRPC_STATUS_CODE},
    [17] = {TAG_REQUEST_ID, TAG_GRPC_CONTENT_TYPE},
    [18] = {TAG_DOWNSTREAM_CLUSTER, TAG_CONNECTION},
    [21] = {TAG_UPSTREAM_CLUSTER_NAME},
    [22] = {TAG_CLIENT_TRACE_ID},
};

enum tag tag_of(envoy_text name) {
  if (name.size >= sizeof(kByLength) / sizeof(kByLength[0])) return TAG_OTHER;
  for (const uint8_t* tag = kByLength[name.size]; *tag != TAG_OTHER; ++tag) {
    const char* wanted = kNames[*tag].data;
    if (wanted[0] == name.data[0] && wanted[name.size - 1] == name.data[name.size - 1] &&
        memcmp(wanted, name.data, name.size) == 0) {
      return (enum tag) * tag;
    }
  }
  return TAG_OTHER;
}

spantap_str tag_name(enum tag tag) { return kNames[tag]; }
