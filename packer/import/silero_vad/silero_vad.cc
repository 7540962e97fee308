// Silero's voice activity detector (https://github.com/snakers4/silero-vad),
// version 5 at 16 kHz, from the safetensors of its PyTorch network: a frame of
// 512 samples is a row, and the network remembers what it needs of the frames
// before (its LSTM, and the last samples of the frame before, which it sees in
// front of a frame).

#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/import_plan.h"
#include "packer/import/silero_vad/silero_vad.h"

namespace lutra::packer {
namespace {

constexpr int64_t kFrame = 512;
constexpr int64_t kContext = 64;    // samples of the frame before
constexpr int64_t kReflected = 64;  // samples mirrored at the end
constexpr int64_t kWindow = 256;    // of the short-time Fourier transform
constexpr int64_t kHop = 128;
constexpr int64_t kBins = 129;
constexpr int64_t kHidden = 128;

using Floats = std::vector<float>;

class Importer {
 public:
  explicit Importer(const std::filesystem::path& path)
      : file_(SafetensorsFile::Open(path)) {}

  ImportPlan Plan() {
    plan_.architecture = "Silero VAD, 16 kHz";
    plan_.layers = 6;
    plan_.graph.inputs = {{"samples", ValueType::kFloat32, {kFrame}}};
    plan_.graph.outputs = {"speech"};
    Samples();
    Spectrum();
    Convolution("conv1", kBins, 128, 1);
    Convolution("conv2", 128, 64, 2);
    Convolution("conv3", 64, 64, 2);
    Convolution("conv4", 64, kHidden, 1);
    Reshape("features", {kHidden});
    Lstm();
    return std::move(plan_);
  }

 private:
  // Any floats, as float32.
  Floats Read(const std::string& name, const std::vector<int64_t>& shape) {
    const TensorView& view = file_.Get(name);
    CheckShape(view, shape, file_.path());
    Floats values(view.ElementCount());
    ToFloats(view.dtype, view.data, values);
    for (const float value : values) {
      if (!std::isfinite(value)) {
        throw Error::InTensor(file_.path(), name,
                              "has a value that is not finite");
      }
    }
    return values;
  }

  void Store(const std::string& name, std::vector<int64_t> shape,
             Floats values) {
    plan_.tensors.push_back(
        MakeTensor(name, std::move(shape),
                   [values = std::move(values)] { return values; }));
  }

  void Reshape(const std::string& name, std::vector<int64_t> shape) {
    AddNode(plan_, OpType::kReshape, name).attributes["shape"] =
        std::move(shape);
  }

  // The end of the frame before, this one, and its end mirrored.
  void Samples() {
    plan_.graph.nodes.push_back(
        {OpType::kSlice,
         {"samples"},
         "end",
         "",
         "",
         {{"begin", static_cast<double>(kFrame - kContext)},
          {"length", static_cast<double>(kContext)}}});
    AddNode(plan_, OpType::kCausalConv1d, "context").weight = "delay";
    Floats delay(2 * kContext);
    std::fill(delay.begin(), delay.begin() + kContext, 1.0f);
    Store("delay", {2, kContext}, std::move(delay));
    plan_.graph.nodes.push_back(
        {OpType::kConcat, {"context", "samples"}, "seen", "", ""});
    AddNode(plan_, OpType::kGather, "mirrored").weight = "mirror";
    constexpr int64_t kSeen = kContext + kFrame;
    Floats places(kSeen + kReflected);
    std::iota(places.begin(), places.end(), 0.0f);
    for (int64_t i = 0; i < kReflected; ++i) {
      places[static_cast<size_t>(kSeen + i)] =
          static_cast<float>(kSeen - 2 - i);
    }
    Store("mirror", {kSeen + kReflected}, std::move(places));
    Reshape("signal", {kSeen + kReflected, 1, 1});
  }

  // Real and imaginary parts side by side, [frames, 1, 2 * bins]. A pair's
  // magnitude is the mean of the products of its parts with themselves over
  // their root mean square, times the root of 2.
  void Spectrum() {
    const Floats filters = Read("stft_conv.weight", {2 * kBins, 1, kWindow});
    Floats pairs(filters.size());
    for (int64_t bin = 0; bin < kBins; ++bin) {
      for (const int64_t part : {0, 1}) {
        std::copy_n(filters.begin() + (part * kBins + bin) * kWindow, kWindow,
                    pairs.begin() + (2 * bin + part) * kWindow);
      }
    }
    Store("stft.weight", {2 * kBins, kWindow}, std::move(pairs));
    Node& transform = AddNode(plan_, OpType::kConv2d, "stft");
    transform.weight = "stft.weight";
    transform.attributes["kernel"] = std::vector<int64_t>{kWindow, 1};
    transform.attributes["stride"] = std::vector<int64_t>{kHop, 1};
    Node& norm = AddNode(plan_, OpType::kRmsNorm, "directions");
    norm.weight = "root2";
    norm.attributes["eps"] = 1e-12;
    Store("root2", {2}, Floats(2, std::sqrt(2.0f)));
    plan_.graph.nodes.push_back(
        {OpType::kMul, {"stft", "directions"}, "halves", "", ""});
    Reshape("rows", {kFrames, 2 * kBins, 1});
    Node& mean = AddNode(plan_, OpType::kAvgPool2d, "magnitudes");
    mean.attributes["kernel"] = std::vector<int64_t>{1, 2};
    mean.attributes["stride"] = std::vector<int64_t>{1, 2};
    Reshape("bins", {kFrames, 1, kBins});
  }

  // Of width 3, with a zero at either end, and ReLU. [n, c, 3] becomes [n, 3c].
  void Convolution(const std::string& name, int64_t channels, int64_t outputs,
                   int64_t stride) {
    const Floats kernel = Read(name + ".weight", {outputs, channels, 3});
    Floats by_tap(kernel.size());
    for (int64_t n = 0; n < outputs; ++n) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t tap = 0; tap < 3; ++tap) {
          by_tap[static_cast<size_t>((n * 3 + tap) * channels + c)] =
              kernel[static_cast<size_t>((n * channels + c) * 3 + tap)];
        }
      }
    }
    Store(name + ".weight", {outputs, 3 * channels}, std::move(by_tap));
    Store(name + ".bias", {outputs}, Read(name + ".bias", {outputs}));
    Node& node = AddNode(plan_, OpType::kConv2d, name);
    node.weight = name + ".weight";
    node.bias = name + ".bias";
    node.attributes["kernel"] = std::vector<int64_t>{3, 1};
    node.attributes["stride"] = std::vector<int64_t>{stride, 1};
    node.attributes["padding"] = std::vector<int64_t>{1, 1, 0, 0};
    AddNode(plan_, OpType::kRelu, name + ".relu");
  }

  void Lstm() {
    constexpr int64_t kGates = 4 * kHidden;
    Floats bias = Read("lstm_cell.bias_ih", {kGates});
    const Floats more = Read("lstm_cell.bias_hh", {kGates});
    for (size_t i = 0; i < bias.size(); ++i) bias[i] += more[i];
    Linear("lstm.input", {kGates, kHidden},
           Read("lstm_cell.weight_ih", {kGates, kHidden}), std::move(bias));
    Node& cell = AddNode(plan_, OpType::kLstmCell, "lstm");
    cell.weight = "lstm.hidden.weight";
    cell.attributes["gates"] = std::string("ifgo");
    Store(cell.weight, {kGates, kHidden},
          Read("lstm_cell.weight_hh", {kGates, kHidden}));
    AddNode(plan_, OpType::kRelu, "lstm.relu");
    Linear("final", {1, kHidden}, Read("final_conv.weight", {1, kHidden, 1}),
           Read("final_conv.bias", {1}));
    AddNode(plan_, OpType::kSigmoid, "speech");
  }

  void Linear(const std::string& name, std::vector<int64_t> shape,
              Floats weight, Floats bias) {
    Node& node = AddNode(plan_, OpType::kLinear, name);
    node.weight = name + ".weight";
    node.bias = name + ".bias";
    Store(node.bias, {shape[0]}, std::move(bias));
    Store(node.weight, std::move(shape), std::move(weight));
  }

  // Of the transform in a frame: (64 + 512 + 64 - 256) / 128 + 1.
  static constexpr int64_t kFrames =
      (kContext + kFrame + kReflected - kWindow) / kHop + 1;

  SafetensorsFile file_;
  ImportPlan plan_;
};

}  // namespace

bool IsSileroVad(const std::filesystem::path& path) {
  try {
    const SafetensorsFile file = SafetensorsFile::Open(path);
    return file.Find("stft_conv.weight") != nullptr &&
           file.Find("lstm_cell.weight_hh") != nullptr;
  } catch (const Error&) {
    return false;
  }
}

ImportPlan PlanSileroVad(const ImportOptions& options) {
  return Importer(options.source).Plan();
}

}  // namespace lutra::packer
