// Model files, and what is put beside them.

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "kernels/base/word_hash.h"
#include "lutra/packer/statistics.h"
#include "lutra/packer/verify.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/session.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_model.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/runtime/tiny_lstm.h"
#include "tests/temp_dir.h"

namespace lutra::fuzz {
namespace {

constexpr size_t kRows = 3;
constexpr size_t kContext = 8;
// Of all values of a row. Who wants more asks for the memory and time it takes.
constexpr size_t kMostElements = size_t{1} << 14;

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

bool IsSmall(const Model& model) {
  size_t elements = 0;
  const auto is_small = [&](const ValueInfo& value) {
    for (const int64_t extent : value.shape) {
      if (extent > static_cast<int64_t>(kMostElements)) return false;
    }
    elements += value.ElementCount();
    return elements <= kMostElements;
  };
  for (const ValueInfo& input : model.inputs()) {
    if (!is_small(input)) return false;
  }
  for (const Node& node : model.graph().nodes) {
    if (!is_small(model.value(node.output))) return false;
  }
  return true;
}

// Buffers of the inputs and outputs for kRows rows.
class Arrays {
 public:
  explicit Arrays(const Model& model) {
    for (const ValueInfo& input : model.inputs()) {
      const size_t count = kRows * input.ElementCount();
      if (input.type == ValueType::kInt32) {
        std::vector<int32_t>& ids = ids_.emplace_back(count);
        for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>(i % 2);
        inputs_.push_back(ids.data());
      } else {
        floats_.push_back(RandomFloats(count, 1));
        inputs_.push_back(floats_.back().data());
      }
    }
    for (const ValueInfo& output : model.outputs()) {
      floats_.emplace_back(kRows * output.ElementCount());
      outputs_.push_back(floats_.back().data());
    }
  }

  std::span<const void* const> inputs() const { return inputs_; }
  std::span<float* const> outputs() const { return outputs_; }

 private:
  std::vector<std::vector<int32_t>> ids_;
  std::vector<std::vector<float>> floats_;
  std::vector<const void*> inputs_;
  std::vector<float*> outputs_;
};

void RunSequence(Program& program, Sequence& sequence, size_t rows,
                 const Arrays& arrays) {
  const Program::Rows call = {&sequence, rows};
  program.Run({&call, 1}, arrays.inputs(), arrays.outputs());
}

void Run(const std::shared_ptr<const Model>& model) {
  if (!IsSmall(*model)) return;
  Session session(model, {.threads = 1, .context = kContext});
  const Arrays arrays(*model);
  session.Run(kRows, arrays.inputs(), arrays.outputs());
  Sequence restored = session.program().Restore(session.sequence().Save());
  // Some of the other sequences take all of a text in one call.
  if (restored.CanTruncate()) {
    RunSequence(session.program(), restored, 1, arrays);
  }
  session.Reset();
  session.RunLast(2, arrays.inputs(), arrays.outputs());
}

void ReadModel(const std::string& input) {
  UseModel(Model::LoadMemory(Bytes(input), "input"));
}

void ReadVerified(const std::string& input) {
  const auto model =
      Model::LoadMemory(Bytes(input), "input", {.verify_checksums = true});
  (void)packer::VerifyModel(*model, {});
}

// Programs of a model with attention and of one with a recurrent node.
std::vector<Program>& SavingPrograms() {
  static std::vector<Program> programs = [] {
    static const std::string files[] = {BytesOf(TinyLanguage().Build()),
                                        BytesOf(TinyLstm())};
    std::vector<Program> made;
    for (const std::string& file : files) {
      made.emplace_back(Model::LoadMemory(Bytes(file), "model"),
                        ProgramOptions{.threads = 1, .context = kContext});
    }
    return made;
  }();
  return programs;
}

Inputs SavedSequences() {
  Inputs inputs;
  for (Program& program : SavingPrograms()) {
    Sequence sequence = program.NewSequence();
    const Arrays arrays(program.model());
    RunSequence(program, sequence, kRows, arrays);
    const std::vector<std::byte> saved = sequence.Save();
    inputs.emplace_back(reinterpret_cast<const char*>(saved.data()),
                        saved.size());
  }
  return inputs;
}

// Which model it is of, a program tells before all else.
void ReadSequence(const std::string& input) {
  std::vector<Program>& programs = SavingPrograms();
  const auto read = [&input](Program& program) {
    Sequence sequence = program.Restore(Bytes(input));
    RunSequence(program, sequence, 1, Arrays(program.model()));
  };
  try {
    read(programs[0]);
  } catch (const Error&) {
    read(programs[1]);
  }
}

// With the right checksum of what follows the header (docs/model_file.md).
std::string DamageSequence(Mutator& mutator, const std::string& input) {
  constexpr size_t kHeader = 64, kChecksumAt = 48;
  std::string bytes = mutator.Damage(input, kHeader);
  if (bytes.size() < kHeader) return bytes;
  WordHash hash;
  hash.AddBytes(bytes.data() + kHeader, bytes.size() - kHeader);
  const uint64_t value = hash.value();
  std::memcpy(bytes.data() + kChecksumAt, &value, sizeof(value));
  return bytes;
}

// An adapter for the layers "q" and "down" of TinyLanguage, as PEFT writes it.
std::string AdapterFiles() {
  const TempDir dir;
  const std::pair<const char*, std::vector<int64_t>> tensors[] = {
      {"base_model.model.q.lora_A.weight", {2, 32}},
      {"base_model.model.q.lora_B.weight", {32, 2}},
      {"base_model.model.down.lora_A.weight", {2, 48}},
      {"base_model.model.down.lora_B.weight", {32, 2}}};
  std::vector<TensorInfo> infos;
  for (const auto& [name, shape] : tensors) {
    infos.push_back({name, DType::kFloat32, shape});
  }
  SafetensorsWriter writer(dir / "adapter_model.safetensors", {}, infos);
  for (const TensorInfo& info : infos) {
    const std::vector<float> values = RandomFloats(info.ElementCount(), 1);
    writer.Write(info.name, std::as_bytes(std::span(values)));
  }
  writer.Commit();
  WriteBytes(dir / "adapter_config.json",
             R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4,)"
             R"( "use_rslora": false, "target_modules": ["q"]})");
  return JoinFiles(ReadFiles(dir.path()));
}

void ReadAdapter(const std::filesystem::path& folder) {
  static const std::string file = BytesOf(TinyLanguage().Build());
  UseModel(Model::LoadMemory(Bytes(file), "model", {.adapter = folder}));
}

}  // namespace

std::string BytesOf(const ModelBuilder& builder) {
  const TempDir dir;
  builder.Write(dir / "model.safetensors");
  return ReadBytes(dir / "model.safetensors");
}

void UseModel(const std::shared_ptr<const Model>& model) {
  if (const auto tokenizer = Tokenizer::FromModel(*model)) {
    (void)tokenizer->Decode(tokenizer->Encode("the \xFF \xC3\xA9\n", true));
  }
  if (ReadChatData(*model)) {
    (void)LoadChatTemplate(*model)->Render(
        R"([{"role": "user", "content": "Who?"}])");
  }
  Run(model);
}

std::vector<FuzzTarget> ModelTargets() {
  const auto models = [] {
    return Inputs{BytesOf(TinyLanguage().Build()),
                  BytesOf(TinyLanguage{.packed = true}.Build()),
                  BytesOf(TinyLanguage{.encodes = true}.Build()),
                  BytesOf(TinyLstm())};
  };
  return {
      {"model", ReadModel, models, DamageContainer},
      {"verify", ReadVerified, models, DamageContainer},
      {"sequence", ReadSequence, SavedSequences, DamageSequence},
      FolderTarget("adapter", "", ReadAdapter,
                   [] { return Inputs{AdapterFiles()}; }),
  };
}

}  // namespace lutra::fuzz
