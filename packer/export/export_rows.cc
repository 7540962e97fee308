#include "packer/export/export_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/base/half.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {

ExportRows::ExportRows(const Model& model,
                       std::vector<const ExportTensor*> tensors,
                       std::vector<uint32_t> order,
                       std::vector<uint32_t> columns)
    : model_(model) {
  for (const ExportTensor* tensor : tensors) {
    const size_t first = places_.size();
    columns_ = tensor->columns;
    transposed_ = tensor->transposed;
    rows_ += tensor->rows;
    places_.resize(
        first + (transposed_ ? columns_ * tensor->Matrices() : tensor->rows));
    for (const ExportPiece& piece : tensor->pieces) {
      const auto index = static_cast<uint32_t>(pieces_.size());
      pieces_.push_back(&piece);
      matrices_.push_back(model.packed(piece.name));
      quantized_ = quantized_ && matrices_.back() != nullptr;
      for (size_t i = 0; i < piece.count; ++i) {
        places_[first + piece.to + i * piece.step] = {
            index, static_cast<uint32_t>(piece.first + i)};
      }
    }
  }
  packed_ = quantized_;
  SetColumns(tensors, std::move(columns));
  if (order.empty()) return;
  if (transposed_) {
    row_order_ = std::move(order);
    return;
  }
  std::vector<Place> ordered;
  ordered.reserve(order.size());
  for (const uint32_t row : order) ordered.push_back(places_[row]);
  places_ = std::move(ordered);
  rows_ = places_.size();
}

void ExportRows::SetColumns(const std::vector<const ExportTensor*>& tensors,
                            std::vector<uint32_t> columns) {
  // Tensors that belong together are read by one layer, or by none.
  const std::vector<uint32_t>& own = tensors.front()->column_order;
  if (columns.empty()) {
    columns = own;
  } else if (!own.empty()) {
    for (uint32_t& column : columns) column = own[column];
  }
  bool same = true;
  for (size_t i = 0; i < columns.size(); ++i) same = same && columns[i] == i;
  if (same) return;
  column_order_ = std::move(columns);
  for (const kernels::LutMatrix* matrix : matrices_) {
    if (matrix == nullptr) continue;
    const size_t group = matrix->format.group_size;
    for (size_t i = 0; i < columns_; ++i) {
      const size_t begin = i / group * group;
      packed_ = packed_ && column_order_[begin] % group == 0 &&
                column_order_[i] == column_order_[begin] + (i - begin);
    }
  }
}

const ExportRows::Block& ExportRows::BlockOf(const kernels::LutMatrix& matrix,
                                             size_t row) {
  const size_t first = row / kernels::kBlockRows * kernels::kBlockRows;
  for (const Block& block : blocks_) {
    if (block.matrix == &matrix && block.first == first) return block;
  }
  Block& block = blocks_[next_block_];
  next_block_ = 1 - next_block_;
  const kernels::LutFormat& format = matrix.format;
  const auto count = static_cast<uint32_t>(
      std::min<size_t>(kernels::kBlockRows, format.n - first));
  const bool offsets = format.offset_type != kernels::OffsetType::kNone;
  block.matrix = &matrix;
  block.first = first;
  block.entries.resize(size_t{count} * format.k);
  block.scales.resize(size_t{count} * format.GroupsPerRow());
  block.offsets.resize(offsets ? block.scales.size() : 0);
  block.super_scales.resize(size_t{count} * format.SupersPerRow());
  block.super_offsets.resize(offsets ? block.super_scales.size() : 0);
  const bool own_tables =
      format.table_granularity == kernels::TableGranularity::kRow;
  std::vector<int8_t> tables(format.TableEntries() * (own_tables ? count : 1));
  const kernels::LutMatrix rows =
      kernels::RowsOf(matrix, static_cast<uint32_t>(first), count);
  auto* indices = reinterpret_cast<uint8_t*>(block.entries.data());
  kernels::UnpackLutMatrix(rows, indices, block.scales.data(),
                           offsets ? block.offsets.data() : nullptr,
                           tables.empty() ? nullptr : tables.data());
  if (!block.super_scales.empty()) {
    kernels::UnpackSuperScales(rows, block.super_scales.data(),
                               offsets ? block.super_offsets.data() : nullptr);
  }
  // Eight bits are the entries themselves.
  for (size_t i = 0; format.HasTable() && i < block.entries.size(); ++i) {
    const size_t table = own_tables ? i / format.k * format.TableEntries() : 0;
    block.entries[i] = tables[table + indices[i]];
  }
  return block;
}

CodedRow ExportRows::Coded(size_t row) {
  const Place place = places_[row];
  const kernels::LutMatrix& matrix = *matrices_[place.piece];
  const Block& block = BlockOf(matrix, place.row);
  const kernels::LutFormat& format = matrix.format;
  const size_t r = place.row - block.first;
  const auto part = [r](const auto& values, size_t each) {
    return values.empty() ? std::span(values)
                          : std::span(values).subspan(r * each, each);
  };
  CodedRow coded;
  coded.entries = part(block.entries, format.k);
  coded.group_size = format.group_size;
  coded.scales = part(block.scales, format.GroupsPerRow());
  coded.offsets = part(block.offsets, format.GroupsPerRow());
  coded.super_size = format.super_span == kernels::SuperSpan::kColumns256
                         ? size_t{kernels::kSuperColumns}
                         : size_t{format.k};
  coded.super_scales = part(block.super_scales, format.SupersPerRow());
  coded.super_offsets = part(block.super_offsets, format.SupersPerRow());
  return column_order_.empty() ? coded : InOrder(coded);
}

// Groups of large columns are no longer together, so their scales are left out.
CodedRow ExportRows::InOrder(const CodedRow& row) {
  CodedRow ordered;
  ordered.group_size = row.group_size;
  ordered_entries_.resize(columns_);
  for (size_t i = 0; i < columns_; ++i) {
    ordered_entries_[i] = row.entries[column_order_[i]];
  }
  ordered.entries = ordered_entries_;
  const auto move = [&](std::span<const float> from, std::vector<float>& to) {
    to.resize(from.size());
    for (size_t group = 0; group < from.size(); ++group) {
      to[group] = from[column_order_[group * row.group_size] / row.group_size];
    }
    return std::span<const float>(to);
  };
  ordered.scales = move(row.scales, ordered_scales_);
  ordered.offsets = move(row.offsets, ordered_offsets_);
  return ordered;
}

// Element `row` of each of the model's rows, of one matrix of several.
std::span<const float> ExportRows::Column(size_t row) {
  // Rows that are turned together: bounds memory.
  constexpr size_t kPiece = size_t{1} << 22;
  const size_t each = rows_ / (places_.size() / columns_);
  const size_t most = std::max<size_t>(1, kPiece / columns_);
  const size_t count = turned_.size() / columns_;
  if (row < first_turned_ || row >= first_turned_ + count) {
    const size_t matrix = row / each;
    const size_t begin = row % each / most * most;
    const size_t end = std::min(begin + most, each);
    first_turned_ = matrix * each + begin;
    turned_.resize((end - begin) * columns_);
    for (size_t c = 0; c < columns_; ++c) {
      const Place place = places_[matrix * columns_ + c];
      const auto values = RowSource::Of(model_, pieces_[place.piece]->name)
                              .Rows(place.row, 1, scratch_);
      for (size_t i = begin; i < end; ++i) {
        turned_[(i - begin) * columns_ + c] = values[i];
      }
    }
  }
  return std::span(turned_).subspan((row - first_turned_) * columns_, columns_);
}

std::span<const float> ExportRows::Values(size_t row) {
  if (transposed_) {
    return Column(row_order_.empty() ? row : row_order_[row]);
  }
  const Place place = places_[row];
  const auto source = RowSource::Of(model_, pieces_[place.piece]->name);
  // What has one column is a row in the model, and what has three dimensions
  // has several rows in one.
  const size_t width = source.columns() / columns_;
  const auto values = source.Rows(place.row / width, 1, scratch_)
                          .subspan(place.row % width * columns_, columns_);
  if (column_order_.empty()) return values;
  ordered_.clear();
  for (const uint32_t column : column_order_) {
    ordered_.push_back(values[column]);
  }
  return ordered_;
}

void StoreFloats(std::span<const float> values, DType dtype, uint8_t* to) {
  if (dtype == DType::kFloat32) {
    std::memcpy(to, values.data(), values.size_bytes());
    return;
  }
  for (const float value : values) {
    const uint16_t bits = dtype == DType::kFloat16 ? Float16FromFloat(value)
                                                   : BFloat16FromFloat(value);
    std::memcpy(to, &bits, sizeof(bits));
    to += sizeof(bits);
  }
}

}  // namespace lutra::packer
