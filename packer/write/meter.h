#ifndef LUTRA_PACKER_WRITE_METER_H_
#define LUTRA_PACKER_WRITE_METER_H_

#include <cstddef>
#include <mutex>
#include <string_view>

#include "lutra/packer/pack.h"

namespace lutra::packer {

// Tells how far work has come, from any thread.
class Meter {
 public:
  // `progress` may be empty; it must outlive this.
  Meter(const PackProgress& progress, size_t total) : progress_(progress) {
    status_.total = total;
  }

  void Begin(std::string_view tensor) {
    status_.tensor = tensor;
    Add(0);
  }
  void Add(size_t weights) {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_.done += weights;
    if (progress_) progress_(status_);
  }

 private:
  const PackProgress& progress_;
  std::mutex mutex_;
  PackStatus status_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WRITE_METER_H_
