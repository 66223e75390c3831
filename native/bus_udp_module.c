// SPDX-License-Identifier: MIT
//
// UDP as Node sees it: a socket is an object that outlives calls, for the loop that Node runs calls
// back when it is ready. Sending and receiving allocate nothing.
//
//   OPEN ──close, or the thread ends──▶ CLOSING ──the loop has let go──▶ CLOSED
//
// Its memory is freed when it is CLOSED and JavaScript has released it, whichever comes last.

#define _GNU_SOURCE
#include "bus_node.h"
#include "bus_udp.h"

#ifdef BUS_HAS_UDP

#include <stdlib.h>
#include <string.h>
#include <uv.h>

// Tells our sockets from the externals of other addons: random, and for ever.
static const napi_type_tag socket_tag = {0x6b1f0c52d94e4a7dULL, 0x9c3375e0a82d16b4ULL};

struct bus_socket {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_cleanup_hook_handle hook;
  int fd;
  struct bus_unix_file file;
  int events; // that the loop watches, 0 for none
  bool closing;
  bool closed;
  bool collected;
};

static void free_if_done(struct bus_socket *bus) {
  if (bus->closed && bus->collected) free(bus);
}

static void on_closed(uv_handle_t *handle) {
  struct bus_socket *bus = handle->data;
  const napi_async_cleanup_hook_handle hook = bus->hook;
  bus->closed = true;
  free_if_done(bus);
  napi_remove_async_cleanup_hook(hook);
}

static void close_socket(struct bus_socket *bus) {
  if (bus->closing) return;
  bus->closing = true;
  bus->events = 0;
  napi_delete_reference(bus->env, bus->callback);
  uv_close((uv_handle_t *)&bus->poll, on_closed);
  // After that: the loop does not look at the descriptor any more, and it may be another's soon.
  bus_unix_remove(&bus->file);
  bus_udp_close(bus->fd);
}

static void on_thread_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_socket(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct bus_socket *bus = data;
  bus->collected = true;
  close_socket(bus);
  free_if_done(bus);
}

static void on_ready(uv_poll_t *poll, int status, int events);

static int watch(struct bus_socket *bus) {
  if (bus->events == 0) return uv_poll_stop(&bus->poll);
  return uv_poll_start(&bus->poll, bus->events, on_ready);
}

// Calls back with what is ready and with the error of an earlier datagram, if there is one. The
// loop stops watching at an error; we go on.
static void on_ready(uv_poll_t *poll, int status, int events) {
  struct bus_socket *bus = poll->data;
  const napi_env env = bus->env;
  napi_handle_scope scope;
  napi_value receiver, callback, arguments[2];
  const int error = status < 0 ? bus_udp_take_error(bus->fd) : 0;
  if (status < 0) watch(bus);
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, bus->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_create_int32(env, events, &arguments[0]) == napi_ok &&
      napi_create_int32(env, error, &arguments[1]) == napi_ok &&
      napi_make_callback(env, NULL, receiver, callback, 2, arguments, NULL) ==
          napi_pending_exception) {
    napi_value thrown;
    if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) {
      napi_fatal_exception(env, thrown);
    }
  }
  napi_close_handle_scope(env, scope);
}

static struct bus_socket *get_socket(napi_env env, napi_value value) {
  void *data = NULL;
  napi_valuetype type;
  bool is_ours = false;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_external &&
      napi_check_object_type_tag(env, value, &socket_tag, &is_ours) == napi_ok && is_ours &&
      napi_get_value_external(env, value, &data) == napi_ok) {
    struct bus_socket *bus = data;
    if (!bus->closing) return bus;
    refuse(env, "the socket was closed");
    return NULL;
  }
  refuse(env, "expected a socket");
  return NULL;
}

static bool get_words(napi_env env, napi_value value, size_t least, int32_t **words,
                      size_t *length) {
  void *data;
  if (!get_array(env, value, napi_int32_array, &data, length)) return false;
  if (*length < least) {
    refuse(env, "expected more words");
    return false;
  }
  *words = data;
  return true;
}

static bool get_int32(napi_env env, napi_value value, int32_t *number) {
  if (napi_get_value_int32(env, value, number) == napi_ok) return true;
  refuse(env, "expected a number");
  return false;
}

static napi_value udp_probe(napi_env env, napi_callback_info info) {
  (void)info;
  return to_number(env, bus_udp_probe());
}

// The arguments of both ways to open.
struct opening {
  int32_t *config;
  int32_t *result;
  napi_value callback;
  struct bus_socket *bus;
};

static bool begin_open(napi_env env, const napi_value *arguments, struct opening *opening) {
  napi_valuetype type;
  size_t length;
  if (!get_words(env, arguments[0], BUS_UDP_CONFIG_WORDS, &opening->config, &length)) return false;
  if (napi_typeof(env, arguments[1], &type) != napi_ok) return false;
  if (type != napi_function) {
    refuse(env, "expected a function");
    return false;
  }
  opening->callback = arguments[1];
  const size_t least = 8 + BUS_UDP_ADDRESS_WORDS;
  if (!get_words(env, arguments[2], least, &opening->result, &length)) return false;
  opening->bus = calloc(1, sizeof *opening->bus);
  if (opening->bus == NULL) {
    refuse(env, "no memory");
    return false;
  }
  opening->bus->env = env;
  return true;
}

static napi_value fail_open(const struct opening *opening, int32_t error, int32_t step) {
  free(opening->bus);
  opening->result[0] = error;
  opening->result[1] = step;
  return NULL;
}

static napi_value finish_open(napi_env env, const struct opening *opening, int32_t step) {
  struct bus_socket *bus = opening->bus;
  napi_value external;
  uv_loop_t *loop;
  if (bus->fd < 0) return fail_open(opening, bus->fd, step);
  const int answer = napi_get_uv_event_loop(env, &loop) == napi_ok
                         ? uv_poll_init_socket(loop, &bus->poll, bus->fd)
                         : UV_EINVAL;
  if (answer != 0) {
    bus_unix_remove(&bus->file);
    bus_udp_close(bus->fd);
    return fail_open(opening, answer, BUS_UDP_STEP_POLL);
  }
  bus->poll.data = bus;
  // From here on the loop has it: it goes the way of close_socket, whatever fails.
  if (napi_add_async_cleanup_hook(env, on_thread_end, bus, &bus->hook) != napi_ok ||
      napi_create_reference(env, opening->callback, 1, &bus->callback) != napi_ok ||
      napi_create_external(env, bus, on_collected, NULL, &external) != napi_ok) {
    bus->collected = true;
    close_socket(bus);
    return NULL;
  }
  if (napi_type_tag_object(env, external, &socket_tag) != napi_ok) {
    // The external is collected later, and frees it.
    close_socket(bus);
    return NULL;
  }
  opening->result[0] = bus->fd;
  return external;
}

// (config, callback, result): a socket, or nothing, and -errno and the step in the result; its
// local address from the ninth word on.
static napi_value udp_open(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  struct opening opening;
  int32_t step = 0;
  if (!get_arguments(env, info, 3, arguments)) return NULL;
  if (!begin_open(env, arguments, &opening)) return NULL;
  opening.bus->fd = bus_udp_open(opening.config, opening.result + 8, &step);
  return finish_open(env, &opening, step);
}

// (config, callback, result, path, peer), '' for none: as udp_open.
static napi_value unix_open(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  struct opening opening;
  char path[BUS_UNIX_PATH_BYTES] = "", peer[BUS_UNIX_PATH_BYTES] = "";
  int32_t step = 0;
  if (!get_arguments(env, info, 5, arguments)) return NULL;
  if (!get_text(env, arguments[3], path, sizeof path)) return NULL;
  if (!get_text(env, arguments[4], peer, sizeof peer)) return NULL;
  if (!begin_open(env, arguments, &opening)) return NULL;
  struct bus_socket *bus = opening.bus;
  memcpy(bus->file.path, path, sizeof path);
  bus->fd = bus_unix_open(opening.config, &bus->file, peer, &step);
  return finish_open(env, &opening, step);
}

// (socket, bytes, table, count, addresses, segments, sent)
static napi_value udp_send(napi_env env, napi_callback_info info) {
  napi_value arguments[7];
  void *bytes;
  int32_t *table, *addresses, *sent, count, segments;
  size_t size, table_length, address_length, length;
  if (!get_arguments(env, info, 7, arguments)) return NULL;
  const struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL) return NULL;
  if (!get_array(env, arguments[1], napi_uint8_array, &bytes, &size)) return NULL;
  if (!get_words(env, arguments[2], 0, &table, &table_length)) return NULL;
  if (!get_int32(env, arguments[3], &count)) return NULL;
  if (!get_words(env, arguments[4], 0, &addresses, &address_length)) return NULL;
  if (!get_int32(env, arguments[5], &segments)) return NULL;
  if (!get_words(env, arguments[6], BUS_UDP_SENT_WORDS, &sent, &length)) return NULL;
  if (count < 0 || (size_t)count > table_length / BUS_UDP_OUT_WORDS) {
    return refuse(env, "expected a longer table");
  }
  return to_number(env, bus_udp_send(bus->fd, bytes, size, table, (size_t)count, addresses,
                                     address_length / BUS_UDP_ADDRESS_WORDS, segments, sent));
}

// (socket, bytes, table, count)
static napi_value udp_receive(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  void *bytes;
  int32_t *table, count;
  size_t size, length;
  if (!get_arguments(env, info, 4, arguments)) return NULL;
  const struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL) return NULL;
  if (!get_array(env, arguments[1], napi_uint8_array, &bytes, &size)) return NULL;
  if (!get_words(env, arguments[2], 0, &table, &length)) return NULL;
  if (!get_int32(env, arguments[3], &count)) return NULL;
  if (count < 0 || (size_t)count > length / BUS_UDP_IN_WORDS) {
    return refuse(env, "expected a longer table");
  }
  return to_number(env, bus_udp_receive(bus->fd, bytes, size, table, (size_t)count));
}

// (socket, events): 1 readable, 2 writable.
static napi_value udp_watch(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int32_t events;
  if (!get_arguments(env, info, 2, arguments)) return NULL;
  struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL || !get_int32(env, arguments[1], &events)) return NULL;
  if ((events & ~(UV_READABLE | UV_WRITABLE)) != 0) return to_number(env, UV_EINVAL);
  bus->events = events;
  return to_number(env, watch(bus));
}

// (socket, wanted): whether it keeps the loop alive.
static napi_value udp_keep_alive(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  bool wanted;
  if (!get_arguments(env, info, 2, arguments)) return NULL;
  struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL) return NULL;
  if (napi_get_value_bool(env, arguments[1], &wanted) != napi_ok) {
    return refuse(env, "expected true or false");
  }
  if (wanted) uv_ref((uv_handle_t *)&bus->poll);
  else uv_unref((uv_handle_t *)&bus->poll);
  return NULL;
}

// (socket, group, interface, join); no group: the interface to send through.
static napi_value udp_multicast(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  int32_t *group, *interface;
  size_t length;
  bool join;
  if (!get_arguments(env, info, 4, arguments)) return NULL;
  const struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL) return NULL;
  if (!get_words(env, arguments[1], BUS_UDP_ADDRESS_WORDS, &group, &length)) return NULL;
  if (!get_words(env, arguments[2], BUS_UDP_ADDRESS_WORDS, &interface, &length)) return NULL;
  if (napi_get_value_bool(env, arguments[3], &join) != napi_ok) {
    return refuse(env, "expected true or false");
  }
  if (group[BUS_UDP_FAMILY] == 0) {
    return to_number(env, bus_udp_multicast_interface(bus->fd, interface));
  }
  return to_number(env, bus_udp_membership(bus->fd, group, interface, join));
}

// (socket, family, option, value)
static napi_value udp_set_option(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  int32_t family, option, value;
  if (!get_arguments(env, info, 4, arguments)) return NULL;
  const struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL || !get_int32(env, arguments[1], &family)) return NULL;
  if (!get_int32(env, arguments[2], &option) || !get_int32(env, arguments[3], &value)) return NULL;
  return to_number(env, bus_udp_set_option(bus->fd, family, option, value));
}

// (socket, state)
static napi_value udp_state(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int32_t *state;
  size_t length;
  if (!get_arguments(env, info, 2, arguments)) return NULL;
  const struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus == NULL) return NULL;
  if (!get_words(env, arguments[1], BUS_UDP_STATE_WORDS, &state, &length)) return NULL;
  return to_number(env, bus_udp_state(bus->fd, state));
}

// (socket)
static napi_value udp_close(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  if (!get_arguments(env, info, 1, arguments)) return NULL;
  struct bus_socket *bus = get_socket(env, arguments[0]);
  if (bus != NULL) close_socket(bus);
  return NULL;
}

static const napi_property_descriptor functions[] = {
    {.utf8name = "udpProbe", .method = udp_probe, .attributes = napi_enumerable},
    {.utf8name = "udpOpen", .method = udp_open, .attributes = napi_enumerable},
    {.utf8name = "unixOpen", .method = unix_open, .attributes = napi_enumerable},
    {.utf8name = "udpSend", .method = udp_send, .attributes = napi_enumerable},
    {.utf8name = "udpReceive", .method = udp_receive, .attributes = napi_enumerable},
    {.utf8name = "udpWatch", .method = udp_watch, .attributes = napi_enumerable},
    {.utf8name = "udpKeepAlive", .method = udp_keep_alive, .attributes = napi_enumerable},
    {.utf8name = "udpMulticast", .method = udp_multicast, .attributes = napi_enumerable},
    {.utf8name = "udpSetOption", .method = udp_set_option, .attributes = napi_enumerable},
    {.utf8name = "udpState", .method = udp_state, .attributes = napi_enumerable},
    {.utf8name = "udpClose", .method = udp_close, .attributes = napi_enumerable},
};

napi_status bus_udp_define(napi_env env, napi_value exports) {
  return napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

#endif
