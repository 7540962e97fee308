#ifndef LUTRA_RUNTIME_SHARED_DATA_H_
#define LUTRA_RUNTIME_SHARED_DATA_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lutra/runtime/rope_angles.h"

namespace lutra {

// What the steps of a program share.
struct SharedData {
  // By the name of the frequencies and the scale.
  std::map<std::pair<std::string, double>, std::shared_ptr<RopeAngles>> rope;
};

// The angles of a rope node, which are made if it is the first to ask.
std::shared_ptr<RopeAngles> AnglesOf(const Model& model, const Node& node,
                                     SharedData& shared);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SHARED_DATA_H_
