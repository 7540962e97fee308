// Folders as the transformers library writes them.

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"
#include "packer/import/checkpoint.h"
#include "packer/import/huggingface/network_tensor.h"
#include "packer/import/huggingface/sentence_transformer.h"
#include "packer/import/import_plan.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxEnds = 64;

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// A JSON file and access to its root.
class JsonFile {
 public:
  JsonFile(const fs::path& path, const std::string& what)
      : name_(path.string()), document_(Parse(path, what)), what_(what) {}

  JsonObject object() const {
    return JsonObject(document_.root(), name_, what_);
  }

 private:
  JsonDocument Parse(const fs::path& path, const std::string& what) const {
    const MappedFile file(path);
    return ParseJson(file.text(), name_, what);
  }

  std::string name_;
  JsonDocument document_;
  std::string what_;
};

// Where the parts of a text model lie in files that hold more: names begin with
// the second instead of the first.
constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"model.", "model."},
    {"model.", "model.language_model."},
    {"model.", "language_model.model."},
    {"model.", ""},
    {"transformer.", "transformer."},
    {"transformer.", ""},
    {"bert.", "bert."},
    {"bert.", ""},
};

class Importer {
 public:
  explicit Importer(const ImportOptions& options)
      : options_(options),
        folder_(options.source),
        config_file_(folder_ / kConfigFile, "config"),
        network_(ReadNetwork(config_file_.object())),
        checkpoint_(folder_) {}

  ImportPlan Plan() {
    FindPrefix();
    ReadEncoder();
    SpellParts();
    NameMatrices();
    RefuseOtherTensors();
    ImportPlan plan;
    plan.architecture = network_.architecture;
    plan.layers = static_cast<size_t>(network_.layers);
    plan.context = static_cast<size_t>(network_.context);
    for (const NetworkTensor& tensor : network_.tensors) {
      plan.tensors.push_back(Take(tensor));
    }
    plan.graph = network_.graph;
    plan.tokenizer = ReadTokenizer();
    return plan;
  }

 private:
  static Network ReadNetwork(const JsonObject& config) {
    RefuseOptions(config, {"quantization_config"});
    return BuildNetwork(config);
  }

  ImportTensor Take(const NetworkTensor& tensor) const {
    if (tensor.role == NetworkTensor::Role::kRope) {
      const TensorView* embedding = checkpoint_.Find(Stored("embedding"));
      const int64_t context = options_.context == 0
                                  ? network_.context
                                  : static_cast<int64_t>(options_.context);
      return TakeFrequencies(
          tensor, context, options_.rope,
          embedding == nullptr ? DType::kFloat32 : embedding->dtype);
    }
    const bool matrix = tensor.role == NetworkTensor::Role::kMatrix;
    return TakeTensor(checkpoint_, tensor, options_.float32 || !matrix);
  }

  // The checkpoint's name of a matrix that may be shared.
  std::string Stored(std::string_view which) const {
    return Spelled(which == "output" ? network_.output : network_.embedding);
  }

  std::string Spelled(const std::string& name) const {
    if (!name.starts_with(prefix_.first)) {
      // "lm_head.weight" of a folder whose text model is a part.
      const bool nested = prefix_.second == "language_model.model.";
      return nested ? "language_model." + name : name;
    }
    return std::string(prefix_.second) + name.substr(prefix_.first.size());
  }

  // By where the embedding or, if that is shared, the output matrix lies.
  void FindPrefix() {
    prefix_ = {"", ""};
    for (const auto& prefix : kPrefixes) {
      if (!network_.embedding.starts_with(prefix.first)) continue;
      if (prefix_.first.empty()) prefix_ = prefix;  // for what is missing
      const auto before = std::exchange(prefix_, prefix);
      if (checkpoint_.Find(Stored("embedding")) != nullptr) break;
      prefix_ = before;
    }
  }

  void SpellParts() {
    for (NetworkTensor& tensor : network_.tensors) {
      for (TensorPart& part : tensor.parts) part.name = Spelled(part.name);
      if (!tensor.added.name.empty()) {
        tensor.added.name = Spelled(tensor.added.name);
      }
    }
  }

  // Of folders that say how, and of those that hold no more than the states of
  // tokens: their mean, or where a token sees only those before it the last.
  void ReadEncoder() {
    std::optional<EncoderHead> head =
        ReadSentenceTransformer(folder_, checkpoint_);
    if (!head && network_.encodes) {
      head.emplace();
      head->pool = network_.both_directions ? EncoderHead::Pool::kMean
                                            : EncoderHead::Pool::kLast;
    }
    if (head) MakeEncoder(*head, network_);
  }

  // A tied checkpoint holds the matrix under one of two names, or twice. Of two
  // that differ transformers uses each for itself since version 5.
  void NameMatrices() {
    if (!network_.tied) return;
    const TensorView* embedding = checkpoint_.Find(Stored("embedding"));
    const TensorView* output = checkpoint_.Find(Stored("output"));
    if (embedding == nullptr && output != nullptr) {
      Replace(network_.embedding, network_.output);
    } else if (output == nullptr || Same(*embedding, *output)) {
      Replace(network_.output, network_.embedding);
    }
  }

  // One tensor serves in place of another.
  void Replace(const std::string& from, const std::string& to) {
    std::erase_if(network_.tensors, [&](const NetworkTensor& tensor) {
      return tensor.name == from;
    });
    for (Node& node : network_.graph.nodes) {
      if (node.weight == from) node.weight = to;
    }
  }

  static bool Same(const TensorView& a, const TensorView& b) {
    return a.dtype == b.dtype && a.shape == b.shape &&
           std::equal(a.data.begin(), a.data.end(), b.data.begin(),
                      b.data.end());
  }

  // A tensor without a place would be a part of the network that is left out.
  void RefuseOtherTensors() const {
    std::set<std::string> known;
    for (const NetworkTensor& tensor : network_.tensors) {
      for (const TensorPart& part : tensor.parts) known.insert(part.name);
      known.insert(tensor.added.name);
    }
    if (network_.tied) known.insert(Stored("output"));
    for (const std::string& name : checkpoint_.Names()) {
      if (known.contains(name) || IsIgnored(name)) continue;
      throw Error::InTensor(checkpoint_.FileOf(name), name,
                            "has no place in a " + network_.architecture +
                                " of this configuration");
    }
  }

  bool IsIgnored(const std::string& name) const {
    // Older checkpoints store what follows from the configuration.
    if (name.ends_with(".rotary_emb.inv_freq")) return true;
    // Of a multimodal folder only the text model is taken.
    const bool nested =
        prefix_.second.find("language_model.") != std::string_view::npos;
    if (nested && !name.starts_with(prefix_.second)) return true;
    return std::any_of(network_.ignored.begin(), network_.ignored.end(),
                       [&](const std::string& part) {
                         return name.ends_with(part) ||
                                name.starts_with(Spelled(part));
                       });
  }

  std::optional<TokenizerData> ReadTokenizer() const {
    fs::path path = options_.tokenizer;
    for (const char* name :
         {"tokenizer.json", "tokenizer.model", "vocab.json"}) {
      if (path.empty() && Exists(folder_ / name)) path = folder_ / name;
    }
    if (path.empty()) return std::nullopt;
    TokenizerData data = ReadTokenizerFile(path);
    // Where the configuration is silent, the tokenizer's own tokens stay.
    std::vector<int32_t> ends = data.recipe.ends;
    TokenizerRecipe& recipe = data.recipe;
    if (recipe.bos < 0 && !recipe.before.empty()) {
      recipe.bos = recipe.before.front();
    }
    ReadIds(config_file_.object(), recipe, ends);
    if (config_file_.object().Has("text_config")) {
      ReadIds(config_file_.object().Object("text_config"), recipe, ends);
    }
    if (Exists(folder_ / "generation_config.json")) {
      const JsonFile file(folder_ / "generation_config.json",
                          "generation config");
      ReadIds(file.object(), recipe, ends);
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    recipe.ends = ends;
    if (Exists(folder_ / "tokenizer_config.json")) {
      const JsonFile file(folder_ / "tokenizer_config.json",
                          "tokenizer config");
      ReadTokenizerConfig(file.object(), recipe);
    }
    FitTokenizer(static_cast<size_t>(network_.vocab), path.string(), data);
    return data;
  }

  void ReadIds(const JsonObject& object, TokenizerRecipe& recipe,
               std::vector<int32_t>& ends) const {
    // Ids without a row in the embedding name tokens that never occur.
    constexpr int64_t kLowest = std::numeric_limits<int32_t>::min();
    constexpr int64_t kHighest = std::numeric_limits<int32_t>::max();
    const auto occurs = [this](int64_t id) {
      return id >= 0 && id < network_.vocab;
    };
    const int64_t bos =
        object.Integer("bos_token_id", kLowest, kHighest, recipe.bos);
    if (occurs(bos)) recipe.bos = static_cast<int32_t>(bos);
    for (const int64_t id :
         object.Integers("eos_token_id", kLowest, kHighest, kMaxEnds)) {
      if (occurs(id)) ends.push_back(static_cast<int32_t>(id));
    }
  }

  // The classes of Llama's tokenizer put BOS and EOS where these switches say,
  // whatever the tokenizer's file does.
  static void ReadTokenizerConfig(const JsonObject& object,
                                  TokenizerRecipe& recipe) {
    if (!object.String("tokenizer_class", "").starts_with("LlamaTokenizer")) {
      return;
    }
    if (object.Has("add_bos_token")) {
      recipe.before.clear();
      if (object.Bool("add_bos_token", true) && recipe.bos >= 0) {
        recipe.before = {recipe.bos};
      }
    }
    if (object.Has("add_eos_token")) {
      recipe.after.clear();
      if (object.Bool("add_eos_token", false) && !recipe.ends.empty()) {
        recipe.after = {recipe.ends.front()};
      }
    }
  }

  const ImportOptions& options_;
  fs::path folder_;
  JsonFile config_file_;
  Network network_;
  Checkpoint checkpoint_;
  // See kPrefixes.
  std::pair<std::string_view, std::string_view> prefix_;
};

}  // namespace

ImportPlan PlanHuggingFace(const ImportOptions& options) {
  return Importer(options).Plan();
}

}  // namespace lutra::packer
