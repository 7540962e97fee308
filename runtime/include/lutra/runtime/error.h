#ifndef LUTRA_RUNTIME_ERROR_H_
#define LUTRA_RUNTIME_ERROR_H_

#include <stdexcept>
#include <string>
#include <string_view>

namespace lutra {

// What a program can do something about. The C API has the same causes as
// lutra_status.
enum class ErrorCode {
  kInvalidArgument,  // of the call: a count, an index, an option, another model
  kNotFound,         // a file, or a part of a model that is asked for
  kNoPermission,     // to open or write a file
  kIo,               // the system cannot read, write or map a file
  kDamaged,          // the bytes are not what they should be
  kUnsupported,      // sound, as far as can be seen, but not for this build
  kContextFull,      // more tokens than the context of a sequence
  kOutOfMemory,      //
  kNoThreads,        // the system starts no more
  kCancelled,        // by another thread
  kInternal,         // a defect of lutra
};

// What loading, packing and training throw. The message is one line that names
// the file, the tensor (if any) and the cause. Where memory is missing
// std::bad_alloc may come in place of an Error.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& cause)
      : Error(ErrorCode::kInvalidArgument, cause) {}
  Error(ErrorCode code, const std::string& cause)
      : std::runtime_error(cause), code_(code) {}

  // "file: cause" and "file: tensor 'name': cause".
  static Error InFile(std::string_view file, std::string_view cause,
                      ErrorCode code = ErrorCode::kDamaged);
  static Error InTensor(std::string_view file, std::string_view tensor,
                        std::string_view cause,
                        ErrorCode code = ErrorCode::kDamaged);

  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// What a call throws that was cancelled by another thread.
class Cancelled : public Error {
 public:
  explicit Cancelled(const std::string& cause)
      : Error(ErrorCode::kCancelled, cause) {}
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_ERROR_H_
