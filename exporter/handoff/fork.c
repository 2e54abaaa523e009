/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exporter/handoff/fork.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

uint64_t* handoff_fork_word;
/* Inherited by children, so that no child takes an ancestor's value. */
static uint64_t last_generation;

static const size_t kPageBytes = 4096; /* both calls round up to the machine's page */

spantap_status handoff_fork_prepare(void) {
  if (__atomic_load_n(&handoff_fork_word, __ATOMIC_ACQUIRE) != NULL) return SPANTAP_OK;
  void* page = mmap(NULL, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return SPANTAP_NO_MEMORY;
  if (madvise(page, kPageBytes, MADV_WIPEONFORK) != 0) {
    munmap(page, kPageBytes);
    return SPANTAP_UNSUPPORTED;
  }
  uint64_t* none = NULL;
  if (!__atomic_compare_exchange_n(&handoff_fork_word, &none, (uint64_t*)page, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    munmap(page, kPageBytes); /* another thread was first */
  }
  return SPANTAP_OK;
}

uint64_t handoff_fork_generation(void) {
  uint64_t seen = handoff_fork_look();
  if (seen != 0) return seen;
  uint64_t fresh = __atomic_add_fetch(&last_generation, 1, __ATOMIC_RELAXED);
  if (__atomic_compare_exchange_n(handoff_fork_word, &seen, fresh, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return fresh;
  return seen;
}
