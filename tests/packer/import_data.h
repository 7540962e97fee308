#ifndef LUTRA_TESTS_PACKER_IMPORT_DATA_H_
#define LUTRA_TESTS_PACKER_IMPORT_DATA_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/test_data.h"

// Skips the test where a file of the test data is absent.
#define LUTRA_REQUIRE_DATA(variable, relative)                  \
  const auto variable##_found = TestData(relative);             \
  if (!variable##_found) GTEST_SKIP() << relative << " absent"; \
  const std::filesystem::path variable = *variable##_found

namespace lutra {

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline nlohmann::json ReadJsonFile(const std::filesystem::path& path) {
  return nlohmann::json::parse(ReadText(path));
}

inline void WriteText(const std::filesystem::path& path,
                      const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace lutra

#endif  // LUTRA_TESTS_PACKER_IMPORT_DATA_H_
