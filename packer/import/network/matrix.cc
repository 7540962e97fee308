#include "packer/import/network/matrix.h"

#include <string>

namespace lutra::packer {

float Matrix::Value(size_t row, size_t column) const {
  if (!row_groups.empty() && row_groups[row] != column_groups[column]) {
    return 0;
  }
  return constant.Value(size_t{rows[row]} + columns[column]);
}

std::optional<StoredWeight> Matrix::Stored(const std::string& file) const {
  if (constant.quantization == nullptr || !row_groups.empty()) {
    return std::nullopt;
  }
  const size_t bits = BitsOf(constant.elements.type);
  if (bits > 8) return std::nullopt;
  const Quantization& quantization = *constant.quantization;
  const auto scale_of = [&](size_t row, size_t column) {
    return quantization.ScaleOf(size_t{rows[row]} + columns[column]);
  };
  size_t group = 1;
  while (group < columns.size() && scale_of(0, group) == scale_of(0, 0)) {
    ++group;
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < columns.size(); ++c) {
      if (scale_of(r, c) != scale_of(r, c - c % group)) return std::nullopt;
    }
  }
  StoredWeight weight;
  weight.format =
      std::string(Name(constant.elements.type)) +
      (group == columns.size() ? " per row"
                               : " in groups of " + std::to_string(group));
  weight.file = file;
  weight.tensor = constant.name;
  weight.name = constant.name;
  weight.rows = rows.size();
  weight.columns = columns.size();
  weight.group_size = group;
  const auto lowest = static_cast<int>(Lowest(constant.elements.type));
  weight.levels = IntegerLevels(lowest, size_t{1} << bits);
  weight.zero =
      quantization.zeros.bytes.empty() ? ZeroRule::kNone : ZeroRule::kSubtract;
  weight.read = [matrix = *this, group, lowest](size_t first, size_t count,
                                                StoredRows& out) {
    const Quantization& q = *matrix.constant.quantization;
    const size_t k = matrix.columns.size();
    out.codes.clear();
    out.scales.clear();
    out.zeros.clear();
    for (size_t row = first; row < first + count; ++row) {
      const size_t base = matrix.rows[row];
      for (size_t c = 0; c < k; c += group) {
        const size_t scale = q.ScaleOf(base + matrix.columns[c]);
        out.scales.push_back(q.scales.Float(scale));
        if (!q.zeros.bytes.empty()) {
          out.zeros.push_back(static_cast<float>(q.zeros.Integer(scale)));
        }
      }
      if (!out.want_codes) continue;
      for (size_t c = 0; c < k; ++c) {
        const int64_t level =
            matrix.constant.elements.Integer(base + matrix.columns[c]);
        out.codes.push_back(static_cast<uint8_t>(level - lowest));
      }
    }
  };
  return weight;
}

}  // namespace lutra::packer
