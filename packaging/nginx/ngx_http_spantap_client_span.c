/* SPDX-License-Identifier: Apache-2.0
 *
 * CLIENT spans of the log phase: one for each try of an upstream server, also of subrequests.
 */
#include "ngx_http_spantap.h"

#define OWN_ATTRS 16
#define URL_SIZE 4096

static const spantap_str subrequest_name = SPANTAP_STR("nginx.subrequest.uri");
static const spantap_str upstream_name = SPANTAP_STR("nginx.upstream.name");
static const spantap_str connect_name = SPANTAP_STR("nginx.upstream.connect_time_ms");
static const spantap_str header_name = SPANTAP_STR("nginx.upstream.header_time_ms");

static spantap_attr* add_named_str(spantap_attr* at, spantap_str name, ngx_str_t value) {
  at->name = name;
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_NAMED, value.data, value.len);
}

static spantap_attr* add_ms(spantap_attr* at, spantap_str name, ngx_msec_t value) {
  if (value == (ngx_msec_t)-1 || value == 0) return at;
  at->name = name;
  return ngx_http_spantap_add_int(at, SPANTAP_KEY_NAMED, (int64_t)value);
}

static int is_unix(const ngx_str_t* peer) { return peer->len > 5 && ngx_memcmp(peer->data, "unix:", 5) == 0; }

/* "10.0.0.1:80", "[::1]:80" without the port. */
static ngx_str_t without_port(ngx_str_t text) {
  while (text.len > 0 && text.data[--text.len] != ':') continue;
  if (text.len > 1 && text.data[0] == '[') {
    ++text.data;
    text.len -= 2;
  }
  return text;
}

/* In two; "unix:/path" has no port. */
static ngx_str_t split_peer(ngx_str_t text, in_port_t* port) {
  size_t size = text.len;
  *port = 0;
  while (size > 0 && text.data[size - 1] != ':') --size;
  ngx_int_t number = is_unix(&text) || size == 0 ? NGX_ERROR : ngx_atoi(text.data + size, text.len - size);
  if (number <= 0 || number > 65535) return text;
  *port = (in_port_t)number;
  return without_port(text);
}

/* As nginx's error log names it: scheme, server, URI. */
static spantap_attr* add_url(spantap_attr* at, ngx_http_spantap_try_t* try, char* buffer) {
  ngx_str_t schema = try->upstream->schema;
  ngx_str_t uri = try->upstream->uri.len > 0 ? try->upstream->uri : try->request->unparsed_uri;
  if (schema.len == 0 || schema.len + try->peer->len + 1 > URL_SIZE) return at;
  u_char* end = ngx_cpymem(buffer, schema.data, schema.len);
  end = ngx_cpymem(end, try->peer->data, try->peer->len);
  size_t room = URL_SIZE - schema.len - try->peer->len;
  if (is_unix(try->peer) && room > 1) {
    *end++ = ':'; /* http://unix:/path:/uri */
    --room;
  }
  end = ngx_cpymem(end, uri.data, uri.len < room ? uri.len : room);
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_URL_FULL, buffer, (size_t)(end - (u_char*)buffer));
}

/* A group's name is nginx's own, so the server is the peer; else it is the host that proxy_pass names. */
static spantap_attr* add_server(spantap_attr* at, ngx_http_spantap_try_t* try) {
  ngx_http_upstream_srv_conf_t* upstream = try->upstream->upstream;
  in_port_t port = try->conn.peer_port;
  ngx_str_t peer = port != 0 ? without_port(*try->peer) : split_peer(*try->peer, &port), server = peer;
  if (upstream != NULL && upstream->srv_conf != NULL) {
    at = add_named_str(at, upstream_name, upstream->host);
  } else if (upstream != NULL && port != 0 && upstream->host.len > 0) {
    server = upstream->host;
  }
  at = ngx_http_spantap_add_str(at, SPANTAP_KEY_SERVER_ADDRESS, server.data, server.len);
  if (port != 0) at = ngx_http_spantap_add_int(at, SPANTAP_KEY_SERVER_PORT, port);
  return ngx_http_spantap_add_peer(at, &peer, port);
}

/* What went wrong, in a word; "" if nothing did. nginx gives a failed try the status 502 or 504, which no server sent.
 */
static const char* failure(ngx_http_spantap_try_t* try, ngx_http_upstream_state_t* state) {
  if (state->header_time == (ngx_msec_t)-1) {
    if (state->status == NGX_HTTP_GATEWAY_TIME_OUT) return "timeout";
    if (state->status == 0) return ""; /* the client went away */
    if (state->connect_time == (ngx_msec_t)-1) return "connection_failed";
    return state->bytes_received > 0 ? "invalid_response" : "connection_closed";
  }
  return try->broken ? "connection_closed" : "";
}

static spantap_attr* add_outcome(spantap_attr* at, ngx_http_spantap_try_t* try, spantap_span* span, char* text) {
  if (try->state >= try->request->upstream_states->nelts) return at;
  ngx_http_upstream_state_t* state = (ngx_http_upstream_state_t*)try->request->upstream_states->elts + try->state;
  const char* error = failure(try, state);
  if (state->header_time != (ngx_msec_t)-1 && state->status > 0) {
    at = ngx_http_spantap_add_int(at, SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, (int64_t)state->status);
    at = ngx_http_spantap_add_int(at, SPANTAP_KEY_HTTP_RESPONSE_BODY_SIZE, (int64_t)state->response_length);
    if (*error == '\0' && state->status >= 400) error = ngx_http_spantap_status_text(state->status, text);
  }
  if (*error != '\0') {
    span->status = SPANTAP_STATUS_ERROR;
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_ERROR_TYPE, error, ngx_strlen(error));
  }
  at = add_ms(at, connect_name, state->connect_time);
  return add_ms(at, header_name, state->header_time);
}

static void submit_try(ngx_http_spantap_ctx_t* ctx, ngx_http_spantap_try_t* try, uint64_t end_ns) {
  if (spantap_wants(ngx_http_spantap_producer, end_ns + ctx->wall_ns) != SPANTAP_OK) return;
  spantap_span span = SPANTAP_SPAN_INIT;
  spantap_attr attrs[OWN_ATTRS];
  char url[URL_SIZE], status_text[4] = "";
  ngx_http_request_t* r = try->request;
  ngx_str_t method = try->upstream->method.len > 0 ? try->upstream->method : r->method_name;
  spantap_attr* at = ngx_http_spantap_add_method(attrs, method, &span.name);
  at = add_url(at, try, url);
  at = add_server(at, try);
  at = add_outcome(at, try, &span, status_text);
  if (try->resend > 0) at = ngx_http_spantap_add_int(at, SPANTAP_KEY_HTTP_REQUEST_RESEND_COUNT, (int64_t)try->resend);
  if (r != r->main) at = add_named_str(at, subrequest_name, r->uri);
  span.kind = SPANTAP_CLIENT;
  span.context = ctx->server;
  ngx_memcpy(span.context.span_id, try->span_id, sizeof(try->span_id));
  ngx_memcpy(span.parent_span_id, ctx->server.span_id, sizeof(span.parent_span_id));
  span.trace_state = ngx_http_spantap_str(ctx->trace_state);
  span.start_unix_ns = try->start_ns + ctx->wall_ns;
  span.end_unix_ns = (try->end_ns != 0 ? try->end_ns : end_ns) + ctx->wall_ns;
  span.attrs = attrs;
  span.attr_count = (uint32_t)(at - attrs);
  if (try->conn.family != 0) span.conn = &try->conn;
  (void)spantap_submit(ngx_http_spantap_producer, &span);
}

/* Not the end of another upstream's states, nor a group's name: none of its servers was alive. */
static int is_try(const ngx_http_upstream_state_t* state) {
  in_port_t port;
  if (state->peer == NULL) return 0;
  (void)split_peer(*state->peer, &port);
  return port != 0 || is_unix(state->peer);
}

/* Tries of an upstream that only the request knows (proxy_pass with a variable that names no upstream {}): from nginx's
 * states, to a millisecond; the last one's start is known, those before it end where the next begins. */
static void add_unseen(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, uint64_t end_ns) {
  ngx_http_upstream_state_t* states = r->upstream_states->elts;
  uint64_t start = (uint64_t)r->upstream->start_time * NGX_HTTP_SPANTAP_NS_PER_MS;
  uint64_t limit = end_ns;
  for (ngx_uint_t i = r->upstream_states->nelts; i-- > 0;) {
    if (!is_try(&states[i])) continue;
    ngx_http_spantap_try_t* try = ngx_pcalloc(r->pool, sizeof(*try));
    if (try == NULL) return;
    ngx_msec_t lasted = states[i].response_time == (ngx_msec_t)-1 ? 0 : states[i].response_time;
    try->request = r;
    try->upstream = r->upstream;
    try->peer = states[i].peer;
    try->state = i;
    try->resend = i;
    if (limit != end_ns) start = limit - ngx_min(limit, lasted * NGX_HTTP_SPANTAP_NS_PER_MS);
    try->start_ns = ngx_min(ngx_max(start, ctx->start_ns), limit);
    try->end_ns = ngx_min(try->start_ns + lasted * NGX_HTTP_SPANTAP_NS_PER_MS, limit);
    limit = try->start_ns;
    spantap_context child = ctx->server;
    if (i == 0 && ctx->leg.unused) {
      ngx_memcpy(child.span_id, ctx->leg.span_id, sizeof(child.span_id));
    } else {
      (void)spantap_sample(ngx_http_spantap_producer, &ctx->server, &child);
    }
    ngx_memcpy(try->span_id, child.span_id, sizeof(try->span_id));
    try->next = ctx->tries;
    ctx->tries = try;
  }
}

void ngx_http_spantap_submit_tries(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, uint64_t end_ns) {
  ngx_http_spantap_loc_conf_t* location = ngx_http_get_module_loc_conf(r, ngx_http_spantap_module);
  if (ctx->tries == NULL && r->upstream != NULL && r->upstream_states != NULL && location->upstream_spans) {
    add_unseen(r, ctx, end_ns);
  }
  for (ngx_http_spantap_try_t* try = ctx->tries; try != NULL; try = try->next) {
    if (try->peer != NULL) submit_try(ctx, try, end_ns);
  }
}
