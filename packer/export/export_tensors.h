#ifndef LUTRA_PACKER_EXPORT_EXPORT_TENSORS_H_
#define LUTRA_PACKER_EXPORT_EXPORT_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/model.h"
#include "packer/architectures/encoder.h"
#include "packer/architectures/network.h"
#include "runtime/base/json.h"

// What a checkpoint of an imported model holds: its configuration, and which
// rows of the model's tensors make each of its tensors.

namespace lutra::packer {

inline constexpr std::string_view kWeightEnding = ".weight";

// Rows of a tensor of the model, and where they are in one of the checkpoint.
struct ExportPiece {
  std::string name;  // in the model
  size_t first = 0;  // row there
  size_t count = 0;
  size_t to = 0;  // first row in the checkpoint's
  size_t step = 1;
};

// A tensor of the checkpoint. A vector's elements are rows of one column.
struct ExportTensor {
  // Its type: that of its pieces if they have one, float32 if one is packed.
  TensorInfo info;
  size_t rows = 0;
  size_t columns = 1;
  std::vector<ExportPiece> pieces;
  // Pieces are columns of this tensor instead of rows; of one of three
  // dimensions, of each of its matrices.
  bool transposed = false;
  // Column i is column column_order[i] of the pieces; empty: the same.
  std::vector<uint32_t> column_order;
  // Nothing but zeros, in place of a row that importing added to others.
  bool zeros = false;
  // Packed matrices of experts whose outputs are columns in checkpoints of
  // floats; here they are rows.
  bool of_outputs = false;

  // Of experts, how many; else 1, also of a convolution [channels, 1, taps].
  size_t Matrices() const {
    const std::vector<int64_t>& shape = info.shape;
    return shape.size() == 3 && shape[1] > 1
               ? static_cast<size_t>(shape.front())
               : 1;
  }
  // One whose outputs are columns, of one of which they are rows.
  ExportTensor Transposed() const;
  // What importing did to each element, and what undoes it; none if nothing.
  std::function<float(float)> transform;
  std::function<float(float)> undo;
};

class ExportTensors {
 public:
  // Throws Error for models that no checkpoint can be made of. If `outputs`,
  // rows of all matrices are outputs, whatever Hugging Face's are.
  explicit ExportTensors(const Model& model, bool outputs = false);

  const Model& model() const { return model_; }
  const nlohmann::json& config() const { return document_.root(); }
  const Network& network() const { return network_; }
  // By their names in a Hugging Face folder.
  const std::map<std::string, ExportTensor>& tensors() const {
    return tensors_;
  }
  // Whether a matrix that was shared has become two.
  bool untied() const { return untied_; }

  // How the vector of a text is made of those of its tokens; nothing where the
  // model makes none.
  const std::optional<EncoderHead>& head() const { return head_; }

  // What the model's layers do that a checkpoint cannot say, for people.
  std::vector<std::string> Notes() const;

  // What importing makes `value`, an element of a tensor that it changed, of:
  // a 16-bit float if one is. Throws Error if there is nothing.
  float Undo(const ExportTensor& tensor, float value) const;

  // Readers compute the frequencies of the rotary embedding from the
  // configuration. Throws Error if the model has others.
  void CheckFrequencies() const;

  [[noreturn]] void Refuse(const std::string& tensor,
                           const std::string& cause) const;

 private:
  void Find();
  void FindColumnOrders();
  void CheckShape(const NetworkTensor& tensor) const;
  void AddPieces(const NetworkTensor& tensor);
  void Finish(const std::string& name, ExportTensor& tensor) const;

  const Model& model_;
  const bool outputs_;
  JsonDocument document_;
  Network network_;
  std::optional<EncoderHead> head_;
  std::map<std::string, ExportTensor> tensors_;
  // Of weights whose inputs a node puts in another order: column i of the
  // checkpoint's is that of ours.
  std::map<std::string, std::vector<uint32_t>> column_orders_;
  std::set<std::string> order_tensors_;
  bool untied_ = false;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_EXPORT_TENSORS_H_
