#include "tests/runtime/tiny_language.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "tests/kernels/random_matrix.h"

namespace lutra {
namespace {

constexpr int64_t kWidth = 32;
constexpr int64_t kHeads = 4;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kHeadDim = kWidth / kHeads;
constexpr int64_t kKvWidth = kKvHeads * kHeadDim;
constexpr int64_t kHidden = 48;

Graph BlockGraph(bool encodes) {
  Graph graph;
  graph.inputs = {{"ids", ValueType::kInt32, {}}};
  const auto add = [&](OpType op, std::vector<std::string> inputs,
                       std::string output, std::string weight = "",
                       Attributes attributes = {}) {
    graph.nodes.push_back({op, std::move(inputs), std::move(output),
                           std::move(weight), "", std::move(attributes)});
  };
  const Attributes norm = {{"eps", 1e-5}};
  const Attributes rope = {{"head_dim", double{kHeadDim}},
                           {"pairing", std::string("half")}};
  add(OpType::kEmbedding, {"ids"}, "e", "embedding");
  add(OpType::kRmsNorm, {"e"}, "n0", "norm", norm);
  add(OpType::kLinear, {"n0"}, "q0", "q");
  add(OpType::kLinear, {"n0"}, "k0", "k");
  add(OpType::kLinear, {"n0"}, "v", "v");
  add(OpType::kRope, {"q0"}, "q1", "frequencies", rope);
  add(OpType::kRope, {"k0"}, "k1", "frequencies", rope);
  add(OpType::kAttention, {"q1", "k1", "v"}, "a0", "",
      {{"heads", double{kHeads}},
       {"kv_heads", double{kKvHeads}},
       {"direction", std::string(encodes ? "both" : "back")}});
  add(OpType::kLinear, {"a0"}, "a1", "o");
  add(OpType::kAdd, {"e", "a1"}, "h0");
  add(OpType::kRmsNorm, {"h0"}, "n1", "norm", norm);
  add(OpType::kLinear, {"n1"}, "g0", "gate");
  add(OpType::kLinear, {"n1"}, "u", "up");
  add(OpType::kSilu, {"g0"}, "g1");
  add(OpType::kMul, {"g1", "u"}, "m");
  add(OpType::kLinear, {"m"}, "d", "down");
  add(OpType::kAdd, {"h0", "d"}, "h1");
  add(OpType::kRmsNorm, {"h1"}, "n2", "norm", norm);
  if (encodes) {
    add(OpType::kTokenPool, {"n2"}, "embedding", "",
        {{"over", std::string("mean")}});
  } else {
    add(OpType::kLinear, {"n2"}, "logits", "embedding");
  }
  graph.outputs = {encodes ? "embedding" : "logits"};
  return graph;
}

std::vector<std::byte> TokenizerBytes() {
  TokenizerData data;
  std::vector<float> scores;
  const auto add = [&](std::string_view piece, PieceType type, float score) {
    data.AddPiece(piece, type);
    scores.push_back(score);
  };
  add("<unk>", PieceType::kUnused, 0);
  add("<s>", PieceType::kControl, 0);
  add("</s>", PieceType::kControl, 0);
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyz .\n")) {
    add(std::string(1, c), PieceType::kNormal, -2);
  }
  add("th", PieceType::kNormal, -1);
  add("he", PieceType::kNormal, -1.5f);
  add("\xC3\xA9", PieceType::kNormal, -2);
  add("\xC3", PieceType::kByte, 0);
  add("\xA9", PieceType::kByte, 0);
  std::vector<uint32_t> normal;
  for (uint32_t id = 3; id < 35; ++id) normal.push_back(id);
  MakeLookup(normal, data);
  AddMergesByScore(scores, data);
  data.recipe.kind = "tiny";
  data.recipe.before = {TinyLanguage::kBos};
  data.recipe.bos = TinyLanguage::kBos;
  data.recipe.ends = {TinyLanguage::kEos};
  return SerializeTokenizer(data);
}

}  // namespace

ModelBuilder TinyLanguage::Build() const {
  ModelBuilder builder;
  Graph graph = BlockGraph(encodes);
  graph.cache = cache;
  builder.Metadata(kGraphKey, GraphToJson(graph));
  builder.Metadata(kContextLengthKey, std::to_string(context));
  std::mt19937 rng(seed);
  const auto matrix = [&](std::string name, int64_t n, int64_t k) {
    if (packed) {
      const auto random =
          kernels::MakeRandomMatrix({.n = static_cast<uint32_t>(n),
                                     .k = static_cast<uint32_t>(k),
                                     .bits = 4,
                                     .group_size = 16},
                                    kernels::TableKind::kSmall, rng);
      builder.Packed(std::move(name), {random.blob.get(), random.blob_bytes});
    } else {
      builder.Floats(std::move(name), {n, k},
                     RandomFloats(static_cast<size_t>(n * k),
                                  static_cast<uint32_t>(rng()), 0.3f));
    }
  };
  matrix("embedding", static_cast<int64_t>(kVocabulary), kWidth);
  matrix("q", kWidth, kWidth);
  matrix("k", kKvWidth, kWidth);
  matrix("v", kKvWidth, kWidth);
  matrix("o", kWidth, kWidth);
  matrix("gate", kHidden, kWidth);
  matrix("up", kHidden, kWidth);
  matrix("down", kWidth, kHidden);
  builder.Floats("norm", {kWidth}, std::vector<float>(kWidth, 1.0f));
  std::vector<float> frequencies;
  for (int i = 0; i < kHeadDim / 2; ++i) {
    frequencies.push_back(std::pow(
        1e4f, -2.0f * static_cast<float>(i) / static_cast<float>(kHeadDim)));
  }
  builder.Floats("frequencies", {kHeadDim / 2}, frequencies);
  if (tokenizer) {
    const std::vector<std::byte> bytes = TokenizerBytes();
    builder.Tensor(std::string(kTokenizerTensor), DType::kUInt8,
                   {static_cast<int64_t>(bytes.size())}, bytes);
  }
  return builder;
}

}  // namespace lutra
