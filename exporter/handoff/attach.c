/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "exporter/handoff/producer.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif
#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

enum { ATTEMPTS_AT_FIRST = 10 };
static const uint64_t kShortNs = 100000000; /* between the first attempts, and between two looks at a connection */
static const uint64_t kLongNs = 1000000000; /* between later attempts; and how long an answer may take */

/* In the vDSO, some 5 ns: no system call. */
static uint64_t coarse_ns(void) {
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t cookie_of(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/* A host that becomes a daemon closes descriptors it does not know, and the number is soon somebody else's. */
static int owns_connection(const spantap_producer* producer) {
  return producer->connection >= 0 && cookie_of(producer->connection) == producer->connection_cookie;
}

void handoff_unmap(struct handoff_ring* ring) {
  if (ring->shared != NULL) munmap(ring->shared, SPANTAP_RING_HEADER_BYTES + ring->data_bytes);
  memset(ring, 0, sizeof(*ring));
}

static void close_descriptors(spantap_producer* producer) {
  if (owns_connection(producer)) close(producer->connection);
  if (producer->memory >= 0) close(producer->memory);
  producer->connection = producer->memory = -1;
}

void handoff_detach(spantap_producer* producer) {
  int was_ring = producer->state == HANDOFF_ATTACHED || producer->state == HANDOFF_LEAVING;
  close_descriptors(producer);
  if (was_ring && producer->ring.shared != NULL) {
    handoff_told(producer);
    if (handoff_ring_look(&producer->ring) != producer->ring.head) {
      producer->old = producer->ring;
      memset(&producer->ring, 0, sizeof(producer->ring));
    }
  }
  handoff_unmap(&producer->ring);
  producer->state = HANDOFF_DETACHED;
}

static void fail(spantap_producer* producer, uint64_t now) {
  handoff_detach(producer);
  producer->due_ns = now + (++producer->failures < ATTEMPTS_AT_FIRST ? kShortNs : kLongNs);
}

/* What a host without standard streams takes for them must not be ours. */
static int above_standard_streams(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close(fd);
  return higher;
}

static void ask(spantap_producer* producer, uint64_t now) {
  const spantap_client* client = producer->client;
  ++producer->attach_attempts;
  int fd = above_standard_streams(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd < 0) {
    fail(producer, now);
    return;
  }
  if (connect(fd, (const struct sockaddr*)&client->address, sizeof(client->address)) != 0 ||
      send(fd, client->hello, client->hello_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)client->hello_bytes) {
    close(fd);
    fail(producer, now);
    return;
  }
  producer->connection = fd;
  producer->connection_cookie = cookie_of(fd);
  producer->asked_ns = producer->looked_ns = now;
  producer->state = HANDOFF_ASKED;
}

/* Only one descriptor fits into the control data; the kernel closes what does not. */
static int passed_descriptor(struct msghdr* message) {
  int fd = -1;
  struct cmsghdr* header = CMSG_FIRSTHDR(message);
  if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(fd))) {
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  }
  return above_standard_streams(fd);
}

static int welcome_good(const struct spantap_welcome* welcome) {
  uint64_t bytes = welcome->data_bytes;
  return welcome->magic == SPANTAP_WELCOME_MAGIC && welcome->version == SPANTAP_HANDOFF_VERSION &&
         welcome->status == 0 && bytes >= SPANTAP_RING_MIN_BYTES && bytes <= SPANTAP_RING_MAX_BYTES &&
         (bytes & (bytes - 1)) == 0;
}

static void refuse(spantap_producer* producer, uint64_t now) {
  ++producer->refused_agent;
  fail(producer, now);
}

/* Once in a tick of the coarse clock: spans that end meanwhile must not pay for a look each. */
static void receive(spantap_producer* producer, uint64_t now) {
  if (now == producer->looked_ns) return;
  producer->looked_ns = now;
  struct spantap_welcome welcome;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec piece = {&welcome, sizeof(welcome)};
  struct msghdr message;
  memset(&message, 0, sizeof(message));
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = CMSG_LEN(sizeof(int));
  ssize_t size = recvmsg(producer->connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    if (now - producer->asked_ns > kLongNs) fail(producer, now);
    return;
  }
  if (size <= 0) {
    fail(producer, now);
    return;
  }
  producer->memory = passed_descriptor(&message);
  if (size != (ssize_t)sizeof(welcome) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      !welcome_good(&welcome) || producer->memory < 0) {
    refuse(producer, now);
    return;
  }
  producer->welcome_bytes = welcome.data_bytes;
  producer->state = HANDOFF_RECEIVED;
}

static int ring_good(const struct spantap_ring* ring, uint64_t data_bytes) {
  return ring->magic == SPANTAP_RING_MAGIC && ring->version == SPANTAP_HANDOFF_VERSION &&
         ring->header_bytes == SPANTAP_RING_HEADER_BYTES && ring->data_bytes == data_bytes &&
         ring->head == ring->tail && ring->head % 8 == 0;
}

/* A file that could still shrink would kill the proxy with SIGBUS: sealed, of the size that was said, or not at all. */
static void map(spantap_producer* producer, uint64_t now) {
  const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  uint64_t bytes = SPANTAP_RING_HEADER_BYTES + producer->welcome_bytes;
  int seals = fcntl(producer->memory, F_GET_SEALS);
  void* memory = MAP_FAILED;
  if (seals >= 0 && (seals & wanted) == wanted && lseek(producer->memory, 0, SEEK_END) == (off_t)bytes) {
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, producer->memory, 0);
  }
  if (memory == MAP_FAILED) {
    refuse(producer, now);
    return;
  }
  close(producer->memory);
  producer->memory = -1;
  struct spantap_ring* shared = (struct spantap_ring*)memory;
  uint64_t head = shared->head;
  producer->ring =
      (struct handoff_ring){shared, (uint8_t*)memory + SPANTAP_RING_HEADER_BYTES, producer->welcome_bytes, head, head};
  producer->state = HANDOFF_MAPPED;
  if (!ring_good(shared, producer->welcome_bytes) || madvise(memory, bytes, MADV_DONTFORK) != 0) refuse(producer, now);
}

static void begin(spantap_producer* producer, uint64_t now) {
  producer->state = HANDOFF_ATTACHED;
  producer->failures = 0;
  producer->due_ns = now + kShortNs;
  producer->checked_unix_ns = 0;
  producer->checked_tail = producer->ring.tail;
  ++producer->attached_times;
  handoff_tell(producer);
  handoff_adopt(producer);
}

static void probe(spantap_producer* producer, uint64_t now) {
  char byte;
  if (now < producer->due_ns) return;
  producer->due_ns = now + kShortNs;
  if (!owns_connection(producer)) {
    producer->connection = -1;
    producer->told_before = producer->dropped;
    handoff_unmap(&producer->ring); /* the agent lives, sees the end of the connection, and drains it */
    handoff_detach(producer);
    return;
  }
  ssize_t size = recv(producer->connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return;
  handoff_detach(producer);
  producer->due_ns = now;
}

void handoff_probe(spantap_producer* producer) {
  int saved = errno;
  probe(producer, coarse_ns());
  errno = saved;
}

void handoff_check_reader(spantap_producer* producer, uint64_t unix_ns) {
  producer->checked_unix_ns = unix_ns;
  uint64_t tail = handoff_ring_look(&producer->ring);
  if (tail == producer->checked_tail && tail != producer->ring.head) {
    handoff_probe(producer);
  } else {
    producer->checked_tail = tail;
  }
}

spantap_status handoff_advance(spantap_producer* producer) {
  if (producer->client->mode == SPANTAP_MODE_OFF) return SPANTAP_NO_AGENT;
  int saved = errno;
  uint64_t now = coarse_ns();
  if (producer->state == HANDOFF_ATTACHED &&
      __atomic_load_n(&producer->ring.shared->state, __ATOMIC_ACQUIRE) == SPANTAP_RING_CLOSED) {
    producer->state = HANDOFF_LEAVING;
  }
  if (producer->state == HANDOFF_ATTACHED || producer->state == HANDOFF_LEAVING) probe(producer, now);
  if (producer->state == HANDOFF_DETACHED && now >= producer->due_ns) ask(producer, now);
  if (producer->state == HANDOFF_ASKED) receive(producer, now);
  if (producer->state == HANDOFF_RECEIVED) map(producer, now);
  if (producer->state == HANDOFF_MAPPED) begin(producer, now);
  errno = saved;
  return producer->state == HANDOFF_ATTACHED ? SPANTAP_OK : SPANTAP_NO_AGENT;
}
