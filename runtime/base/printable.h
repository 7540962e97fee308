#ifndef LUTRA_RUNTIME_BASE_PRINTABLE_H_
#define LUTRA_RUNTIME_BASE_PRINTABLE_H_

#include <string>
#include <string_view>

namespace lutra {

// Text that may come from a file, for a message: whatever it holds, one line of
// bounded length.
std::string Printable(std::string_view text);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_PRINTABLE_H_
