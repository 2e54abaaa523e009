/* SPDX-License-Identifier: Apache-2.0
 *
 * The tags that Envoy sets on spans, as small integers: found by length and a comparison or two, spelled from a table.
 * Used by span.c (to store a number instead of a name) and by report*.c. Constant data; any thread.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_TAGS_H_
#define SPANTAP_PACKAGING_ENVOY_TAGS_H_

#include "packaging/envoy/envoy_abi.h"
#include "spantap/spantap.h"

enum tag {
  TAG_OTHER, /* a custom one: its name is stored with it */
  TAG_CANCELED,
  TAG_CLIENT_TRACE_ID,
  TAG_COMPONENT,
  TAG_DOWNSTREAM_CLUSTER,
  TAG_ERROR,
  TAG_ERROR_REASON,
  TAG_GRPC_AUTHORITY,
  TAG_GRPC_CONTENT_TYPE,
  TAG_GRPC_MESSAGE,
  TAG_GRPC_PATH,
  TAG_GRPC_STATUS_CODE,
  TAG_GRPC_TIMEOUT,
  TAG_HTTP_METHOD,
  TAG_HTTP_PROTOCOL,
  TAG_HTTP_STATUS_CODE,
  TAG_HTTP_URL,
  TAG_NODE_ID,
  TAG_PEER_ADDRESS,
  TAG_REQUEST_ID,
  TAG_REQUEST_SIZE,
  TAG_RESPONSE_FLAGS,
  TAG_RESPONSE_SIZE,
  TAG_RETRY_COUNT,
  TAG_UPSTREAM_ADDRESS,
  TAG_UPSTREAM_CLUSTER,
  TAG_UPSTREAM_CLUSTER_NAME,
  TAG_USER_AGENT,
  TAG_ZONE,
  TAG_CONNECTION, /* spantap.connection: for the agent's eyes, no attribute */
  TAG_NAMED_COUNT,
  /* Texts of a span that are no tags, stored in the same way. */
  TEXT_OPERATION = TAG_NAMED_COUNT,
  TEXT_TRACE_STATE,
  TEXT_METHOD, /* of the upstream request */
  TEXT_SCHEME,
  TEXT_HOST,
  TEXT_PATH,
  TAG_COUNT
};

enum tag tag_of(envoy_text name);
/* Envoy's name of a tag; empty for TAG_OTHER and texts. */
spantap_str tag_name(enum tag tag);

#endif /* SPANTAP_PACKAGING_ENVOY_TAGS_H_ */
