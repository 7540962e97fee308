// Damaged sources: an Error of one line or a model that runs, never a crash, a
// large allocation, or something left behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/mutator.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

constexpr int kRounds = 150;
// The sources here have 2 MB at most.
constexpr size_t kLargestAllocation = 32 << 20;

// Runs `work`, which may throw an Error naming `path`. Returns whether it did.
bool IsRefused(const fs::path& path, const std::function<void()>& work) {
  ForgetLargest();
  bool refused = false;
  try {
    work();
  } catch (const Error& error) {
    refused = true;
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_NE(message.find(path.string()), std::string::npos) << message;
    EXPECT_LT(message.size(), 2000u) << message;
  }
  EXPECT_LT(LargestAllocation(), kLargestAllocation);
  return refused;
}

class DamagedSourceTest : public ::testing::Test {
 protected:
  // Copies files of the data into the source folder.
  void CopyData(const fs::path& from,
                std::initializer_list<const char*> names) {
    fs::create_directories(source_);
    for (const char* name : names) fs::copy(from / name, source_ / name);
  }

  using Damage = std::function<std::string(Mutator&, const std::string&)>;

  // Imports `options` with the file of that name damaged again and again. At
  // least `least` times of 100 it must be refused.
  void ExpectRefused(const std::string& name, const Damage& damage,
                     ImportOptions options, int least) {
    const std::string good = ReadText(source_ / name);
    options.output = dir_ / "out" / "model.safetensors";
    fs::create_directories(dir_ / "out");
    ASSERT_NO_THROW(ImportModel(options));
    fs::remove(options.output);
    Mutator mutator(7);
    int refused = 0;
    for (int round = 0; round < kRounds; ++round) {
      SCOPED_TRACE(name + ", round " + std::to_string(round));
      WriteText(source_ / name, damage(mutator, good));
      const bool failed = IsRefused(source_, [&] { ImportModel(options); });
      refused += failed;
      EXPECT_EQ(fs::is_empty(dir_ / "out"), failed);
      fs::remove(options.output);
    }
    WriteText(source_ / name, good);
    EXPECT_GE(refused * 100, least * kRounds) << name;
  }

  static std::string Binary(Mutator& mutator, const std::string& bytes) {
    return mutator.Damage(bytes, 256);
  }
  // What describes the tensors, of files that say more than a few numbers.
  static std::string Head(Mutator& mutator, const std::string& bytes) {
    return mutator.Damage(bytes, 6000);
  }
  static std::string Json(Mutator& mutator, const std::string& text) {
    return mutator.DamageJson(text);
  }

  const TempDir dir_;
  const fs::path source_ = dir_ / "source";
};

TEST_F(DamagedSourceTest, Llama2c) {
  LUTRA_REQUIRE_DATA(data, "data/stories260k");
  CopyData(data, {"stories260K.bin", "tok512.bin"});
  const ImportOptions options = {.source = source_ / "stories260K.bin"};
  ExpectRefused("stories260K.bin", Binary, options, 40);
  ExpectRefused("tok512.bin", Binary, options, 40);
}

TEST_F(DamagedSourceTest, SentencePiece) {
  LUTRA_REQUIRE_DATA(data, "data/stories260k");
  CopyData(data, {"stories260K.bin", "tok512.model"});
  const ImportOptions options = {.source = source_ / "stories260K.bin",
                                 .tokenizer = source_ / "tok512.model"};
  ExpectRefused(
      "tok512.model",
      [](Mutator& mutator, const std::string& bytes) {
        return mutator.Damage(bytes, bytes.size());
      },
      options, 20);
}

TEST_F(DamagedSourceTest, HuggingFace) {
  LUTRA_REQUIRE_DATA(folder, "golden/hf/qwen2-bias-tied");
  CopyData(folder, {"config.json", "generation_config.json",
                    "model.safetensors", "tokenizer.json"});
  const ImportOptions options = {.source = source_};
  ExpectRefused("config.json", Json, options, 30);
  ExpectRefused("generation_config.json", Json, options, 20);
  ExpectRefused("tokenizer.json", Json, options, 20);
  ExpectRefused(
      "model.safetensors",
      [](Mutator& mutator, const std::string& bytes) {
        return mutator.Damage(bytes, 3000);
      },
      options, 60);
}

TEST_F(DamagedSourceTest, ShardIndex) {
  LUTRA_REQUIRE_DATA(folder, "golden/hf/qwen2-bias-tied");
  CopyData(folder, {"config.json", "model.safetensors"});
  nlohmann::json index;
  const auto file = SafetensorsFile::Open(folder / "model.safetensors");
  for (const TensorView& tensor : file.tensors()) {
    index["weight_map"][tensor.name] = "shard.safetensors";
  }
  fs::rename(source_ / "model.safetensors", source_ / "shard.safetensors");
  WriteText(source_ / "model.safetensors.index.json", index.dump());
  ExpectRefused("model.safetensors.index.json", Json, {.source = source_}, 50);
}

TEST_F(DamagedSourceTest, Gguf) {
  LUTRA_REQUIRE_DATA(folder, "golden/checkpoints/gguf-mixed");
  CopyData(folder, {"model.gguf"});
  ExpectRefused("model.gguf", Head, {.source = source_ / "model.gguf"}, 50);
}

TEST_F(DamagedSourceTest, Onnx) {
  LUTRA_REQUIRE_DATA(data, "golden/onnx");
  for (const char* graph : {"cnn-qdq", "lstm", "matmulnbits4-zero"}) {
    CopyData(data / graph, {"model.onnx"});
    ExpectRefused("model.onnx", Head, {.source = source_ / "model.onnx"}, 15);
    fs::remove(source_ / "model.onnx");
  }
}

TEST_F(DamagedSourceTest, Tflite) {
  LUTRA_REQUIRE_DATA(data, "data/kws-mlperf-tiny");
  CopyData(data, {"kws_ref_model.tflite"});
  try {
    ImportModel({.source = source_ / "kws_ref_model.tflite",
                 .output = dir_ / "first.safetensors"});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    GTEST_SKIP() << error.what();
  }
  ExpectRefused(
      "kws_ref_model.tflite",
      [](Mutator& mutator, const std::string& bytes) {
        return mutator.Damage(bytes, 9000);
      },
      {.source = source_ / "kws_ref_model.tflite"}, 15);
}

TEST_F(DamagedSourceTest, TorchFile) {
  LUTRA_REQUIRE_DATA(folder, "golden/checkpoints/torchao-parq-2w-4e-bin");
  CopyData(folder, {"config.json", "pytorch_model.bin"});
  ExpectRefused("pytorch_model.bin", Head, {.source = source_}, 50);
}

TEST_F(DamagedSourceTest, QuantizedWeights) {
  for (const char* name :
       {"awq-gemm-g32-qwen2", "bitnet-offline", "bnb-nf4-double", "ct-nvfp4",
        "ct-w4a16-actorder-g32", "ct-w4a16-asym-g32", "gemma-mobile-embgroups",
        "gptoss-mxfp4", "gptq-v1-4bit-g32-asym-wrap", "hqq-3bit-g64",
        "mlx-4bit-g128-mixed", "paretoq-158", "torchao-int4tensor-g32",
        "torchao-parq-2w-g32"}) {
    LUTRA_REQUIRE_DATA(folder, "golden/checkpoints/" + std::string(name));
    SCOPED_TRACE(name);
    fs::remove_all(source_);
    CopyData(folder, {"config.json", "model.safetensors"});
    ExpectRefused("config.json", Json, {.source = source_}, 20);
    ExpectRefused("model.safetensors", Head, {.source = source_}, 50);
  }
}

TEST_F(DamagedSourceTest, KeywordSpotter) {
  LUTRA_REQUIRE_DATA(data, "data/kws-mlperf-tiny");
  CopyData(data, {"variables.data-00000-of-00001"});
  ExpectRefused(
      "variables.data-00000-of-00001",
      [](Mutator& mutator, const std::string& bytes) {
        // The parameters only, so that what is missing matters.
        return mutator.Damage(bytes.substr(0, 99632), 99632);
      },
      {.source = source_}, 20);
}

TEST_F(DamagedSourceTest, SileroVad) {
  LUTRA_REQUIRE_DATA(data, "data/silero-vad");
  CopyData(data, {"silero_vad_16k.safetensors"});
  ExpectRefused("silero_vad_16k.safetensors", Head,
                {.source = source_ / "silero_vad_16k.safetensors",
                 .format = ImportFormat::kSileroVad},
                20);
}

TEST_F(DamagedSourceTest, CharacterLstm) {
  LUTRA_REQUIRE_DATA(data, "data/charrnn-bronte");
  CopyData(data, {"manifest.json", "vocab.json", "embedding",
                  "rnnlm_multi_rnn_cell_cell_0_basic_lstm_cell_bias",
                  "rnnlm_multi_rnn_cell_cell_0_basic_lstm_cell_kernel",
                  "rnnlm_multi_rnn_cell_cell_1_basic_lstm_cell_bias",
                  "rnnlm_multi_rnn_cell_cell_1_basic_lstm_cell_kernel",
                  "rnnlm_softmax_b", "rnnlm_softmax_w"});
  ExpectRefused("manifest.json", Json, {.source = source_}, 50);
  ExpectRefused("vocab.json", Json, {.source = source_}, 50);
  ExpectRefused("embedding", Binary, {.source = source_}, 20);
}

// A small network of most operators, as a graph of its own.
TEST_F(DamagedSourceTest, Graph) {
  LUTRA_REQUIRE_DATA(data, "data");
  const fs::path model = dir_ / "kws.safetensors";
  ImportModel({.source = data / "kws-mlperf-tiny", .output = model});
  fs::create_directories(source_);
  const auto file = SafetensorsFile::Open(model);
  WriteText(source_ / "graph.json", file.metadata().at(std::string(kGraphKey)));
  fs::rename(model, source_ / "weights.safetensors");
  ExpectRefused("graph.json", Json, {.source = source_}, 70);
  ExpectRefused(
      "weights.safetensors",
      [](Mutator& mutator, const std::string& bytes) {
        return mutator.Damage(bytes, 5000);
      },
      {.source = source_}, 30);
}

// A model file: loaded, its tokenizer used, and run.
void Use(const fs::path& path) {
  const auto model = Model::Load(path);
  if (const auto tokenizer = Tokenizer::FromModel(*model)) {
    const auto ids = tokenizer->Encode("Once upon a time\n", true);
    (void)tokenizer->Decode(ids);
  }
  if (!LanguageModel::Accepts(*model)) return;
  LanguageModelOptions options;
  options.session.threads = 1;
  options.session.context = 8;
  LanguageModel language(model, options);
  const std::vector<int32_t> ids = {0, 0, 0};
  (void)language.Feed(ids);
}

TEST_F(DamagedSourceTest, ModelFile) {
  LUTRA_REQUIRE_DATA(data, "data/stories260k");
  const fs::path path = dir_ / "model.safetensors";
  ImportModel({.source = data / "stories260K.bin", .output = path});
  ASSERT_NO_THROW(Use(path));
  const std::string good = ReadText(path);
  Mutator mutator(9);
  int refused = 0;
  for (int round = 0; round < 2 * kRounds; ++round) {
    SCOPED_TRACE(round);
    WriteText(path, mutator.Damage(good, 12000));
    refused += IsRefused(path, [&] { Use(path); });
  }
  EXPECT_GT(refused, kRounds);
}

// The tokenizer's own bytes, without a container that notices first.
TEST_F(DamagedSourceTest, TokenizerTensor) {
  LUTRA_REQUIRE_DATA(hf, "golden/hf/llama3-scaled");
  LUTRA_REQUIRE_DATA(data, "data/stories260k");
  fs::create_directories(source_);
  for (const auto& from : {hf, data / "stories260K.bin"}) {
    const fs::path path = dir_ / "model.safetensors";
    ImportModel({.source = from, .output = path});
    const auto file = SafetensorsFile::Open(path);
    const auto bytes = file.Get(kTokenizerTensor).data;
    const std::string good(reinterpret_cast<const char*>(bytes.data()),
                           bytes.size());
    Mutator mutator(11);
    int refused = 0;
    for (int round = 0; round < 2 * kRounds; ++round) {
      SCOPED_TRACE(round);
      const std::string bad = mutator.Damage(good, 1500);
      refused += IsRefused("damaged", [&] {
        const auto tokenizer =
            Tokenizer::Parse(std::as_bytes(std::span(bad)), "damaged");
        const auto ids = tokenizer->Encode("Hello,  world!\n123 \xFF", true);
        (void)tokenizer->Decode(ids, /*with_special=*/true);
      });
    }
    EXPECT_GT(refused, kRounds / 2);
  }
}

}  // namespace
}  // namespace lutra::packer
