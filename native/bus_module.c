// SPDX-License-Identifier: MIT
//
// The shim as Node sees it: arguments in, one call of bus.h, a number out. Nothing outlives a call
// except UDP sockets (bus_udp_module.c), so any number of threads may load it, and end whenever
// they like.

#include "bus.h"
#include "bus_node.h"
#include "bus_udp.h"

static napi_value thread_id(napi_env env, napi_callback_info info) {
  (void)info;
  return to_number(env, bus_thread_id());
}

static napi_value set_thread_name(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  char name[BUS_NAME_BYTES];
  if (!get_arguments(env, info, 1, arguments)) return NULL;
  if (!get_text(env, arguments[0], name, sizeof name)) return NULL;
  return to_number(env, bus_set_thread_name(name));
}

#ifdef BUS_HAS_AFFINITY
static napi_value set_affinity(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  void *mask;
  size_t length;
  if (!get_arguments(env, info, 1, arguments)) return NULL;
  if (!get_array(env, arguments[0], napi_uint8_array, &mask, &length)) return NULL;
  return to_number(env, bus_set_affinity(mask, length));
}

static napi_value get_affinity(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  void *mask;
  size_t length;
  if (!get_arguments(env, info, 1, arguments)) return NULL;
  if (!get_array(env, arguments[0], napi_uint8_array, &mask, &length)) return NULL;
  return to_number(env, bus_get_affinity(mask, length));
}
#endif

#ifdef BUS_HAS_REUSE_PORT
static napi_value listen_reuse_port(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  char host[BUS_HOST_BYTES];
  uint32_t port;
  int32_t backlog;
  void *data;
  size_t length;
  if (!get_arguments(env, info, 4, arguments)) return NULL;
  if (!get_text(env, arguments[0], host, sizeof host)) return NULL;
  if (napi_get_value_uint32(env, arguments[1], &port) != napi_ok || port > UINT16_MAX ||
      napi_get_value_int32(env, arguments[2], &backlog) != napi_ok) {
    return refuse(env, "expected a port and a backlog");
  }
  if (!get_array(env, arguments[3], napi_int32_array, &data, &length)) return NULL;
  if (length != 2) return refuse(env, "expected two words for the result");
  const struct bus_listener listener = bus_listen_reuse_port(host, (uint16_t)port, backlog);
  int32_t *result = data;
  result[0] = listener.fd;
  result[1] = listener.detail;
  return NULL;
}
#endif

#ifdef BUS_HAS_SOCKET_WRITES
// (bytes, table, count)
static napi_value write_sockets(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  void *bytes, *table;
  size_t size, length;
  uint32_t count;
  if (!get_arguments(env, info, 3, arguments)) return NULL;
  if (!get_array(env, arguments[0], napi_uint8_array, &bytes, &size)) return NULL;
  if (!get_array(env, arguments[1], napi_int32_array, &table, &length)) return NULL;
  if (napi_get_value_uint32(env, arguments[2], &count) != napi_ok ||
      count > length / BUS_WRITE_WORDS) {
    return refuse(env, "expected a longer table");
  }
  return to_number(env, bus_write_sockets(bytes, size, table, count));
}
#endif

static const napi_property_descriptor functions[] = {
    {.utf8name = "threadId", .method = thread_id, .attributes = napi_enumerable},
    {.utf8name = "setThreadName", .method = set_thread_name, .attributes = napi_enumerable},
#ifdef BUS_HAS_AFFINITY
    {.utf8name = "setAffinity", .method = set_affinity, .attributes = napi_enumerable},
    {.utf8name = "getAffinity", .method = get_affinity, .attributes = napi_enumerable},
#endif
#ifdef BUS_HAS_REUSE_PORT
    {.utf8name = "listenReusePort", .method = listen_reuse_port, .attributes = napi_enumerable},
#endif
#ifdef BUS_HAS_SOCKET_WRITES
    {.utf8name = "writeSockets", .method = write_sockets, .attributes = napi_enumerable},
#endif
};

NAPI_MODULE_INIT() {
  napi_value version;
  BUS_TRY(napi_create_int32(env, BUS_VERSION, &version));
  BUS_TRY(napi_set_named_property(env, exports, "version", version));
  BUS_TRY(napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions));
#ifdef BUS_HAS_UDP
  BUS_TRY(bus_udp_define(env, exports));
#endif
  return exports;
}
