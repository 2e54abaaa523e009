/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/haproxy/request.h"

#include <string.h>
#include <time.h>

#include "packaging/haproxy/formats.h"

enum {
  TRACEPARENT_AT = 1,
  KEPT_AT = TRACEPARENT_AT + SPANTAP_TRACEPARENT_SIZE,
  TEXTS_AT = KEPT_AT + sizeof(struct kept)
};

/* What is kept of each text; the sum and what stands before it fits into CONTEXT_BYTES. */
static const uint16_t kKeep[TEXT_COUNT] = {32, 4, 1, SPANTAP_MAX_VALUE, SPANTAP_MAX_VALUE, 256, 256, 1024, 512};

struct headers {
  spantap_str traceparent, trace_state, texts[TEXT_COUNT];
  int traceparents, trace_states;
};

static uint64_t now_unix_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int is(spantap_str name, const char* wanted, size_t size) {
  return name.size == size && memcmp(name.data, wanted, size) == 0;
}
#define IS(name, literal) is(name, literal, sizeof(literal) - 1)

/* HAProxy has the names in lower case and the values trimmed. */
static void take_header(struct headers* headers, spantap_str name, spantap_str value) {
  if (IS(name, "traceparent")) {
    headers->traceparent = value;
    ++headers->traceparents;
  } else if (IS(name, "tracestate")) {
    headers->trace_state = value;
    ++headers->trace_states;
  } else if (IS(name, "host")) {
    headers->texts[TEXT_HOST] = value;
  } else if (IS(name, "user-agent")) {
    headers->texts[TEXT_USER_AGENT] = value;
  } else if (IS(name, "x-request-id")) {
    headers->texts[TEXT_REQUEST_ID] = value;
  }
}

/* Only names of these lengths are of interest: most headers cost a look at their colon and their end. */
static void read_headers(spantap_str lines, struct headers* headers) {
  const char *at = lines.data, *end = at + lines.size;
  while (at < end) {
    const char* feed = (const char*)memchr(at, '\n', (size_t)(end - at));
    const char* line_end = feed != NULL ? feed : end;
    const char* colon = (const char*)memchr(at, ':', (size_t)(line_end - at));
    if (colon == NULL) return; /* the empty line at the end, or what was cut */
    const char* value = colon + 1;
    const char* value_end = line_end > value && line_end[-1] == '\r' ? line_end - 1 : line_end;
    if (value < value_end && *value == ' ') ++value;
    take_header(headers, (spantap_str){at, (size_t)(colon - at)}, (spantap_str){value, (size_t)(value_end - value)});
    at = line_end + 1;
  }
}

static void split_query(struct headers* headers) {
  spantap_str* path = &headers->texts[TEXT_PATH];
  const char* mark = path->size != 0 ? (const char*)memchr(path->data, '?', path->size) : NULL;
  if (mark == NULL) return;
  headers->texts[TEXT_QUERY] = (spantap_str){mark + 1, (size_t)(path->data + path->size - mark - 1)};
  path->size = (size_t)(mark - path->data);
}

static void read_request(spantap_str request, struct headers* headers) {
  static const uint8_t kTextOf[REQUEST_HEADERS] = {TEXT_METHOD, TEXT_VERSION, TEXT_TLS, TEXT_PATH};
  const char *at = request.data, *end = at + request.size;
  for (int field = 0; field < REQUEST_HEADERS; ++field) {
    const char* next = (const char*)memchr(at, SEPARATOR, (size_t)(end - at));
    if (next == NULL) return;
    headers->texts[kTextOf[field]] = (spantap_str){at, (size_t)(next - at)};
    at = next + 1;
  }
  split_query(headers);
  read_headers((spantap_str){at, (size_t)(end - at)}, headers);
}

static size_t put_texts(char* out, const struct headers* headers, struct kept* kept) {
  char* at = out;
  for (int i = 0; i < TEXT_COUNT; ++i) {
    spantap_str text = headers->texts[i];
    kept->sizes[i] = text.size < kKeep[i] ? (uint16_t)text.size : kKeep[i];
    if (kept->sizes[i] != 0) memcpy(at, text.data, kept->sizes[i]);
    at += kept->sizes[i];
  }
  return (size_t)(at - out);
}

/* One traceparent, and one only, may be a parent (W3C Trace Context, 4.3); tracestate only with it. */
static void find_parent(struct headers* headers, spantap_context* parent) {
  memset(parent, 0, sizeof(*parent));
  if (headers->traceparents != 1 || spantap_extract(headers->traceparent, parent) != SPANTAP_OK) return;
  if (headers->trace_states == 1 && headers->trace_state.size <= kKeep[TEXT_TRACE_STATE] &&
      spantap_check_tracestate(headers->trace_state) == SPANTAP_OK)
    headers->texts[TEXT_TRACE_STATE] = headers->trace_state;
}

size_t request_to_context(spantap_producer* producer, spantap_str request, char out[CONTEXT_BYTES]) {
  struct headers headers;
  struct kept kept;
  spantap_context parent;
  memset(&headers, 0, sizeof(headers));
  memset(&kept, 0, sizeof(kept));
  read_request(request, &headers);
  find_parent(&headers, &parent);
  int sampled = spantap_sample(producer, &parent, &kept.server);
  if (sampled < 0 || spantap_sample(producer, &kept.server, &kept.client) < 0 ||
      spantap_inject(&kept.client, out + TRACEPARENT_AT, SPANTAP_TRACEPARENT_SIZE) != SPANTAP_OK) {
    memcpy(out, OFF_TEXT, sizeof(OFF_TEXT) - 1);
    return sizeof(OFF_TEXT) - 1;
  }
  out[0] = !spantap_enabled(producer) ? ACTION_PASS : parent.remote ? ACTION_INJECT : ACTION_INJECT_ROOT;
  if (!sampled) return KEPT_AT;
  memcpy(kept.parent_span_id, parent.span_id, sizeof(kept.parent_span_id));
  kept.parent_is_remote = parent.remote;
  kept.begin_unix_ns = now_unix_ns();
  size_t size = put_texts(out + TEXTS_AT, &headers, &kept);
  memcpy(out + KEPT_AT, &kept, sizeof(kept));
  return TEXTS_AT + size;
}

int context_read(spantap_str value, struct context* context) {
  if (value.size < TEXTS_AT) return 0;
  memcpy(&context->kept, value.data + KEPT_AT, sizeof(context->kept));
  const char *at = value.data + TEXTS_AT, *end = value.data + value.size;
  for (int i = 0; i < TEXT_COUNT; ++i) {
    size_t size = context->kept.sizes[i];
    if (size > (size_t)(end - at)) return 0;
    context->texts[i] = (spantap_str){at, size};
    at += size;
  }
  return at == end;
}
