#include "packer/import/onnx/open_texts.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/network/network.h"
#include "packer/import/onnx/onnx_importer.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

// Of batches and texts, so that no number that is computed of one looks like
// the other, nor like a number that stays.
constexpr std::array<int64_t, 2> kBatches = {3, 2};
constexpr std::array<int64_t, 2> kSteps = {11, 13};
// Beyond which no table is made and no mask is looked at: what is computed at
// import has a limit.
constexpr int64_t kMostPositions = 4096;
constexpr int64_t kMostSeen = 1024;

bool IsSize(int64_t first, int64_t second,
            const std::array<int64_t, 2>& sizes) {
  return first == sizes[0] && second == sizes[1];
}

bool IsMultiple(int64_t first, int64_t second,
                const std::array<int64_t, 2>& sizes) {
  return first > 0 && first % sizes[0] == 0 && second % sizes[1] == 0 &&
         first / sizes[0] == second / sizes[1];
}

// Elements [rows, columns] of the last two dimensions, as far as there are any,
// for each of those before.
struct Matrices {
  size_t rows = 1;
  size_t columns = 1;
  std::vector<float> values;
};

Matrices MatricesOf(const Constant& constant) {
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  Matrices result;
  if (!shape.empty()) result.columns = static_cast<size_t>(shape.back());
  if (shape.size() > 1) {
    result.rows = static_cast<size_t>(shape[shape.size() - 2]);
  }
  if (constant.is_float()) {
    result.values = constant.Floats();
  } else {
    for (const int64_t value : constant.Integers()) {
      result.values.push_back(static_cast<float>(value));
    }
  }
  return result;
}

}  // namespace

bool IsMaskInput(const OnnxInput& input) {
  std::string name = input.name;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name.find("mask") != std::string::npos;
}

OpenTexts::OpenTexts(const ImportOptions& options, const OnnxGraph& graph,
                     std::string steps)
    : options_(options),
      graph_(graph),
      steps_(std::move(steps)),
      longest_(static_cast<size_t>(kMostPositions)) {}

void OpenTexts::SetRow(const std::string& dim, int row) {
  if (dim == steps_) {
    steps_row_ = row;
  } else if (std::find(batch_rows_.begin(), batch_rows_.end(), row) ==
             batch_rows_.end()) {
    batch_rows_.push_back(row);
  }
}

OpenSizes OpenTexts::SizesOf(int64_t batch, int64_t steps) const {
  OpenSizes sizes;
  for (const OnnxInput& input : graph_.inputs) {
    for (size_t i = 0; i < input.shape.size(); ++i) {
      if (input.shape[i].size >= 0) continue;
      const std::string name = OpenDimName(input.shape[i], i);
      sizes[name] = name == steps_ ? steps : batch;
    }
  }
  return sizes;
}

std::map<std::string, Constant, std::less<>> OpenTexts::Import(
    int64_t batch, int64_t steps, const std::string& name) {
  const OpenSizes sizes = SizesOf(batch, steps);
  OnnxImporter importer(options_, graph_, OnnxRows::kNone);
  importer.FixSizes(sizes);
  try {
    auto constants = importer.Constants(name);
    Spend(importer.spent());
    return constants;
  } catch (const Error&) {
    Spend(importer.spent());
    throw;
  }
}

// A small file can ask for any number of them.
void OpenTexts::Spend(double numbers) {
  constexpr double kMost = 1 << 27;
  spent_ += numbers;
  if (spent_ > kMost) {
    throw Unsupported{"more than 2^27 numbers computed of the length of texts"};
  }
}

std::optional<BySizes> OpenTexts::Find(const std::string& name) {
  if (!imported_) {
    for (size_t i = 0; i < known_.size(); ++i) {
      known_[i] = Import(kBatches[i], kSteps[i], "");
    }
    imported_ = true;
  }
  BySizes values;
  for (size_t i = 0; i < known_.size(); ++i) {
    const auto found = known_[i].find(name);
    if (found == known_[i].end()) return std::nullopt;
    values[i] = found->second;
  }
  if (values[0].view.dims.size() != values[1].view.dims.size() ||
      values[0].is_float() != values[1].is_float()) {
    return std::nullopt;
  }
  return values;
}

View OpenTexts::ViewOf(const BySizes& values) const {
  const std::vector<int64_t> first = ShapeOf(values[0].view);
  const std::vector<int64_t> second = ShapeOf(values[1].view);
  View view = NaturalView(first);
  for (size_t i = 0; i < first.size(); ++i) {
    if (steps_row_ >= 0 && IsSize(first[i], second[i], kSteps)) {
      view.dims[i] = {{0, 0, steps_row_}};
    } else if (batch_rows_.size() == 1 &&
               IsSize(first[i], second[i], kBatches)) {
      view.dims[i] = {{0, 0, batch_rows_[0]}};
    }
  }
  return view;
}

std::vector<int64_t> OpenTexts::Sizes(const BySizes& values) const {
  const std::vector<int64_t> first = values[0].Integers();
  const std::vector<int64_t> second = values[1].Integers();
  if (first.size() != second.size()) {
    throw Unsupported{"as many sizes as a text has tokens"};
  }
  std::vector<int64_t> sizes;
  bool open = false;
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i] == second[i]) {
      sizes.push_back(first[i]);
      open = open || first[i] == -1;
    } else if (steps_row_ >= 0 && IsSize(first[i], second[i], kSteps)) {
      sizes.push_back(UnknownSize(steps_row_));
    } else if (batch_rows_.size() == 1 &&
               IsSize(first[i], second[i], kBatches)) {
      sizes.push_back(UnknownSize(batch_rows_[0]));
    } else if (!std::exchange(open, true) &&
               (IsMultiple(first[i], second[i], kSteps) ||
                IsMultiple(first[i], second[i], kBatches))) {
      sizes.push_back(-1);
    } else {
      throw Unsupported{"a size computed from that of the batch"};
    }
  }
  return sizes;
}

std::optional<Constant> OpenTexts::For(int64_t steps, const std::string& name) {
  try {
    auto constants = Import(/*batch=*/1, steps, name);
    const auto found = constants.find(name);
    if (found != constants.end()) return std::move(found->second);
  } catch (const Error&) {
    // A text longer than a table of the graph.
  }
  return std::nullopt;
}

// By halves, from the sizes that are known to do.
int64_t OpenTexts::Longest(int64_t most,
                           const std::function<bool(int64_t)>& does) const {
  int64_t longest = kSteps[1];
  for (int64_t step = most - longest; step > 0;) {
    if (does(longest + step)) {
      longest += step;
      step = std::min(step, most - longest);
    } else {
      step /= 2;
    }
  }
  return longest;
}

void OpenTexts::Limit(size_t steps) { longest_ = std::min(longest_, steps); }

OpenTexts::Table OpenTexts::ByPosition(const std::string& name,
                                       const BySizes& values) {
  Table table;
  table.view = ViewOf(values);
  size_t dim = table.view.dims.size();
  for (size_t i = 0; i < table.view.dims.size(); ++i) {
    if (!HasRows(table.view.dims[i]) || table.view.dims[i][0].row != steps_row_)
      continue;
    if (dim != table.view.dims.size()) {
      throw Unsupported{"numbers of pairs of tokens"};
    }
    dim = i;
  }
  if (dim == table.view.dims.size() || !values[0].is_float()) {
    throw Unsupported{"numbers that the size of the batch decides"};
  }
  // [positions, the rest of a row], of one text.
  const auto rows = [&](const Constant& constant,
                        int64_t steps) -> std::vector<float> {
    const std::vector<int64_t> shape = ShapeOf(constant.view);
    if (shape.size() != table.view.dims.size() || shape[dim] != steps ||
        static_cast<int64_t>(constant.Count()) > kMostComputed) {
      return {};
    }
    std::vector<Axis> order = constant.view.dims[dim];
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i == dim || HasRows(table.view.dims[i])) continue;
      order.insert(order.end(), constant.view.dims[i].begin(),
                   constant.view.dims[i].end());
    }
    std::vector<float> numbers;
    for (const uint32_t place :
         Places(order, constant.view.offset, size_t{1} << 24)) {
      numbers.push_back(constant.Value(place));
    }
    return numbers;
  };
  const std::vector<float> first = rows(values[0], kSteps[0]);
  const std::vector<float> second = rows(values[1], kSteps[1]);
  table.values = second;
  const int64_t known = Longest(MostOf(kMostPositions), [&](int64_t steps) {
    const auto constant = For(steps, name);
    std::vector<float> longer =
        constant ? rows(*constant, steps) : std::vector<float>();
    if (longer.empty()) return false;
    table.values = std::move(longer);
    return true;
  });
  const auto begins_with = [&](const std::vector<float>& begin) {
    return begin.size() <= table.values.size() &&
           std::equal(begin.begin(), begin.end(), table.values.begin());
  };
  if (!begins_with(first) || !begins_with(second)) {
    throw Unsupported{"numbers of a position that the text's length decides"};
  }
  table.positions = static_cast<size_t>(known);
  Limit(table.positions);
  // In memory the rest of a row follows its order.
  int64_t stride = 1;
  for (size_t i = table.view.dims.size(); i-- > 0;) {
    for (size_t j = table.view.dims[i].size(); j-- > 0;) {
      Axis& axis = table.view.dims[i][j];
      if (axis.is_row()) continue;
      axis.stride = stride;
      stride *= axis.size;
    }
  }
  return table;
}

SeenTokens OpenTexts::Seen(const std::string& name,
                           const std::function<bool(double)>& lets_through) {
  Matrices matrices;
  const auto look = [&](int64_t steps) {
    const auto mask = For(steps, name);
    if (!mask) return false;
    Matrices longer = MatricesOf(*mask);
    for (const size_t size : {longer.rows, longer.columns}) {
      if (size != 1 && size != static_cast<size_t>(steps)) return false;
    }
    matrices = std::move(longer);
    return true;
  };
  if (!look(kSteps[1])) {
    throw Unsupported{"a mask of other tokens than the text's"};
  }
  const auto count = static_cast<size_t>(Longest(MostOf(kMostSeen), look));
  Limit(count);
  const size_t size = matrices.rows * matrices.columns;
  std::vector<bool> seen;
  for (const float value : matrices.values) {
    seen.push_back(lets_through(double{value}));
  }
  const auto sees = [&](size_t token, size_t other) {
    return seen[(matrices.rows == 1 ? 0 : token) * matrices.columns +
                (matrices.columns == 1 ? 0 : other)];
  };
  for (size_t i = size; i < seen.size(); ++i) {
    if (seen[i] != seen[i % size]) throw Unsupported{"a mask for each head"};
  }
  size_t before = 0;  // the furthest that are seen
  size_t behind = 0;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) {
      if (!sees(i, j)) continue;
      (j < i ? before : behind) =
          std::max(j < i ? before : behind, j < i ? i - j : j - i);
    }
  }
  SeenTokens rule;
  rule.past_only = behind == 0;
  if (before + 1 < count) rule.window = before + 1;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) {
      const size_t away = j < i ? i - j : j - i;
      const bool expected = (!rule.past_only || j <= i) &&
                            (rule.window == 0 || away < rule.window);
      if (sees(i, j) != expected) {
        throw Unsupported{
            "a mask that is neither of all tokens, nor of those "
            "before, nor of a window"};
      }
    }
  }
  return rule;
}

}  // namespace lutra::packer
