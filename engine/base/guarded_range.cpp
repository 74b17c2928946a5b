#include "base/guarded_range.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>

#include <sys/mman.h>
#include <unistd.h>

namespace remap {

// The handler can take no lock. A slot's version is odd while its range changes; the range of the thread that faults
// does not change, so that a slot found in change is another one.
struct GuardedRange::Slot {
  static constexpr uint64_t kNone = ~uint64_t{0};
  std::atomic<uint32_t> version = 0;
  std::atomic<uintptr_t> begin = 0, end = 0;  // both 0: free
  std::atomic<uint64_t> fault = kNone;        // offset in the range
  Slot* next_free = nullptr;

  void set(uintptr_t new_begin, uintptr_t new_end) {
    version.fetch_add(1);
    begin.store(new_begin);
    end.store(new_end);
    fault.store(kNone);
    version.fetch_add(1);
  }
  bool holds(uintptr_t address) const {
    const uint32_t before = version.load();
    const bool inside = begin.load() <= address && address < end.load();
    return inside && before % 2 == 0 && version.load() == before;
  }
};

namespace {

using Slot = GuardedRange::Slot;

// Never freed: the handler may look at any of them at any time.
struct Block {
  std::array<Slot, 256> slots;
  std::atomic<Block*> next = nullptr;
};

Block g_first;
std::mutex g_mutex;  // of what follows
Slot* g_free = nullptr;
Block* g_last = nullptr;
size_t g_ranges = 0;
bool g_installed = false;
struct sigaction g_previous {};
uintptr_t g_page_bytes = 0;

Slot* find_slot(uintptr_t address) {
  for (Block* block = &g_first; block != nullptr; block = block->next.load())
    for (Slot& slot : block->slots)
      if (slot.holds(address)) return &slot;
  return nullptr;
}

// All that follows in the range, too: it is of no use any more, and each read of failing storage may take seconds.
bool replace_by_zeros(uintptr_t address) {
  Slot* slot = find_slot(address);
  if (slot == nullptr) return false;
  const uintptr_t page = address / g_page_bytes * g_page_bytes;
  const uint64_t offset = page - slot->begin.load();
  uint64_t known = slot->fault.load();
  while (offset < known && !slot->fault.compare_exchange_weak(known, offset)) {
  }
  return ::mmap(reinterpret_cast<void*>(page), slot->end.load() - page, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((g_previous.sa_flags & SA_SIGINFO) != 0) return g_previous.sa_sigaction(signal, info, context);
  const bool sent = info->si_code <= 0;  // by a process; a fault cannot be ignored
  if (g_previous.sa_handler == SIG_IGN && sent) return;
  if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) return g_previous.sa_handler(signal);
  struct sigaction end_of_process {};
  end_of_process.sa_handler = SIG_DFL;
  ::sigaction(signal, &end_of_process, nullptr);
  if (sent) ::raise(signal);  // delivered when this handler returns, where a fault comes again by itself
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool of_memory = info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR || info->si_code == BUS_MCEERR_AR;
  if (!of_memory || !replace_by_zeros(reinterpret_cast<uintptr_t>(info->si_addr))) pass_on(signal, info, context);
  errno = error;
}

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &on_fault;
}

// With the mutex held.
void install() {
  if (g_installed) return;
  g_page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  g_installed = ::sigaction(SIGBUS, nullptr, &g_previous) == 0 && ::sigaction(SIGBUS, &action, nullptr) == 0;
}

// A handler that was installed after ours passes on to it: then ours stays.
void uninstall() {
  struct sigaction now {};
  if (!g_installed || ::sigaction(SIGBUS, nullptr, &now) != 0 || !is_ours(now)) return;
  ::sigaction(SIGBUS, &g_previous, nullptr);
  g_installed = false;
}

void add_block() {
  if (g_last == nullptr) {
    g_last = &g_first;
  } else {
    auto* block = new Block;
    g_last->next.store(block);
    g_last = block;
  }
  for (Slot& slot : g_last->slots) slot.next_free = std::exchange(g_free, &slot);
}

}  // namespace

GuardedRange::GuardedRange(const std::byte* begin, size_t size_bytes) {
  const std::lock_guard lock(g_mutex);
  if (g_free == nullptr) add_block();
  slot_ = g_free;
  g_free = slot_->next_free;
  const auto address = reinterpret_cast<uintptr_t>(begin);
  slot_->set(address, address + size_bytes);
  install();
  ++g_ranges;
}

GuardedRange::~GuardedRange() {
  if (slot_ == nullptr) return;
  const std::lock_guard lock(g_mutex);
  slot_->set(0, 0);
  slot_->next_free = std::exchange(g_free, slot_);
  if (--g_ranges == 0) uninstall();
}

std::optional<uint64_t> GuardedRange::fault() const {
  if (slot_ == nullptr) return std::nullopt;
  const uint64_t offset = slot_->fault.load();
  return offset == Slot::kNone ? std::nullopt : std::optional(offset);
}

}  // namespace remap
