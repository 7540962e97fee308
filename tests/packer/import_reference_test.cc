// Imported models against the numbers of independent programs
// (reference_values.json). Those of golden/hf are golden_replay's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lutra/packer/import.h"
#include "lutra/packer/pack.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/session.h"
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

// Frames of 512 samples of a WAV file with a header of 44 bytes, the last one
// filled up with zeros.
std::vector<float> Frames(const std::filesystem::path& path) {
  const std::string bytes = ReadText(path).substr(44);
  std::vector<float> samples;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const int low = static_cast<unsigned char>(bytes[i]);
    const int high = static_cast<signed char>(bytes[i + 1]);
    samples.push_back(static_cast<float>(high * 256 + low) / 32768.0f);
  }
  samples.resize((samples.size() + 511) / 512 * 512);
  return samples;
}

std::vector<float> Speech(const std::shared_ptr<const Model>& model,
                          const std::vector<float>& frames) {
  Session session(model, {.threads = 1});
  const size_t count = frames.size() / 512;
  std::vector<float> speech(count);
  const void* const inputs[] = {frames.data()};
  float* const outputs[] = {speech.data()};
  session.Run(count, inputs, outputs);
  return speech;
}

// The reference is given with five digits.
TEST(ImportReferenceTest, SileroVad) {
  LUTRA_REQUIRE_DATA(data, "data");
  const TempDir dir;
  const auto path = dir / "vad.safetensors";
  const ImportReport report =
      ImportModel({.source = data / "silero-vad/silero_vad_16k.safetensors",
                   .output = path});
  EXPECT_EQ(report.architecture, "Silero VAD, 16 kHz");
  const auto model = Model::Load(path);
  const auto reference = ReadJsonFile(data / "reference_values.json").at("vad");
  for (const auto& [name, expected] : reference.at("speech-wav").items()) {
    SCOPED_TRACE(name);
    const std::vector<float> speech =
        Speech(model, Frames(data / "speech-wav" / name));
    ASSERT_EQ(speech.size(), expected.size());
    for (size_t i = 0; i < speech.size(); ++i) {
      EXPECT_NEAR(speech[i], static_cast<float>(expected[i]), 1e-5);
    }
  }

  const std::vector<float> frames = Frames(data / "silero-vad/test.wav");
  const std::vector<float> speech = Speech(model, frames);
  const auto& recording = reference.at("test.wav");
  EXPECT_EQ(speech.size(), recording.at("frames"));
  EXPECT_NEAR(std::accumulate(speech.begin(), speech.end(), 0.0) /
                  static_cast<double>(speech.size()),
              static_cast<double>(recording.at("mean_prob")), 1e-5);
  EXPECT_EQ(std::count_if(speech.begin(), speech.end(),
                          [](float p) { return p > 0.5f; }),
            recording.at("frames_above_0.5"));

  // docs/import.md has the figure.
  PackOptions options;
  options.rules = qat::SchemeRules(
      qat::QuantScheme{"mse-asymmetric", 4, 16, qat::ScaleType::kFloat16});
  PackModel(*model, dir / "packed.safetensors", options);
  const std::vector<float> packed =
      Speech(Model::Load(dir / "packed.safetensors"), frames);
  double difference = 0;
  for (size_t i = 0; i < speech.size(); ++i) {
    difference += std::abs(static_cast<double>(packed[i]) - speech[i]);
  }
  EXPECT_LT(difference / static_cast<double>(speech.size()), 0.01);
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
