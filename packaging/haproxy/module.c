/* SPDX-License-Identifier: Apache-2.0
 *
 * The Lua module: two converters and a function for a timer, which spantap.lua registers. Loaded once for each of
 * HAProxy's Lua states, all of them before it starts threads.
 *
 * Only functions of Lua that are the same in 5.3 and 5.4 are used, none of the auxiliary library, and the library is
 * the one that HAProxy has loaded: one build serves both.
 */
#include <dlfcn.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packaging/haproxy/formats.h"
#include "packaging/haproxy/request.h"
#include "packaging/haproxy/result.h"
#include "packaging/haproxy/spans.h"
#include "packaging/haproxy/worker.h"

enum { LINE_BYTES = 1024 }; /* of HAProxy's buffer, at least; ours is the first part of it */
static const char kLineSymbol[] = "logline_rfc5424";

static spantap_str argument(lua_State* lua) {
  spantap_str text = {NULL, 0};
  text.data = lua_tolstring(lua, 1, &text.size);
  return text;
}

/* A thread-local pointer of HAProxy's: where it renders structured data. */
static const char* line_here(void) {
  static __thread char** line;
  if (line == NULL) line = (char**)dlsym(RTLD_DEFAULT, kLineSymbol);
  return line != NULL ? *line : NULL;
}

/* request -> context */
static int on_request(lua_State* lua) {
  char context[CONTEXT_BYTES];
  spantap_str request = argument(lua);
  spantap_producer* producer = worker_producer();
  size_t size = 0;
  if (producer != NULL && request.data != NULL) size = request_to_context(producer, request, context);
  lua_pushlstring(lua, context, size);
  return 1;
}

/* context -> the trace's id; nothing if it was not sampled */
static int on_result(lua_State* lua) {
  struct context context;
  struct result result;
  const char* line = line_here();
  spantap_str text = argument(lua);
  if (line == NULL || text.data == NULL || !context_read(text, &context) || !result_read(line, LINE_BYTES, &result))
    return 0;
  spans_submit(worker_producer(), &context, &result);
  lua_pushlstring(lua, text.data + CONTEXT_TRACE_ID_AT, 32);
  return 1;
}

/* A thread runs its tasks before it looks at connections for the first time: then, and never again, is an agent's
 * answer waited for (a few milliseconds; more on a machine that is busy), so that a reload loses no span. */
static int attach_at_first(spantap_producer* producer) {
  enum { TRIES = 200 };
  const struct timespec pause = {0, 1000000};
  if (spantap_attach(producer) == SPANTAP_OK) return 1;
  if (!worker_sees_socket()) return 0;
  for (int i = 0; i < TRIES; ++i) {
    nanosleep(&pause, NULL);
    if (spantap_attach(producer) == SPANTAP_OK) return 1;
  }
  return 0;
}

/* -> whether an agent is there. For a timer: so that requests never pay for attaching, and idle threads find one. */
static int on_timer(lua_State* lua) {
  static __thread int started;
  spantap_producer* producer = worker_producer();
  int attached = 0;
  if (producer != NULL) attached = started ? spantap_attach(producer) == SPANTAP_OK : attach_at_first(producer);
  started = 1;
  lua_pushboolean(lua, attached);
  return 1;
}

static void publish(void) {
  int off = worker_is_off();
  setenv("SPANTAP_REQUEST", off ? OFF_TEXT : REQUEST_FORMAT, 1);
  setenv("SPANTAP_CONTEXT", off ? OFF_EXPRESSION : CONTEXT_EXPRESSION, 1);
  setenv("SPANTAP_RESULT", off ? OFF_TEXT : RESULT_FORMAT, 1);
}

static int fail(lua_State* lua, const char* text) {
  lua_pushstring(lua, text);
  return lua_error(lua);
}

static void set_function(lua_State* lua, const char* name, lua_CFunction function) {
  lua_pushcclosure(lua, function, 0);
  lua_setfield(lua, -2, name);
}

__attribute__((visibility("default"))) int luaopen_spantap_haproxy(lua_State* lua) {
  char error[WORKER_ERROR_BYTES];
  if (!worker_configure(error)) return fail(lua, error);
  if (dlsym(RTLD_DEFAULT, kLineSymbol) == NULL)
    return fail(
        lua, "spantap: this program has no logline_rfc5424: it is no HAProxy, or one that this adapter does not fit");
  publish();
  lua_createtable(lua, 0, 4);
  set_function(lua, "request", on_request);
  set_function(lua, "result", on_result);
  set_function(lua, "timer", on_timer);
  lua_pushboolean(lua, !worker_is_off());
  lua_setfield(lua, -2, "enabled");
  return 1;
}
