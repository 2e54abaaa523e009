/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "exporter/handoff/producer.h"

enum { DO_NOT_WAIT = 1 }; /* GRND_NONBLOCK */

static uint64_t rotated(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

/* xoshiro256++ (Blackman, Vigna, 2019). Ids need to be distinct, not secret. */
static uint64_t draw(spantap_producer* producer) {
  uint64_t* s = producer->random;
  uint64_t result = rotated(s[0] + s[3], 23) + s[0];
  uint64_t shifted = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= shifted;
  s[3] = rotated(s[3], 45);
  return result;
}

/* By number: the C library's function is younger than the systems this must load on. */
void handoff_seed(spantap_producer* producer) {
  if (syscall(SYS_getrandom, producer->random, sizeof(producer->random), DO_NOT_WAIT) !=
      (long)sizeof(producer->random)) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    producer->random[0] ^= (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec;
    producer->random[1] ^= (uint64_t)getpid() << 32 ^ producer->generation;
    producer->random[2] ^= (uint64_t)(uintptr_t)producer;
    producer->random[3] ^= (uint64_t)producer->thread | 1;
    for (int i = 0; i < 16; ++i) draw(producer);
  }
  producer->random[0] |= (producer->random[0] | producer->random[1] | producer->random[2] | producer->random[3]) == 0;
}

static uint64_t draw_nonzero(spantap_producer* producer) {
  uint64_t word = draw(producer);
  return word != 0 ? word : 1;
}

static uint64_t low_56_bits(const uint8_t* trace_id) {
  uint64_t word = 0;
  memcpy(&word, trace_id + 8, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word & 0xffffffffffffffu;
}

static int has_trace_id(const spantap_context* parent) {
  uint64_t words[2];
  memcpy(words, parent->trace_id, sizeof(words));
  return (words[0] | words[1]) != 0;
}

int spantap_sample(spantap_producer* producer, const spantap_context* parent, spantap_context* child) {
  spantap_status status = handoff_enter(producer);
  if (status != SPANTAP_OK) return status;
  if (child == NULL) return SPANTAP_INVALID;
  if (handoff_client_closed(producer->client)) return SPANTAP_CLOSED;
  int off = producer->client->mode == SPANTAP_MODE_OFF;
  spantap_context made;
  memset(&made, 0, sizeof(made));
  uint64_t span_id = draw_nonzero(producer);
  memcpy(made.span_id, &span_id, sizeof(span_id));
  if (parent != NULL && has_trace_id(parent)) {
    memcpy(made.trace_id, parent->trace_id, sizeof(made.trace_id));
    if (off) memcpy(made.span_id, parent->span_id, sizeof(made.span_id)); /* a span that nobody gets is no parent */
    made.flags = parent->flags & (SPANTAP_SAMPLED | SPANTAP_RANDOM);
  } else {
    uint64_t trace_id[2] = {draw(producer), draw_nonzero(producer)};
    memcpy(made.trace_id, trace_id, sizeof(trace_id));
    int sampled = !off && low_56_bits(made.trace_id) >= producer->client->root_threshold;
    made.flags = (uint8_t)(SPANTAP_RANDOM | (sampled ? SPANTAP_SAMPLED : 0));
  }
  *child = made;
  return !off && (made.flags & SPANTAP_SAMPLED) != 0;
}
