#include "packer/import/stored/stored_weight.h"

#include <algorithm>
#include <utility>

namespace lutra::packer {

float StoredWeight::Value(uint8_t code, float scale, float zero_point) const {
  const float level = levels[std::min<size_t>(code, levels.size() - 1)];
  switch (zero) {
    case ZeroRule::kNone:
      return level * scale;
    case ZeroRule::kSubtract:
      return (level - zero_point) * scale;
    case ZeroRule::kAdd:
      break;
  }
  return level * scale + zero_point;
}

void StoredWeight::Values(const StoredRows& stored, size_t count,
                          std::span<float> values) const {
  const size_t groups = Groups();
  std::vector<float> table(levels.size());
  const auto fill = [&](size_t at) {
    const float z = zero == ZeroRule::kNone ? 0.0f : stored.zeros[at];
    for (size_t i = 0; i < table.size(); ++i) {
      table[i] = Value(static_cast<uint8_t>(i), stored.scales[at], z);
    }
  };
  for (size_t r = 0; r < count; ++r) {
    const uint8_t* codes = stored.codes.data() + r * columns;
    float* to = values.data() + r * columns;
    if (!group_of_column.empty()) {
      for (size_t c = 0; c < columns; ++c) {
        const size_t at = r * groups + group_of_column[c];
        const float z = zero == ZeroRule::kNone ? 0.0f : stored.zeros[at];
        to[c] = Value(codes[c], stored.scales[at], z);
      }
      continue;
    }
    // A table pays where a group has more weights than there are levels.
    const bool tabled = levels.size() <= group_size;
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = r * groups + g;
      const size_t begin = g * group_size;
      const size_t end = std::min(columns, begin + group_size);
      if (tabled) {
        fill(at);
        for (size_t c = begin; c < end; ++c) {
          to[c] = table[std::min<size_t>(codes[c], table.size() - 1)];
        }
      } else {
        const float z = zero == ZeroRule::kNone ? 0.0f : stored.zeros[at];
        for (size_t c = begin; c < end; ++c) {
          to[c] = Value(codes[c], stored.scales[at], z);
        }
      }
    }
  }
}

StoredWeight RowsOf(const StoredWeight& weight, size_t first, size_t count) {
  StoredWeight result = weight;
  result.rows = count;
  result.read = [read = weight.read, first](size_t row, size_t rows,
                                            StoredRows& out) {
    read(first + row, rows, out);
  };
  return result;
}

bool SameForm(const StoredWeight& a, const StoredWeight& b) {
  return a.columns == b.columns && a.group_size == b.group_size &&
         a.levels == b.levels && a.zero == b.zero &&
         a.from_floats == b.from_floats &&
         a.group_of_column == b.group_of_column;
}

StoredWeight Stacked(std::vector<StoredWeight> weights) {
  StoredWeight result = weights.front();
  result.rows = 0;
  for (const StoredWeight& weight : weights) {
    result.rows += weight.rows;
    if (weight.factor != result.factor) result.factor = 1;
  }
  result.read = [weights = std::move(weights)](size_t first, size_t count,
                                               StoredRows& out) {
    StoredRows piece;
    piece.want_codes = out.want_codes;
    out.codes.clear();
    out.scales.clear();
    out.zeros.clear();
    out.original.clear();
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    size_t begin = 0;  // of a weight, in rows of all
    for (const StoredWeight& weight : weights) {
      const size_t end = begin + weight.rows;
      const size_t from = std::max(first, begin);
      const size_t to = std::min(first + count, end);
      if (from < to) {
        weight.read(from - begin, to - from, piece);
        append(out.scales, piece.scales);
        if (weight.zero != ZeroRule::kNone) append(out.zeros, piece.zeros);
        if (out.want_codes) {
          append(out.codes, piece.codes);
          append(out.original, piece.original);
        }
      }
      begin = end;
    }
  };
  return result;
}

StoredWeight Reordered(const StoredWeight& weight,
                       std::vector<uint32_t> order) {
  StoredWeight result = weight;
  result.rows = order.size();
  result.reordered = true;
  result.read = [weight, order = std::move(order)](size_t first, size_t count,
                                                   StoredRows& out) {
    StoredRows row;
    row.want_codes = out.want_codes;
    const auto put = [count](std::vector<float>& to,
                             const std::vector<float>& from, size_t at) {
      to.resize(count * from.size());
      std::copy(from.begin(), from.end(),
                to.begin() + static_cast<std::ptrdiff_t>(at * from.size()));
    };
    if (out.want_codes) out.codes.resize(count * weight.columns);
    out.original.clear();
    for (size_t i = 0; i < count; ++i) {
      weight.read(order[first + i], 1, row);
      put(out.scales, row.scales, i);
      if (weight.zero != ZeroRule::kNone) put(out.zeros, row.zeros, i);
      if (!out.want_codes) continue;
      if (!row.original.empty()) put(out.original, row.original, i);
      std::copy(
          row.codes.begin(), row.codes.end(),
          out.codes.begin() + static_cast<std::ptrdiff_t>(i * weight.columns));
    }
  };
  return result;
}

void ReorderColumns(const std::vector<uint32_t>& order, size_t count,
                    std::vector<uint8_t>& codes) {
  std::vector<uint8_t> row(order.size());
  for (size_t r = 0; r < count; ++r) {
    uint8_t* const to = codes.data() + r * order.size();
    std::copy_n(to, row.size(), row.data());
    for (size_t c = 0; c < row.size(); ++c) to[c] = row[order[c]];
  }
}

StoredWeight WithColumns(const StoredWeight& weight,
                         std::vector<uint32_t> order) {
  StoredWeight result = weight;
  for (const uint32_t column : order) {
    result.group_of_column.push_back(
        static_cast<uint32_t>(column / weight.group_size));
  }
  result.read = [read = weight.read, order = std::move(order)](
                    size_t first, size_t count, StoredRows& out) {
    read(first, count, out);
    if (out.want_codes) ReorderColumns(order, count, out.codes);
  };
  return result;
}

std::vector<float> IntegerLevels(int minimum, size_t count) {
  std::vector<float> levels(count);
  for (size_t i = 0; i < count; ++i) {
    levels[i] = static_cast<float>(minimum + static_cast<int>(i));
  }
  return levels;
}

std::vector<float> Float4Levels() {
  return {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
          -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
}

}  // namespace lutra::packer
