#include "tools/cli/memory_reserve.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace lutra::tools {
namespace {

// Nothing touches them, so that they are addresses and not memory until they
// are given back.
constexpr size_t kFirstBytes = size_t{64} << 10;
constexpr size_t kSecondBytes = size_t{4} << 20;
std::atomic<void*> first{nullptr};
std::atomic<void*> second{nullptr};

// What operator new calls before it tries again.
void GiveBack() {
  if (void* const memory = first.exchange(nullptr); memory != nullptr) {
    std::free(memory);
    return;
  }
  std::free(second.exchange(nullptr));
  throw std::bad_alloc();
}

}  // namespace

void ReserveMemory() {
  first = std::malloc(kFirstBytes);
  second = std::malloc(kSecondBytes);
  std::set_new_handler(&GiveBack);
}

}  // namespace lutra::tools
