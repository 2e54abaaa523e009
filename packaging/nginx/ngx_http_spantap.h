/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the nginx module share: its configuration, and the context that a main request carries from its
 * first hook to the log phase. One thread (nginx's worker) uses all of it. Memory: the request's pool only; a context
 * is about 300 bytes, a try of an upstream 200 more. nginx's own limits bound how many there are.
 */
#ifndef NGX_HTTP_SPANTAP_H_
#define NGX_HTTP_SPANTAP_H_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <spantap/spantap.h>
#include <time.h>

#if nginx_version < 1018000
#error "nginx 1.18 or newer is needed"
#endif

#pragma GCC visibility push(hidden)

/* Attributes that one location may add; with the module's own they stay below SPANTAP_MAX_ATTRS. */
#define NGX_HTTP_SPANTAP_MAX_OWN_ATTRS 64
#define NGX_HTTP_SPANTAP_NS_PER_MS 1000000u

enum { NGX_HTTP_SPANTAP_OFF = 0, NGX_HTTP_SPANTAP_ON = 1, NGX_HTTP_SPANTAP_BY_VALUE = 2 };
enum { NGX_HTTP_SPANTAP_EXTRACT = 1, NGX_HTTP_SPANTAP_INJECT = 2 };

typedef struct {
  ngx_http_upstream_srv_conf_t* upstream;
  ngx_http_upstream_init_peer_pt init;
} ngx_http_spantap_peer_init_t;

typedef struct {
  ngx_str_t socket;
  ngx_str_t service_name;
  ngx_array_t resource; /* of spantap_attr */
  ngx_str_t sample_ratio_text;
  double sample_ratio;
  ngx_flag_t follows_parent; /* spantap_sample_ratio is given: children have their parent's decision */
  ngx_flag_t exporter_given;
  ngx_flag_t used;        /* a location traces; if none does, the module hooks nothing */
  ngx_array_t peer_inits; /* of ngx_http_spantap_peer_init_t, by address of the upstream */
  spantap_client* client;
} ngx_http_spantap_main_conf_t;

typedef struct {
  ngx_flag_t used; /* a location of this server traces */
} ngx_http_spantap_srv_conf_t;

typedef struct {
  ngx_str_t name;
  ngx_http_complex_value_t value;
} ngx_http_spantap_attr_t;

typedef struct {
  ngx_uint_t trace; /* NGX_HTTP_SPANTAP_OFF ... */
  ngx_http_complex_value_t trace_value;
  ngx_uint_t context; /* bits: NGX_HTTP_SPANTAP_EXTRACT, _INJECT */
  ngx_flag_t upstream_spans;
  ngx_http_complex_value_t* span_name;
  ngx_array_t* attrs;               /* of ngx_http_spantap_attr_t */
  const spantap_prepared* prepared; /* the route, and `attrs` if own_prepared; may be NULL */
  unsigned own_prepared : 1;
} ngx_http_spantap_loc_conf_t;

/* What a main request or a subrequest tells its upstream. */
typedef struct {
  ngx_table_elt_t* header; /* traceparent in the request's own header list; NULL: nothing injected yet */
  uint8_t span_id[8];      /* in that header */
  unsigned unused : 1;     /* no span has that id yet */
} ngx_http_spantap_leg_t;

/* One try of one upstream server: becomes a CLIENT span. */
typedef struct ngx_http_spantap_try_s ngx_http_spantap_try_t;
struct ngx_http_spantap_try_s {
  ngx_http_spantap_try_t* next;
  ngx_http_request_t* request; /* main request or subrequest */
  ngx_http_upstream_t* upstream;
  ngx_str_t* peer;
  ngx_uint_t state; /* index in request->upstream_states */
  ngx_uint_t resend;
  uint64_t start_ns; /* CLOCK_MONOTONIC */
  uint64_t end_ns;   /* 0: not ended */
  spantap_conn conn;
  uint8_t span_id[8];
  unsigned broken : 1; /* the response ended before its end */
};

typedef struct {
  ngx_http_spantap_loc_conf_t* location; /* the first one that traces; NULL: none yet */
  uint64_t start_ns;                     /* CLOCK_MONOTONIC */
  uint64_t wall_ns;                      /* what added to it is Unix time */
  struct sockaddr* peer;                 /* of the connection, before the realip module replaces it */
  socklen_t peer_length;
  spantap_context parent;
  spantap_context server;
  ngx_str_t trace_state;
  ngx_http_spantap_leg_t leg;
  ngx_http_spantap_try_t* tries;
  ngx_http_spantap_try_t** last_try;
  ngx_str_t request_id;         /* x-request-id */
  ngx_table_elt_t* traceparent; /* the only or first one */
  ngx_table_elt_t* tracestate;  /* the first one */
  ngx_uint_t traceparents, tracestates;
  unsigned has_ids : 1;  /* they have been made */
  unsigned ids_good : 1; /* and are ids */
  unsigned has_headers : 1;
  unsigned decided : 1;
  unsigned record : 1;
} ngx_http_spantap_ctx_t;

extern ngx_module_t ngx_http_spantap_module;
/* Of this worker; NULL: none, and everything is passed through. */
extern spantap_producer* ngx_http_spantap_producer;
/* Unix time minus CLOCK_MONOTONIC, looked at by the timer: durations survive a step of the clock. */
extern uint64_t ngx_http_spantap_wall_ns;

static ngx_inline uint64_t ngx_http_spantap_clock(clockid_t clock) {
  struct timespec now;
  (void)clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static ngx_inline spantap_str ngx_http_spantap_str(ngx_str_t text) {
  spantap_str str = {(const char*)text.data, text.len};
  return str;
}

/* Lower case hex digits of `size` bytes, a multiple of 4: four bytes at a time, because each request has 24. */
static ngx_inline void ngx_http_spantap_hex(u_char* to, const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; i += 4) {
    uint64_t wide =
        (uint64_t)bytes[i] | (uint64_t)bytes[i + 1] << 16 | (uint64_t)bytes[i + 2] << 32 | (uint64_t)bytes[i + 3] << 48;
    uint64_t digits = (wide >> 4 & 0x000f000f000f000full) | (wide & 0x000f000f000f000full) << 8;
    uint64_t letters = (digits + 0x0606060606060606ull) >> 4 & 0x0101010101010101ull;
    uint64_t text = digits + 0x3030303030303030ull + letters * ('a' - '9' - 1);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    text = __builtin_bswap64(text);
#endif
    ngx_memcpy(to + 2 * i, &text, sizeof(text));
  }
}

/* conf: directives */
extern ngx_command_t ngx_http_spantap_commands[];
void* ngx_http_spantap_create_main_conf(ngx_conf_t* cf);
void* ngx_http_spantap_create_srv_conf(ngx_conf_t* cf);
char* ngx_http_spantap_merge_srv_conf(ngx_conf_t* cf, void* parent, void* child);
void* ngx_http_spantap_create_loc_conf(ngx_conf_t* cf);
char* ngx_http_spantap_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child);
/* Opens the client of this configuration. NGX_ERROR: the configuration is wrong, and it has been said. */
ngx_int_t ngx_http_spantap_open_client(ngx_conf_t* cf, ngx_http_spantap_main_conf_t* main);

/* context: a main request's context, its ids and its decision */
/* The context of r's main request; NULL: none. */
ngx_http_spantap_ctx_t* ngx_http_spantap_get(ngx_http_request_t* r);
/* A new one; NULL: no memory. `first_hook`: the request has just been read. */
ngx_http_spantap_ctx_t* ngx_http_spantap_create(ngx_http_request_t* r, int first_hook);
/* Reads the headers and makes trace and span id, once. */
void ngx_http_spantap_make_ids(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx);
/* Whether the request is recorded, decided once by the first location that traces. */
int ngx_http_spantap_decide(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx);

/* headers: W3C trace context in a request's header list */
void ngx_http_spantap_read_headers(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx);
/* Writes the context for r's upstream into r's header list. NGX_ERROR: no memory, and the list is as it was. */
ngx_int_t ngx_http_spantap_inject(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx,
                                  ngx_http_spantap_loc_conf_t* conf);
ngx_http_spantap_leg_t* ngx_http_spantap_leg(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx);

/* upstream: tries */
ngx_int_t ngx_http_spantap_wrap_upstreams(ngx_conf_t* cf, ngx_http_spantap_main_conf_t* main);

/* span: hand-off in the log phase */
ngx_int_t ngx_http_spantap_log_handler(ngx_http_request_t* r);
/* What a connection's requests mostly have in common: scheme, server, client, peer, protocol, user agent; at most eight
 * attributes. `buffer` of NGX_SOCKADDR_STRLEN bytes outlives them. */
spantap_attr* ngx_http_spantap_add_connection(spantap_attr* at, ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx,
                                              u_char* buffer);
/* Whether X-Forwarded-For names the client. */
int ngx_http_spantap_is_forwarded(ngx_http_request_t* r);
void ngx_http_spantap_submit_tries(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx, uint64_t end_ns);
/* Attributes that both kinds of spans have: the method (and its name in *method), the status. */
spantap_attr* ngx_http_spantap_add_method(spantap_attr* at, ngx_str_t name, spantap_str* method);
spantap_attr* ngx_http_spantap_add_peer(spantap_attr* at, const ngx_str_t* address, in_port_t port);
const char* ngx_http_spantap_status_text(ngx_uint_t status, char* buffer);
void ngx_http_spantap_conn_end(const struct sockaddr* address, uint8_t* bytes, uint16_t* port, uint16_t* family);

static ngx_inline spantap_attr* ngx_http_spantap_add_int(spantap_attr* at, spantap_key key, int64_t value) {
  at->key = key;
  at->type = SPANTAP_INT;
  at->reserved = 0;
  at->value.i = value;
  return at + 1;
}

static ngx_inline spantap_attr* ngx_http_spantap_add_str(spantap_attr* at, spantap_key key, const void* data,
                                                         size_t size) {
  at->key = key;
  at->type = SPANTAP_STRING;
  at->reserved = 0;
  at->value.s.data = data;
  at->value.s.size = size;
  return at + 1;
}

/* prepared: attributes that are encoded once */
void ngx_http_spantap_prepare_location(ngx_conf_t* cf, ngx_http_spantap_loc_conf_t* location);
/* Those of ngx_http_spantap_add_connection() for this request; NULL: they are to be added one by one. */
const spantap_prepared* ngx_http_spantap_prepared_of(ngx_http_request_t* r, ngx_http_spantap_ctx_t* ctx);

/* variables */
ngx_int_t ngx_http_spantap_add_variables(ngx_conf_t* cf);

#pragma GCC visibility pop

#endif /* NGX_HTTP_SPANTAP_H_ */
