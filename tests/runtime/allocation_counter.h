#ifndef LUTRA_TESTS_RUNTIME_ALLOCATION_COUNTER_H_
#define LUTRA_TESTS_RUNTIME_ALLOCATION_COUNTER_H_

#include <cstddef>

namespace lutra {

// Heap allocations of the whole process so far, on all threads and by all
// libraries. Only in programs that link allocation_counter.cc.
size_t AllocationCount();

// Bytes of the largest single one since the last call of ForgetLargest.
size_t LargestAllocation();
void ForgetLargest();

// Allocations that have not been freed. Not with the address sanitizer, which
// has malloc to itself.
size_t LiveAllocations();

// Lets the n-th allocation from now fail, once or with all after it; 0: none.
// False where it cannot: with the address sanitizer.
bool FailAllocation(size_t n, bool and_after = false);

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_ALLOCATION_COUNTER_H_
