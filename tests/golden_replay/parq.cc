#include <algorithm>
#include <exception>
#include <initializer_list>
#include <string>

#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/parq/cases.h"

namespace lutra::golden {
namespace {

using nlohmann::json;

// What sort of case it is: the one whose keys it has.
struct Sort {
  std::initializer_list<const char*> keys;
  void (*replay)(const GoldenFile&, const json&, Comparison&);
};

const Sort kSorts[] = {
    {{"class", "granularity", "input"}, qat::ReplayQuantizer},
    {{"class", "grid", "q_given"}, qat::ReplayProxMap},
    {{"base", "prox", "quantizer"}, qat::ReplayOptimizer},
    {{"config", "w"}, qat::ReplayConversion},
    {{"config", "activation_quantization"}, qat::ReplayStepAndConversion},
    {{"dtype", "granularity", "input"}, qat::ReplayFakeQuant},
    {{"weight", "activation"}, qat::ReplayFakeQuantLinear},
    {{"dtype", "group", "symmetric"}, qat::ReplayLearnedRanges},
};

// nullptr if it is none of them.
const Sort* SortOf(const json& c) {
  const auto it = std::ranges::find_if(kSorts, [&c](const Sort& sort) {
    return std::ranges::all_of(
        sort.keys, [&c](const char* key) { return c.contains(key); });
  });
  return it == std::end(kSorts) ? nullptr : it;
}

json CasesOf(const GoldenFile& file) {
  const json& description = file.description();
  return description.contains("cases") ? description["cases"] : json::array();
}

// Inputs of the quantizers of other files: it says of what kinds they are, and
// has no cases of its own.
bool IsInputs(const GoldenFile& file) {
  return file.description().contains("kinds") &&
         !file.description().contains("cases");
}

std::string NameOf(const json& c, size_t index) {
  for (const char* key : {"prefix", "name"}) {
    if (c.contains(key) && c[key].is_string()) return c[key].get<std::string>();
  }
  return "case " + std::to_string(index);
}

// Adds what is given to it under names that start with that of a file, and
// counts.
class FileSink : public Sink {
 public:
  FileSink(const std::string& file, Sink& sink) : file_(file), sink_(sink) {}

  bool Wants(const std::string& name) override {
    ++cases_;
    return sink_.Wants(Full(name));
  }
  void Add(CaseResult result) override {
    result.name = Full(result.name);
    sink_.Add(std::move(result));
  }
  size_t cases() const { return cases_; }

 private:
  std::string Full(const std::string& name) const { return file_ + " " + name; }

  const std::string file_;
  Sink& sink_;
  size_t cases_ = 0;
};

void ReplayCase(const GoldenFile& file, const json& c, size_t index,
                Sink& sink) {
  const Sort* sort = SortOf(c);
  const std::string name = NameOf(c, index);
  RunCase(sink, name, [&](Comparison& comparison) {
    if (sort == nullptr) throw Error("no replay is known for such a case");
    sort->replay(file, c, comparison);
  });
  // Files that describe a model record its losses as well.
  if (sort == nullptr || sort->replay != qat::ReplayOptimizer ||
      !file.description().contains("model")) {
    return;
  }
  RunCase(sink, name + "/loss", [&](Comparison& comparison) {
    qat::ReplayTraining(file, c, comparison);
  });
}

void ReplayFile(const std::filesystem::path& path, Sink& sink) {
  const std::string name = path.filename().string();
  try {
    const GoldenFile file = GoldenFile::Open(path);
    if (IsInputs(file)) return;
    FileSink cases(name, sink);
    qat::ReplaySchedule(file, cases);
    qat::ReplayActivations(file, cases);
    const json list = CasesOf(file);
    for (size_t i = 0; i < list.size(); ++i) {
      ReplayCase(file, list.at(i), i, cases);
    }
    if (cases.cases() == 0) Fail(sink, name, "lists no cases");
  } catch (const std::exception& error) {
    Fail(sink, name, error.what());
  }
}

bool HasCases(const std::filesystem::path& path) {
  try {
    const GoldenFile file = GoldenFile::Open(path);
    return std::ranges::any_of(
        CasesOf(file), [](const json& c) { return SortOf(c) != nullptr; });
  } catch (const std::exception&) {
    return false;  // damaged; others of the folder tell
  }
}

bool Recognise(const std::filesystem::path& folder) {
  return std::ranges::any_of(SafetensorsIn(folder), HasCases);
}

void Replay(const std::filesystem::path& folder, Sink& sink) {
  for (const auto& path : SafetensorsIn(folder)) ReplayFile(path, sink);
}

}  // namespace

const Kind kParq = {"parq", Recognise, Replay};

}  // namespace lutra::golden
