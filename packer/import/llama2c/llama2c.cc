// Checkpoints of https://github.com/karpathy/llama2.c: "version 0" begins with
// seven int32, version 1 with a header of 256 bytes; float32 matrices follow,
// every kind of them for all layers in a row.

#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "packer/architectures/llama_graph.h"
#include "packer/import/exists.h"
#include "packer/import/import_plan.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

constexpr uint32_t kMagic = 0x616B3432;  // "ak42"
constexpr size_t kLegacyHeader = 28;
constexpr size_t kHeader = 256;
constexpr double kTheta = 10000;
constexpr double kNormEps = 1e-5;
// Far above any model of this kind.
constexpr int32_t kMaxLayers = 1024;
constexpr int32_t kMaxSize = 1 << 20;

struct Header {
  int32_t dim = 0;
  int32_t hidden = 0;
  int32_t layers = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t vocab = 0;
  int32_t context = 0;
  bool shared = true;
  bool legacy = true;
};

class Reader {
 public:
  explicit Reader(const ImportOptions& options)
      : options_(options),
        path_(options.source.string()),
        file_(std::make_shared<const MappedFile>(options.source)) {}

  ImportPlan Plan() {
    const Header header = ReadHeader();
    LlamaConfig config;
    config.vocab = header.vocab;
    config.dim = header.dim;
    config.hidden = header.hidden;
    config.layers = header.layers;
    config.heads = header.heads;
    config.kv_heads = header.kv_heads;
    config.head_dim = header.dim / header.heads;
    config.rotary_dim = config.head_dim;
    config.norm_eps = kNormEps;
    config.rope_theta = kTheta;
    config.adjacent_pairs = true;
    if (header.shared) config.output = config.embedding;
    FindTensors(header, config);

    ImportPlan plan;
    plan.architecture = "Llama (llama2.c)";
    plan.layers = static_cast<size_t>(header.layers);
    plan.context = static_cast<size_t>(header.context);
    plan.graph = LlamaGraph(config);
    for (const LlamaTensor& tensor : LlamaTensors(config)) {
      if (tensor.role == LlamaTensor::Role::kRope) {
        plan.tensors.push_back(
            MakeTensor(tensor.name, tensor.shape,
                       [values = tensor.values] { return values; }));
        continue;
      }
      TensorView view;
      view.name = tensor.name;
      view.shape = tensor.shape;
      view.data = extents_.at(tensor.name);
      plan.tensors.push_back(
          CopyTensor(tensor.name, view, /*float32=*/false, path_, file_));
    }
    plan.tokenizer = ReadTokenizer(header.vocab);
    return plan;
  }

 private:
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(path_, cause);
  }

  Header ReadHeader() const {
    const auto bytes = file_->bytes();
    std::array<int32_t, 9> words = {};
    if (bytes.size() < kLegacyHeader + 8) {
      Fail("is too short for a llama2.c checkpoint");
    }
    std::memcpy(words.data(), bytes.data(), sizeof(words));
    Header header;
    const int32_t* sizes = words.data();
    if (static_cast<uint32_t>(words[0]) == kMagic) {
      if (words[1] != 1) {
        Fail("is a llama2.c checkpoint of version " + std::to_string(words[1]) +
             (words[1] == 2 ? " (int8)" : "") +
             "; versions 0 and 1 (float32) are supported");
      }
      if (bytes.size() < kHeader) Fail("is truncated");
      header.legacy = false;
      header.shared = std::to_integer<int>(bytes[36]) != 0;
      sizes += 2;
    }
    header.dim = sizes[0];
    header.hidden = sizes[1];
    header.layers = sizes[2];
    header.heads = sizes[3];
    header.kv_heads = sizes[4];
    header.vocab = sizes[5];
    header.context = sizes[6];
    if (header.legacy && header.vocab < 0 && header.vocab >= -kMaxSize) {
      header.shared = false;
      header.vocab = -header.vocab;
    }
    const auto check = [&](const char* name, int32_t value, int32_t limit) {
      if (value < 1 || value > limit) {
        Fail(std::string("is no llama2.c checkpoint: ") + name + " is " +
             std::to_string(value));
      }
    };
    check("dim", header.dim, kMaxSize);
    check("hidden_dim", header.hidden, kMaxSize);
    check("n_layers", header.layers, kMaxLayers);
    check("n_heads", header.heads, kMaxSize);
    check("n_kv_heads", header.kv_heads, header.heads);
    check("vocab_size", header.vocab, kMaxSize);
    check("max_seq_len", header.context, kMaxSize);
    if (header.dim % (2 * header.heads) != 0 ||
        header.heads % header.kv_heads != 0) {
      Fail("is no llama2.c checkpoint: dim " + std::to_string(header.dim) +
           ", n_heads " + std::to_string(header.heads) + " and n_kv_heads " +
           std::to_string(header.kv_heads) + " do not fit");
    }
    return header;
  }

  // Notes where every tensor lies.
  void FindTensors(const Header& header, const LlamaConfig& config) {
    std::map<std::string, std::vector<int64_t>> shapes;
    for (LlamaTensor& tensor : LlamaTensors(config)) {
      shapes[tensor.name] = std::move(tensor.shape);
    }
    offset_ = header.legacy ? kLegacyHeader : kHeader;
    const auto one = [&](const std::string& name) { Take(name, shapes); };
    const auto layers = [&](const std::string& name) {
      for (int32_t i = 0; i < header.layers; ++i) {
        one("model.layers." + std::to_string(i) + "." + name + ".weight");
      }
    };
    if (!header.legacy) {  // version 1 has the norms first
      layers("input_layernorm");
      layers("post_attention_layernorm");
      one("model.norm.weight");
    }
    one(config.embedding);
    if (header.legacy) layers("input_layernorm");
    layers("self_attn.q_proj");
    layers("self_attn.k_proj");
    layers("self_attn.v_proj");
    layers("self_attn.o_proj");
    if (header.legacy) layers("post_attention_layernorm");
    layers("mlp.gate_proj");
    layers("mlp.down_proj");
    layers("mlp.up_proj");
    if (header.legacy) {
      one("model.norm.weight");
      // Two tables of the rotary embedding, which nobody uses.
      TakeFloats("rotary tables", static_cast<size_t>(header.context) *
                                      static_cast<size_t>(config.head_dim));
    }
    if (!header.shared) one(config.output);
    if (offset_ != file_->bytes().size()) {
      Fail("has " + std::to_string(file_->bytes().size() - offset_) +
           " bytes more than a llama2.c checkpoint of its sizes");
    }
  }

  void Take(const std::string& name,
            const std::map<std::string, std::vector<int64_t>>& shapes) {
    extents_[name] = TakeFloats(name, *CheckedElementCount(shapes.at(name)));
  }

  std::span<const std::byte> TakeFloats(const std::string& name, size_t count) {
    const size_t bytes = count * sizeof(float);  // at most 2^42
    if (bytes > file_->bytes().size() - offset_) {
      throw Error::InTensor(path_, name,
                            "runs past the end of the file; is it truncated?");
    }
    return file_->bytes().subspan(std::exchange(offset_, offset_ + bytes),
                                  bytes);
  }

  std::optional<TokenizerData> ReadTokenizer(int32_t vocab) const {
    const auto pieces = static_cast<size_t>(vocab);
    std::filesystem::path path = options_.tokenizer;
    if (path.empty()) {
      const auto folder = options_.source.parent_path();
      for (const std::string& name : {"tok" + std::to_string(vocab) + ".bin",
                                      std::string("tokenizer.bin")}) {
        if (path.empty() && Exists(folder / name)) {
          path = folder / name;
        }
      }
    }
    if (path.empty()) return std::nullopt;
    if (path.extension() != ".model") {
      return ReadLlama2cTokenizer(path, pieces);
    }
    TokenizerData data = ReadSentencePieceTokenizer(path);
    FitTokenizer(pieces, path.string(), data);
    return data;
  }

  const ImportOptions& options_;
  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  size_t offset_ = 0;
  std::map<std::string, std::span<const std::byte>> extents_;
};

}  // namespace

ImportPlan PlanLlama2c(const ImportOptions& options) {
  return Reader(options).Plan();
}

}  // namespace lutra::packer
