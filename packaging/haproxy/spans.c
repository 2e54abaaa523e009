/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/haproxy/spans.h"

#include <string.h>
#include <time.h>

enum { MAX_SPAN_ATTRS = 24, URL_BYTES = SPANTAP_MAX_VALUE };
static const uint64_t kMs = 1000000;

/* A span while it is put together. */
struct draft {
  const struct context* context;
  const struct result* result;
  spantap_span span;
  spantap_conn conn;
  spantap_attr attrs[MAX_SPAN_ATTRS];
};

static spantap_attr* next_attr(struct draft* draft, spantap_key key, spantap_type type) {
  spantap_attr* attr = &draft->attrs[draft->span.attr_count++];
  attr->key = key;
  attr->type = type;
  attr->reserved = 0;
  return attr;
}

static void add_string(struct draft* draft, spantap_key key, spantap_str value) {
  if (value.size != 0) next_attr(draft, key, SPANTAP_STRING)->value.s = value;
}

static void add_int(struct draft* draft, spantap_key key, int64_t value) {
  if (value >= 0) next_attr(draft, key, SPANTAP_INT)->value.i = value;
}

static void add_named(struct draft* draft, spantap_str name, enum result_field field) {
  spantap_attr* attr = next_attr(draft, SPANTAP_KEY_NAMED, SPANTAP_STRING);
  attr->name = name;
  attr->value.s = draft->result->fields[field];
}

static void add_named_int(struct draft* draft, spantap_str name, int64_t value) {
  if (value < 0) return;
  spantap_attr* attr = next_attr(draft, SPANTAP_KEY_NAMED, SPANTAP_INT);
  attr->name = name;
  attr->value.i = value;
}

static void add_true(struct draft* draft, spantap_str name) {
  spantap_attr* attr = next_attr(draft, SPANTAP_KEY_NAMED, SPANTAP_BOOL);
  attr->name = name;
  attr->value.b = 1;
}
#define NAME(literal) ((spantap_str)SPANTAP_STR(literal))

static int is_one(spantap_str text) { return text.size == 1 && text.data[0] == '1'; }

/* HAProxy's way to say that no server was chosen. */
static int is_nothing(spantap_str server) {
  return server.size == sizeof("<NOSRV>") - 1 && memcmp(server.data, "<NOSRV>", server.size) == 0;
}

static int known_method(spantap_str method) {
  static const char* const kMethods[] = {"GET",     "POST",  "PUT",   "DELETE", "HEAD",
                                         "OPTIONS", "PATCH", "TRACE", "CONNECT"};
  for (size_t i = 0; i < sizeof(kMethods) / sizeof(kMethods[0]); ++i)
    if (strlen(kMethods[i]) == method.size && memcmp(kMethods[i], method.data, method.size) == 0) return 1;
  return 0;
}

static void add_method(struct draft* draft) {
  spantap_str method = draft->context->texts[TEXT_METHOD];
  if (known_method(method)) {
    add_string(draft, SPANTAP_KEY_HTTP_REQUEST_METHOD, method);
    draft->span.name = method;
  } else {
    add_string(draft, SPANTAP_KEY_HTTP_REQUEST_METHOD, NAME("_OTHER"));
    add_string(draft, SPANTAP_KEY_HTTP_REQUEST_METHOD_ORIGINAL, method);
    draft->span.name = NAME("HTTP");
  }
}

/* Digits, and nothing else up to 65535; 0: none. */
static int64_t port_of(const char* at, const char* end) {
  int64_t port = 0;
  while (at < end && *at >= '0' && *at <= '9' && port <= 65535) port = port * 10 + (*at++ - '0');
  return at == end && port <= 65535 ? port : 0;
}

/* What the client asked for. Without a port in it, a client span has its connection's. */
static void add_server(struct draft* draft, int64_t port) {
  spantap_str host = draft->context->texts[TEXT_HOST];
  if (host.size == 0) return;
  const char* end = host.data + host.size;
  const char* bracket = host.data[0] == '[' ? (const char*)memchr(host.data, ']', host.size) : NULL;
  const char* from = bracket != NULL ? bracket : host.data;
  const char* colon = (const char*)memchr(from, ':', (size_t)(end - from));
  if (colon != NULL) port = port_of(colon + 1, end);
  if (bracket != NULL) {
    host = (spantap_str){host.data + 1, (size_t)(bracket - host.data - 1)};
  } else if (colon != NULL) {
    host.size = (size_t)(colon - host.data);
  }
  add_string(draft, SPANTAP_KEY_SERVER_ADDRESS, host);
  if (port > 0) add_int(draft, SPANTAP_KEY_SERVER_PORT, port);
}

/* Without an address there is no port either. */
static void add_peer(struct draft* draft, enum result_field address) {
  if (draft->span.conn == NULL) return;
  add_string(draft, SPANTAP_KEY_NETWORK_PEER_ADDRESS, draft->result->fields[address]);
  add_int(draft, SPANTAP_KEY_NETWORK_PEER_PORT, result_number(draft->result, address + 1));
}

/* "2.0" is spelled "2". */
static spantap_str version_of(spantap_str version) {
  if (version.size == 3 && version.data[0] > '1' && version.data[2] == '0') version.size = 1;
  return version;
}

/* Why the stream ended, in the agent's words; empty: in order, or as HAProxy decided. The letters: who (c and s: by a
 * timeout), and where (R, H: heads, D, L: in the answer). */
static spantap_str stream_error(const struct result* result) {
  spantap_str state = result->fields[RESULT_TERMINATION];
  char who = state.data[0], where = state.size > 1 ? state.data[1] : '-';
  if (who == '-' || who == 'L') return NAME("");
  if (who == 'c' || who == 's') return NAME("timeout");
  if (who == 'P') return where == 'H' ? NAME("invalid_response") : NAME("");
  if (where == 'D' || where == 'L') return NAME("response_aborted");
  return where == 'R' ? NAME("request_aborted") : NAME("connection_reset");
}

/* Never OK: that is for the application to say. */
static void add_outcome(struct draft* draft, int64_t status, int64_t lowest_error, spantap_str error) {
  add_int(draft, SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, status);
  if (status >= lowest_error) error = draft->result->fields[RESULT_STATUS];
  if (error.size == 0) return;
  draft->span.status = SPANTAP_STATUS_ERROR;
  add_string(draft, SPANTAP_KEY_ERROR_TYPE, error);
}

static void add_common(struct draft* draft, const spantap_context* context, uint64_t start, uint64_t end) {
  draft->span.context = *context;
  draft->span.start_unix_ns = start < end ? start : end;
  draft->span.end_unix_ns = end;
  draft->span.trace_state = draft->context->texts[TEXT_TRACE_STATE];
  draft->span.attrs = draft->attrs;
  add_method(draft);
  add_named(draft, NAME("haproxy.backend"), RESULT_BACKEND);
  if (!is_nothing(draft->result->fields[RESULT_SERVER])) add_named(draft, NAME("haproxy.server"), RESULT_SERVER);
  add_string(draft, SPANTAP_KEY_REQUEST_ID, draft->context->texts[TEXT_REQUEST_ID]);
}

static void server_span(struct draft* draft, uint64_t end) {
  const struct context* context = draft->context;
  const struct result* result = draft->result;
  int64_t receiving = result_number(result, RESULT_REQUEST_MS);
  int tls = is_one(context->texts[TEXT_TLS]);
  draft->span.kind = SPANTAP_SERVER;
  memcpy(draft->span.parent_span_id, context->kept.parent_span_id, sizeof(context->kept.parent_span_id));
  draft->span.parent_is_remote = context->kept.parent_is_remote;
  add_common(draft, &context->kept.server,
             context->kept.begin_unix_ns - (receiving > 0 ? (uint64_t)receiving * kMs : 0), end);
  if (!is_one(result->fields[RESULT_PROXY_PROTOCOL]))
    draft->span.conn = result_conn(result, RESULT_CLIENT_ADDRESS, RESULT_FRONTEND_PORT, &draft->conn);
  add_peer(draft, RESULT_CLIENT_ADDRESS);
  add_string(draft, SPANTAP_KEY_CLIENT_ADDRESS, result->fields[RESULT_CLIENT_ADDRESS]);
  add_server(draft, tls ? 443 : 80);
  add_string(draft, SPANTAP_KEY_URL_SCHEME, tls ? NAME("https") : NAME("http"));
  add_string(draft, SPANTAP_KEY_URL_PATH, context->texts[TEXT_PATH]);
  add_string(draft, SPANTAP_KEY_URL_QUERY, context->texts[TEXT_QUERY]);
  add_string(draft, SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, version_of(context->texts[TEXT_VERSION]));
  add_string(draft, SPANTAP_KEY_USER_AGENT_ORIGINAL, context->texts[TEXT_USER_AGENT]);
  add_named(draft, NAME("haproxy.frontend"), RESULT_FRONTEND);
  if (result->fields[RESULT_TERMINATION].data[0] != '-')
    add_named(draft, NAME("haproxy.termination_state"), RESULT_TERMINATION);
  add_named_int(draft, NAME("haproxy.bytes_received"), result_number(result, RESULT_BYTES_IN));
  add_named_int(draft, NAME("haproxy.bytes_sent"), result_number(result, RESULT_BYTES_OUT));
  add_outcome(draft, result_number(result, RESULT_STATUS), 500, stream_error(result));
}

static spantap_str join_url(const struct draft* draft, char url[URL_BYTES]) {
  const spantap_str* texts = draft->context->texts;
  int tls = is_one(draft->result->fields[RESULT_SERVER_TLS]);
  int named = texts[TEXT_HOST].size != 0, query = texts[TEXT_QUERY].size != 0;
  spantap_str parts[] = {tls ? NAME("https://") : NAME("http://"),
                         named ? texts[TEXT_HOST] : draft->result->fields[RESULT_SERVER_ADDRESS], texts[TEXT_PATH],
                         query ? NAME("?") : NAME(""), texts[TEXT_QUERY]};
  size_t size = 0;
  if (texts[TEXT_PATH].size == 0) return NAME("");
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); ++i) {
    size_t room = URL_BYTES - size, part = parts[i].size < room ? parts[i].size : room;
    memcpy(url + size, parts[i].data, part);
    size += part;
  }
  return (spantap_str){url, size};
}

/* One for all tries of a request: HAProxy says how many there were and where the last one went. */
static void client_span(struct draft* draft, uint64_t end, char url[URL_BYTES]) {
  const struct context* context = draft->context;
  const struct result* result = draft->result;
  int64_t queued = result_number(result, RESULT_QUEUE_MS), retries = result_number(result, RESULT_RETRIES);
  int64_t response = result_number(result, RESULT_RESPONSE_MS), major = result_number(result, RESULT_SERVER_MAJOR);
  draft->span.kind = SPANTAP_CLIENT;
  memcpy(draft->span.parent_span_id, context->kept.server.span_id, sizeof(context->kept.server.span_id));
  add_common(draft, &context->kept.client, context->kept.begin_unix_ns + (uint64_t)queued * kMs, end);
  draft->span.conn = result_conn(result, RESULT_SERVER_ADDRESS, RESULT_SOURCE_PORT, &draft->conn);
  add_peer(draft, RESULT_SERVER_ADDRESS);
  add_server(draft, result_number(result, RESULT_SERVER_PORT));
  add_string(draft, SPANTAP_KEY_URL_FULL, join_url(draft, url));
  add_string(draft, SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, major == 2 ? NAME("2") : NAME("1.1"));
  if (retries > 0) add_int(draft, SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT, retries);
  if (result->fields[RESULT_RETRIES].data[0] == '+') add_true(draft, NAME("haproxy.redispatched"));
  add_named_int(draft, NAME("haproxy.queue_ms"), queued);
  add_named_int(draft, NAME("haproxy.connect_ms"), result_number(result, RESULT_CONNECT_MS));
  add_named_int(draft, NAME("haproxy.response_ms"), response);
  add_outcome(draft, response >= 0 ? result_number(result, RESULT_STATUS) : -1, 400, stream_error(result));
}

/* <NOSRV>, <STATS> and the like are no servers; without a time in the queue none was reached for. */
static int has_client_span(const struct result* result) {
  char first = result->fields[RESULT_SERVER].data[0];
  return first != '<' && first != '-' && result_number(result, RESULT_QUEUE_MS) >= 0;
}

static void draft_begin(struct draft* draft, const struct context* context, const struct result* result) {
  static const spantap_span kEmpty = SPANTAP_SPAN_INIT;
  draft->context = context;
  draft->result = result;
  draft->span = kEmpty;
}

void spans_submit(spantap_producer* producer, const struct context* context, const struct result* result) {
  struct draft draft;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t end = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  if (end < context->kept.begin_unix_ns) end = context->kept.begin_unix_ns; /* the clock was set back */
  if (spantap_wants(producer, end) == SPANTAP_OK) {                         /* what is not taken is counted */
    draft_begin(&draft, context, result);
    server_span(&draft, end);
    (void)spantap_submit(producer, &draft.span);
  }
  if (!has_client_span(result) || spantap_wants(producer, end) != SPANTAP_OK) return;
  char url[URL_BYTES];
  draft_begin(&draft, context, result);
  client_span(&draft, end, url);
  (void)spantap_submit(producer, &draft.span);
}
