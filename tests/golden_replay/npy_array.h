#ifndef LUTRA_TESTS_GOLDEN_REPLAY_NPY_ARRAY_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_NPY_ARRAY_H_

#include <cstddef>
#include <filesystem>
#include <vector>

namespace lutra::golden {

// An array of a .npy file, whatever its type of numbers.
struct NpyArray {
  std::vector<size_t> shape;
  std::vector<double> values;

  std::vector<float> floats() const { return {values.begin(), values.end()}; }
};

// What tools::ReadNpy reads, as numbers. Throws Error.
NpyArray ReadNpyArray(const std::filesystem::path& path);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_NPY_ARRAY_H_
