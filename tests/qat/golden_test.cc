#include "lutra/qat/golden.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "lutra/runtime/error.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::qat {
namespace {

constexpr const char* kFolder = "golden/parq";

TEST(GoldenTest, AllCasesPass) {
  const auto folder = TestData(kFolder);
  if (!folder) GTEST_SKIP() << "no golden vectors (LUTRA_TEST_DATA)";
  std::set<std::string> files;
  size_t values = 0;
  for (const GoldenResult& result : ReplayGolden(*folder)) {
    EXPECT_TRUE(result.passed)
        << result.file << " " << result.name << ": " << result.mismatches
        << " of " << result.values << " values, worst " << result.worst << ", "
        << result.note;
    files.insert(result.file);
    values += result.values;
  }
  EXPECT_GE(files.size(), 12u);
  EXPECT_GT(values, 500000u);
}

// Quantizers, proximal maps and runs with recorded gradients have no tolerance
// to hide behind.
TEST(GoldenTest, ExactKindsAreExact) {
  const auto folder = TestData(kFolder);
  if (!folder) GTEST_SKIP() << "no golden vectors (LUTRA_TEST_DATA)";
  for (const GoldenResult& result : ReplayGolden(*folder)) {
    if (!result.file.starts_with("quant_")) continue;
    EXPECT_EQ(result.worst, 0.0) << result.file << " " << result.name;
    EXPECT_EQ(result.note, "") << result.file << " " << result.name;
  }
}

class DamagedGoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData(kFolder);
    if (!folder) GTEST_SKIP() << "no golden vectors (LUTRA_TEST_DATA)";
    folder_ = *folder;
  }

  void Copy(const std::string& file) {
    std::filesystem::copy_file(folder_ / file, temp_ / file);
    std::filesystem::permissions(temp_ / file,
                                 std::filesystem::perms::owner_all);
  }

  // Flips a bit of the last byte of the file, which is a tensor's.
  void DamageLastByte(const std::string& file) {
    std::fstream stream(temp_ / file,
                        std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(-1, std::ios::end);
    const char byte = static_cast<char>(stream.get());
    stream.seekp(-1, std::ios::end);
    stream.put(static_cast<char>(byte ^ 1));
  }

  size_t Failures() const {
    size_t failures = 0;
    for (const GoldenResult& result : ReplayGolden(temp_.path())) {
      if (!result.passed) ++failures;
    }
    return failures;
  }

  std::filesystem::path folder_;
  TempDir temp_;
};

TEST_F(DamagedGoldenTest, OneChangedValueFails) {
  Copy("prox.safetensors");
  EXPECT_EQ(Failures(), 0u);
  DamageLastByte("prox.safetensors");
  EXPECT_GE(Failures(), 1u);
}

TEST_F(DamagedGoldenTest, MissingInputsThrow) {
  Copy("quant_unif.safetensors");
  EXPECT_THROW(ReplayGolden(temp_.path()), Error);
}

TEST_F(DamagedGoldenTest, UnknownFileFails) {
  std::filesystem::copy_file(folder_ / "prox.safetensors",
                             temp_ / "unheard_of.safetensors");
  EXPECT_EQ(Failures(), 1u);
}

TEST(GoldenFolderTest, EmptyOrMissingFolderThrows) {
  const TempDir temp;
  EXPECT_THROW(ReplayGolden(temp.path()), Error);
  EXPECT_THROW(ReplayGolden(temp / "missing"), Error);
}

}  // namespace
}  // namespace lutra::qat
