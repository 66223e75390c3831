// SPDX-License-Identifier: MIT
//
// Linux. Calls that came late to the C library are made by number, so that a binary loads with the
// library of any distribution in use.

#define _GNU_SOURCE
#include "bus.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int32_t bus_thread_id(void) {
  return (int32_t)syscall(SYS_gettid);
}

int32_t bus_set_thread_name(const char *name) {
  return prctl(PR_SET_NAME, name, 0, 0, 0) == 0 ? 0 : -errno;
}

// Thread 0 is the calling one. The library's function hides how many bytes the kernel has.
int32_t bus_set_affinity(const uint8_t *mask, size_t length) {
  return syscall(SYS_sched_setaffinity, 0, length, mask) == 0 ? 0 : -errno;
}

int32_t bus_get_affinity(uint8_t *mask, size_t length) {
  const long filled = syscall(SYS_sched_getaffinity, 0, length, mask);
  return filled >= 0 ? (int32_t)filled : -errno;
}

static struct bus_listener failed(int error, enum bus_step step) {
  return (struct bus_listener){-error, (int32_t)step};
}

static struct bus_listener failed_with(int fd, enum bus_step step) {
  const int error = errno;
  close(fd);
  return failed(error, step);
}

static int set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

struct bus_listener bus_listen_reuse_port(const char *host, uint16_t port, int32_t backlog) {
  char service[8];
  snprintf(service, sizeof service, "%u", (unsigned)port);
  const struct addrinfo hints = {
      .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
      .ai_socktype = SOCK_STREAM,
  };
  struct addrinfo *found = NULL;
  if (getaddrinfo(host, service, &hints, &found) != 0) return failed(EINVAL, BUS_STEP_ADDRESS);
  struct sockaddr_storage address = {0};
  const socklen_t length = found->ai_addrlen;
  __builtin_memcpy(&address, found->ai_addr, length);
  freeaddrinfo(found);

  const int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const int fd = socket(address.ss_family, kind, 0);
  if (fd < 0) return failed(errno, BUS_STEP_SOCKET);
  // The first as Node does it, for a port whose last connections have not timed out.
  if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0 ||
      set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0 ||
      (address.ss_family == AF_INET6 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) != 0)) {
    return failed_with(fd, BUS_STEP_SETSOCKOPT);
  }
  if (bind(fd, (const struct sockaddr *)&address, length) != 0) {
    return failed_with(fd, BUS_STEP_BIND);
  }
  if (listen(fd, backlog) != 0) return failed_with(fd, BUS_STEP_LISTEN);
  socklen_t bound = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &bound) != 0) {
    return failed_with(fd, BUS_STEP_GETSOCKNAME);
  }
  const uint16_t chosen = address.ss_family == AF_INET6
                              ? ((const struct sockaddr_in6 *)&address)->sin6_port
                              : ((const struct sockaddr_in *)&address)->sin_port;
  return (struct bus_listener){fd, ntohs(chosen)};
}
