#include "tests/tools/workshop.h"

#include <algorithm>

#include "lutra/qat/quantizers.h"
#include "lutra/qat/scheme.h"
#include "tests/runtime/raw_file.h"

namespace lutra::tools {
namespace {

std::vector<float> OnGrid(std::vector<float> w, size_t k) {
  const auto quantizer = qat::MakeQuantizer("stretched");
  std::vector<float> grid(w.size() / k * quantizer->GridSize(2));
  quantizer->Quantize({w.data(), w.size() / k, k, true}, 2, w.data(),
                      grid.data());
  return w;
}

}  // namespace

Workshop::Workshop()
    : w1(RandomFloats(kHidden * kFeatures, 1)),
      w2(RandomFloats(kClasses * kHidden, 2)) {
  for (const float value : RandomFloats(kImages * kFeatures, 3)) {
    pixels.push_back(
        static_cast<uint8_t>(std::clamp(128.0f + 50.0f * value, 0.0f, 255.0f)));
  }
  for (size_t i = 0; i < kImages; ++i) {
    labels.push_back(static_cast<uint8_t>(i * 7 % kClasses));
  }
  std::filesystem::create_directory(data());
  WriteBytes(data() + "/t10k-images-idx3-ubyte",
             IdxBytes({kImages, 4, 4}, pixels));
  WriteBytes(data() + "/t10k-labels-idx1-ubyte", IdxBytes({kImages}, labels));

  Network(w1, w2).Write(*this / "float.safetensors");
  const qat::QuantScheme scheme{"stretched", 2, 0};
  Network(OnGrid(w1, kFeatures), OnGrid(w2, kHidden))
      .Metadata(kSchemesKey, qat::SchemesToJson({{"fc1.weight", scheme},
                                                 {"fc2.weight", scheme}}))
      .Write(*this / "trained.safetensors");
  ModelBuilder ids;
  ids.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "e", "table")
      .Add(OpType::kLinear, {"e"}, "y", "table")
      .Output("y")
      .Floats("table", {32, 16}, RandomFloats(32 * 16, 4));
  ids.Write(*this / "ids.safetensors");
}

ModelBuilder Workshop::Network(const std::vector<float>& first,
                               const std::vector<float>& second) const {
  ModelBuilder builder;
  builder.Input("x", {kFeatures})
      .Add(OpType::kLinear, {"x"}, "h", "fc1.weight", "fc1.bias")
      .Add(OpType::kRelu, {"h"}, "r")
      .Add(OpType::kLinear, {"r"}, "y", "fc2.weight")
      .Output("y")
      .Floats("fc1.weight", {kHidden, kFeatures}, first)
      .Floats("fc1.bias", {kHidden}, RandomFloats(kHidden, 5))
      .Floats("fc2.weight", {kClasses, kHidden}, second);
  return builder;
}

std::vector<float> Workshop::Scores(const std::string& model,
                                    kernels::ActivationType activations) const {
  ProgramOptions options;
  options.activations = activations;
  options.threads = 1;
  Session session(Model::Load(model), options);
  std::vector<float> x;
  for (const uint8_t pixel : pixels) {
    x.push_back(static_cast<float>(pixel) / 255.0f);
  }
  std::vector<float> scores(kImages * kClasses);
  const void* const inputs[] = {x.data()};
  float* const outputs[] = {scores.data()};
  session.Run(kImages, inputs, outputs);
  return scores;
}

std::vector<size_t> Workshop::Classes(const std::vector<float>& scores) {
  std::vector<size_t> classes;
  for (auto it = scores.begin(); it != scores.end(); it += kClasses) {
    classes.push_back(
        static_cast<size_t>(std::max_element(it, it + kClasses) - it));
  }
  return classes;
}

std::string IdxBytes(const std::vector<uint32_t>& shape,
                     const std::vector<uint8_t>& data) {
  std::string bytes = {'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const uint32_t size : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes += static_cast<char>(size >> shift & 0xFF);
    }
  }
  bytes.append(data.begin(), data.end());
  return bytes;
}

}  // namespace lutra::tools
