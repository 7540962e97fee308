// The targets as a program of libFuzzer
// (https://llvm.org/docs/LibFuzzer.html), which ignores options that begin with
// two dashes:
//
//   lutra_fuzz --target=NAME [OPTION...] [FOLDER or FILE of inputs]...
//   lutra_fuzz --target=NAME --seeds=FOLDER    writes the target's seeds
//   lutra_fuzz --targets                       lists the targets

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include "tests/fuzz/fuzz_target.h"
#include "tests/mutator.h"
#include "tests/runtime/raw_file.h"

extern "C" {
size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);
int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most,
                               unsigned seed);
}

namespace lutra::fuzz {
namespace {

// The bytes that targets have damaged change as libFuzzer sees fit, which knows
// what the code compared with.
class GuidedMutator : public Mutator {
 public:
  using Mutator::Mutator;

  std::string Damage(std::string bytes, size_t head) override {
    if (Below(4) == 0) return Mutator::Damage(std::move(bytes), head);
    constexpr size_t kMore = 64;
    const size_t size = bytes.size();
    bytes.resize(size + kMore);
    auto* data = reinterpret_cast<uint8_t*>(bytes.data());
    bytes.resize(LLVMFuzzerMutate(data, size, bytes.size()));
    return bytes;
  }
};

FuzzTarget chosen;

FuzzTarget Find(std::string_view name) {
  for (FuzzTarget& target : FuzzTargets()) {
    if (target.name == name) return std::move(target);
  }
  std::cerr << "lutra_fuzz: there is no target '" << name << "'\n";
  std::exit(2);
}

void WriteSeeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  int index = 0;
  for (const auto& inputs : {chosen.seeds(), chosen.more()}) {
    for (const std::string& input : inputs) {
      WriteBytes(folder / ("seed" + std::to_string(index++)), input);
    }
  }
}

// The value of "--NAME=VALUE".
std::string_view Value(std::string_view word, std::string_view name) {
  return word.substr(0, name.size()) == name ? word.substr(name.size()) : "";
}

}  // namespace
}  // namespace lutra::fuzz

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  using namespace lutra::fuzz;
  std::string_view target;
  std::string_view seeds;
  for (int i = 1; i < *argc; ++i) {
    const std::string_view word = (*argv)[i];
    if (word == "--targets") {
      for (const FuzzTarget& each : FuzzTargets()) {
        std::cout << each.name << '\n';
      }
      std::exit(0);
    }
    if (!Value(word, "--target=").empty()) target = Value(word, "--target=");
    if (!Value(word, "--seeds=").empty()) seeds = Value(word, "--seeds=");
  }
  chosen = Find(target);
  if (!seeds.empty()) {
    WriteSeeds(seeds);
    std::exit(0);
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Try(lutra::fuzz::chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most,
                               unsigned seed) {
  lutra::fuzz::GuidedMutator mutator(seed);
  std::string input = lutra::fuzz::chosen.damage(
      mutator, {reinterpret_cast<const char*>(data), size});
  input.resize(std::min(input.size(), most));
  std::copy(input.begin(), input.end(), data);
  return input.size();
}
