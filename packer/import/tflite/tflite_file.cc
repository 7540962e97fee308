#include "packer/import/tflite/tflite_file.h"

#include <tflite_generated.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

constexpr size_t kMaxOperators = 65536;
constexpr size_t kMaxRank = 8;
constexpr size_t kLargestFile = INT32_MAX - 1;  // offsets have 32 bits
constexpr int64_t kMaxSize = int64_t{1} << 30;

std::optional<ElementType> TypeOf(int8_t type) {
  switch (type) {
    case 0:
      return ElementType::kFloat32;
    case 1:
      return ElementType::kFloat16;
    case 2:
      return ElementType::kInt32;
    case 3:
      return ElementType::kUInt8;
    case 4:
      return ElementType::kInt64;
    case 6:
      return ElementType::kBool;
    case 7:
      return ElementType::kInt16;
    case 9:
      return ElementType::kInt8;
    case 10:
      return ElementType::kFloat64;
    case 17:
      return ElementType::kInt4;
    default:
      return std::nullopt;
  }
}

template <typename T>
std::vector<int64_t> Numbers(const flatbuffers::Vector<T>* values) {
  if (values == nullptr) return {};
  return {values->begin(), values->end()};
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path.string()), file_(std::make_shared<const MappedFile>(path)) {}

  TfliteGraph Read() {
    const auto bytes = file_->bytes();
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    if (bytes.size() > kLargestFile) Fail("is larger than 2 GiB");
    flatbuffers::Verifier verifier(data, bytes.size());
    if (!tflite::VerifyModelBuffer(verifier)) {
      Fail("is damaged, or no file of TensorFlow Lite");
    }
    model_ = tflite::GetModel(data);
    if (model_->version() != 3) {
      Fail("is of version " + std::to_string(model_->version()) +
           " of the format; known is 3");
    }
    if (model_->subgraphs() == nullptr || model_->subgraphs()->size() != 1 ||
        model_->subgraphs()->Get(0)->tensors() == nullptr) {
      Fail("has not one graph");
    }
    const auto* graph = model_->subgraphs()->Get(0);
    for (const auto* tensor : *graph->tensors()) ReadTensor(*tensor);
    graph_.inputs = Numbers(graph->inputs());
    graph_.outputs = Numbers(graph->outputs());
    CheckTensors(graph_.inputs, false);
    CheckTensors(graph_.outputs, false);
    if (graph_.inputs.empty() || graph_.outputs.empty()) {
      Fail("has no inputs or no outputs");
    }
    if (graph->operators() == nullptr) return std::move(graph_);
    if (graph->operators()->size() > kMaxOperators) {
      Fail("has more than 65,536 operators");
    }
    for (const auto* op : *graph->operators()) ReadOperator(*op);
    return std::move(graph_);
  }

 private:
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(path_, cause);
  }

  void CheckTensors(const std::vector<int64_t>& tensors, bool optional) const {
    const auto count = static_cast<int64_t>(graph_.tensors.size());
    for (const int64_t tensor : tensors) {
      if (tensor >= (optional ? -1 : 0) && tensor < count) continue;
      Fail("names tensor " + std::to_string(tensor) + " of " +
           std::to_string(count));
    }
  }

  void ReadTensor(const tflite::Tensor& from) {
    TfliteTensor tensor;
    if (from.name() != nullptr) tensor.name = from.name()->str();
    tensor.shape = Numbers(from.shape());
    const std::vector<int64_t> open = Numbers(from.shape_signature());
    tensor.type = TypeOf(from.type());
    for (const int64_t size : tensor.shape) {
      if (size < 0 || size > kMaxSize) {
        Fail("has a tensor of the shape " + ShapeToString(tensor.shape));
      }
    }
    if (tensor.shape.size() > kMaxRank) {
      Fail("has a tensor of more than 8 dimensions");
    }
    for (size_t i = 0; i < open.size() && i < tensor.shape.size(); ++i) {
      if (open[i] == -1) tensor.shape[i] = -1;
    }
    if (const auto* quantization = from.quantization()) {
      if (quantization->details_type() != 0) {
        Fail("has a tensor with a quantization of its own kind");
      }
      if (quantization->scale() != nullptr) {
        tensor.scales.assign(quantization->scale()->begin(),
                             quantization->scale()->end());
      }
      tensor.zeros = Numbers(quantization->zero_point());
      if (tensor.zeros.empty()) tensor.zeros.assign(tensor.scales.size(), 0);
      const int64_t dim = quantization->quantized_dimension();
      if (tensor.zeros.size() != tensor.scales.size() || dim < 0 ||
          (tensor.scales.size() > 1 &&
           (static_cast<size_t>(dim) >= tensor.shape.size() ||
            tensor.shape[static_cast<size_t>(dim)] !=
                static_cast<int64_t>(tensor.scales.size())))) {
        Fail("has a tensor with scales of another size");
      }
      tensor.quantized_dim = static_cast<size_t>(dim);
    }
    ReadConstant(from, tensor);
    graph_.tensors.push_back(std::move(tensor));
  }

  void ReadConstant(const tflite::Tensor& from, TfliteTensor& tensor) const {
    const auto* buffers = model_->buffers();
    if (from.buffer() == 0) return;  // the empty one
    if (buffers == nullptr || from.buffer() >= buffers->size()) {
      Fail("has a tensor without its buffer");
    }
    const tflite::Buffer& buffer = *buffers->Get(from.buffer());
    if (buffer.offset() > 1) Fail("has data behind the graph");
    if (buffer.data() == nullptr || buffer.data()->size() == 0) return;
    if (!tensor.type) Fail("has numbers of a type that is not known");
    const auto count = CheckedElementCount(tensor.shape);
    const std::span<const uint8_t> bytes(buffer.data()->data(),
                                         buffer.data()->size());
    if (!count || bytes.size() != BytesOf(*tensor.type, *count)) {
      Fail("tensor '" + tensor.name + "' has " + std::to_string(bytes.size()) +
           " bytes, which are not those of its shape " +
           ShapeToString(tensor.shape));
    }
    Constant constant = MakeConstant(
        tensor.name, {*tensor.type, std::as_bytes(bytes), file_}, tensor.shape);
    if (!tensor.scales.empty() && !IsFloat(*tensor.type)) {
      auto quantization = std::make_shared<Quantization>();
      quantization->scales = Elements::Of(tensor.scales);
      quantization->zeros = Elements::Of(tensor.zeros);
      const bool all_zero =
          std::all_of(tensor.zeros.begin(), tensor.zeros.end(),
                      [](int64_t zero) { return zero == 0; });
      if (all_zero) quantization->zeros = {};
      if (tensor.scales.size() > 1) {
        quantization->size = tensor.scales.size();
        for (size_t i = tensor.quantized_dim + 1; i < tensor.shape.size();
             ++i) {
          quantization->inner *= static_cast<size_t>(tensor.shape[i]);
        }
      }
      constant.quantization = std::move(quantization);
    }
    tensor.constant = std::move(constant);
  }

  void ReadOperator(const tflite::Operator& from) {
    TfliteOperator op;
    const auto* codes = model_->operator_codes();
    if (codes == nullptr || from.opcode_index() >= codes->size()) {
      Fail("has an operator without a code");
    }
    const auto& code = *codes->Get(from.opcode_index());
    // Old files have the code in a byte, later ones in both, as long as it
    // fits.
    op.code = std::max<int64_t>(code.old_code(), code.code());
    if (code.custom_code() != nullptr) op.name = code.custom_code()->str();
    op.inputs = Numbers(from.inputs());
    op.outputs = Numbers(from.outputs());
    CheckTensors(op.inputs, true);
    CheckTensors(op.outputs, false);
    if (op.outputs.empty()) Fail("has an operator without an output");
    ReadOptions(from, op);
    graph_.operators.push_back(std::move(op));
  }

  template <typename Options>
  static void ReadWindow(const Options& options, TfliteOperator& op) {
    op.same_padding = options.padding() == 0;
    op.stride = {options.stride_h(), options.stride_w()};
    op.activation = options.activation();
  }

  static void ReadOptions(const tflite::Operator& from, TfliteOperator& op) {
    if (const auto* conv = from.options_as_Conv()) {
      ReadWindow(*conv, op);
      op.dilation = {conv->dilation_h(), conv->dilation_w()};
    } else if (const auto* depthwise = from.options_as_Depthwise()) {
      ReadWindow(*depthwise, op);
      op.dilation = {depthwise->dilation_h(), depthwise->dilation_w()};
    } else if (const auto* pool = from.options_as_Pool()) {
      ReadWindow(*pool, op);
      op.kernel = {pool->filter_h(), pool->filter_w()};
    } else if (const auto* product = from.options_as_FullyConnected()) {
      op.activation = product->activation();
      op.keeps_dims = product->keep_num_dims();
    } else if (const auto* softmax = from.options_as_Softmax()) {
      op.beta = softmax->beta();
    } else if (const auto* concat = from.options_as_Concatenation()) {
      op.activation = concat->activation();
      op.axis = concat->axis();
    } else if (const auto* add = from.options_as_Add()) {
      op.activation = add->activation();
    } else if (const auto* mul = from.options_as_Mul()) {
      op.activation = mul->activation();
    } else if (const auto* sub = from.options_as_Sub()) {
      op.activation = sub->activation();
    } else if (const auto* reshape = from.options_as_Reshape()) {
      op.shape = Numbers(reshape->new_shape());
    } else if (const auto* reducer = from.options_as_Reducer()) {
      op.keeps_dims = reducer->keep_dims();
    }
  }

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  const tflite::Model* model_ = nullptr;
  TfliteGraph graph_;
};

}  // namespace

TfliteGraph ReadTflite(const std::filesystem::path& path) {
  return Reader(path).Read();
}

}  // namespace lutra::packer
