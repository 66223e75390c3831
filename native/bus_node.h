// SPDX-License-Identifier: MIT
//
// Helpers for the files that talk to Node: numbers out, arguments in. Node-API 8.

#ifndef BUS_NODE_H
#define BUS_NODE_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A failing call of Node-API has left an exception, or the engine is going down.
#define BUS_TRY(call)                                                                              \
  do {                                                                                             \
    if ((call) != napi_ok) return NULL;                                                            \
  } while (0)

static inline napi_value to_number(napi_env env, int32_t value) {
  napi_value result;
  BUS_TRY(napi_create_int32(env, value, &result));
  return result;
}

// src/native checks what users pass; a wrong argument here is a mistake of ours.
static inline napi_value refuse(napi_env env, const char *what) {
  napi_throw_type_error(env, NULL, what);
  return NULL;
}

static inline bool get_arguments(napi_env env, napi_callback_info info, size_t count,
                                 napi_value *values) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, NULL, NULL) != napi_ok) return false;
  if (given == count) return true;
  refuse(env, "wrong number of arguments");
  return false;
}

static inline bool get_array(napi_env env, napi_value value, napi_typedarray_type type,
                             void **data, size_t *length) {
  napi_typedarray_type actual;
  bool is_array = false;
  if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
      napi_get_typedarray_info(env, value, &actual, length, data, NULL, NULL) == napi_ok &&
      actual == type) {
    return true;
  }
  refuse(env, "expected a typed array of another type");
  return false;
}

// Text that fits with its zero, and has no other.
static inline bool get_text(napi_env env, napi_value value, char *text, size_t size) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    refuse(env, "expected a string");
    return false;
  }
  if (length >= size) {
    refuse(env, "the string is too long");
    return false;
  }
  return napi_get_value_string_utf8(env, value, text, size, &length) == napi_ok;
}

// Exports the functions of bus_udp_module.c.
napi_status bus_udp_define(napi_env env, napi_value exports);

#endif
