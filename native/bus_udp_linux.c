// SPDX-License-Identifier: MIT
//
// UDP on Linux: sendmmsg and recvmmsg, with UDP_SEGMENT and UDP_GRO; and Unix datagrams.

#define _GNU_SOURCE
#include "bus_udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// Younger than the C libraries that a binary should load with.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

// Of SO_MEMINFO, as linux/sock_diag.h numbers them.
enum { MEMINFO_DROPS = 8, MEMINFO_WORDS = 9 };

// Messages in one system call, and pieces of memory in all of them. On the stack: about 60 KiB.
enum { MESSAGES = 64, VECTORS = 2048 };

// What the kernel cuts, at most: as many bytes as the longest IPv4 datagram has, and this many
// datagrams since Linux 6.9.
enum { RUN_BYTES = 65507, SEGMENTS_MAX = 128 };

_Static_assert((int)SEGMENTS_MAX <= (int)VECTORS, "every run fits a message");

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

// Room for the three things that a received message may tell: segment size, ECN by either family.
union receive_control {
  char bytes[3 * CMSG_SPACE(sizeof(int))];
  struct cmsghdr aligned;
};

union send_control {
  char bytes[CMSG_SPACE(sizeof(uint16_t))];
  struct cmsghdr aligned;
};

static socklen_t to_address(const int32_t *words, union address *address) {
  memset(address, 0, sizeof *address);
  if (words[BUS_UDP_FAMILY] == 4) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)words[BUS_UDP_PORT]);
    address->v4.sin_addr.s_addr = htonl((uint32_t)words[BUS_UDP_HOST]);
    return sizeof address->v4;
  }
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons((uint16_t)words[BUS_UDP_PORT]);
  address->v6.sin6_scope_id = (uint32_t)words[BUS_UDP_SCOPE];
  for (int i = 0; i < 4; i++) {
    const uint32_t word = htonl((uint32_t)words[BUS_UDP_HOST + i]);
    memcpy(&address->v6.sin6_addr.s6_addr[4 * i], &word, sizeof word);
  }
  return sizeof address->v6;
}

static bool is_address(const int32_t *words) {
  const int32_t family = words[BUS_UDP_FAMILY], port = words[BUS_UDP_PORT];
  return (family == 4 || family == 6) && port >= 0 && port <= UINT16_MAX;
}

static void from_address(const union address *address, int32_t *words) {
  memset(words, 0, BUS_UDP_ADDRESS_WORDS * sizeof *words);
  if (address->any.sa_family == AF_INET) {
    words[BUS_UDP_FAMILY] = 4;
    words[BUS_UDP_PORT] = ntohs(address->v4.sin_port);
    words[BUS_UDP_HOST] = (int32_t)ntohl(address->v4.sin_addr.s_addr);
  } else if (address->any.sa_family == AF_INET6) {
    words[BUS_UDP_FAMILY] = 6;
    words[BUS_UDP_PORT] = ntohs(address->v6.sin6_port);
    words[BUS_UDP_SCOPE] = (int32_t)address->v6.sin6_scope_id;
    for (int i = 0; i < 4; i++) {
      uint32_t word;
      memcpy(&word, &address->v6.sin6_addr.s6_addr[4 * i], sizeof word);
      words[BUS_UDP_HOST + i] = (int32_t)ntohl(word);
    }
  }
}

static int set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

// Sends datagrams of one byte to itself: whether as many as that are cut from one message.
static bool cuts(int fd, size_t count) {
  static const char bytes[SEGMENTS_MAX];
  union address address = {.v4 = {.sin_family = AF_INET}};
  socklen_t length = sizeof address.v4;
  address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bind(fd, &address.any, length) == 0 && getsockname(fd, &address.any, &length) == 0 &&
         connect(fd, &address.any, length) == 0 && set(fd, SOL_UDP, UDP_SEGMENT, 1) == 0 &&
         send(fd, bytes, count, MSG_DONTWAIT) == (ssize_t)count;
}

int32_t bus_udp_probe(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int32_t found = 1;
  if (set(fd, SOL_UDP, UDP_SEGMENT, 0) == 0) found |= 2;
  if (set(fd, SOL_UDP, UDP_GRO, 1) == 0) found |= 4;
  if ((found & 2) != 0 && cuts(fd, SEGMENTS_MAX)) found |= 8;
  close(fd);
  return found;
}

static bool set_sizes(int fd, const int32_t *config) {
  const int32_t receive_bytes = config[BUS_UDP_CONFIG_RECEIVE_BYTES];
  const int32_t send_bytes = config[BUS_UDP_CONFIG_SEND_BYTES];
  return (receive_bytes <= 0 || set(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes) == 0) &&
         (send_bytes <= 0 || set(fd, SOL_SOCKET, SO_SNDBUF, send_bytes) == 0);
}

static int32_t prepare(int fd, const int32_t *config, int32_t *local, int32_t *step) {
  const bool v6 = config[BUS_UDP_CONFIG_FAMILY] == 6;
  const int32_t flags = config[BUS_UDP_CONFIG_FLAGS];
  *step = BUS_UDP_STEP_SETSOCKOPT;
  if (((flags & BUS_UDP_REUSE_ADDRESS) && set(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0) ||
      ((flags & BUS_UDP_REUSE_PORT) && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0) ||
      (v6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & BUS_UDP_ONLY_V6) != 0) != 0) ||
      (v6 && set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) != 0) ||
      set(fd, IPPROTO_IP, IP_RECVTOS, 1) != 0 ||
      ((flags & BUS_UDP_GRO) && set(fd, SOL_UDP, UDP_GRO, 1) != 0) || !set_sizes(fd, config)) {
    return -errno;
  }
  union address address;
  *step = BUS_UDP_STEP_BIND;
  if (config[BUS_UDP_CONFIG_BIND + BUS_UDP_FAMILY] != 0) {
    const socklen_t length = to_address(config + BUS_UDP_CONFIG_BIND, &address);
    if (bind(fd, &address.any, length) != 0) return -errno;
  }
  *step = BUS_UDP_STEP_CONNECT;
  if (config[BUS_UDP_CONFIG_CONNECT + BUS_UDP_FAMILY] != 0) {
    const socklen_t length = to_address(config + BUS_UDP_CONFIG_CONNECT, &address);
    if (connect(fd, &address.any, length) != 0) return -errno;
  }
  *step = BUS_UDP_STEP_GETSOCKNAME;
  socklen_t length = sizeof address;
  if (getsockname(fd, &address.any, &length) != 0) return -errno;
  from_address(&address, local);
  return fd;
}

static bool is_config(const int32_t *config) {
  const int32_t family = config[BUS_UDP_CONFIG_FAMILY];
  const int32_t *bind_to = config + BUS_UDP_CONFIG_BIND;
  const int32_t *connect_to = config + BUS_UDP_CONFIG_CONNECT;
  const int32_t known =
      BUS_UDP_REUSE_ADDRESS | BUS_UDP_REUSE_PORT | BUS_UDP_ONLY_V6 | BUS_UDP_GRO;
  return (family == 4 || family == 6) && (config[BUS_UDP_CONFIG_FLAGS] & ~known) == 0 &&
         config[BUS_UDP_CONFIG_RECEIVE_BYTES] >= 0 && config[BUS_UDP_CONFIG_SEND_BYTES] >= 0 &&
         (bind_to[BUS_UDP_FAMILY] == 0 || is_address(bind_to)) &&
         (connect_to[BUS_UDP_FAMILY] == 0 || is_address(connect_to));
}

int32_t bus_udp_open(const int32_t *config, int32_t *local, int32_t *step) {
  const int domain = config[BUS_UDP_CONFIG_FAMILY] == 6 ? AF_INET6 : AF_INET;
  *step = BUS_UDP_STEP_SOCKET;
  if (!is_config(config)) return -EINVAL;
  const int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  const int32_t answer = prepare(fd, config, local, step);
  if (answer < 0) close(fd);
  return answer;
}

static struct sockaddr_un unix_name(const char *path) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  memcpy(name.sun_path, path, strnlen(path, sizeof name.sun_path - 1));
  return name;
}

// Binds to a path whose file a dead process has left. One program at a time: the abstract name that
// is equal to the path is a lock, which goes with its socket. Returns 0 or -errno.
static int32_t replace_file(int fd, const struct sockaddr_un *name) {
  struct sockaddr_un lock = {.sun_family = AF_UNIX};
  memcpy(lock.sun_path + 1, name->sun_path, sizeof lock.sun_path - 1);
  const int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return -errno;
  int32_t answer = -EADDRINUSE;
  struct stat found;
  if (bind(probe, (const struct sockaddr *)&lock, sizeof lock) == 0 &&
      lstat(name->sun_path, &found) == 0 && S_ISSOCK(found.st_mode) &&
      connect(probe, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED) {
    const bool bound = unlink(name->sun_path) == 0 &&
                       bind(fd, (const struct sockaddr *)name, sizeof *name) == 0;
    answer = bound ? 0 : -errno;
  }
  close(probe);
  return answer;
}

static int32_t prepare_unix(int fd, const int32_t *config, struct bus_unix_file *file,
                            const char *peer, int32_t *step) {
  *step = BUS_UDP_STEP_SETSOCKOPT;
  if (!set_sizes(fd, config)) return -errno;
  *step = BUS_UDP_STEP_BIND;
  if (file->path[0] != 0) {
    const struct sockaddr_un name = unix_name(file->path);
    if (bind(fd, (const struct sockaddr *)&name, sizeof name) != 0) {
      const int32_t answer = errno == EADDRINUSE ? replace_file(fd, &name) : -errno;
      if (answer != 0) return answer;
    }
    struct stat found;
    if (lstat(file->path, &found) != 0) return -errno;
    file->device = found.st_dev;
    file->inode = found.st_ino;
  }
  *step = BUS_UDP_STEP_CONNECT;
  if (peer[0] != 0) {
    const struct sockaddr_un name = unix_name(peer);
    if (connect(fd, (const struct sockaddr *)&name, sizeof name) != 0) return -errno;
  }
  return fd;
}

int32_t bus_unix_open(const int32_t *config, struct bus_unix_file *file, const char *peer,
                      int32_t *step) {
  *step = BUS_UDP_STEP_SOCKET;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  const int32_t answer = prepare_unix(fd, config, file, peer, step);
  if (answer < 0) {
    bus_unix_remove(file);
    close(fd);
  }
  return answer;
}

void bus_unix_remove(const struct bus_unix_file *file) {
  struct stat found;
  if (file->inode != 0 && lstat(file->path, &found) == 0 && found.st_dev == file->device &&
      found.st_ino == file->inode) {
    unlink(file->path);
  }
}

// How many datagrams from `row` on may be one message: equal length and address, the last may be
// shorter. `row_end` is at least one row further.
static size_t run_length(const int32_t *row, const int32_t *row_end, int32_t segments) {
  const int32_t length = row[BUS_UDP_OUT_LENGTH];
  const int32_t to = row[BUS_UDP_OUT_ADDRESS];
  if (segments < 2 || row[BUS_UDP_OUT_SEGMENT] > 0 || length <= 0 || length > RUN_BYTES / 2) return 1;
  size_t most = (size_t)(RUN_BYTES / length);
  if (most > (size_t)segments) most = (size_t)segments;
  size_t run = 1;
  for (row += BUS_UDP_OUT_WORDS; row < row_end && run < most; row += BUS_UDP_OUT_WORDS) {
    const int32_t next = row[BUS_UDP_OUT_LENGTH];
    if (row[BUS_UDP_OUT_ADDRESS] != to || next > length || next <= 0) break;
    if (row[BUS_UDP_OUT_SEGMENT] > 0) break;
    run++;
    if (next < length) break;
  }
  return run;
}

static void set_segment(struct msghdr *header, union send_control *control, int32_t length) {
  header->msg_control = control->bytes;
  header->msg_controllen = sizeof control->bytes;
  struct cmsghdr *message = CMSG_FIRSTHDR(header);
  message->cmsg_level = SOL_UDP;
  message->cmsg_type = UDP_SEGMENT;
  message->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const uint16_t segment = (uint16_t)length;
  memcpy(CMSG_DATA(message), &segment, sizeof segment);
}

// Checks that the caller stays within its memory: 0, -EFAULT, or -EINVAL for a bad address or size.
static int32_t check_table(const int32_t *table, size_t count, size_t size,
                           const int32_t *addresses, size_t address_count) {
  int32_t checked = -1;
  for (size_t i = 0; i < count; i++, table += BUS_UDP_OUT_WORDS) {
    const int32_t offset = table[BUS_UDP_OUT_OFFSET];
    const int32_t length = table[BUS_UDP_OUT_LENGTH];
    const int32_t to = table[BUS_UDP_OUT_ADDRESS];
    const int32_t segment = table[BUS_UDP_OUT_SEGMENT];
    if (offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return -EFAULT;
    if (to < -1 || (to >= 0 && (size_t)to >= address_count)) return -EFAULT;
    if (segment < 0 || segment > UINT16_MAX) return -EINVAL;
    if (to == checked) continue;
    checked = to;
    if (to >= 0 && !is_address(addresses + (size_t)to * BUS_UDP_ADDRESS_WORDS)) return -EINVAL;
  }
  return 0;
}

int32_t bus_udp_send(int fd, const uint8_t *bytes, size_t size, const int32_t *table, size_t count,
                     const int32_t *addresses, size_t address_count, int32_t segments,
                     int32_t *sent) {
  struct mmsghdr headers[MESSAGES];
  struct iovec vectors[VECTORS];
  union send_control controls[MESSAGES];
  union address names[MESSAGES];
  size_t runs[MESSAGES];
  memset(sent, 0, BUS_UDP_SENT_WORDS * sizeof *sent);
  // A run of more would not fit the vectors: no message, no progress.
  const bool fits = segments >= 0 && segments <= SEGMENTS_MAX;
  const int32_t refused =
      fits ? check_table(table, count, size, addresses, address_count) : -EINVAL;
  if (refused != 0) {
    sent[BUS_UDP_SENT_ERROR] = -refused;
    return refused;
  }
  const int32_t *end = table + count * BUS_UDP_OUT_WORDS;
  size_t done = 0;
  bool stopped = false; // by an error that the call could not tell
  while (done < count) {
    const int32_t *row = table + done * BUS_UDP_OUT_WORDS;
    unsigned messages = 0;
    size_t used = 0;
    while (row < end && messages < MESSAGES) {
      const size_t run = run_length(row, end, segments);
      if (used + run > VECTORS) break;
      struct msghdr *header = &headers[messages].msg_hdr;
      memset(header, 0, sizeof *header);
      header->msg_iov = vectors + used;
      const int32_t to = row[BUS_UDP_OUT_ADDRESS];
      if (to >= 0) {
        header->msg_namelen = to_address(addresses + to * BUS_UDP_ADDRESS_WORDS, &names[messages]);
        header->msg_name = &names[messages];
      }
      const int32_t segment = run > 1 ? row[BUS_UDP_OUT_LENGTH] : row[BUS_UDP_OUT_SEGMENT];
      if (segment > 0) set_segment(header, &controls[messages], segment);
      // Datagrams that lie side by side are one piece.
      struct iovec *vector = vectors + used;
      for (size_t i = 0; i < run; i++, row += BUS_UDP_OUT_WORDS) {
        uint8_t *base = (uint8_t *)bytes + row[BUS_UDP_OUT_OFFSET];
        const size_t length = (size_t)row[BUS_UDP_OUT_LENGTH];
        if (i > 0 && (uint8_t *)vector->iov_base + vector->iov_len == base) {
          vector->iov_len += length;
          continue;
        }
        if (i > 0) vector++;
        vector->iov_base = base;
        vector->iov_len = length;
      }
      header->msg_iovlen = (size_t)(vector - (vectors + used)) + 1;
      used += header->msg_iovlen;
      runs[messages++] = run;
    }
    const int answer = sendmmsg(fd, headers, messages, 0);
    sent[BUS_UDP_SENT_CALLS]++;
    if (answer < 0) {
      if (errno == EINTR) continue;
      sent[BUS_UDP_SENT_ERROR] = errno;
      sent[BUS_UDP_SENT_RUN] = (int32_t)runs[0];
      break;
    }
    // The kernel does not say so of one message or more; if it did, nothing would go on.
    if (answer == 0) {
      sent[BUS_UDP_SENT_ERROR] = EIO;
      sent[BUS_UDP_SENT_RUN] = (int32_t)runs[0];
      break;
    }
    // What stopped the last call is not there any more: it was about a datagram that had gone out.
    if (stopped) sent[BUS_UDP_SENT_CLEARED]++;
    for (int i = 0; i < answer; i++) done += runs[i];
    stopped = (unsigned)answer < messages;
  }
  return (int32_t)done;
}

static void read_control(struct msghdr *header, int32_t *row) {
  for (struct cmsghdr *message = CMSG_FIRSTHDR(header); message != NULL;
       message = CMSG_NXTHDR(header, message)) {
    const int level = message->cmsg_level;
    const int type = message->cmsg_type;
    int value = 0;
    if (level == SOL_UDP && type == UDP_GRO) {
      memcpy(&value, CMSG_DATA(message), sizeof value);
      row[BUS_UDP_IN_SEGMENT] = value;
    } else if (level == IPPROTO_IP && type == IP_TOS) {
      row[BUS_UDP_IN_FLAGS] |= (*CMSG_DATA(message) & 3) << 1;
    } else if (level == IPPROTO_IPV6 && type == IPV6_TCLASS) {
      memcpy(&value, CMSG_DATA(message), sizeof value);
      row[BUS_UDP_IN_FLAGS] |= (value & 3) << 1;
    }
  }
}

int32_t bus_udp_receive(int fd, uint8_t *bytes, size_t size, int32_t *table, size_t count) {
  struct mmsghdr headers[MESSAGES];
  struct iovec vectors[MESSAGES];
  union receive_control controls[MESSAGES];
  union address names[MESSAGES];
  if (count > MESSAGES) count = MESSAGES;
  for (size_t i = 0; i < count; i++) {
    const int32_t *row = table + i * BUS_UDP_IN_WORDS;
    const int32_t offset = row[BUS_UDP_IN_OFFSET];
    const int32_t capacity = row[BUS_UDP_IN_CAPACITY];
    if (offset < 0 || capacity < 0 || (size_t)offset + (size_t)capacity > size) return -EFAULT;
    vectors[i].iov_base = bytes + offset;
    vectors[i].iov_len = (size_t)capacity;
    struct msghdr *header = &headers[i].msg_hdr;
    memset(header, 0, sizeof *header);
    header->msg_name = &names[i];
    header->msg_namelen = sizeof names[i];
    header->msg_iov = &vectors[i];
    header->msg_iovlen = 1;
    header->msg_control = controls[i].bytes;
    header->msg_controllen = sizeof controls[i].bytes;
    names[i].any.sa_family = AF_UNSPEC;
  }
  int answer;
  do {
    answer = recvmmsg(fd, headers, (unsigned)count, MSG_DONTWAIT, NULL);
  } while (answer < 0 && errno == EINTR);
  if (answer < 0) return -errno;
  for (int i = 0; i < answer; i++) {
    int32_t *row = table + (size_t)i * BUS_UDP_IN_WORDS;
    struct msghdr *header = &headers[i].msg_hdr;
    row[BUS_UDP_IN_LENGTH] = (int32_t)headers[i].msg_len;
    row[BUS_UDP_IN_SEGMENT] = 0;
    row[BUS_UDP_IN_FLAGS] = (header->msg_flags & MSG_TRUNC) != 0;
    read_control(header, row);
    from_address(&names[i], row + BUS_UDP_IN_ADDRESS);
  }
  return answer;
}

int32_t bus_udp_membership(int fd, const int32_t *group, const int32_t *interface, bool join) {
  if (!is_address(group)) return -EINVAL;
  union address address;
  to_address(group, &address);
  if (group[BUS_UDP_FAMILY] == 4) {
    struct ip_mreqn request = {
        .imr_multiaddr = address.v4.sin_addr,
        .imr_address.s_addr = htonl((uint32_t)interface[BUS_UDP_HOST]),
        .imr_ifindex = interface[BUS_UDP_SCOPE],
    };
    const int name = join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP;
    return setsockopt(fd, IPPROTO_IP, name, &request, sizeof request) == 0 ? 0 : -errno;
  }
  struct ipv6_mreq request = {
      .ipv6mr_multiaddr = address.v6.sin6_addr,
      .ipv6mr_interface = (unsigned)interface[BUS_UDP_SCOPE],
  };
  const int name = join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP;
  return setsockopt(fd, IPPROTO_IPV6, name, &request, sizeof request) == 0 ? 0 : -errno;
}

int32_t bus_udp_multicast_interface(int fd, const int32_t *interface) {
  if (interface[BUS_UDP_FAMILY] == 6) {
    const int index = interface[BUS_UDP_SCOPE];
    return set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index) == 0 ? 0 : -errno;
  }
  struct ip_mreqn request = {
      .imr_address.s_addr = htonl((uint32_t)interface[BUS_UDP_HOST]),
      .imr_ifindex = interface[BUS_UDP_SCOPE],
  };
  const int answer = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
  return answer == 0 ? 0 : -errno;
}

int32_t bus_udp_set_option(int fd, int32_t family, int32_t option, int32_t value) {
  // SO_BROADCAST is of the socket's own level.
  static const int v4_names[] = {IP_TTL, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, 0, IP_TOS};
  static const int v6_names[] = {IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, 0,
                                 IPV6_TCLASS};
  if (option == BUS_UDP_OPTION_BROADCAST) {
    return set(fd, SOL_SOCKET, SO_BROADCAST, value) == 0 ? 0 : -errno;
  }
  if (family != 4 && family != 6) return -EINVAL;
  if (option < BUS_UDP_OPTION_TTL || option > BUS_UDP_OPTION_TRAFFIC_CLASS) return -EINVAL;
  const int answer = family == 6 ? set(fd, IPPROTO_IPV6, v6_names[option], value)
                                 : set(fd, IPPROTO_IP, v4_names[option], value);
  return answer == 0 ? 0 : -errno;
}

int32_t bus_udp_state(int fd, int32_t *state) {
  uint32_t memory[MEMINFO_WORDS] = {0};
  socklen_t length = sizeof memory;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return -errno;
  state[BUS_UDP_STATE_DROPS] = (int32_t)memory[MEMINFO_DROPS];
  length = sizeof *state;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &state[BUS_UDP_STATE_RECEIVE_BYTES], &length) != 0) {
    return -errno;
  }
  length = sizeof *state;
  if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &state[BUS_UDP_STATE_SEND_BYTES], &length) != 0) {
    return -errno;
  }
  return 0;
}

int32_t bus_udp_take_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void bus_udp_close(int fd) {
  close(fd);
}
