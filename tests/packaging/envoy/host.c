/* SPDX-License-Identifier: Apache-2.0
 *
 * Plays Envoy's side of the tracer interface, well and badly, with the module's sources linked in under ASan and UBSan.
 * Usage: host SOCKET SEED ROUNDS. Prints "ok", and how many spans it finished while sampled. Built and run by
 * tests/e2e/test_adapter_envoy.py.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "packaging/envoy/envoy_abi.h"
#include "packaging/envoy/worker.h"

#define TEXT(literal) ((envoy_text){(literal), sizeof(literal) - 1})
#define CHECK(condition)                          \
  do {                                            \
    if (!(condition)) fail(__LINE__, #condition); \
  } while (0)

static void fail(int line, const char* what) {
  fprintf(stderr, "host.c:%d: not so: %s\n", line, what);
  exit(1);
}

/* ---------------------------------------------------------------- what Envoy offers: a few headers */

enum { HEADERS = 8 };
struct headers {
  struct {
    envoy_text key;
    char value[512];
    size_t size;
  } all[HEADERS];
  int count;
};

static int find(const struct headers* headers, envoy_text key) {
  for (int i = 0; i < headers->count; ++i) {
    if (headers->all[i].key.size == key.size && memcmp(headers->all[i].key.data, key.data, key.size) == 0) return i;
  }
  return -1;
}

bool envoy_dynamic_module_callback_tracer_get_trace_context_value(void* envoy, envoy_text key, envoy_text* value) {
  struct headers* headers = envoy;
  int i = find(headers, key);
  value->data = i < 0 ? NULL : headers->all[i].value;
  value->size = i < 0 ? 0 : headers->all[i].size;
  return i >= 0;
}

void envoy_dynamic_module_callback_tracer_set_trace_context_value(void* envoy, envoy_text key, envoy_text value) {
  struct headers* headers = envoy;
  int i = find(headers, key);
  if (i < 0) i = headers->count++;
  CHECK(i < HEADERS && value.size <= sizeof(headers->all[i].value));
  headers->all[i].key = key;
  headers->all[i].size = value.size;
  memcpy(headers->all[i].value, value.data, value.size);
}

void envoy_dynamic_module_callback_tracer_remove_trace_context_value(void* envoy, envoy_text key) {
  struct headers* headers = envoy;
  int i = find(headers, key);
  if (i >= 0) headers->all[i] = headers->all[--headers->count];
}

static bool get(void* envoy, const char* name, envoy_text* value) {
  envoy_text key = {name, strlen(name)};
  return envoy_dynamic_module_callback_tracer_get_trace_context_value(envoy, key, value);
}
bool envoy_dynamic_module_callback_tracer_get_trace_context_host(void* e, envoy_text* v) {
  return get(e, ":authority", v);
}
bool envoy_dynamic_module_callback_tracer_get_trace_context_path(void* e, envoy_text* v) { return get(e, ":path", v); }
bool envoy_dynamic_module_callback_tracer_get_trace_context_method(void* e, envoy_text* v) {
  return get(e, ":method", v);
}

static unsigned long counted[8];
int envoy_dynamic_module_callback_tracer_define_counter(void* envoy, envoy_text name, envoy_text* labels, size_t count,
                                                        size_t* id) {
  static size_t last;
  (void)envoy;
  CHECK(name.size > 8 && labels == NULL && count == 0);
  *id = last++ % 4;
  return 0;
}
int envoy_dynamic_module_callback_tracer_increment_counter(void* envoy, size_t id, envoy_text* labels, size_t count,
                                                           uint64_t by) {
  (void)envoy;
  CHECK(id < 4 && labels == NULL && count == 0 && by == 1);
  ++counted[id]; /* hooks that report run one at a time here */
  return 0;
}

static int errors_logged;
void envoy_dynamic_module_callback_log(int level, envoy_text message) {
  CHECK(message.data != NULL && message.size != 0);
  errors_logged += level == ENVOY_LOG_ERROR;
}

static void set(struct headers* headers, const char* key, const char* value) {
  envoy_text k = {key, strlen(key)}, v = {value, strlen(value)};
  envoy_dynamic_module_callback_tracer_set_trace_context_value(headers, k, v);
}

/* ---------------------------------------------------------------- configurations */

static char text_of_config[512];

static void destroy_if(const void* config) {
  if (config != NULL) envoy_dynamic_module_on_tracer_config_destroy(config);
}

/* Each text ends at its memory's end, so that one byte too far is seen. */
static const void* open_exactly(const char* text, size_t size) {
  char* copy = malloc(size + (size == 0));
  memcpy(copy, text, size);
  envoy_text config = {copy, size};
  int before = errors_logged;
  const void* made = envoy_dynamic_module_on_tracer_config_new(counted, TEXT("name"), config);
  CHECK((made == NULL) == (errors_logged == before + 1)); /* a refusal says why, once */
  free(copy);
  return made;
}

static void hostile_configurations(void) {
  static const char kJson[] =
      " { \"socket\" : \"unix:/x/\\u00e9\\ud83d\\ude00.sock\", \"service_name\":\"a\\\"b\", \"span_style\":\"otel\" } ";
  static const char kText[] = "unix:/x/agent.sock;service=front;span_style=envoy;mode=off";
  static const char* const kGood[] = {kJson, kText, "", "{}", "unix:/a", "{\"socket\":\"/a\"}"};
  for (size_t i = 0; i < sizeof(kGood) / sizeof(kGood[0]); ++i) {
    const void* config = open_exactly(kGood[i], strlen(kGood[i]));
    CHECK(config != NULL);
    destroy_if(config);
  }
  for (int which = 0; which < 2; ++which) {
    const char* whole = which ? kText : kJson;
    size_t size = strlen(whole);
    for (size_t cut = 0; cut < size; ++cut) destroy_if(open_exactly(whole, cut));
    for (size_t at = 0; at < size; ++at) {
      char changed[256];
      static const char kBytes[] = {'"', '\\', '{', '}', ';', '=', 0, (char)0xff, 'u', ','};
      for (size_t b = 0; b < sizeof(kBytes); ++b) {
        memcpy(changed, whole, size);
        changed[at] = kBytes[b];
        destroy_if(open_exactly(changed, size));
      }
    }
  }
  size_t big = 1 << 20;
  char* large = malloc(big);
  memset(large, 'a', big);
  CHECK(open_exactly(large, big) == NULL && open_exactly(large, 300) == NULL);
  memcpy(large, "unix:/", 6);
  CHECK(open_exactly(large, 200) == NULL && open_exactly(large, 65536) == NULL);
  memcpy(large, "{\"service\":\"", 12);
  CHECK(open_exactly(large, 65536) == NULL);
  free(large);
}

/* ---------------------------------------------------------------- spans */

static unsigned long finished;

static void hostile_values(const void* config) {
  struct headers headers = {.count = 0};
  size_t megabyte = 1 << 20;
  char* large = malloc(megabyte);
  memset(large, 0xc3, megabyte); /* halves of UTF-8 sequences */
  envoy_text big = {large, megabyte}, null = {NULL, 0}, lie = {NULL, 5};
  const void* span = envoy_dynamic_module_on_tracer_start_span(config, &headers, null, true, 2);
  envoy_dynamic_module_on_tracer_span_set_operation(span, null);
  envoy_dynamic_module_on_tracer_span_set_operation(span, big);
  envoy_dynamic_module_on_tracer_span_set_tag(span, null, null);
  envoy_dynamic_module_on_tracer_span_set_tag(span, lie, lie);
  envoy_dynamic_module_on_tracer_span_set_tag(span, big, big);
  envoy_dynamic_module_on_tracer_span_set_tag(span, TEXT("x"), big);
  envoy_dynamic_module_on_tracer_span_set_tag(span, TEXT("http.url"), null);
  for (int i = 0; i < 1000; ++i) {
    char name[16];
    envoy_text tag = {name, (size_t)snprintf(name, sizeof(name), "tag%d", i)};
    envoy_dynamic_module_on_tracer_span_set_tag(span, tag, i % 100 == 0 ? big : TEXT("value"));
    envoy_dynamic_module_on_tracer_span_set_tag(span, TEXT("http.status_code"), TEXT("200"));
    envoy_dynamic_module_on_tracer_span_log(span, i, TEXT("event"));
  }
  envoy_dynamic_module_on_tracer_span_log(span, -1, big);
  envoy_dynamic_module_on_tracer_span_finish(span);
  ++finished;
  envoy_dynamic_module_on_tracer_span_finish(span);
  envoy_dynamic_module_on_tracer_span_set_tag(span, TEXT("late"), TEXT("1"));
  envoy_dynamic_module_on_tracer_span_inject_context(span, &headers);
  envoy_dynamic_module_on_tracer_span_destroy(span);
  envoy_dynamic_module_on_tracer_span_destroy(NULL);
  free(large);
}

static void contexts(const void* config) {
  static const char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
  for (int sampled = 0; sampled < 2; ++sampled) {
    struct headers headers = {.count = 0};
    char header[64];
    envoy_text id, baggage = {"x", 1};
    snprintf(header, sizeof(header), "%s%d", kParent, sampled);
    set(&headers, "traceparent", header);
    set(&headers, "tracestate", "a=b");
    const void* span = envoy_dynamic_module_on_tracer_start_span(config, &headers, TEXT("ingress"), !sampled, 0);
    CHECK(span != NULL && !envoy_dynamic_module_on_tracer_span_use_local_decision(span));
    CHECK(envoy_dynamic_module_on_tracer_span_get_trace_id(span, &id) && id.size == 32);
    CHECK(memcmp(id.data, kParent + 3, 32) == 0);
    const void* child = envoy_dynamic_module_on_tracer_span_spawn_child(span, TEXT("router x egress"), 0);
    CHECK(envoy_dynamic_module_on_tracer_span_get_span_id(child, &id) && id.size == 16);
    char child_id[16];
    memcpy(child_id, id.data, 16);
    struct headers out = {.count = 0}, passed = headers;
    set(&passed, "tracestate", "a=b,c=d");
    envoy_dynamic_module_on_tracer_span_inject_context(child, &out);
    envoy_dynamic_module_on_tracer_span_inject_context(child, &passed);
    CHECK(get(&out, "traceparent", &id) && id.size == 55 && memcmp(id.data + 36, child_id, 16) == 0);
    CHECK(id.data[54] == '0' + sampled);
    CHECK(get(&out, "tracestate", &id) && id.size == 3);    /* a request of Envoy's own gets it */
    CHECK(get(&passed, "tracestate", &id) && id.size == 7); /* one that is passed on keeps what it has */
    CHECK(!envoy_dynamic_module_on_tracer_span_get_baggage(span, TEXT("k"), &baggage) && baggage.data == NULL);
    envoy_dynamic_module_on_tracer_span_set_baggage(span, TEXT("k"), TEXT("v"));
    envoy_dynamic_module_on_tracer_span_reserve_tags(span, (size_t)-1);
    envoy_dynamic_module_on_tracer_span_finish(span); /* before its child */
    envoy_dynamic_module_on_tracer_span_destroy(span);
    envoy_dynamic_module_on_tracer_span_finish(child);
    envoy_dynamic_module_on_tracer_span_destroy(child);
    finished += 2 * (unsigned long)sampled;
  }
  struct headers headers = {.count = 0};
  envoy_text value;
  set(&headers, "traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01");
  set(&headers, "tracestate", "a=b");
  const void* span = envoy_dynamic_module_on_tracer_start_span(config, &headers, TEXT("egress x"), false, 0);
  CHECK(envoy_dynamic_module_on_tracer_span_use_local_decision(span));
  envoy_dynamic_module_on_tracer_span_set_sampled(span, true);
  envoy_dynamic_module_on_tracer_span_inject_context(span, &headers);
  CHECK(get(&headers, "traceparent", &value) && value.data[54] == '3' && !get(&headers, "tracestate", &value));
  envoy_dynamic_module_on_tracer_span_finish(span);
  envoy_dynamic_module_on_tracer_span_destroy(span);
  ++finished;
  const void* next = envoy_dynamic_module_on_tracer_start_span(config, &headers, TEXT("egress x"), false, 0);
  CHECK(next == span); /* memory is kept */
  envoy_dynamic_module_on_tracer_span_destroy(next);
}

static void* finish_elsewhere(void* span) {
  envoy_dynamic_module_on_tracer_span_finish(span); /* not handed off, counted by the library as a wrong thread's */
  envoy_dynamic_module_on_tracer_span_destroy(span);
  return NULL;
}

static void* work_alone(void* config) {
  struct headers headers = {.count = 0};
  for (int i = 0; i < 100; ++i) {
    const void* span = envoy_dynamic_module_on_tracer_start_span(config, &headers, TEXT("ingress"), false, 0);
    envoy_dynamic_module_on_tracer_span_destroy(span);
  }
  return NULL;
}

static void threads(const void* config) {
  struct headers headers = {.count = 0};
  pthread_t thread;
  const void* span = envoy_dynamic_module_on_tracer_start_span(config, &headers, TEXT("ingress"), true, 0);
  CHECK(pthread_create(&thread, NULL, finish_elsewhere, (void*)(uintptr_t)span) == 0);
  pthread_join(thread, NULL);
  for (int i = 0; i < 20; ++i) { /* one after the other: addresses of threads come again */
    CHECK(pthread_create(&thread, NULL, work_alone, (void*)(uintptr_t)config) == 0);
    pthread_join(thread, NULL);
  }
}

static unsigned long long state;
static unsigned draw(unsigned below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(state >> 33) % below;
}

/* Any hook on any of some live spans, in any order, with texts that a request might bring. */
static void at_random(const void* config, int rounds) {
  enum { LIVE = 400 };
  static const char* const kNames[] = {"http.url",       "http.method",      "http.status_code",   "grpc.status_code",
                                       "peer.address",   "upstream_address", "spantap.connection", "user_agent",
                                       "grpc.path",      "custom",           "http.protocol",      "guid:x-request-id",
                                       "response_flags", "canceled",         "component",          "request_size",
                                       "http.urk",       "retry.count",      "http_method"};
  static const char* const kValues[] = {"",
                                        "-",
                                        "http://h:1/p?q",
                                        "http://",
                                        "://",
                                        "GET",
                                        "BREW",
                                        "200",
                                        "503",
                                        "0",
                                        "-1",
                                        "99999999999999999999",
                                        "1.2.3.4:5",
                                        "[::1]:80",
                                        "[::1",
                                        "::1",
                                        "1.2.3.4:99999",
                                        "1.2.3.4:5 5.6.7.8:9 [::2]:3 ::4",
                                        "/a.B/C",
                                        "/",
                                        "a",
                                        "HTTP/1.1",
                                        "HTTP/",
                                        "14",
                                        "DC,UT",
                                        "https://u:p@[::1]:8080/x?y#z",
                                        "http://h",
                                        "16",
                                        "17",
                                        "\xff\xfe"};
  enum { NAMES = sizeof(kNames) / sizeof(kNames[0]), VALUES = sizeof(kValues) / sizeof(kValues[0]) };
  const void* live[LIVE] = {NULL};
  int ended[LIVE] = {0};
  for (int i = 0; i < rounds; ++i) {
    unsigned slot = draw(LIVE), op = draw(24);
    struct headers headers = {.count = 0};
    const char* name = kNames[draw(NAMES)];
    const char* value = kValues[draw(VALUES)];
    envoy_text n = {name, strlen(name)}, v = {value, strlen(value)};
    set(&headers, ":authority", value);
    set(&headers, ":path", kValues[draw(VALUES)]);
    set(&headers, ":scheme", "http");
    set(&headers, ":method", kValues[draw(VALUES)]);
    if (live[slot] == NULL) {
      unsigned parent = draw(LIVE);
      live[slot] =
          draw(3) == 0 && live[parent] != NULL
              ? envoy_dynamic_module_on_tracer_span_spawn_child(live[parent], draw(2) ? TEXT("router a egress") : v, i)
              : envoy_dynamic_module_on_tracer_start_span(config, &headers, draw(2) ? TEXT("egress a") : v, true, 2);
      ended[slot] = 0;
    } else if (op == 0) {
      envoy_dynamic_module_on_tracer_span_destroy(live[slot]);
      live[slot] = NULL;
    } else if (op == 1) {
      envoy_dynamic_module_on_tracer_span_set_tag(live[slot], TEXT("component"), TEXT("proxy"));
      envoy_dynamic_module_on_tracer_span_set_operation(live[slot], TEXT("named"));
      envoy_dynamic_module_on_tracer_span_finish(live[slot]);
      finished += !ended[slot];
      ended[slot] = 1;
      if (finished % 512 == 0) usleep(20000); /* the agent reads on a core that others use, too */
    } else if (op == 2) {
      envoy_dynamic_module_on_tracer_span_inject_context(live[slot], &headers);
    } else if (op == 3) {
      envoy_dynamic_module_on_tracer_span_log(live[slot], (int64_t)draw(1000), v);
    } else if (op == 4) {
      envoy_dynamic_module_on_tracer_span_set_operation(live[slot], v);
    } else {
      envoy_dynamic_module_on_tracer_span_set_tag(live[slot], n, v);
    }
  }
  for (int slot = 0; slot < LIVE; ++slot) envoy_dynamic_module_on_tracer_span_destroy(live[slot]); /* not finished */
}

static const void* open_on(const char* socket, const char* style) {
  int size = snprintf(text_of_config, sizeof(text_of_config), "unix:%s;service=host;span_style=%s", socket, style);
  return open_exactly(text_of_config, (size_t)size);
}

/* Until an agent is attached; these spans may be lost and are not sampled. */
static void warm_up(struct worker* worker) {
  for (int i = 0; i < 500 && spantap_attach(worker->producer) != SPANTAP_OK; ++i) usleep(10000);
  CHECK(spantap_attach(worker->producer) == SPANTAP_OK);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  state = strtoull(argv[2], NULL, 10);
  CHECK(strcmp(envoy_dynamic_module_on_program_init(), ENVOY_ABI_VERSION) == 0);
  hostile_configurations();
  for (int style = 0; style < 2; ++style) {
    const void* config = open_on(argv[1], style ? "otel" : "envoy");
    CHECK(config != NULL);
    struct worker* worker = worker_here(*(struct outlet* const*)config); /* a tracer's first member */
    warm_up(worker);
    hostile_values(config);
    contexts(config);
    threads(config);
    at_random(config, atoi(argv[3]));
    CHECK(worker->kept_count <= WORKER_KEPT_SPANS && worker->kept_count > 0);
    spantap_stats stats = SPANTAP_STATS_INIT;
    CHECK(spantap_flush(worker->producer, 5000) == SPANTAP_OK);
    CHECK(spantap_stats_get(worker->producer, &stats) == SPANTAP_OK);
    printf("handed_off %llu full %llu invalid %llu too_large %llu wrong_thread %llu\n",
           (unsigned long long)stats.handed_off, (unsigned long long)stats.dropped_full,
           (unsigned long long)stats.dropped_invalid, (unsigned long long)stats.dropped_too_large,
           (unsigned long long)stats.wrong_thread);
    envoy_dynamic_module_on_tracer_config_destroy(config);
  }
  printf("counted_sent %lu counted_no_agent %lu counted_full %lu counted_other %lu\n", counted[0], counted[1],
         counted[2], counted[3]);
  printf("ok %lu\n", finished);
  return 0;
}
