#include "tests/runtime/allocation_counter.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>

namespace {

std::atomic<size_t> allocations = 0;
std::atomic<size_t> largest = 0;
std::atomic<size_t> live = 0;
std::atomic<size_t> failing = 0;       // of `allocations`
std::atomic<bool> failing_on = false;  // and those after it

// Whether the allocation may succeed.
bool Note(size_t bytes) {
  const size_t count = ++allocations;
  size_t seen = largest.load();
  while (bytes > seen && !largest.compare_exchange_weak(seen, bytes)) {
  }
  const size_t fails = failing;
  const bool may =
      fails == 0 || (count != fails && !(count > fails && failing_on));
  if (may) ++live;
  return may;
}

}  // namespace

namespace lutra {

size_t AllocationCount() { return allocations.load(); }
size_t LargestAllocation() { return largest.load(); }
void ForgetLargest() { largest = 0; }
size_t LiveAllocations() { return live.load(); }

}  // namespace lutra

extern "C" {

#if defined(LUTRA_TEST_SANITIZED)

// The sanitizer offers a hook.
int __sanitizer_install_malloc_and_free_hooks(
    void (*malloc_hook)(const volatile void*, size_t),
    void (*free_hook)(const volatile void*));

static const int hook_installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, size_t size) { Note(size); },
    [](const volatile void*) {});

#else

// A program's own malloc family takes the place of the C library's for all
// libraries, if they can see it, and still reaches the C library's under these
// names. operator new ends in malloc.
#pragma GCC visibility push(default)
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* memory);

void* malloc(size_t size) { return Note(size) ? __libc_malloc(size) : nullptr; }

void* calloc(size_t count, size_t size) {
  return Note(count * size) ? __libc_calloc(count, size) : nullptr;
}

void* realloc(void* memory, size_t size) {
  if (!Note(size)) return nullptr;
  if (memory != nullptr) --live;  // one takes the place of the other
  return __libc_realloc(memory, size);
}

void free(void* memory) {
  if (memory != nullptr) --live;
  __libc_free(memory);
}

void* memalign(size_t alignment, size_t size) {
  return Note(size) ? __libc_memalign(alignment, size) : nullptr;
}

void* aligned_alloc(size_t alignment, size_t size) {
  return Note(size) ? __libc_memalign(alignment, size) : nullptr;
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = Note(size) ? __libc_memalign(alignment, size) : nullptr;
  return *memory == nullptr ? ENOMEM : 0;
}
#pragma GCC visibility pop

#endif

}  // extern "C"

namespace lutra {

bool FailAllocation([[maybe_unused]] size_t n,
                    [[maybe_unused]] bool and_after) {
#if defined(LUTRA_TEST_SANITIZED)
  return false;
#else
  failing_on = and_after;
  failing = n == 0 ? 0 : allocations + n;
  return true;
#endif
}

}  // namespace lutra
