#ifndef LUTRA_TESTS_TEMP_DIR_H_
#define LUTRA_TESTS_TEMP_DIR_H_

#include <filesystem>
#include <random>
#include <string>
#include <string_view>

namespace lutra {

// A temporary folder, removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    std::random_device numbers;
    do {
      path_ = std::filesystem::temp_directory_path() /
              ("lutra_test_" + std::to_string(numbers()));
    } while (!std::filesystem::create_directory(path_));
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace lutra

#endif  // LUTRA_TESTS_TEMP_DIR_H_
