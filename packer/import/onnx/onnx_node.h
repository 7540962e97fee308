#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_NODE_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_NODE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/network/network.h"
#include "packer/import/onnx/onnx_file.h"
#include "packer/import/onnx/open_texts.h"

namespace lutra::packer {

// Scores of tokens for each other, as far as they have been computed.
struct Scores {
  Value queries;  // [.., tokens, size]
  Value keys;
  double scale = 1;
  SeenTokens seen;
  bool softmax = false;  // whether they are weights already
};

// What is no value of its own, but a part of something that several nodes make.
// Of a value that is quantized by what its own elements are, whole numbers are
// held as what they stand for, so they are a value without its scale, which is
// known by name until a product brings both together.
struct DynamicPart {
  enum class Kind {
    kNumbers,  // whole numbers
    kZero,     // the one that stands for 0
    kScale,    // the scale, times the operand's constant
    kProduct,  // a product of the numbers, less their zero, and constants
    kRows,     // rows of a table of whole numbers, whose scale is known
    kIsNaN,    // whether elements of the value are no numbers
    kBySizes,  // numbers that the sizes of the inputs decide
    kScores,   // of tokens of a text for each other, on their way to attention
  };
  Kind kind = Kind::kNumbers;
  std::string scale;
  std::shared_ptr<const BySizes> by_sizes = nullptr;
  std::shared_ptr<const Scores> scores = nullptr;
};

// What a name of an ONNX graph stands for: one of the first two.
struct Operand {
  std::optional<Constant> constant;
  std::optional<Value> value;
  std::optional<DynamicPart> dynamic = {};

  const View& view() const { return constant ? constant->view : value->view; }
  // nullptr: sizes do not decide it; scores: nullptr if it has none.
  const BySizes* by_sizes() const {
    return dynamic ? dynamic->by_sizes.get() : nullptr;
  }
  const Scores* scores() const {
    return dynamic ? dynamic->scores.get() : nullptr;
  }
  // Whether it is a part of what is quantized.
  bool is_quantized() const {
    return dynamic && by_sizes() == nullptr && scores() == nullptr;
  }
};

// Numbers of a constant that is computed at import: files say how many.
inline constexpr int64_t kMostComputed = int64_t{1} << 20;

using Operands = std::map<std::string, Operand, std::less<>>;

// A node that is being translated. Functions throw Error with the bare cause
// for nodes that cannot be, and Unsupported for those that lutra cannot
// express.
class OnnxContext {
 public:
  OnnxContext(const OnnxNode& node, const OnnxGraph& graph,
              const std::map<std::string, size_t, std::less<>>& uses,
              Operands& operands, NetworkBuilder& network, OpenTexts* texts)
      : node_(node),
        graph_(graph),
        uses_(uses),
        operands_(operands),
        network_(network),
        texts_(texts) {}

  const OnnxNode& node() const { return node_; }
  int64_t opset() const { return graph_.opset; }
  NetworkBuilder& net() const { return network_; }
  // nullptr: the graph takes no texts of open length.
  OpenTexts* texts() const { return texts_; }

  bool Has(size_t input) const;
  size_t InputCount() const { return node_.inputs.size(); }
  bool IsConstant(size_t input) const;
  // Whether all inputs that are given are constants.
  bool AllConstant() const;
  // Of either kind.
  Operand Input(size_t input) const;
  Value ValueAt(size_t input) const;
  // A constant, too, becomes a value.
  Value AnyValueAt(size_t input) const;
  Constant ConstantAt(size_t input) const;
  // Of numbers of a shape and the like.
  std::vector<int64_t> IntegersAt(size_t input) const;
  // The same of a shape: sizes of open dimensions are UnknownSize, and one that
  // joins them with others is -1.
  std::vector<int64_t> ShapeAt(size_t input) const;
  // One number. Throws Error if it is not one.
  float NumberAt(size_t input) const;
  // The node that makes an input, which nothing else reads; nullptr if there is
  // none.
  const OnnxNode* Maker(size_t input) const;
  // The node that alone reads the output; nullptr if there is none.
  const OnnxNode* Reader() const;
  // A constant that any node may read; nullptr if there is none.
  const Constant* KnownConstant(std::string_view name) const;

  bool HasAttribute(std::string_view name) const;
  int64_t Integer(std::string_view name, int64_t otherwise) const;
  float Number(std::string_view name, float otherwise) const;
  std::string Text(std::string_view name, const std::string& otherwise) const;
  std::vector<int64_t> Integers(std::string_view name) const;
  std::vector<std::string> Texts(std::string_view name) const;
  const Constant& Tensor(std::string_view name) const;
  // A dimension of a value of `rank`, counted from the end if negative.
  size_t Dim(int64_t axis, size_t rank) const;

  void SetOutput(Value value, size_t output = 0) const;
  void SetOutput(Constant constant, size_t output = 0) const;
  void SetOutput(Operand operand, size_t output = 0) const;
  // Whether anything reads it.
  bool WantsOutput(size_t output) const;

 private:
  const OnnxAttribute* Find(std::string_view name,
                            OnnxAttribute::Type type) const;

  const OnnxNode& node_;
  const OnnxGraph& graph_;
  const std::map<std::string, size_t, std::less<>>& uses_;
  Operands& operands_;
  NetworkBuilder& network_;
  OpenTexts* texts_;
};

// Conv and Gemm with the node's attributes, of whatever the inputs are; the
// bias may be nullptr.
Value OnnxConvolution(const OnnxContext& node, Value x, Constant weight,
                      const Constant* bias);
Value OnnxGemm(const OnnxContext& node, Value x, Constant weight,
               const Constant* bias);

struct OnnxOperator {
  std::string_view name;  // "com.microsoft.MatMulNBits"
  size_t least_inputs;
  size_t most_inputs;
  void (*translate)(OnnxContext&);
};

// A file for each family.
std::span<const OnnxOperator> OnnxElementwise();
std::span<const OnnxOperator> OnnxConvolutions();
std::span<const OnnxOperator> OnnxProducts();
std::span<const OnnxOperator> OnnxNorms();
std::span<const OnnxOperator> OnnxQuantized();
std::span<const OnnxOperator> OnnxRecurrent();
std::span<const OnnxOperator> OnnxShapes();
// Operators on constants alone, of which some are of the families, too.
std::span<const OnnxOperator> OnnxFolds();

// nullptr if there is none.
const OnnxOperator* FindOnnxOperator(std::string_view name);
const OnnxOperator* FindOnnxFold(std::string_view name);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_NODE_H_
