/* SPDX-License-Identifier: Apache-2.0
 *
 * The log phase: what a request was becomes a SERVER span, and each try of an upstream a CLIENT span, by the stable
 * HTTP semantic conventions. Everything is built on the stack from what nginx has; the hand-off copies it.
 */
#include "ngx_http_spantap.h"

#define OWN_ATTRS 24
#define TEXT_SIZE 4096

/* ---------------------------------------------------------------- parts */

typedef struct {
  ngx_uint_t bit;
  size_t size;
  char text[8];
} known_method;

static const known_method known_methods[] = {
    {NGX_HTTP_GET, 3, "GET"},     {NGX_HTTP_POST, 4, "POST"},     {NGX_HTTP_PUT, 3, "PUT"},
    {NGX_HTTP_HEAD, 4, "HEAD"},   {NGX_HTTP_DELETE, 6, "DELETE"}, {NGX_HTTP_OPTIONS, 7, "OPTIONS"},
    {NGX_HTTP_PATCH, 5, "PATCH"}, {NGX_HTTP_TRACE, 5, "TRACE"},   {0, 7, "CONNECT"}};

/* A request line that was refused behind its method has no name of it, but the method's bit. */
static ngx_str_t method_of(ngx_http_request_t* r) {
  ngx_str_t name = r->method_name;
  for (size_t i = 0; name.len == 0 && i < sizeof(known_methods) / sizeof(known_methods[0]); ++i) {
    if (known_methods[i].bit != r->method) continue;
    name.data = (u_char*)known_methods[i].text;
    name.len = known_methods[i].size;
  }
  return name;
}

spantap_attr* ngx_http_spantap_add_method(spantap_attr* at, ngx_str_t name, spantap_str* method) {
  static const char http[] = "HTTP";
  while (name.len > 0 && name.data[name.len - 1] == ' ') --name.len; /* proxy_method of old releases */
  for (size_t i = 0; i < sizeof(known_methods) / sizeof(known_methods[0]); ++i) {
    const known_method* known = &known_methods[i];
    if (known->size == name.len && ngx_memcmp(known->text, name.data, name.len) == 0) {
      method->data = known->text;
      method->size = name.len;
      return ngx_http_spantap_add_str(at, SPANTAP_KEY_HTTP_REQUEST_METHOD, name.data, name.len);
    }
  }
  method->data = http;
  method->size = sizeof(http) - 1;
  at = ngx_http_spantap_add_str(at, SPANTAP_KEY_HTTP_REQUEST_METHOD, "_OTHER", 6);
  if (name.len == 0) return at;
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_HTTP_REQUEST_METHOD_ORIGINAL, name.data, name.len);
}

spantap_attr* ngx_http_spantap_add_peer(spantap_attr* at, const ngx_str_t* address, in_port_t port) {
  at = ngx_http_spantap_add_str(at, SPANTAP_KEY_NETWORK_PEER_ADDRESS, address->data, address->len);
  return port == 0 ? at : ngx_http_spantap_add_int(at, SPANTAP_KEY_NETWORK_PEER_PORT, port);
}

const char* ngx_http_spantap_status_text(ngx_uint_t status, char* buffer) {
  buffer[0] = (char)('0' + status / 100 % 10);
  buffer[1] = (char)('0' + status / 10 % 10);
  buffer[2] = (char)('0' + status % 10);
  return buffer;
}

void ngx_http_spantap_conn_end(const struct sockaddr* address, uint8_t* bytes, uint16_t* port, uint16_t* family) {
  if (address == NULL) return;
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in* v4 = (const struct sockaddr_in*)address;
    ngx_memcpy(bytes, &v4->sin_addr, 4);
    *port = ntohs(v4->sin_port);
    *family = 4;
#if (NGX_HAVE_INET6)
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6* v6 = (const struct sockaddr_in6*)address;
    ngx_memcpy(bytes, &v6->sin6_addr, 16);
    *port = ntohs(v6->sin6_port);
    *family = 6;
#endif
  }
}

static spantap_attr* add_path(spantap_attr* at, ngx_http_request_t* r) {
  ngx_str_t uri = r->unparsed_uri;
  if (uri.len == 0) return at;
  u_char* query = memchr(uri.data, '?', uri.len);
  size_t path = query == NULL ? uri.len : (size_t)(query - uri.data);
  at = ngx_http_spantap_add_str(at, SPANTAP_KEY_URL_PATH, uri.data, path);
  if (query == NULL || path + 1 == uri.len) return at;
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_URL_QUERY, query + 1, uri.len - path - 1);
}

static spantap_attr* add_scheme(spantap_attr* at, ngx_http_request_t* r) {
  static const char http[] = "http", https[] = "https";
#if (NGX_HTTP_SSL)
  if (r->connection->ssl != NULL) {
    return ngx_http_spantap_add_str(at, SPANTAP_KEY_URL_SCHEME, https, sizeof(https) - 1);
  }
#else
  (void)https;
#endif
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_URL_SCHEME, http, sizeof(http) - 1);
}

/* 0: none. */
static in_port_t port_in(const u_char* at, const u_char* end) {
  uint32_t port = 0;
  for (; at < end; ++at) {
    if (*at < '0' || *at > '9' || port > 6553) return 0;
    port = port * 10 + (*at - '0');
  }
  return port < 65536 ? (in_port_t)port : 0;
}

/* Of the Host header, or :authority; nginx has checked it, and keeps the name without port. */
static spantap_attr* add_server(spantap_attr* at, ngx_http_request_t* r) {
  ngx_str_t name = r->headers_in.server;
  if (name.len == 0) return at;
  in_port_t port = 80;
#if (NGX_HTTP_SSL)
  if (r->connection->ssl != NULL) port = 443;
#endif
  ngx_table_elt_t* host = r->headers_in.host;
  if (host != NULL && host->value.len > name.len + 1 && host->value.data[name.len] == ':') {
    in_port_t given = port_in(host->value.data + name.len + 1, host->value.data + host->value.len);
    if (given != 0) port = given;
  }
  at = ngx_http_spantap_add_str(at, SPANTAP_KEY_SERVER_ADDRESS, name.data, name.len);
  return ngx_http_spantap_add_int(at, SPANTAP_KEY_SERVER_PORT, port);
}

#if (NGX_HTTP_X_FORWARDED_FOR)
static ngx_str_t forwarded_for(ngx_http_request_t* r) {
  ngx_str_t value = ngx_null_string;
#if nginx_version >= 1023000
  if (r->headers_in.x_forwarded_for != NULL) value = r->headers_in.x_forwarded_for->value;
#else
  ngx_table_elt_t** headers = r->headers_in.x_forwarded_for.elts;
  if (r->headers_in.x_forwarded_for.nelts > 0) value = headers[0]->value;
#endif
  u_char* comma = value.len == 0 ? NULL : memchr(value.data, ',', value.len);
  if (comma != NULL) value.len = (size_t)(comma - value.data);
  return value;
}
#endif

/* The client is who X-Forwarded-For names first, else the peer (which the realip module may have replaced); the network
 * peer is always the other end of the connection. */
static spantap_attr* add_client(spantap_attr* at, ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, u_char* buffer) {
  ngx_connection_t* connection = r->connection;
  ngx_str_t client = connection->addr_text, peer = client;
#if (NGX_HTTP_X_FORWARDED_FOR)
  ngx_str_t forwarded = forwarded_for(r);
  if (forwarded.len > 0) client = forwarded;
#endif
  if (ctx->peer != connection->sockaddr) {
    peer.data = buffer;
    peer.len = ngx_sock_ntop(ctx->peer, ctx->peer_length, buffer, NGX_SOCKADDR_STRLEN, 0);
  }
  at = ngx_http_spantap_add_str(at, SPANTAP_KEY_CLIENT_ADDRESS, client.data, client.len);
  return ngx_http_spantap_add_peer(at, &peer, ngx_inet_get_port(ctx->peer));
}

/* "HTTP/1.1" is 1.1, "HTTP/2.0" is 2; a request of HTTP/0.9 has no version. */
static spantap_attr* add_protocol(spantap_attr* at, ngx_http_request_t* r) {
  ngx_str_t text = r->http_protocol;
  if (text.len < 8) {
    if (r->http_version != NGX_HTTP_VERSION_9) return at;
    return ngx_http_spantap_add_str(at, SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, "0.9", 3);
  }
  size_t size = text.data[5] >= '2' ? 1 : text.len - 5;
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_NETWORK_PROTOCOL_VERSION, text.data + 5, size);
}

int ngx_http_spantap_is_forwarded(ngx_http_request_t* r) {
#if (NGX_HTTP_X_FORWARDED_FOR)
  return forwarded_for(r).len > 0;
#else
  return 0;
#endif
}

spantap_attr* ngx_http_spantap_add_connection(spantap_attr* at, ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx,
                                              u_char* buffer) {
  at = add_scheme(at, r);
  at = add_server(at, r);
  at = add_client(at, r, ctx, buffer);
  at = add_protocol(at, r);
  if (r->headers_in.user_agent == NULL) return at;
  ngx_str_t agent = r->headers_in.user_agent->value;
  return ngx_http_spantap_add_str(at, SPANTAP_KEY_USER_AGENT_ORIGINAL, agent.data, agent.len);
}

static spantap_attr* add_sizes(spantap_attr* at, ngx_http_request_t* r) {
  if (r->headers_in.content_length_n > 0) {
    at = ngx_http_spantap_add_int(at, SPANTAP_KEY_HTTP_REQUEST_BODY_SIZE, r->headers_in.content_length_n);
  }
  off_t sent = r->connection->sent - (off_t)r->header_size;
  return ngx_http_spantap_add_int(at, SPANTAP_KEY_HTTP_RESPONSE_BODY_SIZE, sent > 0 ? sent : 0);
}

static spantap_attr* add_own(spantap_attr* at, ngx_http_request_t* r, ngx_http_spantap_loc_conf_t* conf) {
  if (conf->attrs == NULL) return at;
  ngx_http_spantap_attr_t* each = conf->attrs->elts;
  for (ngx_uint_t i = 0; i < conf->attrs->nelts; ++i) {
    ngx_str_t value;
    if (ngx_http_complex_value(r, &each[i].value, &value) != NGX_OK) continue;
    at->name = ngx_http_spantap_str(each[i].name);
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_NAMED, value.data, value.len);
  }
  return at;
}

/* "GET /location", else "GET": never the path. */
static spantap_str span_name(ngx_http_request_t* r, ngx_http_spantap_loc_conf_t* conf, spantap_str method,
                             ngx_str_t route, char* buffer) {
  ngx_str_t given;
  if (conf->span_name != NULL && ngx_http_complex_value(r, conf->span_name, &given) == NGX_OK && given.len > 0) {
    return ngx_http_spantap_str(given);
  }
  if (route.len == 0 || route.len > TEXT_SIZE - 16) return method;
  u_char* end = ngx_cpymem(buffer, method.data, method.size);
  *end++ = ' ';
  end = ngx_cpymem(end, route.data, route.len);
  spantap_str name = {buffer, (size_t)(end - (u_char*)buffer)};
  return name;
}

/* ---------------------------------------------------------------- the span */

static void set_conn(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, spantap_conn* conn) {
  uint16_t family = 0;
  ngx_memzero(conn, sizeof(*conn));
  ngx_http_spantap_conn_end(ctx->peer, conn->peer_address, &conn->peer_port, &conn->family);
  if (conn->family == 0 || r->connection->local_socklen == 0) return;
  /* Of a socket that listens on all addresses nginx knows the port only; the address stays unknown. */
  ngx_http_spantap_conn_end(r->connection->local_sockaddr, conn->local_address, &conn->local_port, &family);
  if (family != conn->family) ngx_memzero(conn->local_address, sizeof(conn->local_address));
}

static void set_context(spantap_span* span, ngx_http_spantap_ctx_t* ctx) {
  span->kind = SPANTAP_SERVER;
  span->context = ctx->server;
  ngx_memcpy(span->parent_span_id, ctx->parent.span_id, sizeof(span->parent_span_id));
  span->parent_is_remote = ctx->parent.remote;
  span->trace_state = ngx_http_spantap_str(ctx->trace_state);
  span->start_unix_ns = ctx->start_ns + ctx->wall_ns;
}

static ngx_uint_t status_of(ngx_http_request_t* r) { return r->err_status ? r->err_status : r->headers_out.status; }

static void submit_server(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, uint64_t end_ns) {
  if (spantap_wants(ngx_http_spantap_producer, end_ns + ctx->wall_ns) != SPANTAP_OK) return;
  ngx_http_spantap_loc_conf_t* conf = ngx_http_get_module_loc_conf(r, ngx_http_spantap_module);
  ngx_http_core_loc_conf_t* core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  spantap_span span = SPANTAP_SPAN_INIT;
  spantap_attr attrs[OWN_ATTRS + NGX_HTTP_SPANTAP_MAX_OWN_ATTRS];
  spantap_conn conn;
  spantap_str method;
  char name[TEXT_SIZE], status_text[4];
  u_char peer[NGX_SOCKADDR_STRLEN];
  ngx_uint_t status = status_of(r);
  const spantap_prepared* prepared[] = {conf->prepared, ngx_http_spantap_prepared_of(r, ctx)};
  spantap_attr* at = ngx_http_spantap_add_method(attrs, method_of(r), &method);
  at = add_path(at, r);
  if (prepared[1] == NULL) at = ngx_http_spantap_add_connection(at, r, ctx, peer);
  at = add_sizes(at, r);
  if (conf->prepared == NULL && core->name.len > 0) {
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_HTTP_ROUTE, core->name.data, core->name.len);
  }
  if (ctx->request_id.len > 0) {
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_REQUEST_ID, ctx->request_id.data, ctx->request_id.len);
  }
  if (status > 0) at = ngx_http_spantap_add_int(at, SPANTAP_KEY_HTTP_RESPONSE_STATUS_CODE, (int64_t)status);
  if (status >= 500) {
    span.status = SPANTAP_STATUS_ERROR;
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_ERROR_TYPE, ngx_http_spantap_status_text(status, status_text), 3);
  }
  if (!conf->own_prepared) at = add_own(at, r, conf);
  set_context(&span, ctx);
  set_conn(r, ctx, &conn);
  span.end_unix_ns = end_ns + ctx->wall_ns;
  span.name = span_name(r, conf, method, core->name, name);
  span.attrs = attrs;
  span.attr_count = (uint32_t)(at - attrs);
  span.prepared = prepared;
  span.prepared_count = sizeof(prepared) / sizeof(prepared[0]);
  if (conn.family != 0) span.conn = &conn;
  (void)spantap_submit(ngx_http_spantap_producer, &span);
}

/* Once for each main request, whatever became of it. One that was refused before the first phase (400, 408, 414) gets
 * its context here. */
ngx_int_t ngx_http_spantap_log_handler(ngx_http_request_t* r) {
  ngx_http_spantap_srv_conf_t* server = ngx_http_get_module_srv_conf(r, ngx_http_spantap_module);
  if (!server->used || ngx_http_spantap_producer == NULL || r != r->main) return NGX_OK;
  ngx_http_spantap_ctx_t* ctx = ngx_http_spantap_get(r);
  if (ctx == NULL) ctx = ngx_http_spantap_create(r, 0);
  if (ctx == NULL) return NGX_OK;
  if (ctx->location == NULL) {
    ngx_http_spantap_loc_conf_t* location = ngx_http_get_module_loc_conf(r, ngx_http_spantap_module);
    if (location->trace == NGX_HTTP_SPANTAP_OFF) return NGX_OK;
    ctx->location = location;
  }
  if (!ngx_http_spantap_decide(r, ctx)) return NGX_OK;
  uint64_t end_ns = ngx_http_spantap_clock(CLOCK_MONOTONIC);
  ngx_http_spantap_submit_tries(r, ctx, end_ns);
  submit_server(r, ctx, end_ns);
  return NGX_OK;
}
