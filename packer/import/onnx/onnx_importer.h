#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_IMPORTER_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_IMPORTER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/import_plan.h"
#include "packer/import/network/missing.h"
#include "packer/import/onnx/onnx_file.h"
#include "packer/import/onnx/onnx_node.h"
#include "packer/import/onnx/open_texts.h"

namespace lutra::packer {

// Which dimensions of the inputs are the rows of a call.
enum class OnnxRows {
  kSteps,  // of sequences: all but the last, of ids all
  kBatch,  // those of no fixed size, or else the first
  kNone,   // a call has one row, the whole of the inputs
};

// What to call an open dimension: its name, or else its place.
std::string OpenDimName(const OnnxDim& dim, size_t place);

// Translates a graph once, node by node.
class OnnxImporter {
 public:
  // All must outlive this.
  OnnxImporter(const ImportOptions& options, const OnnxGraph& graph,
               OnnxRows rows);

  // Open dimensions are steps of texts or their batch, as `texts` says, which
  // knows what the graph makes of their sizes.
  void UseTexts(OpenTexts& texts) { texts_ = &texts; }
  // Open dimensions have these sizes, and masks of texts are ones.
  void FixSizes(const OpenSizes& sizes) { sizes_ = &sizes; }

  // What lutra lacks is listed in `missing`; then there is no network.
  ImportPlan Run(Missing& missing);
  // The constants among what a node needs, and all that it needs: of `name`, or
  // of all outputs if that is empty.
  std::map<std::string, Constant, std::less<>> Constants(
      const std::string& name);
  // A measure of what that took.
  double spent() const {
    constexpr double kOfNode = 256;
    return network_.spent() + kOfNode * static_cast<double>(live_.size());
  }

 private:
  using Readers = std::multimap<std::string_view, const OnnxNode*>;

  void FindLive(const std::vector<std::string>& names);
  void TranslateAll(Missing& missing);
  bool BecomesFloats(const std::string& input) const;
  bool IsRow(const OnnxInput& input, size_t dim, bool ids) const;
  void AddInput(const OnnxInput& input, Missing& missing);
  bool SetMask(const OnnxInput& input);
  int RowOf(const std::string& dim);
  bool IsKnownBySizes(const OnnxNode& node) const;
  void SetBySizes(const std::string& name, const BySizes& values);
  bool SetBySizes(const OnnxNode& node);
  void Translate(const OnnxNode& node, Missing& missing);
  void AddOutput(const std::string& name);
  [[noreturn]] void Fail(const OnnxNode& node, const std::string& cause) const;

  std::string file_;
  const OnnxGraph& graph_;
  OnnxRows rows_;
  bool images_;
  OpenTexts* texts_ = nullptr;
  const OpenSizes* sizes_ = nullptr;
  NetworkBuilder network_;
  Operands operands_;
  std::map<std::string, size_t, std::less<>> uses_;
  std::set<const OnnxNode*> live_;
  Readers readers_;
  std::map<std::string, size_t, std::less<>> row_axes_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_IMPORTER_H_
