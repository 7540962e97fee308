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

constexpr std::string_view kScale = ".scale";
constexpr std::string_view kRates = ".linear_attn.A_log";

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
    if (!network_.architecture->gate_up.empty()) JoinGateAndUp();
    if (network_.architecture->type == "gpt_oss") JoinBiases();
    const Checkpoint checkpoint(files_.front()->path(), std::move(plain_),
                                std::move(stored_));
    const JsonObject config(network_.config, files_.front()->path(),
                            "metadata");
    int64_t vocab = 0;
    ImportPlan plan =
        PlanNetwork(options_, config, checkpoint, network_.head, &vocab);
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
    // Part of the network's description.
    const bool describes = tensor.name == kShortFactors ||
                           tensor.name == kLongFactors ||
                           (tensor.name == kRopeFactors &&
                            network_.architecture->type == "gemma4_text");
    if (describes) return;
    if (tensor.name == kRopeFactors) {
      StoredWeights none;
      AddGgufTensor(file, tensor, tensor.name, factors_, none);
      return;
    }
    if (network_.IsBeyond(tensor.name)) return;
    const auto name = HuggingFaceName(*network_.architecture, tensor.name);
    if (!name) {
      throw Error::InTensor(file->path(), tensor.name,
                            "has no place in a network of the architecture '" +
                                std::string(network_.architecture->name) + "'");
    }
    if (const size_t star = name->find('*'); star != std::string::npos) {
      AddExperts(file, tensor, *name, star);
      return;
    }
    CheckNew(*file, tensor, *name);
    AddGgufTensor(file, tensor, *name, plain_, stored_);
    const auto own = plain_.tensors.find(*name);
    const bool is_plain = own != plain_.tensors.end();
    if (network_.architecture->norms_plus_one &&
        (name->ends_with("norm.weight") || name->ends_with(kRates))) {
      if (!is_plain) {
        throw Error::InTensor(file->path(), tensor.name,
                              "is quantized, which such vectors cannot be");
      }
      own->second.computed = true;
      if (name->ends_with(kRates)) Negate(own->second);
    }
    if (is_plain && tensor.name.starts_with("blk.")) {
      const bool experts = network_.architecture->in_turns &&
                           tensor.name.ends_with("_exps.weight");
      own->second.transposed =
          (network_.architecture->transposed && tensor.shape.size() == 2) ||
          (experts && tensor.shape.size() == 3);
    }
    // Hugging Face's have the one input channel of each output channel.
    if (name->ends_with("conv.conv.weight") ||
        name->ends_with("linear_attn.conv1d.weight")) {
      const auto conv = plain_.tensors.find(*name);
      if (conv != plain_.tensors.end() && tensor.shape.size() == 2) {
        auto& shape = conv->second.view.shape;
        shape.insert(shape.begin() + 1, 1);
      }
    }
    if (network_.value_heads.Differ()) OrderValueHeads(*file, tensor, *name);
    const bool query = name->find(".q_proj.") != std::string::npos;
    const bool key = name->find(".k_proj.") != std::string::npos;
    // A scale of the whole tensor has no rows.
    if ((query || key) && !name->ends_with(kScale)) {
      Order(*file, tensor, *name,
            query ? network_.query_heads : network_.key_heads);
    }
  }

  void CheckNew(const GgufFile& file, const GgufTensor& tensor,
                const std::string& name) const {
    if (plain_.Find(name) != nullptr || stored_.contains(name)) {
      throw Error::InTensor(file.path(), tensor.name, "is there twice");
    }
  }

  // One tensor has a matrix of every expert; `star` is where the name wants the
  // number.
  void AddExperts(const std::shared_ptr<const GgufFile>& file,
                  const GgufTensor& tensor, const std::string& name,
                  size_t star) {
    RawTensors plain;
    StoredWeights stored;
    AddGgufTensor(file, tensor, name, plain, stored);
    const uint64_t experts = tensor.shape.front();
    constexpr uint64_t kMost = 65536;
    if (tensor.shape.size() != 3 || experts > kMost) {
      throw Error::InTensor(file->path(), tensor.name,
                            "is no matrix for each expert");
    }
    const auto count = static_cast<size_t>(experts);
    for (size_t e = 0; e < count; ++e) {
      std::string own = name;
      own.replace(star, 1, std::to_string(e));
      CheckNew(*file, tensor, own);
      if (!stored.empty()) {
        const StoredWeight& all = stored.begin()->second;
        const size_t rows = all.rows / count;
        stored_.emplace(std::move(own), RowsOf(all, e * rows, rows));
        continue;
      }
      RawTensor raw = plain.tensors.begin()->second;
      raw.view.shape.erase(raw.view.shape.begin());
      const size_t bytes = raw.view.data.size() / count;
      raw.view.data = raw.view.data.subspan(e * bytes, bytes);
      plain_.tensors.emplace(std::move(own), std::move(raw));
    }
  }

  // The part of the name of a matrix in a block.
  std::string_view NameOf(std::string_view part) const {
    for (const GgufRenamed& entry : network_.architecture->blocks) {
      if (entry.from == part) return entry.to;
    }
    return part;
  }

  // Rows of gate and up of all experts are one tensor in Hugging Face's files.
  void JoinGateAndUp() {
    const GgufArchitecture& architecture = *network_.architecture;
    std::string ending(NameOf("ffn_gate_exps"));
    ending += ".weight";
    std::vector<std::string> stems;  // "model.layers.0."
    const auto look = [&](const std::string& name) {
      if (name.ends_with(ending)) {
        stems.push_back(name.substr(0, name.size() - ending.size()));
      }
    };
    for (const auto& [name, weight] : stored_) look(name);
    for (const auto& [name, raw] : plain_.tensors) look(name);
    for (const std::string& stem : stems) {
      const std::string gate = stem + ending;
      std::string up = stem;
      up += NameOf("ffn_up_exps");
      up += ".weight";
      std::string both = stem;
      both += architecture.gate_up;
      if (!architecture.in_turns) both += ".weight";
      if (stored_.contains(gate) && stored_.contains(up)) {
        JoinStored(gate, up, both);
      } else if (plain_.Find(gate) != nullptr && plain_.Find(up) != nullptr) {
        JoinFloats(gate, up, both);
      } else {
        throw Error::InFile(
            files_.front()->path(),
            "lacks like weights of '" + gate + "' and '" + up + "'");
      }
    }
  }

  // Places in the rows of all gates, followed by those of all ups.
  std::vector<uint32_t> JoinedRows(size_t rows) const {
    const size_t experts =
        network_.architecture->in_turns
            ? rows
            : network_.config.at("num_experts").get<size_t>();
    if (experts == 0 || rows % experts != 0) {
      throw Error::InFile(files_.front()->path(),
                          "has matrices of " + std::to_string(rows) +
                              " rows for " + std::to_string(experts) +
                              " experts, which do not divide them");
    }
    const size_t each = rows / experts;
    std::vector<uint32_t> order;
    for (size_t e = 0; e < experts; ++e) {
      for (const size_t begin : {e * each, rows + e * each}) {
        for (size_t i = 0; i < each; ++i) {
          order.push_back(static_cast<uint32_t>(begin + i));
        }
      }
    }
    return order;
  }

  void JoinStored(const std::string& gate_name, const std::string& up_name,
                  const std::string& both) {
    StoredWeight gate = std::move(stored_.extract(gate_name).mapped());
    StoredWeight up = std::move(stored_.extract(up_name).mapped());
    if (gate.rows != up.rows || gate.columns != up.columns ||
        gate.format != up.format) {
      throw Error::InFile(files_.front()->path(),
                          "has unlike weights in '" + both + "'");
    }
    const std::vector<uint32_t> order = JoinedRows(gate.rows);
    stored_.emplace(
        both, Reordered(Stacked({std::move(gate), std::move(up)}), order));
  }

  void JoinFloats(const std::string& gate_name, const std::string& up_name,
                  const std::string& both) {
    RawTensor gate = std::move(plain_.tensors.extract(gate_name).mapped());
    const RawTensor up = std::move(plain_.tensors.extract(up_name).mapped());
    if (gate.view.shape != up.view.shape || gate.view.dtype != up.view.dtype ||
        gate.view.shape.size() != 3) {
      throw Error::InFile(files_.front()->path(),
                          "has unlike weights in '" + both + "'");
    }
    gate.row_order = JoinedRows(
        static_cast<size_t>(gate.view.shape[0] * gate.view.shape[1]));
    gate.view.shape[1] *= 2;
    gate.below = up.view.data;
    using Owners =
        std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>;
    gate.owner = std::make_shared<const Owners>(gate.owner, up.owner);
    plain_.tensors.emplace(both, std::move(gate));
  }

  // Those of gate and up of gpt-oss's experts come in turns, too.
  void JoinBiases() {
    constexpr std::string_view kGate = "gate_proj.bias";
    std::vector<std::string> stems;  // "model.layers.0.mlp.experts."
    for (const auto& [name, raw] : plain_.tensors) {
      if (name.ends_with(kGate)) {
        stems.push_back(name.substr(0, name.size() - kGate.size()));
      }
    }
    for (const std::string& stem : stems) JoinBiases(stem);
  }

  void JoinBiases(const std::string& experts) {
    const auto gate = plain_.tensors.find(experts + "gate_proj.bias");
    const auto up = plain_.tensors.find(experts + "up_proj.bias");
    if (up == plain_.tensors.end()) return;
    RawTensor raw = gate->second;
    const size_t count = raw.view.ElementCount();
    if (up->second.view.shape != raw.view.shape || raw.view.shape.size() != 2) {
      throw Error::InFile(files_.front()->path(),
                          "has unlike biases in '" + experts + "'");
    }
    std::vector<float> gates(count);
    std::vector<float> ups(count);
    ToFloats(raw.view.dtype, raw.view.data, gates);
    ToFloats(up->second.view.dtype, up->second.view.data, ups);
    auto both = std::make_shared<std::vector<float>>();
    for (size_t i = 0; i < count; ++i) {
      both->push_back(gates[i]);
      both->push_back(ups[i]);
    }
    raw.view.shape.back() *= 2;
    SetFloats(std::move(both), raw);
    plain_.tensors.erase(gate);
    plain_.tensors.erase(up);
    plain_.tensors.emplace(experts + "gate_up_proj_bias", std::move(raw));
  }

  static void SetFloats(std::shared_ptr<std::vector<float>> values,
                        RawTensor& raw) {
    raw.view.dtype = DType::kFloat32;
    raw.view.data = std::as_bytes(std::span(*values));
    raw.owner = std::move(values);
  }

  // The rates at which states decay have a sign here.
  static void Negate(RawTensor& raw) {
    auto values = std::make_shared<std::vector<float>>(raw.view.ElementCount());
    ToFloats(raw.view.dtype, raw.view.data, *values);
    for (float& value : *values) value = -value;
    SetFloats(std::move(values), raw);
  }

  void OrderValueHeads(const GgufFile& file, const GgufTensor& tensor,
                       const std::string& name) {
    const auto axis = ValueHeads::AxisOf(name);
    if (!axis) return;
    const bool columns = *axis == ValueHeads::Axis::kColumns;
    // A vector's elements are rows.
    const bool vector = tensor.shape.size() == 1;
    const uint64_t size = columns || vector ? tensor.columns() : tensor.rows();
    std::vector<uint32_t> order = network_.value_heads.Order(
        name, static_cast<size_t>(size), /*inverse=*/true);
    if (order.empty()) {
      throw Error::InTensor(file.path(), tensor.name,
                            "has " + std::to_string(size) +
                                (columns ? " columns" : " rows") +
                                ", which its heads of values do not share");
    }
    const auto stored = stored_.find(name);
    if (stored != stored_.end()) {
      stored->second = columns ? WithColumns(stored->second, std::move(order))
                               : Reordered(stored->second, std::move(order));
      return;
    }
    RawTensor& raw = plain_.tensors.at(name);
    (columns ? raw.column_order : raw.row_order) = std::move(order);
  }

  // NVFP4 weights may have a scale of the whole tensor beside them.
  void ScaleTensors() {
    std::vector<std::string> taken;
    for (const auto& [name, raw] : plain_.tensors) {
      if (!name.ends_with(kScale)) continue;
      const std::string stem = name.substr(0, name.size() - kScale.size());
      auto stored = stored_.find(stem + ".weight");
      if (stored == stored_.end()) stored = stored_.find(stem);
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
        PairedRows(static_cast<size_t>(rows), static_cast<size_t>(heads),
                   /*inverse=*/true);
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
