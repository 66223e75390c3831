// SPDX-License-Identifier: MIT
//
// Streams: many regions to many sockets in one call from JavaScript. Each socket still costs a
// system call; what is saved is what Node does around it.

#define _GNU_SOURCE
#include "bus.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

// Regions in one system call; UIO_MAXIOV is 1024.
#define BUS_WRITE_REGIONS 512

static int32_t *row_at(int32_t *table, size_t index) {
  return table + index * BUS_WRITE_WORDS;
}

static bool is_inside(const int32_t *row, size_t size) {
  const int64_t offset = row[BUS_WRITE_OFFSET], length = row[BUS_WRITE_LENGTH];
  return offset >= 0 && length > 0 && offset + length <= (int64_t)size;
}

// How many rows from the first on are for the same socket, and fit one system call.
static size_t run_length(int32_t *table, size_t begin, size_t count) {
  size_t end = begin + 1;
  const int32_t fd = row_at(table, begin)[BUS_WRITE_SOCKET];
  while (end < count && end - begin < BUS_WRITE_REGIONS &&
         row_at(table, end)[BUS_WRITE_SOCKET] == fd) {
    end++;
  }
  return end - begin;
}

static ssize_t send_run(const uint8_t *bytes, int32_t *rows, size_t count) {
  struct iovec regions[BUS_WRITE_REGIONS];
  for (size_t i = 0; i < count; i++) {
    const int32_t *row = row_at(rows, i);
    // The kernel only reads from it.
    regions[i].iov_base = (void *)(uintptr_t)(bytes + row[BUS_WRITE_OFFSET]);
    regions[i].iov_len = (size_t)row[BUS_WRITE_LENGTH];
  }
  const struct msghdr message = {.msg_iov = regions, .msg_iovlen = count};
  ssize_t sent;
  do {
    sent = sendmsg(rows[BUS_WRITE_SOCKET], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

// Writes to each row how much of it was taken. Returns the result for later rows of the same
// socket: 0 to try.
static int32_t settle_run(int32_t *rows, size_t count, ssize_t sent) {
  ssize_t left = sent > 0 ? sent : 0;
  for (size_t i = 0; i < count; i++) {
    int32_t *row = row_at(rows, i);
    const ssize_t length = row[BUS_WRITE_LENGTH];
    const ssize_t taken = left < length ? left : length;
    left -= taken;
    row[BUS_WRITE_RESULT] = taken > 0 ? (int32_t)taken : sent < 0 ? (int32_t)sent : -EAGAIN;
    if (taken == length) continue;
    for (size_t k = i + 1; k < count; k++) {
      row_at(rows, k)[BUS_WRITE_RESULT] = sent < 0 ? (int32_t)sent : -EAGAIN;
    }
    return sent < 0 ? (int32_t)sent : -EAGAIN;
  }
  return 0;
}

int32_t bus_write_sockets(const uint8_t *bytes, size_t size, int32_t *table, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!is_inside(row_at(table, i), size)) return -EFAULT;
  }
  int32_t calls = 0;
  int32_t stopped = 0; // what the rest of this socket's rows get
  for (size_t i = 0; i < count;) {
    int32_t *rows = row_at(table, i);
    const bool same = i > 0 && rows[BUS_WRITE_SOCKET] == rows[BUS_WRITE_SOCKET - BUS_WRITE_WORDS];
    const size_t run = run_length(table, i, count);
    if (same && stopped != 0) {
      for (size_t k = 0; k < run; k++) row_at(rows, k)[BUS_WRITE_RESULT] = stopped;
    } else {
      calls++;
      stopped = settle_run(rows, run, send_run(bytes, rows, run));
    }
    i += run;
  }
  return calls;
}
