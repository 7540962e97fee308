#ifndef LUTRA_TESTS_KERNELS_EACH_VARIANT_H_
#define LUTRA_TESTS_KERNELS_EACH_VARIANT_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "lutra/kernels/variants.h"

namespace lutra::kernels {

// True if the environment variable LUTRA_TEST_VARIANTS, names separated by
// commas, has the name or is not set.
inline bool IsVariantTested(const std::string& name) {
  const char* list = std::getenv("LUTRA_TEST_VARIANTS");
  if (list == nullptr || *list == '\0') return true;
  const std::string names = std::string(",").append(list).append(",");
  return names.find(std::string(",").append(name).append(",")) !=
         std::string::npos;
}

// Calls body(name) with each supported variant in force, then makes the usual
// one run again. There must be one.
template <typename Body>
void ForEachVariant(const Body& body) {
  struct Restore {
    ~Restore() { ForceVariant(nullptr); }
  } restore;
  size_t count = 0;
  const Variant* variants = Variants(&count);
  bool any = false;
  for (size_t i = 0; i < count; ++i) {
    if (!IsVariantTested(variants[i].name)) continue;
    if (!variants[i].supported || !ForceVariant(variants[i].name)) continue;
    any = true;
    body(variants[i].name);
  }
  EXPECT_TRUE(any) << "no variant to test";
}

}  // namespace lutra::kernels

#endif  // LUTRA_TESTS_KERNELS_EACH_VARIANT_H_
