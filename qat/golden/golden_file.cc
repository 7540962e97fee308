#include "qat/golden/golden_file.h"

#include "runtime/base/json.h"

namespace lutra::qat {

using nlohmann::json;

GoldenFile GoldenFile::Open(const std::filesystem::path& path) {
  GoldenFile golden(SafetensorsFile::Open(path));
  const auto it = golden.file_.metadata().find("golden");
  if (it == golden.file_.metadata().end()) {
    throw Error::InFile(path.string(), "has no 'golden' metadata");
  }
  golden.description_ = ParseJson(it->second, path.string(), "golden");
  return golden;
}

std::string GoldenFile::name() const {
  return std::filesystem::path(file_.path()).filename().string();
}

std::filesystem::path GoldenFile::folder() const {
  return std::filesystem::path(file_.path()).parent_path();
}

size_t GoldenFile::Dimension(const std::string& tensor, size_t index) const {
  const std::vector<int64_t>& shape = Shape(tensor);
  if (index >= shape.size()) {
    throw Error::InTensor(file_.path(), tensor, "has too few dimensions");
  }
  return static_cast<size_t>(shape[index]);
}

void RunCase(const GoldenFile& file, const std::string& name,
             const std::function<void(Comparison&)>& replay,
             std::vector<GoldenResult>& results) {
  Comparison comparison;
  std::string failure;
  try {
    replay(comparison);
  } catch (const std::exception& error) {  // lutra's own, and those of JSON
    failure = error.what();
  }
  results.push_back(comparison.Result(file.name(), name, failure));
}

void ForCases(const GoldenFile& file, const char* name_key,
              const std::function<void(const json&, Comparison&)>& replay,
              std::vector<GoldenResult>& results) {
  const json cases = file.description().value("cases", json::array());
  for (size_t i = 0; i < cases.size(); ++i) {
    const json& description = cases[i];
    std::string name = "case " + std::to_string(i);
    if (description.is_object() && description.contains(name_key) &&
        description[name_key].is_string()) {
      name = description[name_key].get<std::string>();
    }
    RunCase(
        file, name,
        [&](Comparison& comparison) { replay(description, comparison); },
        results);
  }
}

}  // namespace lutra::qat
