#ifndef LUTRA_TESTS_PACKER_TEXTS_H_
#define LUTRA_TESTS_PACKER_TEXTS_H_

#include <cstdint>
#include <vector>

#include "lutra/qat/text_samples.h"

namespace lutra::packer {

// Windows of tokens that TinyLanguage knows; another seed, another text.
inline qat::TextSamples Texts(uint32_t seed, size_t length) {
  std::vector<int32_t> ids;
  for (uint32_t i = 0; i < 600; ++i) {
    ids.push_back(static_cast<int32_t>(i * (seed + i) % 37));
  }
  qat::TextOptions options;
  options.length = length;
  options.begin = 1;
  return {ids, options};
}

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_TEXTS_H_
