/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's life: where it hooks into nginx, and a worker's producer. A configuration in which nothing traces hooks
 * nothing. Whatever fails here (no memory, no agent, an old kernel) is said once and tracing is off: never the worker's
 * failure.
 */
#include "ngx_http_spantap.h"

/* An agent that is there answers within milliseconds. A new worker waits so long for it, before it takes requests (at a
 * reload the old ones still do), so that no request goes untraced; not at all if there is no socket. Then it looks
 * often for a while; later the library limits attempts to one a second, and a look costs a load. */
#define FIRST_WAIT_MS 100
#define FIRST_LOOKS 50
#define FIRST_LOOK_MS 2
#define LOOK_MS 250

static ngx_int_t init_configuration(ngx_conf_t* cf);
static ngx_int_t init_process(ngx_cycle_t* cycle);
static void exit_process(ngx_cycle_t* cycle);

static ngx_http_module_t module_context = {
    ngx_http_spantap_add_variables,    /* preconfiguration */
    init_configuration,                /* postconfiguration */
    ngx_http_spantap_create_main_conf, /* create main configuration */
    NULL,                              /* init main configuration */
    ngx_http_spantap_create_srv_conf,  /* create server configuration */
    ngx_http_spantap_merge_srv_conf,   /* merge server configuration */
    ngx_http_spantap_create_loc_conf,  /* create location configuration */
    ngx_http_spantap_merge_loc_conf    /* merge location configuration */
};

ngx_module_t ngx_http_spantap_module = {NGX_MODULE_V1,
                                        &module_context,
                                        ngx_http_spantap_commands,
                                        NGX_HTTP_MODULE,
                                        NULL,         /* init master */
                                        NULL,         /* init module */
                                        init_process, /* init process */
                                        NULL,         /* init thread */
                                        NULL,         /* exit thread */
                                        exit_process, /* exit process */
                                        NULL,         /* exit master */
                                        NGX_MODULE_V1_PADDING};

spantap_producer* ngx_http_spantap_producer;
uint64_t ngx_http_spantap_wall_ns;

static ngx_event_t look_event;
static ngx_connection_t look_connection; /* nginx's debug log asks a timer for one */
static ngx_uint_t looks;

/* ---------------------------------------------------------------- phases */

static ngx_int_t on_post_read(ngx_http_request_t* r) {
  ngx_http_spantap_srv_conf_t* server = ngx_http_get_module_srv_conf(r, ngx_http_spantap_module);
  if (server->used && ngx_http_spantap_producer != NULL) (void)ngx_http_spantap_create(r, 1);
  return NGX_DECLINED;
}

static ngx_int_t on_rewrite(ngx_http_request_t* r) {
  ngx_http_spantap_loc_conf_t* location = ngx_http_get_module_loc_conf(r, ngx_http_spantap_module);
  if (location->trace == NGX_HTTP_SPANTAP_OFF || r != r->main) return NGX_DECLINED;
  ngx_http_spantap_ctx_t* ctx = ngx_http_spantap_get(r);
  if (ctx == NULL || ctx->location != NULL) return NGX_DECLINED;
  ctx->location = location;
  if (location->trace == NGX_HTTP_SPANTAP_BY_VALUE) (void)ngx_http_spantap_decide(r, ctx);
  return NGX_DECLINED;
}

/* Before the content handler builds its request to an upstream; main requests and subrequests. */
static ngx_int_t on_precontent(ngx_http_request_t* r) {
  ngx_http_spantap_loc_conf_t* location = ngx_http_get_module_loc_conf(r, ngx_http_spantap_module);
  if (r->content_handler == NULL || !(location->context & NGX_HTTP_SPANTAP_INJECT)) return NGX_DECLINED;
  ngx_http_spantap_ctx_t* ctx = ngx_http_spantap_get(r);
  /* An id that no span will have is no parent: without an agent the client's own headers go through. */
  if (ctx == NULL || ctx->location == NULL || !spantap_enabled(ngx_http_spantap_producer)) return NGX_DECLINED;
  (void)ngx_http_spantap_decide(r, ctx);
  (void)ngx_http_spantap_inject(r, ctx, location);
  return NGX_DECLINED;
}

static ngx_int_t add_handler(ngx_conf_t* cf, ngx_uint_t phase, ngx_http_handler_pt handler) {
  ngx_http_core_main_conf_t* core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_handler_pt* slot = ngx_array_push(&core->phases[phase].handlers);
  if (slot == NULL) return NGX_ERROR;
  *slot = handler;
  return NGX_OK;
}

static ngx_int_t init_configuration(ngx_conf_t* cf) {
  ngx_http_spantap_main_conf_t* main = ngx_http_conf_get_module_main_conf(cf, ngx_http_spantap_module);
  if (ngx_http_spantap_open_client(cf, main) != NGX_OK) return NGX_ERROR;
  if (main->client == NULL) return NGX_OK;
  if (add_handler(cf, NGX_HTTP_POST_READ_PHASE, on_post_read) != NGX_OK ||
      add_handler(cf, NGX_HTTP_REWRITE_PHASE, on_rewrite) != NGX_OK ||
      add_handler(cf, NGX_HTTP_PRECONTENT_PHASE, on_precontent) != NGX_OK ||
      add_handler(cf, NGX_HTTP_LOG_PHASE, ngx_http_spantap_log_handler) != NGX_OK) {
    return NGX_ERROR;
  }
  return ngx_http_spantap_wrap_upstreams(cf, main);
}

/* ---------------------------------------------------------------- a worker */

static void look(ngx_event_t* event) {
  int attached = spantap_attach(ngx_http_spantap_producer) == SPANTAP_OK;
  ngx_http_spantap_wall_ns = ngx_http_spantap_clock(CLOCK_REALTIME) - ngx_http_spantap_clock(CLOCK_MONOTONIC);
  looks += looks < FIRST_LOOKS;
  ngx_add_timer(event, attached || looks == FIRST_LOOKS ? LOOK_MS : FIRST_LOOK_MS);
}

static void wait_for_agent(ngx_http_spantap_main_conf_t* main) {
  const char* path = main->socket.len > 0 ? (const char*)main->socket.data : "/run/spantap/agent.sock";
  if (access(path, F_OK) != 0) return;
  for (int i = 0; i < FIRST_WAIT_MS && spantap_attach(ngx_http_spantap_producer) != SPANTAP_OK; ++i) ngx_msleep(1);
}

static ngx_int_t init_process(ngx_cycle_t* cycle) {
  if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return NGX_OK;
  ngx_http_spantap_main_conf_t* main = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_spantap_module);
  if (main == NULL || main->client == NULL) return NGX_OK;
  spantap_status status = spantap_producer_open(main->client, &ngx_http_spantap_producer);
  if (status != SPANTAP_OK) {
    ngx_http_spantap_producer = NULL;
    ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "spantap: this worker does not trace: %s", spantap_status_text(status));
    return NGX_OK;
  }
  look_connection.fd = (ngx_socket_t)-1;
  look_event.handler = look;
  look_event.data = &look_connection;
  look_event.log = cycle->log;
  look_event.cancelable = 1; /* a worker that exits does not wait for it */
  looks = 0;
  wait_for_agent(main);
  look(&look_event);
  return NGX_OK;
}

static void report(ngx_log_t* log) {
  spantap_stats stats = SPANTAP_STATS_INIT;
  if (spantap_stats_get(ngx_http_spantap_producer, &stats) != SPANTAP_OK) return;
  uint64_t other = stats.dropped_too_large + stats.dropped_invalid + stats.dropped_off;
  ngx_uint_t level = stats.dropped_no_agent + stats.dropped_full + other > 0 ? NGX_LOG_NOTICE : NGX_LOG_INFO;
  ngx_log_error(level, log, 0,
                "spantap: %uL spans handed off; dropped: %uL without agent, %uL by a full ring, %uL other",
                stats.handed_off, stats.dropped_no_agent, stats.dropped_full, other);
}

static void exit_process(ngx_cycle_t* cycle) {
  if (ngx_http_spantap_producer == NULL) return;
  if (look_event.timer_set) ngx_del_timer(&look_event);
  report(cycle->log);
  spantap_producer_close(ngx_http_spantap_producer);
  ngx_http_spantap_producer = NULL;
}
