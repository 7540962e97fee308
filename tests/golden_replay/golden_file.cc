#include "tests/golden_replay/golden_file.h"

#include <algorithm>

#include "runtime/base/json.h"

namespace lutra::golden {

GoldenFile GoldenFile::Open(const std::filesystem::path& path) {
  GoldenFile golden(SafetensorsFile::Open(path));
  const auto it = golden.file_.metadata().find("golden");
  if (it != golden.file_.metadata().end()) {
    golden.document_ = ParseJson(it->second, path.string(), "golden");
  }
  return golden;
}

std::string GoldenFile::name() const {
  return std::filesystem::path(file_.path()).filename().string();
}

size_t GoldenFile::Dimension(const std::string& tensor, size_t index) const {
  const std::vector<int64_t>& shape = Shape(tensor);
  if (index >= shape.size()) {
    throw Error::InTensor(file_.path(), tensor, "has too few dimensions");
  }
  if (shape[index] == 0)
    throw Error::InTensor(file_.path(), tensor, "is empty");
  return static_cast<size_t>(shape[index]);
}

std::vector<std::filesystem::path> SafetensorsIn(
    const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end;
       !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".safetensors") paths.push_back(it->path());
  }
  if (error) throw Error::InFile(folder.string(), error.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace lutra::golden
