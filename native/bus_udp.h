// SPDX-License-Identifier: MIT
//
// UDP in batches: many datagrams in one system call, from tables of numbers. src/native/udp.ts has
// the same tables; test/native/headers.test.ts compares them. Calls return zero or more, or -errno.

#ifndef BUS_UDP_H
#define BUS_UDP_H

#include "bus.h"

#include <stdbool.h>

#ifdef BUS_HAS_UDP

// Words of an address: family (4, 6, 0 for none), port, four words as numbers (an IPv4 address has
// one), and the interface that a link-local address belongs to.
enum bus_udp_address {
  BUS_UDP_FAMILY,
  BUS_UDP_PORT,
  BUS_UDP_HOST,
  BUS_UDP_SCOPE = BUS_UDP_HOST + 4,
  BUS_UDP_ADDRESS_WORDS = 8,
};

// Words of a datagram to send, or of a run of datagrams that lie side by side and have SEGMENT bytes
// each; the last may be shorter. An address of -1 is the connected one.
enum bus_udp_out {
  BUS_UDP_OUT_OFFSET,
  BUS_UDP_OUT_LENGTH,
  BUS_UDP_OUT_ADDRESS,
  BUS_UDP_OUT_SEGMENT, // 0: it is one datagram
  BUS_UDP_OUT_WORDS,
};

// Words of the result of a send.
enum bus_udp_sent {
  BUS_UDP_SENT_ERROR,   // errno of the datagram after those that were sent, or 0
  BUS_UDP_SENT_RUN,     // datagrams refused with it as one message, 1 without segmentation
  BUS_UDP_SENT_CALLS,   // system calls
  BUS_UDP_SENT_CLEARED, // times that an earlier datagram's error stopped a call and was cleared
  BUS_UDP_SENT_WORDS,
};

// Words of a place to receive into, and of the datagram that came there.
enum bus_udp_in {
  BUS_UDP_IN_OFFSET,
  BUS_UDP_IN_CAPACITY,
  BUS_UDP_IN_LENGTH,
  BUS_UDP_IN_SEGMENT, // bytes of each datagram but the last, if the kernel has coalesced several
  BUS_UDP_IN_FLAGS,   // bit 0: cut short; bits 1 and 2: ECN
  BUS_UDP_IN_ADDRESS = 8,
  BUS_UDP_IN_WORDS = BUS_UDP_IN_ADDRESS + BUS_UDP_ADDRESS_WORDS,
};

// The options of a new socket: words, then the addresses to bind and to connect to.
enum bus_udp_config {
  BUS_UDP_CONFIG_FAMILY,
  BUS_UDP_CONFIG_FLAGS,
  BUS_UDP_CONFIG_RECEIVE_BYTES, // SO_RCVBUF; 0 for the system's
  BUS_UDP_CONFIG_SEND_BYTES,
  BUS_UDP_CONFIG_BIND = 8,
  BUS_UDP_CONFIG_CONNECT = BUS_UDP_CONFIG_BIND + BUS_UDP_ADDRESS_WORDS,
  BUS_UDP_CONFIG_WORDS = BUS_UDP_CONFIG_CONNECT + BUS_UDP_ADDRESS_WORDS,
};

enum bus_udp_flags {
  BUS_UDP_REUSE_ADDRESS = 1,
  BUS_UDP_REUSE_PORT = 2,
  BUS_UDP_ONLY_V6 = 4,
  BUS_UDP_GRO = 8,
};

// Where bus_udp_open failed.
enum bus_udp_step {
  BUS_UDP_STEP_SOCKET,
  BUS_UDP_STEP_SETSOCKOPT,
  BUS_UDP_STEP_BIND,
  BUS_UDP_STEP_CONNECT,
  BUS_UDP_STEP_GETSOCKNAME,
  BUS_UDP_STEP_POLL,
};

enum bus_udp_option {
  BUS_UDP_OPTION_TTL,
  BUS_UDP_OPTION_MULTICAST_TTL,
  BUS_UDP_OPTION_MULTICAST_LOOP,
  BUS_UDP_OPTION_BROADCAST,
  BUS_UDP_OPTION_TRAFFIC_CLASS,
};

// Words of the kernel's figures for a socket.
enum bus_udp_state {
  BUS_UDP_STATE_DROPS,
  BUS_UDP_STATE_RECEIVE_BYTES,
  BUS_UDP_STATE_SEND_BYTES,
  BUS_UDP_STATE_WORDS,
};

// Bits: 1 there are UDP sockets, 2 segmentation on sending, 4 the reverse on receiving, 8 the kernel
// cuts a message into 128 datagrams, not 64 (since Linux 6.9).
int32_t bus_udp_probe(void);

// A socket that does not block, bound and perhaps connected; `local` receives its address, and
// `step` where it failed.
int32_t bus_udp_open(const int32_t *config, int32_t *local, int32_t *step);

// Bytes of the longest path of a Unix socket, its zero included.
#define BUS_UNIX_PATH_BYTES 108

// The file of a bound Unix socket; no path: none.
struct bus_unix_file {
  char path[BUS_UNIX_PATH_BYTES];
  uint64_t device;
  uint64_t inode;
};

// A socket for datagrams between Unix sockets that does not block; of `config` it takes the sizes
// of the buffers. It is bound to the path of `file` and connected to `peer`, unless they are empty.
// A socket's file that no socket is bound to any more is replaced.
int32_t bus_unix_open(const int32_t *config, struct bus_unix_file *file, const char *peer,
                      int32_t *step);

// Removes the file, unless it is another's by now.
void bus_unix_remove(const struct bus_unix_file *file);

// Sends the datagrams of the table in order, equal ones to one address as one message that the
// kernel cuts, up to `segments` of them; stops at the first that it refuses. Returns how many were
// sent; a run counts as one.
int32_t bus_udp_send(int fd, const uint8_t *bytes, size_t size, const int32_t *table, size_t count,
                     const int32_t *addresses, size_t address_count, int32_t segments,
                     int32_t *sent);

// Receives at most one message for each place of the table; returns how many.
int32_t bus_udp_receive(int fd, uint8_t *bytes, size_t size, int32_t *table, size_t count);

// Joins or leaves a multicast group. The interface is an address for IPv4, or a number in SCOPE.
int32_t bus_udp_membership(int fd, const int32_t *group, const int32_t *interface, bool join);

// Sends multicast through this interface.
int32_t bus_udp_multicast_interface(int fd, const int32_t *interface);

int32_t bus_udp_set_option(int fd, int32_t family, int32_t option, int32_t value);

int32_t bus_udp_state(int fd, int32_t *state);

// Takes the error of an earlier datagram off the socket, as errno.
int32_t bus_udp_take_error(int fd);

void bus_udp_close(int fd);

#endif
#endif
