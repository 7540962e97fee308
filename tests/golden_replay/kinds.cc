#include "tests/golden_replay/kind.h"

namespace lutra::golden {

std::span<const Kind* const> Kinds() {
  static constexpr const Kind* kKinds[] = {
      &kCheckpoints, &kArchitecture,  &kHuggingFace, &kLattice,
      &kParq,        &kTokenizers,    &kTraining,    &kChat,
      &kOnnx,        &kMalformedOnnx, &kTflite,
  };
  return kKinds;
}

}  // namespace lutra::golden
