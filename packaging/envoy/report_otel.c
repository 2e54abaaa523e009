/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "packaging/envoy/address.h"
#include "packaging/envoy/report.h"

/* The stable semantic conventions (https://opentelemetry.io/docs/specs/semconv/http/http-spans/). What they have no
 * name for keeps Envoy's. */

struct url {
  spantap_str scheme, authority, path, query;
};

static const spantap_str kEmpty = {"", 0};

static int equal(spantap_str text, const char* wanted) {
  return text.size == strlen(wanted) && memcmp(text.data, wanted, text.size) == 0;
}

/* Envoy writes - for nothing. */
static int has(spantap_str text) { return text.size != 0 && !equal(text, "-"); }

static void split_path(spantap_str target, struct url* url) {
  const char* question = target.size != 0 ? (const char*)memchr(target.data, '?', target.size) : NULL;
  url->path = target;
  url->query = kEmpty;
  if (question == NULL) return;
  url->path.size = (size_t)(question - target.data);
  url->query.data = question + 1;
  url->query.size = target.size - url->path.size - 1;
}

/* http.url is scheme://authority/path?query. */
static void split_url(spantap_str text, struct url* url) {
  const char* colon = text.size != 0 ? (const char*)memchr(text.data, ':', text.size) : NULL;
  const char* end = text.data + text.size;
  if (colon == NULL || end - colon < 3 || colon[1] != '/' || colon[2] != '/') {
    split_path(text, url);
    return;
  }
  const char* authority = colon + 3;
  const char* slash = (const char*)memchr(authority, '/', (size_t)(end - authority));
  if (slash == NULL) slash = end;
  spantap_str target = {slash, (size_t)(end - slash)};
  url->scheme.data = text.data;
  url->scheme.size = (size_t)(colon - text.data);
  url->authority.data = authority;
  url->authority.size = (size_t)(slash - authority);
  split_path(target, url);
}

/* A downstream span has it in its tags, an upstream one from the request's headers. */
static void find_url(const struct span* span, struct url* url) {
  spantap_str whole = span_get(span, TAG_HTTP_URL);
  memset(url, 0, sizeof(*url));
  if (has(whole)) {
    split_url(whole, url);
  } else {
    url->scheme = span_get(span, TEXT_SCHEME);
    url->authority = span_get(span, TEXT_HOST);
    split_path(span_get(span, TEXT_PATH), url);
  }
}

static spantap_str find_method(const struct span* span) {
  spantap_str method = span_get(span, TAG_HTTP_METHOD);
  return has(method) ? method : span_get(span, TEXT_METHOD);
}

static int known_method(spantap_str method) {
  static const char* const kKnown[] = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE"};
  for (size_t i = 0; i < sizeof(kKnown) / sizeof(kKnown[0]); ++i) {
    if (equal(method, kKnown[i])) return 1;
  }
  return 0;
}

static void add_method(struct report* report, spantap_str method) {
  static const spantap_str kOther = SPANTAP_STR("_OTHER"), kHttp = SPANTAP_STR("HTTP");
  spantap_str operation = span_get(report->span, TEXT_OPERATION);
  int known = known_method(method);
  if (has(method)) {
    report_string(report, SPANTAP_KEY_HTTP_REQUEST_METHOD, known ? method : kOther);
    if (!known) report_string(report, SPANTAP_KEY_HTTP_REQUEST_METHOD_ORIGINAL, method);
  }
  report->out.name = report->span->renamed || !has(method) ? operation : known ? method : kHttp;
}

static void append(char* to, size_t* size, spantap_str part) {
  size_t room = REPORT_URL_BYTES - *size, bytes = part.size < room ? part.size : room;
  if (bytes != 0) memcpy(to + *size, part.data, bytes);
  *size += bytes;
}

static void add_full_url(struct report* report, const struct url* url) {
  static const spantap_str kSlashes = SPANTAP_STR("://"), kQuestion = SPANTAP_STR("?");
  spantap_str whole = span_get(report->span, TAG_HTTP_URL);
  if (!has(whole)) {
    size_t size = 0;
    append(report->url, &size, url->scheme);
    append(report->url, &size, kSlashes);
    append(report->url, &size, url->authority);
    append(report->url, &size, url->path);
    if (url->query.size != 0) append(report->url, &size, kQuestion);
    append(report->url, &size, url->query);
    whole.data = report->url;
    whole.size = size;
  }
  report_string(report, SPANTAP_KEY_URL_FULL, whole);
}

static void add_url(struct report* report, const struct url* url) {
  struct address server;
  if (report->span->kind == SPANTAP_CLIENT) {
    if (has(url->scheme) && has(url->authority)) add_full_url(report, url);
  } else {
    if (has(url->scheme)) report_string(report, SPANTAP_KEY_URL_SCHEME, url->scheme);
    if (has(url->path)) report_string(report, SPANTAP_KEY_URL_PATH, url->path);
    if (has(url->query)) report_string(report, SPANTAP_KEY_URL_QUERY, url->query);
  }
  if (!address_split(url->authority, &server)) return;
  report_string(report, SPANTAP_KEY_SERVER_ADDRESS, server.host);
  report_int(report, SPANTAP_KEY_SERVER_PORT, server.port != 0 ? server.port : equal(url->scheme, "https") ? 443 : 80);
}

static void add_peer(struct report* report) {
  const struct span* span = report->span;
  spantap_str downstream = span->child ? kEmpty : span_get(span, TAG_PEER_ADDRESS);
  struct address peer;
  if (address_split(span->kind == SPANTAP_CLIENT ? report_upstream(span) : downstream, &peer)) {
    report_string(report, SPANTAP_KEY_NETWORK_PEER_ADDRESS, peer.host);
    if (peer.port != 0) report_int(report, SPANTAP_KEY_NETWORK_PEER_PORT, peer.port);
  }
  if (address_split(downstream, &peer)) report_string(report, SPANTAP_KEY_CLIENT_ADDRESS, peer.host);
}

/* HTTP/1.1 -> 1.1 */
static void add_protocol(struct report* report) {
  spantap_str protocol = span_get(report->span, TAG_HTTP_PROTOCOL);
  const char* slash = protocol.size != 0 ? (const char*)memchr(protocol.data, '/', protocol.size) : NULL;
  if (slash == NULL) return;
  spantap_str version = {slash + 1, protocol.size - (size_t)(slash + 1 - protocol.data)};
  report_string(report, SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, version);
}

/* /package.Service/Method */
static void add_rpc(struct report* report) {
  static const spantap_str kGrpc = SPANTAP_STR("grpc");
  spantap_str path = span_get(report->span, TAG_GRPC_PATH);
  if (path.size == 0 && span_get(report->span, TAG_GRPC_STATUS_CODE).size == 0) return;
  report_string(report, SPANTAP_KEY_RPC_SYSTEM, kGrpc);
  report_number(report, SPANTAP_KEY_RPC_GRPC_STATUS_CODE, TAG_GRPC_STATUS_CODE);
  const char* slash = path.size > 1 ? (const char*)memchr(path.data + 1, '/', path.size - 1) : NULL;
  if (slash == NULL || path.data[0] != '/') return;
  spantap_str service = {path.data + 1, (size_t)(slash - path.data - 1)};
  spantap_str method = {slash + 1, path.size - service.size - 2};
  report_string(report, SPANTAP_KEY_RPC_SERVICE, service);
  report_string(report, SPANTAP_KEY_RPC_METHOD, method);
}

/* Of Envoy's response flags (https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage),
 * the first; few values, as error.type wants it. */
static spantap_str flag_error(spantap_str flags) {
  static const struct {
    const char flag[4];
    spantap_str error;
  } kErrors[] = {{"DC", SPANTAP_STR("connection_reset")}, {"UC", SPANTAP_STR("connection_reset")},
                 {"UR", SPANTAP_STR("connection_reset")}, {"DR", SPANTAP_STR("connection_reset")},
                 {"LR", SPANTAP_STR("connection_reset")}, {"UF", SPANTAP_STR("connection_error")},
                 {"UT", SPANTAP_STR("timeout")},          {"SI", SPANTAP_STR("timeout")},
                 {"DT", SPANTAP_STR("timeout")}};
  static const spantap_str kOther = SPANTAP_STR("_OTHER");
  const char* comma = flags.size != 0 ? (const char*)memchr(flags.data, ',', flags.size) : NULL;
  if (comma != NULL) flags.size = (size_t)(comma - flags.data);
  for (size_t i = 0; i < sizeof(kErrors) / sizeof(kErrors[0]); ++i) {
    if (equal(flags, kErrors[i].flag)) return kErrors[i].error;
  }
  return kOther;
}

static spantap_str grpc_error(int64_t code) {
  static const spantap_str kNames[] = {SPANTAP_STR("OK"),
                                       SPANTAP_STR("CANCELLED"),
                                       SPANTAP_STR("UNKNOWN"),
                                       SPANTAP_STR("INVALID_ARGUMENT"),
                                       SPANTAP_STR("DEADLINE_EXCEEDED"),
                                       SPANTAP_STR("NOT_FOUND"),
                                       SPANTAP_STR("ALREADY_EXISTS"),
                                       SPANTAP_STR("PERMISSION_DENIED"),
                                       SPANTAP_STR("RESOURCE_EXHAUSTED"),
                                       SPANTAP_STR("FAILED_PRECONDITION"),
                                       SPANTAP_STR("ABORTED"),
                                       SPANTAP_STR("OUT_OF_RANGE"),
                                       SPANTAP_STR("UNIMPLEMENTED"),
                                       SPANTAP_STR("INTERNAL"),
                                       SPANTAP_STR("UNAVAILABLE"),
                                       SPANTAP_STR("DATA_LOSS"),
                                       SPANTAP_STR("UNAUTHENTICATED")};
  static const spantap_str kOther = SPANTAP_STR("_OTHER");
  return code < (int64_t)(sizeof(kNames) / sizeof(kNames[0])) ? kNames[code] : kOther;
}

/* No code means that no response came, which is an error unless Envoy itself gave the request up (a hedged try, say).
 */
static void add_status(struct report* report) {
  const struct span* span = report->span;
  int64_t http = report_tag_number(span, TAG_HTTP_STATUS_CODE), grpc = report_tag_number(span, TAG_GRPC_STATUS_CODE);
  int answered = http > 0, canceled = span_get(span, TAG_CANCELED).size != 0;
  if (answered) report_int(report, SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, http);
  if (answered ? !report_code_is_error(span) : canceled || span_get(span, TAG_COMPONENT).size == 0) return;
  report->out.status = SPANTAP_STATUS_ERROR;
  report_string(report, SPANTAP_KEY_ERROR_TYPE,
                !answered     ? flag_error(span_get(span, TAG_RESPONSE_FLAGS))
                : http >= 400 ? span_get(span, TAG_HTTP_STATUS_CODE)
                              : grpc_error(grpc));
}

/* Tags that the conventions have no name for keep theirs, if they say anything. */
static int keeps_name(const struct item* item) {
  static const uint32_t kKept = 1u << TAG_OTHER | 1u << TAG_CANCELED | 1u << TAG_CLIENT_TRACE_ID |
                                1u << TAG_DOWNSTREAM_CLUSTER | 1u << TAG_ERROR_REASON | 1u << TAG_GRPC_MESSAGE |
                                1u << TAG_NODE_ID | 1u << TAG_RESPONSE_FLAGS | 1u << TAG_UPSTREAM_CLUSTER_NAME |
                                1u << TAG_ZONE;
  _Static_assert(TAG_NAMED_COUNT <= 32, "one bit for each tag");
  spantap_str value = {(const char*)(item + 1) + item->name_bytes, item->value_bytes};
  return item->is_event || (item->tag < TAG_NAMED_COUNT && (kKept >> item->tag & 1) != 0 && has(value));
}

void report_otel(struct report* report) {
  const struct span* span = report->span;
  spantap_str request_id = span_get(span, TAG_REQUEST_ID), agent = span_get(span, TAG_USER_AGENT);
  struct url url;
  find_url(span, &url);
  add_method(report, find_method(span));
  add_url(report, &url);
  add_peer(report);
  add_protocol(report);
  if (has(agent)) report_string(report, SPANTAP_KEY_USER_AGENT_ORIGINAL, agent);
  if (has(request_id)) report_string(report, SPANTAP_KEY_REQUEST_ID, request_id);
  report_number(report, SPANTAP_KEY_HTTP_REQUEST_BODY_SIZE, TAG_REQUEST_SIZE);
  report_number(report, SPANTAP_KEY_HTTP_RESPONSE_BODY_SIZE, TAG_RESPONSE_SIZE);
  report_number(report, SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT, TAG_RETRY_COUNT);
  add_rpc(report);
  add_status(report);
  for (uint32_t offset = SPAN_FIRST_ITEM; offset < span->used; offset += item_bytes(span_item(span, offset))) {
    if (keeps_name(span_item(span, offset))) report_item(report, offset);
  }
}
