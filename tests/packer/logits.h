#ifndef LUTRA_TESTS_PACKER_LOGITS_H_
#define LUTRA_TESTS_PACKER_LOGITS_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "lutra/runtime/language_model.h"

namespace lutra::packer {

// What a language model computes of a few tokens, to compare with another's.
inline std::vector<float> Logits(const std::filesystem::path& path) {
  LanguageModelOptions options;
  options.session.cache = CacheType::kFloat32;
  LanguageModel model(Model::Load(path), options);
  std::vector<float> all;
  for (int32_t id = 1; id < 10; ++id) {
    const Span<const float> logits = model.Feed({&id, 1});
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_LOGITS_H_
