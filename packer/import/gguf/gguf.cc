// GGUF files of llama.cpp: what is in them under Hugging Face's names, so that
// everything from there on is as for a folder of transformers.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "packer/import/gguf/block_types.h"
#include "packer/import/gguf/gguf_chat.h"
#include "packer/import/gguf/gguf_file.h"
#include "packer/import/gguf/gguf_network.h"
#include "packer/import/gguf/gguf_tokenizer.h"
#include "packer/import/huggingface/network_plan.h"
#include "packer/import/import_plan.h"
#include "packer/import/tokenizers/tokenizers.h"

namespace lutra::packer {
namespace {

constexpr std::string_view kRopeFactors = "rope_freqs.weight";

// Row (head, half, i) of Hugging Face is row (head, i, half) of the file: the
// elements that a rotary embedding turns together are neighbours there.
std::vector<uint32_t> HalvesFromPairs(size_t rows, size_t heads) {
  const size_t dim = rows / heads;
  std::vector<uint32_t> order(rows);
  for (size_t row = 0; row < rows; ++row) {
    const size_t head = row / dim;
    const size_t half = row % dim / (dim / 2);
    const size_t i = row % (dim / 2);
    order[row] = static_cast<uint32_t>(head * dim + 2 * i + half);
  }
  return order;
}

class Importer {
 public:
  explicit Importer(const ImportOptions& options)
      : options_(options), files_(OpenGguf(options.source)) {
    for (const auto& file : files_) {
      for (const GgufTensor& tensor : file->tensors()) {
        tensors_.push_back(&tensor);
      }
    }
    network_ = ReadGgufNetwork(*files_.front(), tensors_);
  }

  ImportPlan Plan() {
    for (const auto& file : files_) {
      for (const GgufTensor& tensor : file->tensors()) Add(file, tensor);
    }
    ScaleTensors();
    const Checkpoint checkpoint(files_.front()->path(), std::move(plain_),
                                std::move(stored_));
    const JsonObject config(network_.config, files_.front()->path(),
                            "metadata");
    int64_t vocab = 0;
    ImportPlan plan = PlanNetwork(options_, config, checkpoint, {}, &vocab);
    DivideFrequencies(plan);
    plan.tokenizer = ReadTokenizer();
    plan.chat = ReadGgufChat(*files_.front());
    if (plan.tokenizer) {
      FitTokenizer(static_cast<size_t>(vocab), files_.front()->path(),
                   *plan.tokenizer);
    }
    return plan;
  }

 private:
  void Add(const std::shared_ptr<const GgufFile>& file,
           const GgufTensor& tensor) {
    if (tensor.name == kRopeFactors) {
      StoredWeights none;
      AddGgufTensor(file, tensor, tensor.name, factors_, none);
      return;
    }
    const std::string architecture =
        files_.front()->Text("general.architecture").value_or("");
    const auto name = HuggingFaceName(architecture, tensor.name);
    if (!name) {
      throw Error::InTensor(file->path(), tensor.name,
                            "has no place in a network of the architecture '" +
                                architecture + "'");
    }
    if (plain_.Find(*name) != nullptr || stored_.contains(*name)) {
      throw Error::InTensor(file->path(), tensor.name, "is there twice");
    }
    AddGgufTensor(file, tensor, *name, plain_, stored_);
    const bool query = name->find(".q_proj.") != std::string::npos;
    const bool key = name->find(".k_proj.") != std::string::npos;
    if (query || key) {
      Order(*file, tensor, *name,
            query ? network_.query_heads : network_.key_heads);
    }
  }

  // NVFP4 weights may have a scale of the whole tensor beside them.
  void ScaleTensors() {
    constexpr std::string_view kScale = ".scale";
    std::vector<std::string> taken;
    for (const auto& [name, raw] : plain_.tensors) {
      if (!name.ends_with(kScale)) continue;
      const auto stored =
          stored_.find(name.substr(0, name.size() - kScale.size()) + ".weight");
      if (stored == stored_.end() || raw.view.ElementCount() != 1) continue;
      float scale = 1;
      ToFloats(raw.view.dtype, raw.view.data, {&scale, 1});
      StoredWeight& weight = stored->second;
      weight.factor = scale;
      weight.read = [read = weight.read, scale](size_t first, size_t count,
                                                StoredRows& out) {
        read(first, count, out);
        for (float& value : out.scales) value = value * scale;
      };
      taken.push_back(name);
    }
    for (const std::string& name : taken) plain_.tensors.erase(name);
  }

  void Order(const GgufFile& file, const GgufTensor& tensor,
             const std::string& name, int64_t heads) {
    if (heads == 0) return;
    const bool vector = tensor.shape.size() == 1;
    const uint64_t rows = vector ? tensor.columns() : tensor.rows();
    if (heads < 0 || rows % (2 * static_cast<uint64_t>(heads)) != 0) {
      throw Error::InTensor(file.path(), tensor.name,
                            "has " + std::to_string(rows) + " rows, which " +
                                std::to_string(heads) + " heads do not share");
    }
    std::vector<uint32_t> order =
        HalvesFromPairs(static_cast<size_t>(rows), static_cast<size_t>(heads));
    const auto stored = stored_.find(name);
    if (stored != stored_.end()) {
      stored->second = Reordered(stored->second, std::move(order));
    } else {
      plain_.tensors.at(name).row_order = std::move(order);
    }
  }

  // Llama 3's factors of frequencies are a tensor here.
  void DivideFrequencies(ImportPlan& plan) const {
    const RawTensor* factors = factors_.Find(kRopeFactors);
    if (factors == nullptr) return;
    std::vector<float> divisors(factors->view.ElementCount());
    ToFloats(factors->view.dtype, factors->view.data, divisors);
    for (ImportTensor& tensor : plan.tensors) {
      if (!tensor.info.name.starts_with("lutra.rope")) continue;
      if (tensor.info.ElementCount() != divisors.size()) {
        throw Error::InTensor(factors->file, kRopeFactors,
                              "is of another length than the frequencies");
      }
      std::vector<std::byte> buffer;
      const auto bytes = tensor.read(buffer);
      std::vector<float> values(divisors.size());
      ToFloats(tensor.info.dtype, bytes, values);
      for (size_t i = 0; i < values.size(); ++i) values[i] /= divisors[i];
      tensor = MakeTensor(tensor.info.name, tensor.info.shape,
                          [values] { return values; });
    }
  }

  std::optional<TokenizerData> ReadTokenizer() const {
    const std::filesystem::path& path = options_.tokenizer;
    if (path.empty()) return ReadGgufTokenizer(*files_.front());
    return path.extension() == ".json" ? ReadTokenizerJson(path)
                                       : ReadSentencePieceTokenizer(path);
  }

  const ImportOptions& options_;
  std::vector<std::shared_ptr<const GgufFile>> files_;
  std::vector<const GgufTensor*> tensors_;
  GgufNetwork network_;
  RawTensors plain_;
  StoredWeights stored_;
  RawTensors factors_;
};

}  // namespace

ImportPlan PlanGguf(const ImportOptions& options) {
  return Importer(options).Plan();
}

}  // namespace lutra::packer
