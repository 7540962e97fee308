#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/format/bit_formats.h"
#include "kernels/lut/quantize.h"
#include "tests/kernels/gemm_case.h"
#include "tests/kernels/random_matrix.h"

// That this program has the toys, and that the page names what they took. The
// products are tested by the tests of every format and activation type, which
// are part of this program, too.

namespace lutra::kernels {
namespace {

TEST(ToyTest, TheFormatIsThere) {
  ASSERT_NE(FindBitFormat(6), nullptr);
  std::mt19937 rng(1);
  const LutFormat format{.n = 37, .k = 70, .bits = 6, .group_size = 32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  std::vector<uint8_t> indices(w.indices.size());
  std::vector<float> scales(w.scales.size());
  UnpackLutMatrix(w.matrix, indices.data(), scales.data(), nullptr, nullptr);
  EXPECT_EQ(indices, w.indices);
}

TEST(ToyTest, TheActivationTypeIsThere) {
  const TokenScale scale = MakeTokenScale(ActivationType::kInt7, -6.3f, 1);
  EXPECT_EQ(scale.Quantize(-6.3f), -63);
  EXPECT_EQ(Traits(ActivationType::kInt7).name, std::string("int7"));
}

// Of a section of docs/kernels.md, from its title to the next title.
TEST(ToyTest, ThePageNamesEveryFile) {
  std::ifstream file(LUTRA_DOCS "/kernels.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  const size_t begin = page.find("## To add a bit format or an activation");
  ASSERT_NE(begin, std::string::npos);
  const std::string section =
      page.substr(begin, page.find("\n## ", begin) - begin);
  std::istringstream files(LUTRA_TOY_FILES);
  int count = 0;
  for (std::string path; std::getline(files, path, ','); ++count) {
    if (path.starts_with("kernels/")) path.erase(0, 8);
    EXPECT_NE(section.find(path), std::string::npos) << path;
  }
  EXPECT_GT(count, 8);
}

}  // namespace
}  // namespace lutra::kernels
