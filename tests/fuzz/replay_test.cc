// What the fuzz targets read, without a fuzzer: seeds, inputs that once were
// too much for a reader (findings/TARGET/), and both damaged in the same way
// each time.

#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/mutator.h"
#include "tests/rounds.h"
#include "tests/runtime/raw_file.h"

namespace lutra::fuzz {

void PrintTo(const FuzzTarget& target, std::ostream* out) {
  *out << target.name;
}

namespace {

namespace fs = std::filesystem;

constexpr int kRounds = 50;

// A seed that is refused starts nothing.
void ExpectSound(const FuzzTarget& target, const std::string& seed) {
  try {
    target.read(seed);
  } catch (const Error& error) {
    // Builds without a library refuse what needs it.
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
  }
}

class FuzzReplayTest : public ::testing::TestWithParam<FuzzTarget> {};

TEST_P(FuzzReplayTest, ErrorsAtMost) {
  const FuzzTarget& target = GetParam();
  Inputs inputs = target.seeds();
  for (const std::string& seed : inputs) ExpectSound(target, seed);
  const fs::path findings = fs::path(LUTRA_FUZZ_FINDINGS) / target.name;
  if (fs::exists(findings)) {
    for (const auto& entry : fs::directory_iterator(findings)) {
      SCOPED_TRACE(entry.path());
      inputs.push_back(ReadBytes(entry.path()));
      EXPECT_NO_THROW(Try(target, inputs.back()));
    }
  }
  Mutator mutator(1);
  for (int round = 0; round < Rounds(kRounds) && !inputs.empty(); ++round) {
    SCOPED_TRACE(round);
    std::string input = inputs[mutator.Below(inputs.size())];
    for (size_t i = 1 + mutator.Below(2); i > 0; --i) {
      input = target.damage(mutator, input);
    }
    EXPECT_NO_THROW(Try(target, input));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FuzzReplayTest,
                         ::testing::ValuesIn(FuzzTargets()),
                         [](const auto& test) {
                           return std::string(test.param.name);
                         });

}  // namespace
}  // namespace lutra::fuzz
