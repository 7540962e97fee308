#ifndef LUTRA_TESTS_RUNTIME_BAD_MODEL_H_
#define LUTRA_TESTS_RUNTIME_BAD_MODEL_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"

// A good model file, and ways to damage it.

namespace lutra {

// The weight "fc1.weight" of GoodModel, with other sizes.
kernels::RandomMatrix RandomPacked(uint32_t n, uint32_t k);

// x [32] -> packed linear -> relu -> float linear -> y [8], with the tensors
// fc1.weight [24, 32], fc1.bias, fc2.weight [8, 24] and fc2.bias. The blob of
// fc1.weight is the first tensor of the file.
ModelBuilder GoodModel();

struct BadModel {
  std::string name;
  std::vector<std::string> expected;  // parts of the message
  // Any of these, in this order.
  std::function<void(ModelBuilder&)> build = nullptr;
  std::function<void(RawFile&)> edit = nullptr;
  std::function<void(std::string&)> damage = nullptr;  // the bytes of the file
};

void PrintTo(const BadModel& bad, std::ostream* out);

// Damages the good model and expects that loading it fails with one line that
// names the file and has the expected parts.
void ExpectRefused(const BadModel& bad);

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_BAD_MODEL_H_
