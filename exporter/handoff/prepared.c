/* SPDX-License-Identifier: Apache-2.0 */
#include "exporter/handoff/encode.h"

spantap_status spantap_prepare(const spantap_attr* attrs, uint32_t count, void* memory, size_t size,
                               const spantap_prepared** prepared) {
  if ((attrs == NULL && count != 0) || memory == NULL || ((uintptr_t)memory & 7) != 0 || prepared == NULL) {
    return SPANTAP_INVALID;
  }
  if (count > SPANTAP_MAX_ATTRS || handoff_attrs_bytes(attrs, count) > SPANTAP_MAX_RECORD) return SPANTAP_TOO_LARGE;
  for (uint32_t i = 0; i < count; ++i) {
    if (!handoff_attr_good(&attrs[i])) return SPANTAP_INVALID;
  }
  struct spantap_prepared* made = (struct spantap_prepared*)memory;
  if (size < sizeof(*made) + handoff_attrs_bytes(attrs, count)) return SPANTAP_NO_SPACE;
  struct handoff_out out = {made->attrs, (uint8_t*)memory + size};
  uint16_t written = 0;
  uint32_t dropped = 0;
  made->magic = 0;
  if (!handoff_put_attrs(&out, attrs, count, &written, &dropped)) return SPANTAP_NO_SPACE;
  if (dropped != 0) return SPANTAP_INVALID; /* the caller's strings changed meanwhile */
  made->bytes = (uint32_t)(out.at - made->attrs);
  made->count = written;
  made->magic = kHandoffPrepared;
  *prepared = made;
  return SPANTAP_OK;
}

int handoff_put_prepared(struct handoff_out* out, const spantap_span* span, uint16_t* written, uint32_t* dropped) {
  for (uint32_t i = 0; i < span->prepared_count; ++i) {
    const struct spantap_prepared* group = handoff_prepared(span, i, dropped);
    if (group == NULL) continue;
    uint32_t count = group->count, bytes = group->bytes;
    if (count > SPANTAP_MAX_ATTRS - *written) {
      *dropped += count;
      continue;
    }
    if (bytes > (size_t)(out->end - out->at)) return 0;
    handoff_put(out, group->attrs, bytes);
    *written = (uint16_t)(*written + count);
  }
  return 1;
}

size_t handoff_prepared_bytes(const spantap_span* span) {
  size_t bytes = 0;
  uint32_t dropped = 0;
  for (uint32_t i = 0; i < span->prepared_count && bytes <= SPANTAP_MAX_RECORD; ++i) {
    const struct spantap_prepared* group = handoff_prepared(span, i, &dropped);
    if (group != NULL) bytes += group->bytes;
  }
  return bytes;
}
