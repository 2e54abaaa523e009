/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a flat JSON object of strings, member by member (RFC 8259): what a protobuf Struct of text values becomes.
 * Used by config.c. Why not a library: what is loaded into Envoy needs libc only. Pure, total, no allocation.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_JSON_H_
#define SPANTAP_PACKAGING_ENVOY_JSON_H_

#include <stddef.h>

struct json_reader {
  const char* at;
  const char* end;
  int members; /* read so far */
};

/* Decoded into the caller's memory. */
struct json_string {
  char* data;
  size_t size;
  size_t capacity;
};

enum json_result {
  JSON_MEMBER,    /* name and value are filled */
  JSON_END,       /* the object is over, and nothing follows it */
  JSON_MALFORMED, /* not JSON */
  JSON_TOO_LONG,  /* a string does not fit */
  JSON_NO_STRING  /* a member's value is of another type; its name is filled */
};

/* 1: the text begins with an object. */
int json_open(struct json_reader* reader, const char* text, size_t size);
enum json_result json_next(struct json_reader* reader, struct json_string* name, struct json_string* value);

#endif /* SPANTAP_PACKAGING_ENVOY_JSON_H_ */
