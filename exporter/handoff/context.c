/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "exporter/handoff/encode.h"

enum { SIZE = SPANTAP_TRACEPARENT_SIZE, TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53 };

/* Lower case only (W3C Level 2, section 3.2.2). */
static int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int get_hex(const char* text, uint8_t* bytes, size_t count) {
  uint8_t any = 0;
  for (size_t i = 0; i < count; ++i) {
    int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return -1;
    bytes[i] = (uint8_t)(high << 4 | low);
    any |= bytes[i];
  }
  return any != 0;
}

static void put_hex(char* text, const uint8_t* bytes, size_t count) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  /* Four bytes are eight digits: each byte's halves side by side in a word, plus '0', plus 39 from ten on. */
  for (; count >= 4; count -= 4, bytes += 4, text += 8) {
    uint32_t four;
    memcpy(&four, bytes, sizeof(four));
    uint64_t word = (four | (uint64_t)four << 16) & 0x0000ffff0000ffffu;
    word = (word | word << 8) & 0x00ff00ff00ff00ffu;
    word = (word >> 4 & 0x000f000f000f000fu) | (word & 0x000f000f000f000fu) << 8;
    word += 0x3030303030303030u + ((word + 0x0606060606060606u) >> 4 & 0x0101010101010101u) * 39;
    memcpy(text, &word, sizeof(word));
  }
#endif
  for (size_t i = 0; i < count; ++i) {
    text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
}

/* Without the optional white space that HTTP allows around a value. */
static spantap_str trimmed(spantap_str s) {
  while (s.size != 0 && (s.data[0] == ' ' || s.data[0] == '\t')) ++s.data, --s.size;
  while (s.size != 0 && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t')) --s.size;
  return s;
}

spantap_status spantap_extract(spantap_str traceparent, spantap_context* context) {
  if (context == NULL) return SPANTAP_INVALID;
  memset(context, 0, sizeof(*context));
  if (handoff_str_bad(traceparent)) return SPANTAP_INVALID;
  spantap_str s = trimmed(traceparent);
  uint8_t version, flags;
  spantap_context found;
  memset(&found, 0, sizeof(found));
  if (s.size < SIZE || get_hex(s.data, &version, 1) < 0 || version == 0xff) return SPANTAP_MALFORMED;
  if (s.size > SIZE && (version == 0 || s.data[SIZE] != '-')) return SPANTAP_MALFORMED;
  if (s.data[TRACE_AT - 1] != '-' || s.data[SPAN_AT - 1] != '-' || s.data[FLAGS_AT - 1] != '-' ||
      get_hex(s.data + TRACE_AT, found.trace_id, 16) <= 0 || get_hex(s.data + SPAN_AT, found.span_id, 8) <= 0 ||
      get_hex(s.data + FLAGS_AT, &flags, 1) < 0) {
    return SPANTAP_MALFORMED;
  }
  found.flags = flags & (SPANTAP_SAMPLED | SPANTAP_RANDOM);
  found.remote = 1;
  *context = found;
  return SPANTAP_OK;
}

spantap_status spantap_inject(const spantap_context* context, char* buffer, size_t capacity) {
  if (context == NULL || buffer == NULL) return SPANTAP_INVALID;
  char text[SIZE];
  uint8_t version = 0, flags = context->flags & (SPANTAP_SAMPLED | SPANTAP_RANDOM);
  uint64_t words[3];
  memcpy(words, context->trace_id, 16);
  memcpy(&words[2], context->span_id, 8);
  if ((words[0] | words[1]) == 0 || words[2] == 0) return SPANTAP_INVALID;
  if (capacity < SIZE) return SPANTAP_NO_SPACE;
  memset(text, '-', sizeof(text));
  put_hex(text, &version, 1);
  put_hex(text + TRACE_AT, context->trace_id, 16);
  put_hex(text + SPAN_AT, context->span_id, 8);
  put_hex(text + FLAGS_AT, &flags, 1);
  memcpy(buffer, text, sizeof(text));
  return SPANTAP_OK;
}

static int key_good(const char* key, size_t size) {
  if (size == 0 || size > 256) return 0;
  for (size_t i = 0; i < size; ++i) {
    char c = key[i];
    int plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    int inner = c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
    if (!plain && (i == 0 || !inner)) return 0;
  }
  return 1;
}

static int value_good(const char* value, size_t size) {
  if (size == 0 || size > 256 || value[size - 1] == ' ') return 0;
  for (size_t i = 0; i < size; ++i) {
    if (value[i] < 0x20 || value[i] > 0x7e || value[i] == '=') return 0;
  }
  return 1;
}

spantap_status spantap_check_tracestate(spantap_str tracestate) {
  enum { MEMBERS = 32 };
  if (handoff_str_bad(tracestate)) return SPANTAP_INVALID;
  int members = 0;
  for (size_t at = 0; at < tracestate.size;) {
    const char* start = tracestate.data + at;
    const char* comma = (const char*)memchr(start, ',', tracestate.size - at);
    spantap_str member = {start, comma != NULL ? (size_t)(comma - start) : tracestate.size - at};
    at += member.size + 1;
    member = trimmed(member);
    if (member.size == 0) continue; /* allowed, and not counted */
    const char* equal = (const char*)memchr(member.data, '=', member.size);
    if (equal == NULL || ++members > MEMBERS) return SPANTAP_MALFORMED;
    size_t key = (size_t)(equal - member.data);
    if (!key_good(member.data, key) || !value_good(equal + 1, member.size - key - 1)) return SPANTAP_MALFORMED;
  }
  return SPANTAP_OK;
}
