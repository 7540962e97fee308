#ifndef LUTRA_TOOLS_VERBS_INSPECTION_H_
#define LUTRA_TOOLS_VERBS_INSPECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/model.h"
#include "tools/cli/json.h"

// What the verb inspect finds in a file.

namespace lutra::tools {

// A tensor of the file, with what lutra knows about it.
struct TensorLine {
  const TensorView* tensor = nullptr;
  std::optional<packer::Weight> weight;    // of nodes that can be packed
  std::optional<qat::QuantScheme> scheme;  // as recorded
  std::optional<packer::PackRecord> pack;  // likewise
  size_t uses = 0;                         // nodes that refer to it

  // Shape of what it stands for: a packed weight's bytes stand for a matrix.
  std::vector<int64_t> Shape() const {
    if (!weight.has_value()) return tensor->shape;
    return {weight->n, weight->k};
  }
  double BitsPerElement() const {
    if (weight.has_value()) return weight->BitsPerWeight();
    return 8.0 * static_cast<double>(ByteSize(tensor->dtype));
  }
  bool Packed() const { return weight.has_value() && weight->packed; }
  std::string Type() const;
  std::string Scheme() const;
  // How a packed weight stores scales and offsets: "float16", "int8 times
  // float16 of 256 columns, uint4 offsets".
  std::string Scales() const;
};

std::string_view Name(kernels::ScaleType type);

struct Inspection {
  SafetensorsFile file;
  std::shared_ptr<const Model> model;  // null: there is no graph
  std::vector<TensorLine> tensors;
};

// Throws lutra::Error; not for a file without a graph.
Inspection Inspect(const std::string& path);

// Metadata that is shown in another form.
bool IsShownElsewhere(std::string_view key);

// "float32" or "int32".
std::string_view Name(ValueType type);

// What --json prints.
Json ToJson(const Inspection& inspection);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_INSPECTION_H_
