#ifndef LUTRA_TESTS_FUZZ_FUZZ_TARGET_H_
#define LUTRA_TESTS_FUZZ_FUZZ_TARGET_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/mutator.h"

// Whatever reads files of others, each as a function of the file's bytes that
// libFuzzer calls (fuzz.cc) and the tests replay (replay_test.cc).

namespace lutra::fuzz {

using Inputs = std::vector<std::string>;

struct FuzzTarget {
  std::string_view name;
  // Reads the input and uses what comes of it. May throw Error.
  std::function<void(const std::string& input)> read;
  // Sound inputs to begin with, made here.
  std::function<Inputs()> seeds;
  // Makes another input of one, so that what readers check first stays sound:
  // lengths, JSON, checksums.
  std::function<std::string(Mutator&, const std::string& input)> damage;
  // More to begin with: inputs that are refused late, and those of the test
  // data, none where it is absent.
  std::function<Inputs()> more = [] { return Inputs(); };
};

// All targets, a function for each source here.
std::vector<FuzzTarget> ModelTargets();
std::vector<FuzzTarget> ImportTargets();
std::vector<FuzzTarget> TokenizerTargets();
std::vector<FuzzTarget> TextTargets();
std::vector<FuzzTarget> DataTargets();
std::vector<FuzzTarget> FuzzTargets();

// Gives the input to the target's reader. Whatever the bytes are, that returns
// or throws an Error of one line with a cause other than lutra itself; throws
// std::logic_error for any other Error. The rest ends the program.
void Try(const FuzzTarget& target, const std::string& input);

}  // namespace lutra::fuzz

#endif  // LUTRA_TESTS_FUZZ_FUZZ_TARGET_H_
