/* SPDX-License-Identifier: Apache-2.0
 *
 * The context of a main request: found again after internal redirects, its ids, and whether it is recorded.
 */
#include "ngx_http_spantap.h"

/* Marks the context among the pool's cleanups: nginx forgets module contexts at internal redirects. */
static void mark(void* data) { (void)data; }

ngx_http_spantap_ctx_t* ngx_http_spantap_get(ngx_http_request_t* r) {
  r = r->main;
  ngx_http_spantap_ctx_t* ctx = ngx_http_get_module_ctx(r, ngx_http_spantap_module);
  if (ctx != NULL) return ctx;
  for (ngx_pool_cleanup_t* cleanup = r->pool->cleanup; cleanup != NULL; cleanup = cleanup->next) {
    if (cleanup->handler == mark) {
      ngx_http_set_ctx(r, cleanup->data, ngx_http_spantap_module);
      return cleanup->data;
    }
  }
  return NULL;
}

/* A request whose headers took time began when its first byte came; nginx has that to a millisecond. */
static void set_start(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, int first_hook) {
  uint64_t now = ngx_http_spantap_clock(CLOCK_MONOTONIC);
  uint64_t first_byte = ((uint64_t)r->start_sec * 1000 + r->start_msec) * NGX_HTTP_SPANTAP_NS_PER_MS;
  ctx->wall_ns = ngx_http_spantap_wall_ns;
  ctx->start_ns = now;
  uint64_t waited = now + ctx->wall_ns - first_byte;
  if (waited > 86400000ull * NGX_HTTP_SPANTAP_NS_PER_MS || waited > now) return; /* the clock has been set */
  if (!first_hook || waited > 2 * NGX_HTTP_SPANTAP_NS_PER_MS) ctx->start_ns = now - waited;
}

ngx_http_spantap_ctx_t* ngx_http_spantap_create(ngx_http_request_t* r, int first_hook) {
  r = r->main;
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_spantap_ctx_t));
  if (cleanup == NULL) return NULL;
  ngx_http_spantap_ctx_t* ctx = cleanup->data;
  ngx_memzero(ctx, sizeof(*ctx));
  cleanup->handler = mark;
  set_start(r, ctx, first_hook);
  ctx->peer = r->connection->sockaddr;
  ctx->peer_length = r->connection->socklen;
  ctx->last_try = &ctx->tries;
  ngx_http_set_ctx(r, ctx, ngx_http_spantap_module);
  return ctx;
}

static ngx_http_spantap_loc_conf_t* location_of(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  return ctx->location != NULL ? ctx->location : ngx_http_get_module_loc_conf(r->main, ngx_http_spantap_module);
}

void ngx_http_spantap_make_ids(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  if (ctx->has_ids) return;
  ctx->has_ids = 1;
  ngx_http_spantap_read_headers(r->main, ctx);
  /* Several traceparents, or one that is malformed: a new trace, and its tracestate does not hold (W3C, 4.3). */
  if ((location_of(r, ctx)->context & NGX_HTTP_SPANTAP_EXTRACT) && ctx->traceparents == 1) {
    (void)spantap_extract(ngx_http_spantap_str(ctx->traceparent->value), &ctx->parent);
  }
  if (!ctx->parent.remote) ctx->trace_state.len = 0;
  int sampled = spantap_sample(ngx_http_spantap_producer, ctx->parent.remote ? &ctx->parent : NULL, &ctx->server);
  ctx->record = sampled == 1;
  if (sampled < 0) ngx_memzero(&ctx->server, sizeof(ctx->server));
  static const uint8_t none[8];
  ctx->ids_good =
      ngx_memcmp(ctx->server.span_id, none, sizeof(none)) != 0; /* with SPANTAP_MODE=off there may be none */
}

static int is_on(ngx_str_t value) {
  return (value.len == 2 && ngx_memcmp(value.data, "on", 2) == 0) || (value.len == 1 && value.data[0] == '1');
}

int ngx_http_spantap_decide(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx) {
  if (ctx->decided) return ctx->record;
  ctx->decided = 1;
  ngx_http_spantap_main_conf_t* main = ngx_http_get_module_main_conf(r, ngx_http_spantap_module);
  ngx_http_spantap_loc_conf_t* location = location_of(r, ctx);
  ngx_str_t value = ngx_string("on");
  if (location->trace == NGX_HTTP_SPANTAP_BY_VALUE &&
      ngx_http_complex_value(r->main, &location->trace_value, &value) != NGX_OK) {
    value.len = 0;
  }
  ngx_http_spantap_make_ids(r, ctx);
  if (!is_on(value)) {
    ctx->record = 0;
  } else if (!main->follows_parent) {
    ctx->record = 1;
  }
  ctx->server.flags &= (uint8_t)~SPANTAP_SAMPLED;
  if (ctx->record) ctx->server.flags |= SPANTAP_SAMPLED;
  return ctx->record;
}
