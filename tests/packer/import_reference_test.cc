// Imported models against the numbers of independent programs
// (reference_values.json). Those of golden/hf are golden_replay's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lutra/packer/import.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"
#include "runtime/base/utf8.h"
#include "tests/packer/import_data.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

// A model imported from the test data.
struct Imported {
  ImportReport report;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
};

Imported Import(ImportOptions options) {
  const TempDir dir;
  options.output = dir / "model.safetensors";
  Imported result;
  result.report = ImportModel(options);
  result.model = Model::Load(options.output);  // stays mapped
  result.tokenizer = Tokenizer::FromModel(*result.model);
  return result;
}

LanguageModel Exact(const Imported& imported) {
  LanguageModelOptions options;
  options.session.cache = CacheType::kFloat32;
  options.session.threads = 1;
  return LanguageModel(imported.model, options);
}

int32_t Best(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) -
                              logits.begin());
}

std::vector<int32_t> Greedy(LanguageModel& language,
                            std::span<const int32_t> prompt, size_t count) {
  language.Reset();
  std::vector<int32_t> ids;
  std::span<const float> logits = language.Feed(prompt);
  while (ids.size() < count) {
    ids.push_back(Best(logits));
    if (ids.size() < count) logits = language.Feed({&ids.back(), 1});
  }
  return ids;
}

double NegativeLogLikelihood(std::span<const float> logits, int32_t id) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest - logits[static_cast<size_t>(id)];
}

// The chunk protocol of reference_values.json.
double MeanNll(LanguageModel& language, int32_t bos,
               std::span<const int32_t> ids, size_t window) {
  double sum = 0;
  for (size_t begin = 0; begin < ids.size(); begin += window) {
    const auto chunk = ids.subspan(begin, std::min(window, ids.size() - begin));
    std::vector<int32_t> fed = {bos};
    fed.insert(fed.end(), chunk.begin(), chunk.end() - 1);
    language.Reset();
    language.Score(fed, [&](size_t index, std::span<const float> logits) {
      sum += NegativeLogLikelihood(logits, chunk[index]);
    });
  }
  return sum / static_cast<double>(ids.size());
}

std::vector<int32_t> Ids(const nlohmann::json& list) {
  return list.get<std::vector<int32_t>>();
}

// Greedy continuations, and the cross-entropy of the first file, of a model.
void ExpectReference(const Imported& imported, const std::string& name,
                     const std::string& continuation,
                     const std::filesystem::path& data) {
  const auto reference = ReadJsonFile(data / "reference_values.json").at(name);
  LanguageModel language = Exact(imported);
  for (const auto& prompt : reference.at("prompts")) {
    const auto expected = Ids(prompt.at(continuation));
    const auto ids =
        imported.tokenizer->Encode(prompt.at("text").get<std::string>(), true);
    EXPECT_EQ(ids, Ids(prompt.at("ids")));
    EXPECT_EQ(Greedy(language, ids, expected.size()), expected)
        << prompt.at("text");
  }
  const auto& entry = reference.at("perplexity").at(0);
  std::string text = ReadText(data / entry.at("file"));
  text.resize(entry.at("first_bytes").get<size_t>());
  const double nll =
      MeanNll(language, imported.tokenizer->bos(),
              imported.tokenizer->Encode(text, false), entry.at("window"));
  EXPECT_NEAR(nll, entry.at("mean_nll_nats_per_token").get<double>(), 5e-6);
}

TEST(ImportReferenceTest, Stories260k) {
  LUTRA_REQUIRE_DATA(data, "data");
  const Imported imported =
      Import({.source = data / "stories260k/stories260K.bin"});
  EXPECT_EQ(imported.report.format, ImportFormat::kLlama2c);
  EXPECT_EQ(imported.report.layers, 5u);
  EXPECT_EQ(imported.report.context, 512u);
  EXPECT_EQ(imported.report.tokenizer, "llama2.c");
  EXPECT_EQ(imported.report.parameters, 260032u);
  ExpectReference(imported, "stories260k", "greedy_next_64", data);
}

TEST(ImportReferenceTest, TinyStories656k) {
  LUTRA_REQUIRE_DATA(data, "data");
  const Imported imported = Import({.source = data / "tinystories-656k"});
  EXPECT_EQ(imported.report.architecture, "LlamaForCausalLM");
  EXPECT_EQ(imported.report.vocabulary, 2048u);
  ExpectReference(imported, "tinystories_656k", "greedy_next", data);
}

TEST(ImportReferenceTest, KeywordSpotter) {
  LUTRA_REQUIRE_DATA(data, "data");
  const auto folder = data / "kws-mlperf-tiny";
  const Imported imported = Import({.source = folder});
  EXPECT_EQ(imported.tokenizer, nullptr);
  const auto reference = ReadJsonFile(data / "reference_values.json").at("kws");
  const float scale = reference.at("input_dequant").at("scale");
  const float zero = reference.at("input_dequant").at("zero_point");

  constexpr size_t kInputs = 490;
  constexpr size_t kClasses = 12;
  Session session(imported.model, {.threads = 1});
  size_t correct = 0;
  size_t count = 0;
  double nll = 0;
  std::istringstream labels(ReadText(folder / "kws01/y_labels.csv"));
  for (std::string line; std::getline(labels, line);) {
    const size_t comma = line.find(',');
    if (comma == std::string::npos) continue;
    const std::string name = line.substr(0, comma);
    const int label = std::stoi(line.substr(line.rfind(',') + 1));
    const std::string bytes = ReadText(folder / "kws01" / name);
    ASSERT_EQ(bytes.size(), kInputs) << name;
    std::vector<float> input;
    for (const char c : bytes) {
      input.push_back((static_cast<float>(static_cast<signed char>(c)) - zero) *
                      scale);
    }
    std::vector<float> logits(kClasses);
    const void* inputs[] = {input.data()};
    float* outputs[] = {logits.data()};
    session.Run(1, inputs, outputs);
    correct += Best(logits) == label;
    nll += NegativeLogLikelihood(logits, label);
    ++count;
    if (name == reference.at("first_sample")) {
      for (size_t i = 0; i < kClasses; ++i) {
        EXPECT_NEAR(logits[i], reference.at("first_sample_logits").at(i), 1e-4);
      }
    }
  }
  EXPECT_EQ(count, 1000u);
  EXPECT_EQ(correct, reference.at("fp32_top1_correct_of_1000"));
  EXPECT_NEAR(nll / 1000, reference.at("fp32_mean_cross_entropy_nats"), 1e-6);
}

// `count` characters of UTF-8 text from the one at `begin` on.
std::string Characters(const std::string& text, size_t begin, size_t count) {
  std::string result;
  size_t index = 0;
  for (std::string_view rest = text; !rest.empty(); ++index) {
    const size_t bytes = ReadUtf8(rest).bytes;
    if (index >= begin && index < begin + count)
      result += rest.substr(0, bytes);
    rest.remove_prefix(bytes);
  }
  return result;
}

TEST(ImportReferenceTest, CharacterLstm) {
  LUTRA_REQUIRE_DATA(data, "data");
  const auto folder = data / "charrnn-bronte";
  const Imported imported = Import({.source = folder});
  const auto reference =
      ReadJsonFile(data / "reference_values.json").at("charrnn_bronte");
  EXPECT_EQ(imported.report.layers, 2u);
  LanguageModel language = Exact(imported);
  const auto seed =
      imported.tokenizer->Encode(reference.at("seed").get<std::string>(), true);
  const std::string expected = reference.at("greedy_next_100_chars");
  EXPECT_EQ(imported.tokenizer->Decode(Greedy(language, seed, expected.size())),
            expected);

  const auto slice = imported.tokenizer->Encode(
      Characters(ReadText(folder / "bronte.txt"), 200000, 20000), false);
  ASSERT_EQ(slice.size(), 20000u);
  language.Reset();
  double nll = 0;
  language.Score(std::span(slice).first(slice.size() - 1),
                 [&](size_t index, std::span<const float> logits) {
                   nll += NegativeLogLikelihood(logits, slice[index + 1]);
                 });
  EXPECT_NEAR(nll / static_cast<double>(slice.size() - 1),
              reference.at("mean_nll_nats_per_char").get<double>(), 2e-6);
}

}  // namespace
}  // namespace lutra::packer
