/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "exporter/handoff/embedded.h"

/* Weak, and by the name that they have had from the beginning: in a C library before 2.34 they are in libdl, which a
 * program that loads nothing may not have. */
#if defined(__GLIBC__) && defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#endif
#ifdef OLDEST
void* handoff_dlopen(const char* path, int flags) __attribute__((weak));
void* handoff_dlsym(void* library, const char* name) __attribute__((weak));
__asm__(".symver handoff_dlopen, dlopen@" OLDEST);
__asm__(".symver handoff_dlsym, dlsym@" OLDEST);
#else
extern __typeof__(dlopen) dlopen __attribute__((weak));
extern __typeof__(dlsym) dlsym __attribute__((weak));
#define handoff_dlopen dlopen
#define handoff_dlsym dlsym
#endif

/* The second library is never unloaded, so that two threads that load it at once do no harm. */
const struct spantap_embedded* handoff_load_embedded(void) {
  if (handoff_dlopen == NULL || handoff_dlsym == NULL) return NULL;
  int saved = errno;
  void* library = handoff_dlopen(SPANTAP_EMBEDDED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  void* symbol = library != NULL ? handoff_dlsym(library, SPANTAP_EMBEDDED_SYMBOL) : NULL;
  spantap_embedded_get get = NULL;
  memcpy(&get, &symbol, sizeof(get)); /* ISO C has no cast from one to the other */
  errno = saved;
  return get != NULL ? get() : NULL;
}
