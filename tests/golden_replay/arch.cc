#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/program.h"
#include "lutra/runtime/tokenizer.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/language_outputs.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kOldConfig = "config.old.json";
constexpr const char* kRecord = "golden.safetensors";
constexpr const char* kDescription = "golden.json";

// Of the deviation of the recorded logits. Where rounding alone moves them by
// more than a tenth of it, ten times as much as that.
constexpr double kTolerance = 1e-4;

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

double Deviation(std::span<const float> values) {
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / n - (sum / n) * (sum / n));
}

// The folder with one of its configurations as config.json.
class Folder {
 public:
  Folder(const fs::path& from, const char* config) {
    for (const auto& entry : fs::directory_iterator(from)) {
      const fs::path name = entry.path().filename();
      if (name == kConfig || name == kOldConfig) continue;
      fs::create_symlink(fs::absolute(entry.path()), dir_.path() / name);
    }
    fs::copy_file(from / config, dir_.path() / kConfig);
  }
  fs::path path() const { return dir_.path(); }

 private:
  TempDir dir_;
};

// Made for texts of `context` tokens: some models have other angles for long
// ones.
std::shared_ptr<const Model> Import(const fs::path& folder, size_t context) {
  const TempDir dir;
  packer::ImportOptions options;
  options.source = folder;
  options.output = dir / "model.safetensors";
  options.format = packer::ImportFormat::kHuggingFace;
  options.context = context;
  packer::ImportModel(options);
  return Model::Load(options.output);  // stays mapped
}

// A cache, and the tolerance where that is above kTolerance: its rounding moves
// the logits by up to 0.7% of their deviation.
struct Cache {
  const char* label;
  CacheType type;
  double tolerance;
};
// The second is what users get who choose nothing.
constexpr Cache kCaches[] = {
    {"", CacheType::kFloat32, 0.0},
    {" with a float16 cache", CacheType::kFloat16, 1e-2},
};

// One prompt of a folder.
class Prompt {
 public:
  Prompt(const GoldenFile& record, const std::string& name, double noise)
      : ids_(record.Load<int32_t>(name + ".ids")),
        tolerance_(std::max(kTolerance, 10 * noise)) {
    if (record.Has(name + ".logits")) {
      logits_ = record.Load<float>(name + ".logits");
      greedy_ = record.Load<int32_t>(name + ".greedy");
      deviation_ = Deviation(logits_);
    } else {
      pooled_ = record.Load<float>(name + ".pooled");
    }
  }

  bool IsOfEncoder() const { return logits_.empty(); }
  size_t Length() const { return ids_.size() + greedy_.size(); }

  void CompareLogits(const std::shared_ptr<const Model>& model, Cache cache,
                     Comparison& comparison) const {
    const std::vector<float> got = LogitsOf(model, ids_, cache.type);
    comparison.Within("logits", got, logits_,
                      std::vector<double>(got.size(), deviation_),
                      std::max(tolerance_, cache.tolerance));
  }

  // Where the two best logits are closer than the error, either may follow,
  // and nothing that comes after is comparable.
  void CompareGreedy(const std::shared_ptr<const Model>& model, Cache cache,
                     Comparison& comparison) const {
    golden::CompareGreedy(
        model, ids_, greedy_,
        2 * std::max(tolerance_, cache.tolerance) * deviation_, comparison,
        cache.type);
  }

  // Of an encoder: the vector of the text.
  void ComparePooled(const std::shared_ptr<const Model>& model, Cache cache,
                     Comparison& comparison) const {
    Program program(model, {.threads = 1, .cache = cache.type});
    Sequence sequence = program.NewSequence();
    std::vector<float> got(model->outputs().at(0).ElementCount());
    const Program::Rows rows = {&sequence, ids_.size()};
    const void* const in = ids_.data();
    float* const out = got.data();
    program.RunLast({&rows, 1}, {&in, 1}, {&out, 1});
    const double size = 1 / std::sqrt(static_cast<double>(got.size()));
    comparison.Within("vector", got, pooled_,
                      std::vector<double>(got.size(), size),
                      std::max(tolerance_, cache.tolerance));
  }

 private:
  std::vector<int32_t> ids_;
  std::vector<float> logits_;
  std::vector<int32_t> greedy_;
  std::vector<float> pooled_;
  double tolerance_;
  double deviation_ = 1;
};

// The tokenizer of the folder against prompt 0 and the chat of its description.
void CompareTexts(const Model& model, const json& description,
                  const GoldenFile& record, Comparison& comparison) {
  const auto tokenizer = Tokenizer::FromModel(model);
  if (tokenizer == nullptr) throw Error("the model has no tokenizer");
  const json& prompts = description.at("prompts");
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!prompts[i].contains("text")) continue;
    const auto name = "prompt" + std::to_string(i);
    comparison.Exact(
        name, tokenizer->Encode(prompts[i].at("text").get<std::string>(), true),
        record.Load<int32_t>(name + ".ids"));
  }
  if (!description.contains("chat") || description.at("chat").is_null()) return;
  const json& chat = description.at("chat");
  comparison.Exact("chat",
                   tokenizer->Encode(chat.at("text").get<std::string>(), false),
                   chat.at("ids").get<std::vector<int32_t>>());
}

bool HasTexts(const json& description) {
  const json& prompts = description.at("prompts");
  return description.contains("chat") ||
         std::any_of(prompts.begin(), prompts.end(), [](const json& prompt) {
           return prompt.contains("text");
         });
}

void ReplayPrompt(const fs::path& folder, const std::string& prefix,
                  const Prompt& prompt, Sink& sink) {
  std::shared_ptr<const Model> model;
  try {
    model = Import(folder, prompt.Length());
  } catch (const std::exception& error) {
    Fail(sink, prefix + "import", error.what());
    return;
  }
  for (const Cache& cache : kCaches) {
    if (prompt.IsOfEncoder()) {
      RunCase(sink, prefix + "vector" + cache.label,
              [&](Comparison& comparison) {
                prompt.ComparePooled(model, cache, comparison);
              });
      continue;
    }
    RunCase(sink, prefix + "logits" + cache.label, [&](Comparison& comparison) {
      prompt.CompareLogits(model, cache, comparison);
    });
    RunCase(sink, prefix + "greedy" + cache.label, [&](Comparison& comparison) {
      prompt.CompareGreedy(model, cache, comparison);
    });
  }
}

json ReadDescription(const fs::path& path) {
  const MappedFile file(path);
  return ParseJson(file.text(), path.string(), "it").root();
}

bool Recognise(const fs::path& folder) {
  if (!Exists(folder / kConfig) || !Exists(folder / kRecord)) return false;
  try {
    return SafetensorsFile::Open(folder / kRecord).Find("prompt0.ids") !=
           nullptr;
  } catch (const Error&) {
    // Damaged; the replay says how.
    return Exists(folder / kDescription);
  }
}

void Replay(const fs::path& folder, Sink& sink) {
  std::optional<GoldenFile> record;
  json description;
  try {
    record = GoldenFile::Open(folder / kRecord);
    description = ReadDescription(folder / kDescription);
  } catch (const std::exception& error) {
    Fail(sink, "record", error.what());
    return;
  }
  const double noise = description.value("noise_over_std", 0.0);
  for (const char* config : {kConfig, kOldConfig}) {
    if (!Exists(folder / config)) continue;
    const Folder source(folder, config);
    const std::string spelling = config == kConfig ? "" : "old ";
    for (size_t i = 0;; ++i) {
      const std::string name = "prompt" + std::to_string(i);
      if (!record->Has(name + ".ids")) break;
      ReplayPrompt(source.path(), spelling + name + " ",
                   Prompt(*record, name, noise), sink);
    }
  }
  if (!HasTexts(description)) return;
  RunCase(sink, "texts", [&](Comparison& comparison) {
    CompareTexts(*Import(folder, 0), description, *record, comparison);
  });
}

}  // namespace

const Kind kArchitecture = {"arch", Recognise, Replay};

}  // namespace lutra::golden
