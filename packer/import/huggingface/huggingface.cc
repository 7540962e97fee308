// Folders as the transformers library writes them.

#include <algorithm>
#include <limits>

#include "lutra/runtime/error.h"
#include "packer/import/chat/chat.h"
#include "packer/import/checkpoint.h"
#include "packer/import/exists.h"
#include "packer/import/huggingface/network_plan.h"
#include "packer/import/huggingface/sentence_transformer.h"
#include "packer/import/import_plan.h"
#include "packer/import/json_file.h"
#include "packer/import/tokenizers/tokenizers.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxEnds = 64;

class Importer {
 public:
  explicit Importer(const ImportOptions& options)
      : options_(options),
        folder_(options.source),
        config_file_(folder_ / kConfigFile, "config") {}

  ImportPlan Plan() {
    Checkpoint checkpoint(folder_, config_file_.object());
    const std::optional<EncoderHead> head =
        ReadSentenceTransformer(folder_, checkpoint);
    ImportPlan plan =
        PlanNetwork(options_, config_file_.object(), checkpoint, head, &vocab_);
    plan.tokenizer = ReadTokenizer();
    plan.chat = ReadChatFolder(folder_);
    return plan;
  }

 private:
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
    FitTokenizer(static_cast<size_t>(vocab_), path.string(), data);
    return data;
  }

  void ReadIds(const JsonObject& object, TokenizerRecipe& recipe,
               std::vector<int32_t>& ends) const {
    // Ids without a row in the embedding name tokens that never occur.
    constexpr int64_t kLowest = std::numeric_limits<int32_t>::min();
    constexpr int64_t kHighest = std::numeric_limits<int32_t>::max();
    const auto occurs = [this](int64_t id) { return id >= 0 && id < vocab_; };
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
  int64_t vocab_ = 0;
};

}  // namespace

ImportPlan PlanHuggingFace(const ImportOptions& options) {
  return Importer(options).Plan();
}

}  // namespace lutra::packer
