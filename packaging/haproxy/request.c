/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/haproxy/request.h"

#include <string.h>
#include <time.h>

#include "packaging/haproxy/formats.h"

enum { ID_DIGITS = 16, REMOTE_AT = CONTEXT_ACTION_AT + 1 + 3 * ID_DIGITS, TEXTS_AT };

/* What is kept of each text; the sum and what stands before them fits into CONTEXT_BYTES. */
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

static void read_request(spantap_str request, struct headers* headers) {
  static const uint8_t kTextOf[REQUEST_HEADERS] = {TEXT_METHOD, TEXT_VERSION, TEXT_TLS, TEXT_PATH, TEXT_QUERY};
  const char *at = request.data, *end = at + request.size;
  for (int field = 0; field < REQUEST_HEADERS; ++field) {
    const char* next = (const char*)memchr(at, SEPARATOR, (size_t)(end - at));
    if (next == NULL) return;
    headers->texts[kTextOf[field]] = (spantap_str){at, (size_t)(next - at)};
    at = next + 1;
  }
  read_headers((spantap_str){at, (size_t)(end - at)}, headers);
}

static char* put_hex(char* out, const uint8_t* bytes, size_t count) {
  static const char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; ++i) {
    *out++ = kDigits[bytes[i] >> 4];
    *out++ = kDigits[bytes[i] & 15];
  }
  return out;
}

static char* put_time(char* out, uint64_t time) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = (uint8_t)(time >> (56 - 8 * i));
  return put_hex(out, bytes, sizeof(bytes));
}

/* A line feed ends a text: one inside of it (HAProxy lets none in) would shift the others. */
static char* put_texts(char* out, const struct headers* headers) {
  for (int i = 0; i < TEXT_COUNT; ++i) {
    spantap_str text = headers->texts[i];
    size_t size = text.size < kKeep[i] ? text.size : kKeep[i];
    const char* feed = size != 0 ? (const char*)memchr(text.data, '\n', size) : NULL;
    if (feed != NULL) size = (size_t)(feed - text.data);
    if (size != 0) memcpy(out, text.data, size);
    out += size;
    *out++ = '\n';
  }
  return out;
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
  spantap_context parent, server, client;
  memset(&headers, 0, sizeof(headers));
  read_request(request, &headers);
  find_parent(&headers, &parent);
  int sampled = spantap_sample(producer, &parent, &server);
  if (sampled < 0 || spantap_sample(producer, &server, &client) < 0 ||
      spantap_inject(&client, out, SPANTAP_TRACEPARENT_SIZE) != SPANTAP_OK) {
    memcpy(out, OFF_TEXT, sizeof(OFF_TEXT) - 1);
    return sizeof(OFF_TEXT) - 1;
  }
  char* at = out + CONTEXT_ACTION_AT;
  *at++ = !spantap_enabled(producer) ? ACTION_PASS : parent.remote ? ACTION_INJECT : ACTION_INJECT_ROOT;
  if (!sampled) return (size_t)(at - out);
  at = put_hex(at, server.span_id, sizeof(server.span_id));
  at = put_hex(at, parent.span_id, sizeof(parent.span_id));
  at = put_time(at, now_unix_ns());
  *at++ = parent.remote ? '1' : '0';
  return (size_t)(put_texts(at, &headers) - out);
}

/* Of our own text: any other byte counts as 0. */
static uint64_t read_hex(const char* text) {
  uint64_t value = 0;
  for (int i = 0; i < ID_DIGITS; ++i) {
    unsigned char c = (unsigned char)text[i];
    value = value << 4 | (uint64_t)(c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0);
  }
  return value;
}

static void read_id(const char* text, uint8_t id[8]) {
  uint64_t value = read_hex(text);
  for (int i = 0; i < 8; ++i) id[i] = (uint8_t)(value >> (56 - 8 * i));
}

int context_read(spantap_str text, struct context* context) {
  if (text.size < TEXTS_AT || spantap_extract((spantap_str){text.data, CONTEXT_ACTION_AT}, &context->client) != 0)
    return 0;
  const char* ids = text.data + CONTEXT_ACTION_AT + 1;
  context->client.remote = 0;
  read_id(ids, context->server_span_id);
  read_id(ids + ID_DIGITS, context->parent_span_id);
  context->begin_unix_ns = read_hex(ids + 2 * ID_DIGITS);
  context->parent_is_remote = text.data[REMOTE_AT] == '1';
  const char *at = text.data + TEXTS_AT, *end = text.data + text.size;
  for (int i = 0; i < TEXT_COUNT; ++i) {
    const char* feed = at < end ? (const char*)memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (feed == NULL) return 0;
    context->texts[i] = (spantap_str){at, (size_t)(feed - at)};
    at = feed + 1;
  }
  return 1;
}
