#ifndef LUTRA_TESTS_TEST_DATA_H_
#define LUTRA_TESTS_TEST_DATA_H_

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

namespace lutra {

// A file or folder of the test data (golden vectors, small models), or nullopt
// where the data is absent. The folder is the environment's LUTRA_TEST_DATA,
// else the one the build was configured with.
inline std::optional<std::filesystem::path> TestData(
    std::string_view relative) {
  const char* folder = std::getenv("LUTRA_TEST_DATA");
  const std::filesystem::path root =
      folder != nullptr ? folder : LUTRA_TEST_DATA_DEFAULT;
  const std::filesystem::path path = root / relative;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  return path;
}

}  // namespace lutra

#endif  // LUTRA_TESTS_TEST_DATA_H_
