#ifndef LUTRA_RUNTIME_BASE_FILE_DESCRIPTOR_H_
#define LUTRA_RUNTIME_BASE_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace lutra {

// Owns a file descriptor of the C library, if any.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  bool valid() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  // False if the system reports a failed write only now.
  bool Close() {
    return !valid() || ::close(std::exchange(descriptor_, -1)) == 0;
  }

 private:
  int descriptor_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_FILE_DESCRIPTOR_H_
