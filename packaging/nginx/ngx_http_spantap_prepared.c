/* SPDX-License-Identifier: Apache-2.0
 *
 * What does not change from request to request is prepared once: a location's route and constant attributes when the
 * configuration is read, what a connection's requests have in common at its second request. A connection that serves
 * one request pays nothing, one whose requests differ (behind another proxy) a few attempts.
 * Memory: a location some 100 bytes, a connection that is kept alive some 600, in its own pool.
 */
#include "ngx_http_spantap.h"

#define CONNECTION_ATTRS 8
#define MAX_TEXT 256
#define MAX_MISSES 4

/* ---------------------------------------------------------------- locations */

/* The module's own attributes of a request are written behind the prepared ones and would win. */
static int may_be_own(ngx_str_t name) {
  static const char* const prefixes[] = {"http.", "url.", "server.", "client.", "network.", "user_agent.", "error."};
  for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); ++i) {
    size_t size = strlen(prefixes[i]);
    if (name.len >= size && ngx_memcmp(name.data, prefixes[i], size) == 0) return 1;
  }
  return 0;
}

/* All or none: of two with one name the later one is to win. */
static int all_constant(ngx_array_t* attrs) {
  ngx_http_spantap_attr_t* each = attrs->elts;
  for (ngx_uint_t i = 0; i < attrs->nelts; ++i) {
    if (each[i].value.lengths != NULL || may_be_own(each[i].name)) return 0;
  }
  return 1;
}

void ngx_http_spantap_prepare_location(ngx_conf_t* cf, ngx_http_spantap_loc_conf_t* location) {
  ngx_http_core_loc_conf_t* core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
  spantap_attr attrs[1 + NGX_HTTP_SPANTAP_MAX_OWN_ATTRS], *at = attrs;
  size_t text = 0;
  if (location->trace == NGX_HTTP_SPANTAP_OFF) return;
  if (core->name.len > 0) {
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_HTTP_ROUTE, core->name.data, core->name.len);
    text += core->name.len;
  }
  int own = location->attrs != NULL && all_constant(location->attrs);
  for (ngx_uint_t i = 0; own && i < location->attrs->nelts; ++i) {
    ngx_http_spantap_attr_t* attr = (ngx_http_spantap_attr_t*)location->attrs->elts + i;
    at->name = ngx_http_spantap_str(attr->name);
    at = ngx_http_spantap_add_str(at, SPANTAP_KEY_NAMED, attr->value.value.data, attr->value.value.len);
    text += attr->name.len + attr->value.value.len;
  }
  uint32_t count = (uint32_t)(at - attrs);
  void* memory = ngx_palloc(cf->pool, SPANTAP_PREPARED_SIZE(count, text));
  if (memory == NULL) return;
  if (spantap_prepare(attrs, count, memory, SPANTAP_PREPARED_SIZE(count, text), &location->prepared) != SPANTAP_OK) {
    return;
  }
  location->own_prepared = own;
}

/* ---------------------------------------------------------------- connections */

typedef struct {
  const spantap_prepared* prepared; /* NULL: of no use so far */
  ngx_uint_t http_version;
  ngx_uint_t misses;
  ngx_str_t host, agent; /* copies of the headers that it was made of */
  size_t room;           /* of `memory` */
  u_char* memory;        /* of the attributes, then host and agent */
} kept_connection;

/* Marks it among the cleanups of the connection's pool. */
static void mark(void* data) { (void)data; }

static kept_connection* find(ngx_connection_t* connection) {
  for (ngx_pool_cleanup_t* each = connection->pool->cleanup; each != NULL; each = each->next) {
    if (each->handler == mark) return each->data;
  }
  return NULL;
}

static kept_connection* make(ngx_connection_t* connection) {
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(connection->pool, sizeof(kept_connection));
  if (cleanup == NULL) return NULL;
  kept_connection* kept = cleanup->data;
  ngx_memzero(kept, sizeof(*kept));
  cleanup->handler = mark;
  return kept;
}

/* The usual case: nginx's server name is the beginning of the Host header, the client is the peer. */
static int usual(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, ngx_str_t agent) {
  ngx_table_elt_t* host = r->headers_in.host;
  return host != NULL && r->headers_in.server.data == host->value.data && host->value.len <= MAX_TEXT &&
         agent.len <= MAX_TEXT && ctx->peer == r->connection->sockaddr && !ngx_http_spantap_is_forwarded(r);
}

static int same(const ngx_str_t* kept, const ngx_str_t* text) {
  return kept->len == text->len && ngx_memcmp(kept->data, text->data, kept->len) == 0;
}

static u_char* keep(ngx_str_t* kept, u_char* at, const ngx_str_t* text) {
  kept->data = at;
  kept->len = text->len;
  return ngx_cpymem(at, text->data, text->len);
}

static int make_room(kept_connection* kept, ngx_connection_t* connection, size_t size) {
  if (size <= kept->room) return 1;
  kept->memory = ngx_palloc(connection->pool, size);
  kept->room = kept->memory == NULL ? 0 : size;
  return kept->memory != NULL;
}

static void prepare(kept_connection* kept, ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, const ngx_str_t* agent) {
  spantap_attr attrs[CONNECTION_ATTRS];
  u_char peer[NGX_SOCKADDR_STRLEN];
  const ngx_str_t* host = &r->headers_in.host->value;
  uint32_t count = (uint32_t)(ngx_http_spantap_add_connection(attrs, r, ctx, peer) - attrs);
  size_t text = 0;
  for (uint32_t i = 0; i < count; ++i) text += attrs[i].type == SPANTAP_STRING ? attrs[i].value.s.size : 0;
  size_t size = SPANTAP_PREPARED_SIZE(count, text);
  kept->prepared = NULL;
  if (!make_room(kept, r->connection, size + host->len + agent->len)) return;
  if (spantap_prepare(attrs, count, kept->memory, size, &kept->prepared) != SPANTAP_OK) return;
  kept->http_version = r->http_version;
  (void)keep(&kept->agent, keep(&kept->host, kept->memory + size, host), agent);
}

const spantap_prepared* ngx_http_spantap_prepared_of(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  ngx_connection_t* connection = r->connection;
  static u_char none[1];
  ngx_str_t agent = {0, none};
  if (connection->requests < 2) return NULL;
  if (r->headers_in.user_agent != NULL) agent = r->headers_in.user_agent->value;
  if (!usual(r, ctx, agent)) return NULL;
  kept_connection* kept = find(connection);
  if (kept == NULL) kept = make(connection);
  if (kept == NULL) return NULL;
  if (kept->prepared != NULL && kept->http_version == r->http_version && same(&kept->agent, &agent) &&
      same(&kept->host, &r->headers_in.host->value)) {
    return kept->prepared;
  }
  if (kept->misses >= MAX_MISSES) return NULL;
  ++kept->misses;
  prepare(kept, r, ctx, &agent);
  return kept->prepared;
}
