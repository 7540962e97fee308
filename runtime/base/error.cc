#include "lutra/runtime/error.h"

#include "runtime/base/printable.h"
#include "runtime/base/text_of.h"

namespace lutra {

Error Error::InFile(std::string_view file, std::string_view cause,
                    ErrorCode code) {
  return Error(code, TextOf(Printable(file), ": ", Printable(cause)));
}

Error Error::InTensor(std::string_view file, std::string_view tensor,
                      std::string_view cause, ErrorCode code) {
  return Error(code, TextOf(Printable(file), ": tensor '", Printable(tensor),
                            "': ", Printable(cause)));
}

}  // namespace lutra
