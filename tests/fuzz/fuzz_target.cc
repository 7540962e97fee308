#include "tests/fuzz/fuzz_target.h"

#include <stdexcept>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::fuzz {

std::vector<FuzzTarget> FuzzTargets() {
  std::vector<FuzzTarget> all;
  for (const auto& make : {ModelTargets, ImportTargets, TokenizerTargets,
                           TextTargets, DataTargets}) {
    for (FuzzTarget& target : make()) all.push_back(std::move(target));
  }
  return all;
}

void Try(const FuzzTarget& target, const std::string& input) {
  try {
    target.read(input);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.empty() || message.size() > 4000 ||
        message.find('\n') != std::string::npos ||
        error.code() == ErrorCode::kInternal) {
      throw std::logic_error("not an error of one line: " + message);
    }
  }
}

}  // namespace lutra::fuzz
