#include "runtime/base/system_error.h"

#include <cerrno>
#include <string>
#include <system_error>

#include "runtime/base/text_of.h"

namespace lutra {
namespace {

ErrorCode CodeOf(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kNoPermission;
    case ENOMEM:
      return ErrorCode::kOutOfMemory;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

Error SystemError(std::string_view file, std::string_view failure, int number) {
  std::string cause(failure);
  cause += TextOf(": ", std::generic_category().message(number));
  return Error::InFile(file, cause, CodeOf(number));
}

}  // namespace lutra
