/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/json.h"

#include <stdint.h>

static void skip_space(struct json_reader* reader) {
  while (reader->at != reader->end &&
         (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r')) {
    ++reader->at;
  }
}

static int take(struct json_reader* reader, char wanted) {
  if (reader->at == reader->end || *reader->at != wanted) return 0;
  ++reader->at;
  return 1;
}

static int put(struct json_string* to, uint8_t byte) {
  if (to->size == to->capacity) return 0;
  to->data[to->size++] = (char)byte;
  return 1;
}

static int put_utf8(struct json_string* to, uint32_t code) {
  if (code < 0x80) return put(to, (uint8_t)code);
  if (code < 0x800) return put(to, (uint8_t)(0xc0 | code >> 6)) && put(to, (uint8_t)(0x80 | (code & 63)));
  int high = code < 0x10000 ? put(to, (uint8_t)(0xe0 | code >> 12))
                            : put(to, (uint8_t)(0xf0 | code >> 18)) && put(to, (uint8_t)(0x80 | (code >> 12 & 63)));
  return high && put(to, (uint8_t)(0x80 | (code >> 6 & 63))) && put(to, (uint8_t)(0x80 | (code & 63)));
}

/* The four digits of \uXXXX; -1: they are none. */
static int32_t code_unit(struct json_reader* reader) {
  int32_t unit = 0;
  if (reader->end - reader->at < 4) return -1;
  for (int i = 0; i < 4; ++i) {
    char c = *reader->at++;
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

/* A code point; -1: a half of a surrogate pair alone, or no digits. */
static int32_t code_point(struct json_reader* reader) {
  int32_t first = code_unit(reader);
  if (first < 0xd800 || first > 0xdfff) return first;
  if (first > 0xdbff || !take(reader, '\\') || !take(reader, 'u')) return -1;
  int32_t second = code_unit(reader);
  if (second < 0xdc00 || second > 0xdfff) return -1;
  return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

static enum json_result escape(struct json_reader* reader, struct json_string* to) {
  static const char kLetters[] = "\"\\/bfnrt", kMeanings[] = "\"\\/\b\f\n\r\t";
  if (take(reader, 'u')) {
    int32_t code = code_point(reader);
    if (code < 0) return JSON_MALFORMED;
    return put_utf8(to, (uint32_t)code) ? JSON_MEMBER : JSON_TOO_LONG;
  }
  for (int i = 0; kLetters[i] != '\0'; ++i) {
    if (take(reader, kLetters[i])) return put(to, (uint8_t)kMeanings[i]) ? JSON_MEMBER : JSON_TOO_LONG;
  }
  return JSON_MALFORMED;
}

static enum json_result read_string(struct json_reader* reader, struct json_string* to) {
  to->size = 0;
  if (!take(reader, '"')) return JSON_NO_STRING;
  while (!take(reader, '"')) {
    if (reader->at == reader->end || (uint8_t)*reader->at < 0x20) return JSON_MALFORMED;
    enum json_result result = JSON_MEMBER;
    if (take(reader, '\\')) {
      result = escape(reader, to);
    } else if (!put(to, (uint8_t)*reader->at++)) {
      result = JSON_TOO_LONG;
    }
    if (result != JSON_MEMBER) return result;
  }
  return JSON_MEMBER;
}

int json_open(struct json_reader* reader, const char* text, size_t size) {
  reader->at = text;
  reader->end = text + size;
  reader->members = 0;
  skip_space(reader);
  return take(reader, '{');
}

enum json_result json_next(struct json_reader* reader, struct json_string* name, struct json_string* value) {
  skip_space(reader);
  if (take(reader, '}')) {
    skip_space(reader);
    return reader->at == reader->end ? JSON_END : JSON_MALFORMED;
  }
  if (reader->members++ != 0 && !take(reader, ',')) return JSON_MALFORMED;
  skip_space(reader);
  enum json_result result = read_string(reader, name);
  if (result != JSON_MEMBER) return result == JSON_NO_STRING ? JSON_MALFORMED : result;
  skip_space(reader);
  if (!take(reader, ':')) return JSON_MALFORMED;
  skip_space(reader);
  if (reader->at == reader->end) return JSON_MALFORMED;
  return read_string(reader, value);
}
