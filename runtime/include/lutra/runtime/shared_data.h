#ifndef LUTRA_RUNTIME_SHARED_DATA_H_
#define LUTRA_RUNTIME_SHARED_DATA_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lutra/runtime/rope_angles.h"

namespace lutra {

// What the steps of a program share, by tensor name.
struct SharedData {
  std::map<std::string, std::shared_ptr<RopeAngles>, std::less<>> rope;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SHARED_DATA_H_
