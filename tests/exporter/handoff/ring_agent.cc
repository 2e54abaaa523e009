// SPDX-License-Identifier: Apache-2.0
#include "ring_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace spantap {
namespace {

void Check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

// Takes pieces off the front of a record.
class Cutter {
 public:
  explicit Cutter(const std::string& bytes) : bytes_(bytes) {}
  std::string Text(size_t size) {
    Check(size <= bytes_.size() - at_, "a piece ends behind the record");
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  template <typename Part>
  Part Fixed() {
    Part part;
    memcpy(&part, Text(sizeof(Part)).data(), sizeof(Part));
    return part;
  }
  size_t left() const { return bytes_.size() - at_; }
  size_t at() const { return at_; }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
};

TakenAttr CutAttr(Cutter* cutter) {
  const auto fixed = cutter->Fixed<spantap_attr_record>();
  TakenAttr attr;
  attr.key = fixed.key;
  attr.type = fixed.type;
  Check((fixed.key == 0) == (fixed.name_bytes != 0), "a name goes with key 0");
  attr.name = cutter->Text(fixed.name_bytes);
  const std::string value = cutter->Text(fixed.value_bytes);
  if (fixed.type == SPANTAP_STRING) {
    attr.text = value;
    return attr;
  }
  Check(fixed.type >= SPANTAP_INT && fixed.type <= SPANTAP_BOOL && value.size() == 8, "eight bytes of a number");
  memcpy(fixed.type == SPANTAP_DOUBLE ? static_cast<void*>(&attr.real) : &attr.number, value.data(), 8);
  return attr;
}

std::vector<TakenAttr> CutAttrs(Cutter* cutter, size_t count) {
  std::vector<TakenAttr> attrs;
  for (size_t i = 0; i < count; ++i) attrs.push_back(CutAttr(cutter));
  return attrs;
}

TakenPart CutEvent(Cutter* cutter) {
  const auto fixed = cutter->Fixed<spantap_event_record>();
  TakenPart event;
  event.time = fixed.time_unix_ns;
  event.text = cutter->Text(fixed.name_bytes);
  const size_t begin = cutter->at();
  event.attrs = CutAttrs(cutter, fixed.attr_count);
  Check(cutter->at() - begin == fixed.attr_bytes, "attr_bytes of an event");
  return event;
}

TakenPart CutLink(Cutter* cutter) {
  const auto fixed = cutter->Fixed<spantap_link_record>();
  TakenPart link;
  link.trace_id.assign(reinterpret_cast<const char*>(fixed.trace_id), 16);
  link.span_id.assign(reinterpret_cast<const char*>(fixed.span_id), 8);
  link.flags = fixed.flags;
  link.text = cutter->Text(fixed.trace_state_bytes);
  const size_t begin = cutter->at();
  link.attrs = CutAttrs(cutter, fixed.attr_count);
  Check(cutter->at() - begin == fixed.attr_bytes, "attr_bytes of a link");
  return link;
}

}  // namespace

TakenSpan DecodeSpan(const std::string& record) {
  Cutter cutter(record);
  TakenSpan span;
  span.fixed = cutter.Fixed<spantap_span_record>();
  Check(span.fixed.record.type == SPANTAP_RECORD_SPAN && span.fixed.record.bytes == record.size(),
        "the record's header");
  span.name = cutter.Text(span.fixed.name_bytes);
  span.trace_state = cutter.Text(span.fixed.trace_state_bytes);
  span.status_message = cutter.Text(span.fixed.status_message_bytes);
  span.attrs = CutAttrs(&cutter, span.fixed.attr_count);
  for (int i = 0; i < span.fixed.event_count; ++i) span.events.push_back(CutEvent(&cutter));
  for (int i = 0; i < span.fixed.link_count; ++i) span.links.push_back(CutLink(&cutter));
  Check(cutter.left() < 8 && cutter.Text(cutter.left()).find_first_not_of('\0') == std::string::npos,
        "zeros at the end");
  return span;
}

RingAgent::RingAgent(std::string path, uint64_t data_bytes) : path_(std::move(path)), data_bytes_(data_bytes) {
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path_.data(), path_.size());
  unlink(path_.c_str());
  Check(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "bind");
  Check(listen(listener_, 64) == 0, "listen");
}

RingAgent::~RingAgent() {
  for (auto& peer : peers_) {
    if (peer->ring != nullptr) munmap(peer->ring, SPANTAP_RING_HEADER_BYTES + peer->data_bytes);
    if (peer->connection >= 0) close(peer->connection);
  }
  close(listener_);
  unlink(path_.c_str());
}

void RingAgent::Serve() {
  for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    peers_.push_back(std::make_unique<Peer>());
    peers_.back()->connection = fd;
  }
  for (auto& peer : peers_) {
    if (!peer->hello.empty() || peer->connection < 0 || lies.silent) continue;
    std::string packet(SPANTAP_HELLO_MAX_BYTES, 0);
    const ssize_t size = recv(peer->connection, packet.data(), packet.size(), MSG_DONTWAIT);
    if (size <= 0) continue;
    peer->hello = packet.substr(0, size);
    Answer(peer.get());
  }
}

void RingAgent::Answer(Peer* peer) {
  const int memory = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  peer->data_bytes = data_bytes_;
  const size_t bytes = SPANTAP_RING_HEADER_BYTES + data_bytes_;
  Check(ftruncate(memory, static_cast<off_t>(bytes)) == 0, "ftruncate");
  if (lies.sealed) Check(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0, "seals");
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  Check(mapped != MAP_FAILED, "mmap");
  peer->ring = static_cast<spantap_ring*>(mapped);
  peer->ring->magic = lies.ring_magic;
  peer->ring->version = SPANTAP_HANDOFF_VERSION;
  peer->ring->header_bytes = SPANTAP_RING_HEADER_BYTES;
  peer->ring->data_bytes = data_bytes_;
  peer->ring->head = peer->ring->tail = peer->tail = start;

  spantap_welcome welcome = {SPANTAP_WELCOME_MAGIC, lies.welcome_version, lies.status,
                             lies.said_bytes != 0 ? lies.said_bytes : data_bytes_};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec piece = {&welcome, sizeof(welcome)};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (lies.pass_memory) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &memory, sizeof(int));
  }
  sendmsg(peer->connection, &message, MSG_NOSIGNAL);
  close(memory);
}

// Appends up to `limit` records; returns the tail behind them.
uint64_t RingAgent::Read(const Peer& peer, size_t limit, std::vector<std::string>* records) {
  const uint64_t head = __atomic_load_n(&peer.ring->head, __ATOMIC_ACQUIRE);
  uint64_t tail = peer.tail;
  Check(head - tail <= peer.data_bytes, "head is further than the ring is long");
  const char* data = reinterpret_cast<const char*>(peer.ring) + SPANTAP_RING_HEADER_BYTES;
  while (tail != head && records->size() < limit) {
    const uint64_t offset = tail & (peer.data_bytes - 1);
    spantap_record record;
    memcpy(&record, data + offset, sizeof(record));
    Check(record.bytes >= 8 && record.bytes % 8 == 0 && record.bytes <= peer.data_bytes - offset &&
              record.bytes <= head - tail,
          "a record's size");
    if (record.type != SPANTAP_RECORD_PAD) records->emplace_back(data + offset, record.bytes);
    tail += record.bytes;
  }
  return tail;
}

std::vector<std::string> RingAgent::TakeRecords(size_t limit) {
  std::vector<std::string> taken;
  for (auto& peer : peers_) {
    if (peer->ring == nullptr) continue;
    peer->tail = Read(*peer, limit, &taken);
    __atomic_store_n(&peer->ring->tail, peer->tail, __ATOMIC_RELEASE);
  }
  return taken;
}

std::vector<std::string> RingAgent::PeekRecords() const {
  std::vector<std::string> records;
  for (const auto& peer : peers_) {
    if (peer->ring != nullptr) Read(*peer, SIZE_MAX, &records);
  }
  return records;
}

std::vector<TakenSpan> RingAgent::Take(size_t limit) {
  std::vector<TakenSpan> spans;
  for (const std::string& record : TakeRecords(limit)) spans.push_back(DecodeSpan(record));
  return spans;
}

void RingAgent::SetState(uint32_t state) {
  for (auto& peer : peers_) {
    if (peer->ring != nullptr) __atomic_store_n(&peer->ring->state, state, __ATOMIC_RELEASE);
  }
}

void RingAgent::HangUp() {
  for (auto& peer : peers_) {
    if (peer->connection >= 0) close(peer->connection);
    peer->connection = -1;
  }
}

bool RingAgent::HungUp(size_t producer) const {
  pollfd look = {peers_[producer]->connection, POLLIN, 0};
  return poll(&look, 1, 0) == 1 && (look.revents & POLLHUP) != 0;
}

Place::Place() {
  std::string pattern = (std::filesystem::temp_directory_path() / "spantap-handoff-XXXXXX").string();
  Check(mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  folder_ = pattern;
  socket_ = folder_ + "/agent.sock";
}

Place::~Place() { std::filesystem::remove_all(folder_); }

spantap_str Str(const std::string& text) { return {text.data(), text.size()}; }

Host::Host(const std::string& socket, spantap_options options) {
  options.socket = Str(socket);
  if (options.mode == SPANTAP_MODE_DEFAULT) options.mode = SPANTAP_MODE_HANDOFF;
  Check(spantap_open(&options, &client) == SPANTAP_OK, "spantap_open");
  Check(spantap_producer_open(client, &producer) == SPANTAP_OK, "spantap_producer_open");
}

Host::~Host() {
  spantap_producer_close(producer);
  spantap_close(client);
}

bool Host::Attach(RingAgent* agent) {
  for (int i = 0; i < 1500; ++i) {
    if (spantap_attach(producer) == SPANTAP_OK) return true;
    agent->Serve();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

spantap_stats Host::Stats() const {
  spantap_stats stats = SPANTAP_STATS_INIT;
  Check(spantap_stats_get(producer, &stats) == SPANTAP_OK, "spantap_stats_get");
  return stats;
}

spantap_span MakeSpan(uint64_t number) {
  spantap_span span = SPANTAP_SPAN_INIT;
  span.kind = SPANTAP_SERVER;
  memset(span.context.trace_id, 0xab, sizeof(span.context.trace_id));
  const uint64_t id = number + 1;
  memcpy(span.context.span_id, &id, sizeof(id));
  span.context.flags = SPANTAP_SAMPLED;
  span.start_unix_ns = 1700000000000000000u + number * 1000000;
  span.end_unix_ns = span.start_unix_ns + 5000000;
  span.name = {"GET /", 5};
  return span;
}

uint64_t NumberOf(const spantap_span_record& record) {
  uint64_t id;
  memcpy(&id, record.span_id, sizeof(id));
  return id - 1;
}

int OpenDescriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

}  // namespace spantap
