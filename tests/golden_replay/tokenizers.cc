#include <exception>
#include <string>
#include <vector>

#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/kind.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kSamples = "samples.json";

std::vector<int32_t> Ids(const json& sample, const char* key) {
  return sample.at(key).get<std::vector<int32_t>>();
}

void CompareSample(const Tokenizer& tokenizer, const json& sample,
                   Comparison& comparison) {
  const std::string text = sample.at("text");
  const auto ids = Ids(sample, "ids");
  const auto special = Ids(sample, "ids_special");
  comparison.Exact("ids", tokenizer.Encode(text, false), ids);
  comparison.Exact("ids with special ones", tokenizer.Encode(text, true),
                   special);
  comparison.ExactText("decoded", tokenizer.DecodeText(ids, true),
                       sample.at("decoded").get<std::string>());
  comparison.ExactText("decoded without special ones",
                       tokenizer.DecodeText(special, false),
                       sample.at("decoded_skip").get<std::string>());
}

void CompareDecode(const Tokenizer& tokenizer, const json& sample,
                   Comparison& comparison) {
  comparison.ExactText("decoded",
                       tokenizer.DecodeText(Ids(sample, "ids"), true),
                       sample.at("decoded").get<std::string>());
}

void ReplayFile(const fs::path& path, const json& samples, Sink& sink) {
  const std::string prefix = path.filename().string() + " ";
  std::shared_ptr<const Tokenizer> tokenizer;
  try {
    tokenizer = Tokenizer::Parse(
        SerializeTokenizer(packer::ReadTokenizerFile(path)), path.string());
  } catch (const std::exception& error) {
    Fail(sink, prefix, error.what());
    return;
  }
  const auto replay = [&](const char* list, auto compare) {
    if (!samples.contains(list)) return;
    for (size_t i = 0; i < samples.at(list).size(); ++i) {
      RunCase(sink, prefix + list + " " + std::to_string(i),
              [&](Comparison& comparison) {
                compare(*tokenizer, samples.at(list).at(i), comparison);
              });
    }
  };
  replay("samples", CompareSample);
  replay("decode", CompareDecode);
}

bool Recognise(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kSamples, ignored);
}

void Replay(const fs::path& folder, Sink& sink) {
  json samples;
  try {
    const MappedFile file(folder / kSamples);
    samples = ParseJson(file.text(), (folder / kSamples).string(), "it").root();
  } catch (const std::exception& error) {
    Fail(sink, kSamples, error.what());
    return;
  }
  // A folder may hold the same tokenizer as several files.
  bool any = false;
  for (const char* name : {"tokenizer.json", "vocab.json"}) {
    std::error_code ignored;
    if (!fs::exists(folder / name, ignored)) continue;
    any = true;
    ReplayFile(folder / name, samples, sink);
  }
  if (!any) Fail(sink, "tokenizer.json", "is missing");
}

}  // namespace

const Kind kTokenizers = {"tokenizers", Recognise, Replay};

}  // namespace lutra::golden
