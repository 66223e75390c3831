// SPDX-License-Identifier: MIT
//
// The functions of the shim, implemented once per platform: bus_linux.c, bus_darwin.c,
// bus_windows.c. Plain C without Node-API, state, allocation or policy. A call returns zero or more,
// or -errno. A feature that a platform lacks has no BUS_HAS_ and is not exported.

#ifndef BUS_H
#define BUS_H

#include <stddef.h>
#include <stdint.h>

// The version of the exported interface; src/native/shim.ts refuses every other.
#define BUS_VERSION 4

#if defined(__linux__)
#define BUS_HAS_AFFINITY 1
#define BUS_HAS_REUSE_PORT 1
#define BUS_HAS_UDP 1
#define BUS_HAS_SOCKET_WRITES 1
#elif defined(_WIN32)
#define BUS_HAS_AFFINITY 1
#endif

// Bytes of the longest thread name that we pass on, its zero included.
#define BUS_NAME_BYTES 64

// Bytes of the longest address in text, an interface's name and the zero included.
#define BUS_HOST_BYTES 80

// Where bus_listen_reuse_port failed; src/native/reuse-port.ts has the same list.
enum bus_step {
  BUS_STEP_ADDRESS,
  BUS_STEP_SOCKET,
  BUS_STEP_SETSOCKOPT,
  BUS_STEP_BIND,
  BUS_STEP_LISTEN,
  BUS_STEP_GETSOCKNAME,
};

struct bus_listener {
  int32_t fd;     // or -errno
  int32_t detail; // the port, or the step that failed
};

// The kernel's number of the calling thread.
int32_t bus_thread_id(void);

// Names the calling thread; the name is UTF-8 and ends with a zero.
int32_t bus_set_thread_name(const char *name);

#ifdef BUS_HAS_AFFINITY
// Sets the cpus on which the calling thread may run: one bit for each, in the kernel's words.
int32_t bus_set_affinity(const uint8_t *mask, size_t length);

// Returns how many bytes of the mask were filled; -EINVAL if the kernel's mask is longer.
int32_t bus_get_affinity(uint8_t *mask, size_t length);
#endif

#ifdef BUS_HAS_REUSE_PORT
// A TCP socket that listens and does not block; the host is an address in text.
struct bus_listener bus_listen_reuse_port(const char *host, uint16_t port, int32_t backlog);
#endif

#ifdef BUS_HAS_SOCKET_WRITES
// Words of a region to write to a stream socket, and its result: bytes that the kernel took, or
// -errno. src/native/socket-writes.ts has the same list.
enum bus_write {
  BUS_WRITE_SOCKET,
  BUS_WRITE_OFFSET,
  BUS_WRITE_LENGTH,
  BUS_WRITE_RESULT,
  BUS_WRITE_WORDS,
};

// Writes each region of the table to its socket, as far as possible without waiting; neighbouring
// regions of one socket take one call. After a region that was not taken completely, those of the
// same socket get -EAGAIN, or its error. Returns the number of system calls, or -EFAULT before the
// first call if a region lies outside the bytes.
int32_t bus_write_sockets(const uint8_t *bytes, size_t size, int32_t *table, size_t count);
#endif

#endif
