// Checkpoints and graphs of other programs. A model that an import writes is
// used. Not among them: Silero's detector, a container of more than a megabyte
// whose shapes are all fixed.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "lutra/packer/export.h"
#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "packer/architectures/architecture.h"
#include "packer/export/gguf/gguf_writer.h"
#include "packer/import/gguf/gguf_architectures.h"
#include "packer/import/torch_file/pickle.h"
#include "packer/import/torch_file/torch_file.h"
#include "runtime/base/json.h"
#include "runtime/base/json_object.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_model.h"
#include "tests/packer/onnx_writer.h"
#include "tests/packer/torch_writer.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/tools/tiny_sources.h"

namespace lutra::fuzz {
namespace {

namespace fs = std::filesystem;
using packer::ImportFormat;
using packer::ImportModel;
using packer::ImportOptions;

// What imports a source of that format, and uses the model.
ReadPath Importing(ImportFormat format) {
  return [format](const fs::path& source) {
    const TempDir dir;
    const ImportOptions options = {
        .source = source, .output = dir / "out.safetensors", .format = format};
    (void)packer::InspectSource(options);
    ImportModel(options);
    UseModel(Model::Load(options.output));
  };
}

Inputs GgufSeeds() {
  const TempDir dir;
  fs::create_directories(dir / "source");
  tools::WriteHuggingFace(dir / "source");
  ImportModel({.source = dir / "source", .output = dir / "model"});
  packer::ExportGguf(*Model::Load(dir / "model"), dir / "model.gguf",
                     {.tokenizer = false});
  return {ReadBytes(dir / "model.gguf")};
}

// The metadata of a network, and the embedding; the other tensors are missing.
std::string GgufHead(const packer::GgufArchitecture& architecture) {
  const TempDir dir;
  packer::GgufWriter writer(dir / "model.gguf");
  writer.Text("general.architecture", architecture.name);
  std::vector<std::pair<const char*, uint32_t>> numbers = {
      {"context_length", 64},
      {"embedding_length", 64},
      {"block_count", 1},
      {"feed_forward_length", 96},
      {"attention.head_count", 2},
      {"attention.head_count_kv", 1},
      {"attention.key_length", 32},
      {"rope.dimension_count", 32},
      {"attention.sliding_window_pattern", 1},
      {"shortconv.l_cache", 3},
      {"ssm.conv_kernel", 4},
      {"ssm.group_count", 2},
      {"ssm.time_step_rank", 4},
      {"ssm.state_size", 8},
      {"ssm.inner_size", 32}};
  if (architecture.windows) numbers.emplace_back("attention.sliding_window", 8);
  if (architecture.experts) {
    numbers.emplace_back("expert_count", 4);
    numbers.emplace_back("expert_used_count", 2);
    numbers.emplace_back("expert_feed_forward_length", 32);
  }
  for (const auto& [key, number] : numbers) {
    writer.Integer(std::string(architecture.name) + "." + key, number);
  }
  const uint64_t shape[] = {8, 64};
  writer.Tensor("token_embd.weight", /*type=*/0, shape, 8 * 64 * sizeof(float));
  writer.Begin();
  writer.Commit();
  return ReadBytes(dir / "model.gguf");
}

Inputs OnnxSeeds() {
  packer::OnnxWriter network({-1, 2, 4, 4});
  network.Add({"Conv", {"x", "w"}, "c", {{"pads", {1, 1, 1, 1}}}})
      .Add({"Relu", {"c"}, "r"})
      .Add({"MaxPool", {"r"}, "p", {{"kernel_shape", {2, 2}}}})
      .Add({"Flatten", {"p"}, "f"})
      .Add({"MatMul", {"f", "m"}, "g"})
      .Add({"Softmax", {"g"}})
      .Floats("w", {2, 2, 3, 3}, std::vector<float>(36, 0.5f))
      .Floats("m", {18, 3}, std::vector<float>(54, 0.25f));
  packer::OnnxWriter shapes({-1, 4, 4});
  shapes.Add({"Transpose", {"x"}, "t", {{"perm", {0, 2, 1}}}})
      .Add({"Add", {"t", "b"}, "a"})
      .Add({"Sigmoid", {"a"}, "s"})
      .Add({"ReduceMean", {"s"}, "y", {{"axes", {1}}}})
      .Floats("b", {4}, {1, 2, 3, 4});
  return {network.File(), shapes.File()};
}

// None where the build has no FlatBuffers.
Inputs TfliteSeeds() {
  if (!fs::exists(LUTRA_FUZZ_NETWORK)) return {};
  return {ReadBytes(LUTRA_FUZZ_NETWORK)};
}

std::string TorchPickle() {
  using namespace torch_save;
  return torch_save::PickleOf(
      Text("a") + Tensor(2, 2, 2, 1) + Text("w") +
      Global("torch._tensor", "_rebuild_from_type_v2") + "(" +
      Global("torch._utils", "_rebuild_wrapper_subclass") +
      Global("torchao.quantization", "IntxUnpackedToInt8Tensor") + ")}(" +
      Text("qdata") + Tensor(2, 4, 4) + Text("target_dtype") +
      Global("torch", "int4") + Text("block_size") + "]J" + Raw<int32_t>(1) +
      "aJ" + Raw<int32_t>(4) + "autR");
}

Inputs TorchSeeds() {
  return {torch_save::Zip(
      {{"m/data.pkl", TorchPickle()}, {"m/data/0", std::string(32, '\0')}})};
}

// A config.json without its tensors.
void ReadConfig(const std::string& input) {
  const JsonDocument document = ParseJson(input, "input", "a configuration");
  const packer::Network network =
      packer::BuildNetwork(JsonObject(document.root(), "input", "config"));
  (void)GraphToJson(network.graph);
}

// Of each architecture that wants no members of its own.
Inputs ConfigSeeds() {
  const TempDir dir;
  tools::WriteHuggingFace(dir.path());
  nlohmann::json config = nlohmann::json::parse(ReadBytes(dir / "config.json"));
  Inputs inputs;
  for (const auto* architecture : packer::Architectures()) {
    config["architectures"] = {std::string(architecture->name)};
    config["model_type"] = std::string(architecture->type);
    try {
      ReadConfig(config.dump());
      inputs.push_back(config.dump());
    } catch (const Error&) {
      continue;
    }
  }
  return inputs;
}

void ReadTorchFile(const fs::path& path) {
  packer::RawTensors tensors;
  packer::AddTorchFile(path, tensors);
}

void ReadPickle(const std::string& input) {
  const packer::Pickle pickle(std::as_bytes(std::span(input)), "input");
  (void)pickle.root();
}

}  // namespace

std::vector<FuzzTarget> ImportTargets() {
  FuzzTarget gguf =
      FileTarget("gguf", "model.gguf", Importing(ImportFormat::kGguf),
                 GgufSeeds, DamageBytes);
  gguf.more = [] {
    Inputs inputs = DataFiles("golden", ".gguf");
    for (const auto& architecture : packer::GgufArchitectures()) {
      inputs.push_back(GgufHead(architecture));
    }
    return inputs;
  };

  FuzzTarget onnx =
      FileTarget("onnx", "model.onnx", Importing(ImportFormat::kOnnx),
                 OnnxSeeds, DamageBytes);
  onnx.more = [] { return DataFiles("golden/onnx", ".onnx"); };

  FuzzTarget tflite =
      FileTarget("tflite", "model.tflite", Importing(ImportFormat::kTflite),
                 TfliteSeeds, DamageBytes);
  tflite.more = [] { return DataFiles("data", ".tflite"); };

  FuzzTarget huggingface = FolderTarget(
      "huggingface", "", Importing(ImportFormat::kHuggingFace), [] {
        return Inputs{FilesOf(tools::WriteHuggingFace),
                      FilesOf(tools::WriteShards)};
      });
  huggingface.more = [] {
    Inputs inputs =
        DataFolders("golden/checkpoints", {"config.json", "model.safetensors"});
    for (std::string& input : DataFolders(
             "golden/checkpoints", {"config.json", "pytorch_model.bin"})) {
      inputs.push_back(std::move(input));
    }
    return inputs;
  };

  FuzzTarget torch = FileTarget("torch_file", "pytorch_model.bin",
                                ReadTorchFile, TorchSeeds, DamageBytes);
  torch.more = [] { return DataFiles("golden/checkpoints", ".bin"); };

  return {
      std::move(gguf),
      std::move(onnx),
      std::move(tflite),
      std::move(huggingface),
      FolderTarget("llama2c", "model.bin", Importing(ImportFormat::kLlama2c),
                   [] { return Inputs{FilesOf(tools::WriteLlama2c)}; }),
      FolderTarget("graph_folder", "", Importing(ImportFormat::kGraph),
                   [] { return Inputs{FilesOf(tools::WriteGraph)}; }),
      FolderTarget("character_lstm", "",
                   Importing(ImportFormat::kCharacterLstm),
                   [] { return Inputs{FilesOf(tools::WriteCharacterLstm)}; }),
      FolderTarget("keyword_spotter", "",
                   Importing(ImportFormat::kKeywordSpotter),
                   [] { return Inputs{FilesOf(tools::WriteKeywordSpotter)}; }),
      {"config", ReadConfig, ConfigSeeds, DamageJson,
       [] { return DataFiles("golden", "config.json"); }},
      std::move(torch),
      {"pickle", ReadPickle, [] { return Inputs{TorchPickle()}; }, DamageBytes},
  };
}

}  // namespace lutra::fuzz
