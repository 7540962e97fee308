#ifndef LUTRA_TESTS_FAULTS_OPTIONS_H_
#define LUTRA_TESTS_FAULTS_OPTIONS_H_

#include <charconv>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace lutra::faults {

// The values of "--name VALUE" on the command line, by name. Throws
// std::exception for names that `values` does not have.
inline void ReadOptions(int argc, char** argv,
                        std::map<std::string_view, std::string>& values) {
  for (int i = 1; i < argc; i += 2) {
    const auto value = values.find(argv[i]);
    if (value == values.end()) {
      throw std::invalid_argument("unknown argument '" + std::string(argv[i]) +
                                  "' (see --help of the script)");
    }
    if (i + 1 == argc) {
      throw std::invalid_argument(std::string(argv[i]) + " needs a value");
    }
    value->second = argv[i + 1];
  }
}

// A whole number that is at least `least`. Throws std::exception.
inline uint64_t Number(std::string_view name, const std::string& text,
                       uint64_t least) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < least) {
    throw std::invalid_argument(
        std::string(name) + " wants a whole number from " +
        std::to_string(least) + " on, not '" + text + "'");
  }
  return number;
}

}  // namespace lutra::faults

#endif  // LUTRA_TESTS_FAULTS_OPTIONS_H_
