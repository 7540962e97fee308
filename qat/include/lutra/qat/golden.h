#ifndef LUTRA_QAT_GOLDEN_H_
#define LUTRA_QAT_GOLDEN_H_

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

// Replays golden files: inputs, hyper-parameters and results of the original
// PARQ and torchao code, recorded as safetensors files whose metadata lists the
// cases.

namespace lutra::qat {

// One case of one file.
struct GoldenResult {
  std::string file;       // its name without the folder
  std::string name;       // of the case
  size_t values = 0;      // compared
  size_t mismatches = 0;  // of them outside the tolerance
  // Largest deviation: relative where a relative tolerance is prescribed, else
  // the absolute difference. Infinite if a number is missing on one side.
  double worst = 0.0;
  bool passed = false;
  // Why it failed, or what the comparison allowed beyond equal bits.
  std::string note;
};

// Replays the golden files of a folder, in the order of their names. Numbers
// must be equal to the bit (zeros of either sign are equal) except slopes and
// group fields (relative 1e-14 and 1e-13), matrix products and sums of learned
// ranges (relative 1e-5). A case that cannot be replayed is a failed one with a
// note. Throws lutra::Error if the folder has no golden file or one cannot be
// opened.
std::vector<GoldenResult> ReplayGolden(const std::filesystem::path& folder);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GOLDEN_H_
