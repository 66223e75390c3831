// SPDX-License-Identifier: MIT
//
// What the shim can do, once per platform: bus_linux.c, bus_darwin.c, bus_windows.c. Plain C that
// knows nothing of JavaScript, keeps nothing, allocates nothing, decides nothing. A call answers
// zero or more, or -errno. What a platform lacks has no BUS_HAS_ and is not exported.

#ifndef BUS_H
#define BUS_H

#include <stddef.h>
#include <stdint.h>

// Of the exported interface; src/native/shim.ts refuses every other.
#define BUS_VERSION 3

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
// On which cpus the calling thread may run: one bit for each, in words of the kernel's.
int32_t bus_set_affinity(const uint8_t *mask, size_t length);

// Answers how many bytes of the mask were filled; -EINVAL if the kernel has more of them.
int32_t bus_get_affinity(uint8_t *mask, size_t length);
#endif

#ifdef BUS_HAS_REUSE_PORT
// A TCP socket that listens and does not block; the host is an address in text.
struct bus_listener bus_listen_reuse_port(const char *host, uint16_t port, int32_t backlog);
#endif

#ifdef BUS_HAS_SOCKET_WRITES
// Words of a region to be written to a stream socket, and what came of it: bytes that the kernel
// took, or -errno. src/native/socket-writes.ts has the same list.
enum bus_write {
  BUS_WRITE_SOCKET,
  BUS_WRITE_OFFSET,
  BUS_WRITE_LENGTH,
  BUS_WRITE_RESULT,
  BUS_WRITE_WORDS,
};

// Writes each region of the table to its socket, as far as it goes without waiting: neighbours of
// one socket by one call. Behind one that was not taken wholly, those of the same socket get
// -EAGAIN, or its error. Answers how many system calls that were, or -EFAULT before any if a region
// lies outside of the bytes.
int32_t bus_write_sockets(const uint8_t *bytes, size_t size, int32_t *table, size_t count);
#endif

#endif
