#ifndef LUTRA_PACKER_IMPORT_ONNX_OPEN_TEXTS_H_
#define LUTRA_PACKER_IMPORT_ONNX_OPEN_TEXTS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/import_plan.h"
#include "packer/import/network/constant.h"
#include "packer/import/onnx/onnx_file.h"

// Graphs that take texts of any length: what they make of the length itself,
// as masks and numbers of positions, is no operator of lutra's but a rule that
// its operators have. Which one is seen from what comes out for several
// lengths, which importing for each of them computes.

namespace lutra::packer {

// Of open dimensions, by their names.
using OpenSizes = std::map<std::string, int64_t, std::less<>>;

// Numbers that depend on the sizes of the inputs alone, for the sizes that
// OpenTexts tries.
using BySizes = std::array<Constant, 2>;

// Which tokens a token sees.
struct SeenTokens {
  bool past_only = false;  // itself and those before
  size_t window = 0;       // of the nearest so many on a side; 0: any
};

// Whether the name says that an input tells tokens from padding.
bool IsMaskInput(const OnnxInput& input);

class OpenTexts {
 public:
  // `steps` is the open dimension of the tokens of a text; each other one is
  // the batch. All must outlive this.
  OpenTexts(const ImportOptions& options, const OnnxGraph& graph,
            std::string steps);

  // As the importer numbers the open dimensions.
  void SetRow(const std::string& dim, int row);
  int steps_row() const { return steps_row_; }

  // nullopt if it is not known for both.
  std::optional<BySizes> Find(const std::string& name);
  // Its dimensions, those of the batch and of tokens as row axes.
  View ViewOf(const BySizes& values) const;
  // Whole numbers, as a list of sizes: UnknownSize where it is one of an open
  // dimension, and -1 once where it is a product of such and others. Throws
  // Unsupported if it is neither.
  std::vector<int64_t> Sizes(const BySizes& values) const;

  // A table of what belongs to each position: a row for as many positions as
  // the graph has, up to a limit. The view has the row axes. Throws Unsupported
  // if the numbers depend on anything else.
  struct Table {
    std::vector<float> values;  // [positions, size]
    size_t positions = 0;
    View view;
  };
  Table ByPosition(const std::string& name, const BySizes& values);

  // Which tokens a mask [.., tokens, tokens] lets through. Throws Unsupported
  // if there is no rule for it.
  SeenTokens Seen(const std::string& name,
                  const std::function<bool(double)>& lets_through);

  // The longest text for which what was asked for is known.
  size_t longest() const { return longest_; }

 private:
  OpenSizes SizesOf(int64_t batch, int64_t steps) const;
  std::map<std::string, Constant, std::less<>> Import(int64_t batch,
                                                      int64_t steps,
                                                      const std::string& name);
  std::optional<Constant> For(int64_t steps, const std::string& name);
  void Spend(double numbers);
  // The most tokens, up to `most`, for which something does that does for few.
  int64_t Longest(int64_t most, const std::function<bool(int64_t)>& does) const;
  // Longer texts than others allow need no look.
  int64_t MostOf(int64_t most) const {
    return std::min(most, static_cast<int64_t>(longest_));
  }
  void Limit(size_t steps);

  const ImportOptions& options_;
  const OnnxGraph& graph_;
  std::string steps_;
  int steps_row_ = -1;
  std::vector<int> batch_rows_;
  // For both of the sizes; empty before they are needed.
  std::array<std::map<std::string, Constant, std::less<>>, 2> known_;
  bool imported_ = false;
  double spent_ = 0;
  size_t longest_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_OPEN_TEXTS_H_
