// The keyword spotter of MLPerf Tiny (https://github.com/mlcommons/tiny,
// benchmark/training/keyword_spotting): a convolution, four pairs of depthwise
// and pointwise ones, a mean and a dense layer, from the payload of its
// TensorFlow checkpoint.

#include <cmath>
#include <cstring>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/batch_norm.h"
#include "packer/import/import_plan.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

constexpr size_t kChannels = 64;
constexpr size_t kClasses = 12;
constexpr size_t kBlocks = 4;
constexpr double kBatchNormEps = 1e-3;

using Floats = std::vector<float>;

class Importer {
 public:
  explicit Importer(const std::filesystem::path& path)
      : path_(path.string()), file_(path), rest_(file_.bytes()) {}

  ImportPlan Plan() {
    plan_.architecture = "keyword spotter (MLPerf Tiny)";
    plan_.layers = 2 + 2 * kBlocks;
    plan_.graph.inputs = {{"mfcc", ValueType::kFloat32, {49, 10, 1}}};
    plan_.graph.outputs = {"logits"};
    // "Same" padding: what is odd goes to the end.
    Convolution("conv", 10 * 4, {10, 4}, {2, 2}, {4, 5, 1, 1});
    for (size_t block = 1; block <= kBlocks; ++block) {
      const std::string number = std::to_string(block);
      Depthwise("depthwise" + number);
      Convolution("pointwise" + number, kChannels, {1, 1}, {1, 1},
                  {0, 0, 0, 0});
    }
    Node& mean = AddNode(plan_, OpType::kAvgPool2d, "mean");
    mean.attributes["kernel"] = std::vector<int64_t>{25, 5};
    AddNode(plan_, OpType::kReshape, "features").attributes["shape"] =
        std::vector<int64_t>{kChannels};
    Node& dense = AddNode(plan_, OpType::kLinear, "logits");
    dense.weight = "dense.weight";
    dense.bias = "dense.bias";
    const Floats kernel = Take(kChannels * kClasses);
    Store(dense.weight, {kClasses, kChannels},
          Transposed(kernel, kChannels, kClasses));
    Store(dense.bias, {kClasses}, Take(kClasses));
    return std::move(plan_);
  }

 private:
  Floats Take(size_t count) {
    const size_t bytes = count * sizeof(float);
    if (bytes > rest_.size()) {
      throw Error::InFile(path_,
                          "is shorter than the keyword spotter's parameters");
    }
    Floats values(count);
    std::memcpy(values.data(), rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
    for (const float value : values) {
      if (!std::isfinite(value)) {
        throw Error::InFile(path_, "holds parameters that are not finite");
      }
    }
    return values;
  }

  static Floats Transposed(const Floats& matrix, size_t rows, size_t columns) {
    Floats result(matrix.size());
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        result[c * rows + r] = matrix[r * columns + c];
      }
    }
    return result;
  }

  void Store(const std::string& name, std::vector<int64_t> shape,
             Floats values) {
    plan_.tensors.push_back(
        MakeTensor(name, std::move(shape),
                   [values = std::move(values)] { return values; }));
  }

  // kernel [k, channels], channel last, followed by bias and batch norm, which
  // becomes a factor per channel and another bias.
  void TakeFolded(const std::string& name, size_t k, Floats& kernel,
                  Floats& bias) {
    kernel = Take(k * kChannels);
    bias = Take(kChannels);
    const Floats gamma = Take(kChannels);
    const Floats beta = Take(kChannels);
    const Floats mean = Take(kChannels);
    const Floats variance = Take(kChannels);
    try {
      const ChannelAffine affine =
          ToAffine(gamma, beta, mean, variance, kBatchNormEps);
      affine.ScaleColumns(kernel);
      affine.Apply(bias);
    } catch (const Error& error) {
      throw Error::InFile(path_, name + " " + error.what());
    }
  }

  void Convolution(const std::string& name, size_t k,
                   std::vector<int64_t> kernel_size,
                   std::vector<int64_t> stride, std::vector<int64_t> padding) {
    Floats kernel;
    Floats bias;
    TakeFolded(name, k, kernel, bias);
    Store(name + ".weight", {kChannels, static_cast<int64_t>(k)},
          Transposed(kernel, k, kChannels));
    Finish(name, OpType::kConv2d, bias, std::move(kernel_size),
           std::move(stride), std::move(padding));
  }

  void Depthwise(const std::string& name) {
    Floats kernel;
    Floats bias;
    TakeFolded(name, 9, kernel, bias);
    Store(name + ".weight", {9, kChannels}, std::move(kernel));
    Finish(name, OpType::kDepthwiseConv2d, bias, {3, 3}, {1, 1}, {1, 1, 1, 1});
  }

  void Finish(const std::string& name, OpType op, Floats& bias,
              std::vector<int64_t> kernel_size, std::vector<int64_t> stride,
              std::vector<int64_t> padding) {
    Store(name + ".bias", {kChannels}, std::move(bias));
    Node& node = AddNode(plan_, op, name);
    node.weight = name + ".weight";
    node.bias = name + ".bias";
    node.attributes["kernel"] = std::move(kernel_size);
    node.attributes["stride"] = std::move(stride);
    node.attributes["padding"] = std::move(padding);
    AddNode(plan_, OpType::kRelu, name + ".relu");
  }

  std::string path_;
  MappedFile file_;
  std::span<const std::byte> rest_;
  ImportPlan plan_;
};

}  // namespace

ImportPlan PlanKeywordSpotter(const ImportOptions& options) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(options.source, error);
  return Importer(folder ? options.source / kVariablesFile : options.source)
      .Plan();
}

}  // namespace lutra::packer
