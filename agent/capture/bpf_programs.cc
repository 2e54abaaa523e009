// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/bpf_programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "include/base/status_macros.h"
#include "spantap.skel.h"

namespace spantap {
namespace {

// bpf/settings.bpf.h
constexpr uint32_t kFamilySocket = 1;
constexpr uint32_t kFamilySyscall = 2;

// libbpf explains failures on its log, line by line; the last lines go into our error message.
constexpr size_t kMaxLogBytes = 64 * 1024;
thread_local std::string libbpf_log;

int KeepLibbpfLog(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char* line = nullptr;  // one "line" may hold the verifier's whole log: keep its end
  const int length = vasprintf(&line, format, arguments);
  if (length < 0) return length;
  libbpf_log.append(line, static_cast<size_t>(length));
  free(line);
  if (libbpf_log.size() > kMaxLogBytes) libbpf_log.erase(0, libbpf_log.size() - kMaxLogBytes);
  return length;
}

std::string LastLogLines() {
  std::vector<absl::string_view> lines = absl::StrSplit(libbpf_log, '\n', absl::SkipWhitespace());
  // Statistics and frames around the verifier's verdict.
  lines.erase(std::remove_if(lines.begin(), lines.end(),
                             [](absl::string_view line) {
                               return absl::StartsWith(line, "processed ") || absl::StrContains(line, "PROG LOAD LOG");
                             }),
              lines.end());
  const size_t first = lines.size() > 6 ? lines.size() - 6 : 0;
  std::string joined;
  for (size_t i = first; i < lines.size(); ++i) absl::StrAppend(&joined, joined.empty() ? "" : " | ", lines[i]);
  return joined;
}

struct BtfDeleter {
  void operator()(btf* types) const { btf__free(types); }
};
struct SkeletonDeleter {
  void operator()(spantap_bpf* skeleton) const { spantap_bpf::destroy(skeleton); }
};
struct LinkDeleter {
  void operator()(bpf_link* link) const { (void)bpf_link__destroy(link); }
};
struct RingDeleter {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

struct KernelFeatures {
  bool btf = false;
  bool socket_hooks = false;  // tracepoints sock_send_length and sock_recv_length: 6.3 and later
};

KernelFeatures ReadFeatures() {
  KernelFeatures features;
  libbpf_set_print(KeepLibbpfLog);
  std::unique_ptr<btf, BtfDeleter> types(btf__load_vmlinux_btf());
  if (libbpf_get_error(types.get()) != 0) {
    (void)types.release();
    return features;
  }
  features.btf = true;
  features.socket_hooks = btf__find_by_name_kind(types.get(), "btf_trace_sock_send_length", BTF_KIND_TYPEDEF) > 0 &&
                          btf__find_by_name_kind(types.get(), "btf_trace_sock_recv_length", BTF_KIND_TYPEDEF) > 0;
  return features;
}

absl::Status LoadError(absl::string_view what, int error) {
  const std::string log = LastLogLines();
  if (error == -EPERM || error == -EACCES) {
    if (geteuid() != 0) {
      return absl::PermissionDeniedError(absl::StrCat(
          what, ": not permitted; run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE"));
    }
    return absl::PermissionDeniedError(absl::StrCat(
        what, ": the kernel refused although we are root (", strerror(-error),
        "); in a container add CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, and check kernel lockdown. libbpf: ", log));
  }
  return absl::InternalError(absl::StrCat(what, ": ", strerror(-error), ". libbpf: ", log));
}

absl::StatusOr<HookFamily> ChooseFamily(HookFamily wanted) {
  const KernelFeatures features = ReadFeatures();
  if (!features.btf) {
    return absl::FailedPreconditionError(
        "the kernel has no type information (/sys/kernel/btf/vmlinux); spantap needs a kernel built with "
        "CONFIG_DEBUG_INFO_BTF=y, as all current distributions have it");
  }
  if (wanted == HookFamily::kSocket && !features.socket_hooks) {
    return absl::FailedPreconditionError(
        "--hooks socket: this kernel has no tracepoints sock_send_length and sock_recv_length (they came with "
        "Linux 6.3); use --hooks syscall, or leave the option out");
  }
  if (wanted != HookFamily::kAuto) return wanted;
  return features.socket_hooks ? HookFamily::kSocket : HookFamily::kSyscall;
}

uint64_t RandomOdd() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof(value), 0) != sizeof(value)) value = 0x9e3779b97f4a7c15;
  return value | 1;
}

}  // namespace

struct BpfPrograms::State {
  HookFamily family = HookFamily::kSocket;
  uint32_t target_flags = 0;
  std::unique_ptr<spantap_bpf, SkeletonDeleter> skeleton;
  std::unique_ptr<ring_buffer, RingDeleter> ring;
  // Loaded, attached as needed.
  struct Group {
    std::vector<bpf_program*> programs;
    std::vector<std::unique_ptr<bpf_link, LinkDeleter>> links;

    absl::Status Attach(bool attached);
  };
  Group data;              // of the family in use
  Group waits;             // those that count turns
  bool uncounted = false;  // some target's turns are not to be counted
  bool cgroups = false;

  // Valid during Consume().
  const std::function<void(const void*, size_t)>* on_record = nullptr;
  int consumed = 0;
  int limit = 0;

  static int OnRecord(void* context, void* record, size_t size) {
    auto* self = static_cast<State*>(context);
    (*self->on_record)(record, size);
    // A negative result ends libbpf's loop; this record counts as consumed.
    return ++self->consumed >= self->limit ? -E2BIG : 0;
  }

  void FillSettings(const BpfSettings& settings, const KernelTargets& targets);
  void ChoosePrograms(const BpfSettings& settings, bool raw_exit);
  absl::Status Open(const BpfSettings& settings, const KernelTargets& targets, bool raw_exit);
  absl::Status FillMaps(const KernelTargets& targets) const;
};

void BpfPrograms::State::FillSettings(const BpfSettings& settings, const KernelTargets& targets) {
  target_flags =
      SPANTAP_TARGET_OBSERVE | SPANTAP_TARGET_DESCENDANTS | (settings.turns ? uint32_t{SPANTAP_TARGET_TURNS} : 0);
  auto* rodata = skeleton->rodata;
  rodata->setting_family = family == HookFamily::kSocket ? kFamilySocket : kFamilySyscall;
  rodata->setting_head_bytes = settings.head_bytes;
  rodata->setting_wake_bytes = settings.ring_bytes / 4;
  rodata->setting_turns = settings.turns;
  rodata->setting_target_flags = target_flags;
  rodata->setting_secret = RandomOdd();
  uint32_t levels = 0;
  for (const auto& [id, level] : targets.cgroups) levels |= 1u << level;
  rodata->setting_cgroup_levels = levels;
  bpf_map__set_max_entries(skeleton->maps.ring, settings.ring_bytes);
  if (family == HookFamily::kSocket) bpf_map__set_max_entries(skeleton->maps.address_conns, 1);
  if (!settings.turns) bpf_map__set_max_entries(skeleton->maps.threads, 1);
}

void BpfPrograms::State::ChoosePrograms(const BpfSettings& settings, bool raw_exit) {
  const auto& programs = skeleton->progs;
  const bool socket = family == HookFamily::kSocket;
  const std::tuple<bpf_program*, Group*, bool> all[] = {
      {programs.on_sock_send, &data, socket},
      {programs.on_sock_recv, &data, socket},
      {programs.on_sys_exit, &data, !socket && !raw_exit},
      {programs.on_sys_exit_raw, &data, !socket && raw_exit},
      {programs.on_wait_enter, &waits, settings.turns},
      {programs.on_wait_exit, &waits, settings.turns},
  };
  for (Group* const group : {&data, &waits}) group->programs.clear();
  for (const auto& [program, group, wanted] : all) {
    bpf_program__set_autoload(program, wanted);
    bpf_program__set_autoattach(program, false);
    if (wanted) group->programs.push_back(program);
  }
}

absl::Status BpfPrograms::State::FillMaps(const KernelTargets& targets) const {
  const uint32_t one = 1;
  const uint32_t self = static_cast<uint32_t>(getpid());
  const uint32_t deny = SPANTAP_TARGET_DENY;
  int error = bpf_map__update_elem(skeleton->maps.targets, &self, sizeof(self), &deny, sizeof(deny), BPF_ANY);
  for (const std::string& name : targets.names) {
    char comm[SPANTAP_COMM_LEN] = {};
    (void)name.copy(comm, sizeof(comm) - 1);
    if (error == 0)
      error = bpf_map__update_elem(skeleton->maps.target_names, comm, sizeof(comm), &one, sizeof(one), BPF_ANY);
  }
  for (const uint16_t port : targets.ports) {
    if (error == 0)
      error = bpf_map__update_elem(skeleton->maps.target_ports, &port, sizeof(port), &one, sizeof(one), BPF_ANY);
  }
  for (const auto& [id, level] : targets.cgroups) {
    if (error == 0)
      error = bpf_map__update_elem(skeleton->maps.target_cgroups, &id, sizeof(id), &level, sizeof(level), BPF_ANY);
  }
  return error == 0 ? absl::OkStatus() : LoadError("filling the target maps (at most 256 of a kind)", error);
}

absl::Status BpfPrograms::State::Open(const BpfSettings& settings, const KernelTargets& targets, bool raw_exit) {
  libbpf_log.clear();
  for (Group* const group : {&data, &waits}) group->links.clear();
  cgroups = !targets.cgroups.empty();
  skeleton.reset(spantap_bpf::open());
  if (skeleton == nullptr) return LoadError("opening the eBPF object", -errno);
  FillSettings(settings, targets);
  ChoosePrograms(settings, raw_exit);
  if (const int error = spantap_bpf::load(skeleton.get()); error != 0) {
    return LoadError("loading the eBPF programs", error);
  }
  SPANTAP_RETURN_IF_ERROR(FillMaps(targets));
  ring.reset(ring_buffer__new(bpf_map__fd(skeleton->maps.ring), OnRecord, this, nullptr));
  if (ring == nullptr) return LoadError("mapping the ring buffer", -errno);
  if (const int error = spantap_bpf::attach(skeleton.get()); error != 0) {
    return LoadError("attaching the eBPF programs", error);
  }
  return absl::OkStatus();
}

BpfPrograms::BpfPrograms(std::unique_ptr<State> state) : state_(std::move(state)) {}
BpfPrograms::~BpfPrograms() = default;

absl::StatusOr<std::unique_ptr<BpfPrograms>> BpfPrograms::Load(const BpfSettings& settings,
                                                               const KernelTargets& targets) {
  SPANTAP_ASSIGN_OR_RETURN(const HookFamily family, ChooseFamily(settings.hooks));
  auto state = std::make_unique<State>();
  state->family = family;
  absl::Status status = state->Open(settings, targets, false);
  // Permission does not change with the kind of program; anything else might. Heads without counters are worth having.
  BpfSettings without = settings;
  without.turns = false;
  for (const auto& [wanted, raw_exit] : {std::pair(&settings, true), {&without, false}, {&without, true}}) {
    if (status.ok() || absl::IsPermissionDenied(status)) break;
    if ((raw_exit && family != HookFamily::kSyscall) || (wanted == &without && !settings.turns)) continue;
    if (state->Open(*wanted, targets, raw_exit).ok()) status = absl::OkStatus();
  }
  SPANTAP_RETURN_IF_ERROR(status);
  return std::unique_ptr<BpfPrograms>(new BpfPrograms(std::move(state)));
}

uint32_t BpfPrograms::target_flags() const { return state_->target_flags; }

absl::Status BpfPrograms::AddTarget(uint32_t tgid, uint32_t flags) {
  const int error =
      bpf_map__update_elem(state_->skeleton->maps.targets, &tgid, sizeof(tgid), &flags, sizeof(flags), BPF_NOEXIST);
  if (error == 0 || error == -EEXIST) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("process ", tgid, " is not observed: the target map is full (", strerror(-error), ")"));
}

uint32_t BpfPrograms::FlagsOf(uint32_t tgid) const {
  uint32_t flags = 0;
  const auto* targets = state_->skeleton->maps.targets;
  return bpf_map__lookup_elem(targets, &tgid, sizeof(tgid), &flags, sizeof(flags), 0) == 0 ? flags : 0;
}

bool BpfPrograms::IsTarget(uint32_t tgid) const { return (FlagsOf(tgid) & SPANTAP_TARGET_OBSERVE) != 0; }

// A walk over the map costs two system calls an entry; it ends where nothing more can be learned.
uint32_t BpfPrograms::TargetFlags() const {
  const uint32_t wanted =
      SPANTAP_TARGET_OBSERVE | (state_->uncounted ? state_->target_flags & SPANTAP_TARGET_TURNS : 0);
  uint32_t key = 0, next = 0, found = 0;
  const uint32_t* previous = nullptr;
  while (bpf_map__get_next_key(state_->skeleton->maps.targets, previous, &next, sizeof(next)) == 0) {
    found |= FlagsOf(next);
    if ((found & wanted) == wanted) break;
    key = next;
    previous = &key;
  }
  return state_->uncounted || !(found & SPANTAP_TARGET_OBSERVE) ? found : found | state_->target_flags;
}

absl::Status BpfPrograms::State::Group::Attach(bool attached) {
  if (attached == !links.empty()) return absl::OkStatus();
  links.clear();
  if (!attached) return absl::OkStatus();
  for (bpf_program* program : programs) {
    bpf_link* link = bpf_program__attach(program);
    if (link == nullptr) {
      const int error = -errno;
      links.clear();
      return LoadError(absl::StrCat("attaching the eBPF program ", bpf_program__name(program)), error);
    }
    links.emplace_back(link);
  }
  return absl::OkStatus();
}

// A membership in a target cgroup shows only at a call: then the data hooks are needed all the time.
absl::Status BpfPrograms::AttachAsNeeded() {
  const uint32_t flags = TargetFlags();
  SPANTAP_RETURN_IF_ERROR(state_->data.Attach(state_->cgroups || (flags & SPANTAP_TARGET_OBSERVE)));
  return state_->waits.Attach(flags & SPANTAP_TARGET_TURNS);
}

void BpfPrograms::CountTurns(uint32_t tgid, bool on) {
  const uint32_t turns = state_->target_flags & SPANTAP_TARGET_TURNS;
  const uint32_t before = FlagsOf(tgid);
  const uint32_t after = on ? before | turns : before & ~turns;
  if (!(before & SPANTAP_TARGET_OBSERVE) || after == before) return;
  state_->uncounted |= !on;
  // Fails if it has gone meanwhile.
  (void)bpf_map__update_elem(state_->skeleton->maps.targets, &tgid, sizeof(tgid), &after, sizeof(after), BPF_EXIST);
}

void BpfPrograms::SetOrder(uint64_t conn_id, const spantap_order& order) {
  (void)bpf_map__update_elem(state_->skeleton->maps.orders, &conn_id, sizeof(conn_id), &order, sizeof(order), BPF_ANY);
}

std::array<uint64_t, SPANTAP_COUNT_MAX> BpfPrograms::ReadCounters() const {
  std::array<uint64_t, SPANTAP_COUNT_MAX> totals = {};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return totals;
  std::vector<uint64_t> values(static_cast<size_t>(cpus));
  for (uint32_t counter = 0; counter < SPANTAP_COUNT_MAX; ++counter) {
    if (bpf_map__lookup_elem(state_->skeleton->maps.counters, &counter, sizeof(counter), values.data(),
                             values.size() * sizeof(uint64_t), 0) != 0)
      continue;
    for (const uint64_t value : values) totals[counter] += value;
  }
  return totals;
}

int BpfPrograms::Consume(int limit, const std::function<void(const void*, size_t)>& on_record) {
  state_->on_record = &on_record;
  state_->consumed = 0;
  state_->limit = limit;
  (void)ring_buffer__consume(state_->ring.get());
  state_->on_record = nullptr;
  return state_->consumed;
}

void BpfPrograms::Sleep(int timeout_ms) {
  // Records are committed without a wake-up; with reader_waiting set, the kernel side wakes us when the
  // ring passes its fill mark.
  pollfd ring = {bpf_map__fd(state_->skeleton->maps.ring), POLLIN, 0};
  __atomic_store_n(&state_->skeleton->bss->reader_waiting, 1, __ATOMIC_SEQ_CST);
  (void)poll(&ring, 1, timeout_ms);
  __atomic_store_n(&state_->skeleton->bss->reader_waiting, 0, __ATOMIC_SEQ_CST);
}

void BpfPrograms::Detach() {
  if (state_->skeleton == nullptr) return;
  for (State::Group* const group : {&state_->data, &state_->waits}) group->links.clear();
  spantap_bpf::detach(state_->skeleton.get());
  // Hooks run inside RCU read sections: afterwards no program is running, and the counters are final.
  (void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

std::string DescribeKernelSupport() {
  const KernelFeatures features = ReadFeatures();
  return absl::StrCat("btf=", features.btf ? "yes" : "no", " socket-hooks=", features.socket_hooks ? "yes" : "no",
                      " tp_btf=", features.btf ? "yes" : "no");
}

}  // namespace spantap
