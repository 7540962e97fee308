#ifndef LUTRA_PACKER_IMPORT_NETWORK_NETWORK_H_
#define LUTRA_PACKER_IMPORT_NETWORK_NETWORK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "packer/import/import_plan.h"
#include "packer/import/network/constant.h"
#include "packer/import/network/matrix.h"
#include "packer/import/network/view.h"

// Builds a graph of lutra's operators from one of another program, node by
// node. Arrays keep the dimensions that the source gives them, and a view says
// how lutra holds them: images as [H, W, C] whatever the source does. What
// merely moves elements is a view until an operator needs them side by side;
// then one `gather` moves them.

namespace lutra::packer {

// What lutra has no operator for. Importers collect these.
struct Unsupported {
  std::string cause;
};

// The numbers that a quantized value has: (q - zero) * scale.
struct ValueGrid {
  float scale = 1;
  int64_t zero = 0;
  int64_t low = 0;
  int64_t high = 0;

  bool operator==(const ValueGrid&) const = default;
};

struct Value {
  std::string name;            // in lutra's graph
  std::vector<int64_t> shape;  // there: of a row
  View view;                   // the source's dimensions over that memory
  bool ids = false;            // whole numbers, which choose rows of a table
  // Whether one node alone uses it, so that this may be folded into what makes
  // it.
  bool sole = true;
  // Of a value that the source has as whole numbers, lutra as what they stand
  // for.
  std::optional<ValueGrid> grid = {};
  // Between which numbers it lies, if it was quantized.
  std::optional<std::pair<double, double>> range = {};
  // Whether it goes with values of any row axes: a constant, which is the same
  // in every row, or what the position in a sequence alone decides.
  bool same_in_rows = false;
};

// A window that moves over an image: rows, columns.
struct Window {
  std::array<int64_t, 2> kernel = {1, 1};
  std::array<int64_t, 2> stride = {1, 1};
  std::array<int64_t, 2> dilation = {1, 1};
  std::array<int64_t, 4> padding = {0, 0, 0, 0};  // top, bottom, left, right
};

// Pads so that there are as many outputs as inputs / stride, rounded up; what
// is odd goes to the end if `upper`, else to the beginning. ("SAME")
void PadToSame(const std::array<int64_t, 2>& image, bool upper, Window& window);

// Which dimensions of a value are those of an image.
struct ImageDims {
  size_t batch = 0;
  size_t height = 0;
  size_t width = 0;
  size_t channels = 0;
};

// A cell that reads its own output: of G gates and H units, what it takes is a
// product with x.
struct RecurrentLayer {
  OpType op = OpType::kLstmCell;
  Attributes attributes = {};  // of the cell
  Constant input;              // [G * H, K]
  Constant recurrent;          // [G * H, H]
  // [G * H], of either product; empty: none.
  std::vector<float> input_bias = {};
  std::vector<float> recurrent_bias = {};
  int64_t outputs = 0;  // of a step
};

// All functions throw Unsupported, or Error with the bare cause where sizes do
// not fit.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(const ImportOptions& options) : options_(options) {}

  // The name of what the next nodes make, for messages of lutra's graph.
  void SetHint(std::string hint) { hint_ = std::move(hint); }
  void Reserve(const std::string& name) { names_.insert(name); }

  // The view has the row axes; `order` are the dimensions as lutra is to hold
  // them.
  Value AddInput(const std::string& name, const View& view, bool ids,
                 const std::vector<size_t>& order);
  // Elements are put in the order of these dimensions.
  void AddOutput(const std::string& name, const Value& value,
                 const std::vector<size_t>& order);

  // ---- Elementwise ----
  Value Unary(OpType op, const Value& x, Attributes attributes = {});
  // Broadcasts.
  Value Binary(OpType op, const Value& a, const Value& b);
  // x * factor + offset, with numbers that are broadcast; either may be
  // missing. Folded into the layer that makes x, if that can be.
  Value Affine(const Value& x, const Constant* factor, const Constant* offset);
  Value Scaled(const Value& x, double factor);
  // Rounded to the numbers of a grid.
  Value OnGrid(const Value& x, const ValueGrid& grid);
  // Rounded to 256 numbers between its smallest and largest element.
  Value OnOwnGrid(const Value& x);

  // ---- Products of values ----
  // a [.., M, K] times b [.., K, N], whose dimensions before are broadcast.
  Value Matmul(const Value& a, const Value& b);
  // A constant as a value, where one is needed.
  Value Held(const Constant& constant);
  // Counts numbers that are computed from constants: a small file can ask for
  // any number of them.
  void Spend(double numbers);
  double spent() const { return spent_; }

  // ---- Layers ----
  // x [.., K] times a weight [K, N].
  Value Linear(const Value& x, const Constant& weight);
  // The weight is [N, C / groups, kernel...].
  Value Convolution(const Value& x, const ImageDims& dims,
                    const Constant& weight, size_t groups,
                    const Window& window);
  Value Pool(OpType op, const Value& x, const ImageDims& dims,
             const Window& window);
  // With zeros around it: top, bottom, left, right.
  Value Padded(const Value& x, const ImageDims& dims,
               const std::array<int64_t, 4>& padding);
  // The mean or maximum over dimensions, which get the size 1.
  Value Reduce(OpType pool, const Value& x, const std::vector<size_t>& dims);
  // Over the last `dims` dimensions.
  Value Softmax(const Value& x, size_t dims);
  // What a softmax gives is 0, and not NaN, where all is minus infinity. Throws
  // Unsupported for other values.
  void SetZeroIfEmpty(const Value& softmax);
  // Over the last dimension; layer_norm or rms_norm.
  Value Norm(OpType op, const Value& x, const Constant& weight,
             const Constant* bias, double eps);
  // Row `id` of a table [rows, columns] for each id.
  Value Embedding(const Constant& table, const Value& ids);
  Value Concat(const Value& a, const Value& b, size_t dim);
  // What each of queries [.., tokens, size], whose tokens are rows of a call,
  // makes of values by its products with keys, times `scale`. The result has
  // the dimensions of the queries. With a window a token sees the nearest so
  // many on a side.
  Value Attention(const Value& queries, const Value& keys, const Value& values,
                  double scale, bool past_only, size_t window);
  // Row p of a table [positions, size] in the row of position p of a sequence.
  // The view has the row axis of the positions.
  Value ByPosition(const std::string& name, std::vector<float> table,
                   size_t positions, View view);
  // "mean" or "first" of the rows of a sequence up to each, which are dimension
  // `dim`.
  Value OfSteps(const char* over, const Value& x, size_t dim);
  // Without the dimension: each row as that of the last step so far.
  Value OfLastStep(const Value& x, size_t dim);
  // x [time, batch, K]; the result is [time, batch, outputs].
  Value Recurrent(const Value& x, const RecurrentLayer& layer);

  // ---- Views ----
  Value WithView(const Value& x, View view) const;
  // Elements are moved if the shape asks for it.
  Value Reshaped(const Value& x, const std::vector<int64_t>& shape);

  ImportPlan Finish();
  // Notes for the user about what the graph does otherwise than the source.
  void Note(const std::string& note);

 private:
  struct Layer {
    Node node;
    std::optional<Matrix> weight;
    std::vector<float> vector;  // in the place of a matrix
    std::vector<float> bias;
    std::vector<double> factors;  // of the outputs
    std::string weight_name;
    size_t outputs = 0;  // of a layer with a matrix
  };

  Value AddLayer(Layer layer, std::vector<int64_t> shape, View view);
  Value AddNode(OpType op, std::vector<const Value*> inputs,
                std::vector<int64_t> shape, View view,
                Attributes attributes = {});
  std::string NewName();
  std::string NewTensorName(const std::string& name);
  Value InShape(const Value& x, const std::vector<int64_t>& shape);
  Value Full(const Value& x);
  static bool TakeScales(const std::vector<float>& factors, Matrix& matrix);
  std::optional<Value> Fold(const Value& x, const std::vector<float>& factors,
                            const std::vector<float>& offsets);
  Value Image(const Value& x, const ImageDims& dims);
  void AddWeight(Layer& layer, ImportPlan& plan);
  // What a pattern replaced, and weights with it.
  void RemoveUnused();

  // Axes of a view by dimension and number.
  struct AxisRef {
    size_t dim = 0;
    size_t index = 0;
  };
  void SetTime(int row);
  static std::vector<AxisRef> InMemoryOrder(const View& view);
  static std::vector<AxisRef> OfDims(const View& view,
                                     const std::vector<size_t>& dims);
  // Over dimensions that lie side by side in memory; nullopt if they do not.
  std::optional<Value> ReducedInPlace(OpType pool, const Value& x,
                                      const std::vector<size_t>& dims,
                                      const std::vector<AxisRef>& reduced);
  // The order that a permutation of all memory has; nullopt if axes show
  // elements of it twice or not at all.
  static std::optional<std::vector<int64_t>> Permutation(
      const std::vector<Axis>& axes, int64_t offset, int64_t memory);
  // With the axes in this order in memory, as a value of this shape.
  Value Arranged(const Value& x, const std::vector<AxisRef>& order,
                 const std::vector<int64_t>& shape);

  const ImportOptions& options_;
  std::string hint_ = "value";
  std::set<std::string> names_;
  std::set<std::string> tensor_names_;
  std::vector<GraphInput> inputs_;
  std::vector<Layer> layers_;
  std::vector<std::string> outputs_;
  std::vector<std::string> notes_;
  std::vector<ImportedArray> arrays_;
  int time_ = -1;     // the row axis that recurrent layers run along
  double spent_ = 0;  // see Spend
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_NETWORK_NETWORK_H_
