#ifndef LUTRA_RUNTIME_ERROR_H_
#define LUTRA_RUNTIME_ERROR_H_

#include <stdexcept>
#include <string>
#include <string_view>

namespace lutra {

// What loading, packing and training throw. The message is one line that names
// the file, the tensor (if any) and the cause.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  // "file: cause" and "file: tensor 'name': cause".
  static Error InFile(std::string_view file, std::string_view cause);
  static Error InTensor(std::string_view file, std::string_view tensor,
                        std::string_view cause);
};

// What a call throws that was cancelled by another thread.
class Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_ERROR_H_
