// What packed models give is defined to the bit, from the file to the logits.
// The digests here are the same on every platform: cross builds run this, too.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/runtime/language_model.h"
#include "lutra/runtime/session.h"
#include "tests/kernels/digest.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

// A model file of random weights.
class RandomModel {
 public:
  // A layer of `n` outputs, its weight and where that is packed, in how many
  // bits.
  std::string Linear(const std::string& x, const std::string& name, uint32_t n,
                     uint32_t k, uint32_t bits, bool bias = false) {
    AddPacked(name + ".weight", n, k, bits);
    if (bias) builder_.Floats(name + ".bias", {n}, numbers_.Reals(n));
    builder_.Add(OpType::kLinear, {x}, name, name + ".weight",
                 bias ? name + ".bias" : "");
    return name;
  }
  std::string Norm(const std::string& x, const std::string& name, uint32_t n) {
    builder_.Floats(name + ".weight", {n}, numbers_.Reals(n));
    builder_.Add(OpType::kRmsNorm, {x}, name, name + ".weight")
        .Set("eps", 0x1p-17);
    return name;
  }
  void AddPacked(const std::string& name, uint32_t n, uint32_t k,
                 uint32_t bits) {
    kernels::RandomMatrix r;
    r.format = {.n = n, .k = k, .bits = bits, .group_size = 16};
    r.indices.resize(size_t{n} * k);
    for (uint8_t& index : r.indices) {
      index = static_cast<uint8_t>(numbers_.Bits() % (1u << bits));
    }
    r.scales.resize(size_t{n} * r.format.GroupsPerRow());
    for (float& scale : r.scales) scale = numbers_.Real() / 256;
    r.tables.resize(r.format.TableEntries());
    for (int8_t& entry : r.tables) {
      entry = static_cast<int8_t>(numbers_.Bits() % 255 - 127);
    }
    kernels::PackMatrix(r);
    builder_.Packed(name, {r.blob.get(), r.blob_bytes});
  }
  std::shared_ptr<const Model> Load() const {
    const TempDir dir;
    builder_.Write(dir / "model.safetensors");
    LoadOptions options;
    options.storage = Storage::kCopy;  // the file goes
    return Model::Load(dir / "model.safetensors", options);
  }

  ModelBuilder& builder() { return builder_; }
  PortableNumbers& numbers() { return numbers_; }

 private:
  ModelBuilder builder_;
  PortableNumbers numbers_;
};

uint64_t DigestOfMlp() {
  RandomModel random;
  random.builder().Input("x", {100});
  std::string x = random.Linear("x", "fc1", 70, 100, 2, true);
  random.builder().Add(OpType::kRelu, {x}, "h1");
  x = random.Linear("h1", "fc2", 33, 70, 4, true);
  random.builder().Add(OpType::kSigmoid, {x}, "h2");
  x = random.Linear("h2", "fc3", 10, 33, 3);
  random.builder().Add(OpType::kSoftmax, {x}, "y").Output("y");
  Session session(random.Load(), {});
  const std::vector<float> rows = random.numbers().Reals(5 * 100);
  std::vector<float> y(5 * 10);
  const void* const inputs[] = {rows.data()};
  float* const outputs[] = {y.data()};
  session.Run(5, inputs, outputs);
  Digest digest;
  digest.AddFloats(y);
  return digest.value();
}

TEST(DigestTest, Mlp) { ExpectDigest("mlp", 0xaae62bab75c70d1cu, DigestOfMlp); }

// Llama's: a prompt in two calls, then token by token.
uint64_t DigestOfLanguageModel() {
  constexpr uint32_t kVocabulary = 60;
  constexpr uint32_t kWidth = 48;
  constexpr uint32_t kHeads = 4;
  constexpr uint32_t kKeyHeads = 2;
  constexpr uint32_t kHeadDim = 12;
  constexpr uint32_t kHidden = 80;
  RandomModel random;
  ModelBuilder& b = random.builder();
  b.Metadata(kContextLengthKey, "128");
  b.Floats("frequencies", {4}, std::vector<float>{1, 0.1f, 0.01f, 0.001f});
  b.Input("ids", {}, ValueType::kInt32);
  random.AddPacked("embedding", kVocabulary, kWidth, 4);
  b.Add(OpType::kEmbedding, {"ids"}, "x", "embedding");
  const auto rope = [&](const std::string& x) {
    b.Add(OpType::kRope, {x}, x + ".rope", "frequencies")
        .Set("head_dim", double{kHeadDim})
        .Set("pairing", "half");
    return x + ".rope";
  };
  std::string x = "x";
  const auto add = [&](const std::string& y) {
    b.Add(OpType::kAdd, {x, y}, y + ".sum");
    x = y + ".sum";
  };
  for (const std::string layer : {"0.", "1."}) {
    std::string h = random.Norm(x, layer + "norm1", kWidth);
    const std::string q =
        rope(random.Linear(h, layer + "q", kHeads * kHeadDim, kWidth, 2));
    const std::string k =
        rope(random.Linear(h, layer + "k", kKeyHeads * kHeadDim, kWidth, 3));
    const std::string v =
        random.Linear(h, layer + "v", kKeyHeads * kHeadDim, kWidth, 1);
    b.Add(OpType::kAttention, {q, k, v}, layer + "attention")
        .Set("heads", double{kHeads})
        .Set("kv_heads", double{kKeyHeads});
    add(random.Linear(layer + "attention", layer + "o", kWidth,
                      kHeads * kHeadDim, 4));
    h = random.Norm(x, layer + "norm2", kWidth);
    const std::string gate =
        random.Linear(h, layer + "gate", kHidden, kWidth, 2);
    const std::string up = random.Linear(h, layer + "up", kHidden, kWidth, 2);
    b.Add(OpType::kSilu, {gate}, gate + ".silu");
    b.Add(OpType::kMul, {gate + ".silu", up}, layer + "product");
    add(random.Linear(layer + "product", layer + "down", kWidth, kHidden, 8));
  }
  b.Add(OpType::kLinear, {random.Norm(x, "norm", kWidth)}, "logits",
        "embedding");
  b.Output("logits");

  LanguageModel model(random.Load());
  std::vector<int32_t> prompt(70);
  for (int32_t& id : prompt) {
    id = static_cast<int32_t>(random.numbers().Bits() % kVocabulary);
  }
  Digest digest;
  digest.AddFloats(model.Feed({prompt.data(), 47}));
  Span<const float> logits = model.Feed({prompt.data() + 47, 23});
  for (int i = 0; i < 20; ++i) {
    digest.AddFloats(logits);
    const int32_t best = static_cast<int32_t>(
        std::max_element(logits.begin(), logits.end()) - logits.begin());
    logits = model.Feed({&best, 1});
  }
  return digest.value();
}

TEST(DigestTest, LanguageModel) {
  ExpectDigest("language_model", 0xae20d7d528d81b37u, DigestOfLanguageModel);
}

}  // namespace
}  // namespace lutra
