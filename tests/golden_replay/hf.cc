#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/tokenizer.h"
#include "runtime/base/json.h"
#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/language_outputs.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

using nlohmann::json;

constexpr const char* kConfig = "config.json";
constexpr const char* kRecord = "golden.safetensors";
constexpr const char* kTokens = "golden_tokens.json";

// Two programs that compute in float32 differ by this much.
constexpr double kTolerance = 2e-4;
// Length of the prompt of the recorded greedy ids.
constexpr size_t kPrompt = 8;

struct Imported {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;  // nullptr if there is none
};

Imported Import(const std::filesystem::path& folder, bool float32) {
  const TempDir dir;
  packer::ImportOptions options;
  options.source = folder;
  options.output = dir / "model.safetensors";
  options.format = packer::ImportFormat::kHuggingFace;
  options.float32 = float32;
  packer::ImportModel(options);
  Imported imported;
  imported.model = Model::Load(options.output);  // stays mapped
  imported.tokenizer = Tokenizer::FromModel(*imported.model);
  return imported;
}

void CompareTokens(const Tokenizer* tokenizer, const json& sample,
                   Comparison& comparison) {
  if (tokenizer == nullptr) throw Error("the model has no tokenizer");
  const auto ids = sample.at("ids").get<std::vector<int32_t>>();
  comparison.Exact(
      "ids", tokenizer->Encode(sample.at("text").get<std::string>(), false),
      ids);
  comparison.ExactText("decoded text", tokenizer->Decode(ids),
                       sample.at("decoded").get<std::string>());
}

// Throws for a file that cannot be read.
json ReadSamples(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  json samples = ParseJson(text, path.string(), "it").root().at("samples");
  if (!samples.is_array() || samples.empty()) {
    throw Error::InFile(path.string(), "has no samples");
  }
  return samples;
}

// Not every folder has texts.
void ReplayTokens(const std::filesystem::path& folder,
                  const Tokenizer* tokenizer, Sink& sink) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kTokens, ignored)) return;
  json samples;
  try {
    samples = ReadSamples(folder / kTokens);
  } catch (const std::exception& error) {
    Fail(sink, kTokens, error.what());
    return;
  }
  for (size_t i = 0; i < samples.size(); ++i) {
    RunCase(sink, "tokens " + std::to_string(i), [&](Comparison& comparison) {
      CompareTokens(tokenizer, samples[i], comparison);
    });
  }
}

void ReplayModel(const Imported& imported, const std::string& weights,
                 const GoldenFile& record, Sink& sink) {
  RunCase(sink, weights + " logits", [&](Comparison& comparison) {
    CompareLogits(imported.model, record.Load<int32_t>("ids"),
                  record.Load<float>("logits"), kTolerance, comparison);
  });
  RunCase(sink, weights + " greedy", [&](Comparison& comparison) {
    const auto ids = record.Load<int32_t>("ids");
    const auto expected = record.Load<int32_t>("greedy_from_first_8");
    if (ids.size() < kPrompt || expected.empty()) {
      throw Error("fewer than 8 ids or no greedy ones are recorded");
    }
    CompareGreedy(imported.model, std::span(ids).first(kPrompt), expected,
                  kTolerance, comparison);
  });
}

bool Recognise(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kConfig, ignored) ||
      !std::filesystem::exists(folder / kRecord, ignored)) {
    return false;
  }
  try {
    const auto record = SafetensorsFile::Open(folder / kRecord);
    return record.Find("ids") != nullptr || record.Find("logits") != nullptr;
  } catch (const Error&) {
    return true;  // damaged; the replay says how
  }
}

void Replay(const std::filesystem::path& folder, Sink& sink) {
  std::optional<GoldenFile> record;
  try {
    record = GoldenFile::Open(folder / kRecord);
  } catch (const std::exception& error) {
    Fail(sink, kRecord, error.what());
    return;
  }
  // The same numbers must come of weights that are converted beforehand.
  for (const bool float32 : {false, true}) {
    Imported imported;
    try {
      imported = Import(folder, float32);
    } catch (const std::exception& error) {
      Fail(sink, float32 ? "import as float32" : "import", error.what());
      return;
    }
    ReplayModel(imported, float32 ? "float32" : "stored", *record, sink);
    if (!float32) ReplayTokens(folder, imported.tokenizer.get(), sink);
  }
}

}  // namespace

const Kind kHuggingFace = {"hf", Recognise, Replay};

}  // namespace lutra::golden
