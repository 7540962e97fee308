#include "lutra/qat/sequence_samples.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "lutra/qat/dataset.h"
#include "lutra/qat/int8_folder.h"
#include "lutra/qat/npy.h"
#include "lutra/runtime/error.h"
#include "qat/data/npy_folder.h"
#include "runtime/base/folder_entries.h"

namespace lutra::qat {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExtension = ".npy";

// Of a folder that cannot be read, none.
std::vector<fs::path> ArraysOf(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return {path};
  std::vector<fs::path> files;
  ForEachEntry(path, [&](std::string_view name) {
    if (fs::path(name).extension() == kExtension) files.push_back(path / name);
  });
  std::sort(files.begin(), files.end());
  return files;
}

std::string ShapeText(Span<const int64_t> shape) {
  std::string text;
  for (const int64_t size : shape) text += ", " + std::to_string(size);
  return text;
}

}  // namespace

SequenceSamples::SequenceSamples(std::vector<float> rows,
                                 const std::vector<size_t>& lengths,
                                 size_t row_size, size_t window)
    : rows_(std::move(rows)), row_size_(row_size), window_(window) {
  for (const size_t length : lengths) window_ = std::min(window_, length);
  if (window_ == 0 || lengths.empty()) throw Error("a sequence has no steps");
  size_t begin = 0;
  for (const size_t length : lengths) {
    for (size_t i = 0; i + window_ <= length; i += window_) {
      begins_.push_back(begin + i);
    }
    begin += length;
  }
}

void SequenceSamples::CheckGraph(const Graph& graph, size_t /*classes*/) const {
  if (graph.inputs.size() != 1 || graph.inputs[0].type != ValueType::kFloat32) {
    throw Error("sequences of numbers need a graph with one float input");
  }
  size_t size = 1;
  for (const int64_t n : graph.inputs[0].shape) size *= static_cast<size_t>(n);
  if (size != row_size_) {
    throw Error("the graph takes " + std::to_string(size) +
                " values, a step has " + std::to_string(row_size_));
  }
}

void SequenceSamples::Load(Span<const uint32_t> samples, uint64_t /*epoch*/,
                           SampleBatch& batch) const {
  for (const uint32_t sample : samples) {
    const auto begin =
        rows_.begin() + static_cast<ptrdiff_t>(begins_[sample] * row_size_);
    batch.floats.insert(batch.floats.end(), begin,
                        begin + static_cast<ptrdiff_t>(window_ * row_size_));
    batch.targets.insert(batch.targets.end(), window_, 0);
    batch.sequences.push_back({.rows = window_});
  }
}

uint32_t SequenceSamples::Checksum() const {
  auto crc = crc32_z(0, reinterpret_cast<const unsigned char*>(rows_.data()),
                     rows_.size() * sizeof(float));
  crc = crc32_z(crc, reinterpret_cast<const unsigned char*>(begins_.data()),
                begins_.size() * sizeof(size_t));
  return static_cast<uint32_t>(crc);
}

bool HasSequences(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path.extension() == kExtension;
  return !IsNpyFolder(path) && !IsInt8Folder(path) && !ArraysOf(path).empty();
}

SequenceSamples LoadSequences(const fs::path& path, Span<const int64_t> shape,
                              size_t window) {
  std::vector<float> rows;
  std::vector<size_t> lengths;
  size_t row_size = 1;
  for (const int64_t size : shape) row_size *= static_cast<size_t>(size);
  for (const fs::path& file : ArraysOf(path)) {
    const NpyArray array = ReadNpy(file);
    const size_t before =
        array.shape.size() - std::min(array.shape.size(), shape.size());
    const bool ends_so = std::equal(
        shape.begin(), shape.end(),
        array.shape.end() - static_cast<ptrdiff_t>(array.shape.size() - before),
        array.shape.end(),
        [](int64_t a, size_t b) { return a == static_cast<int64_t>(b); });
    if (array.type != NpyType::kFloat32 || !ends_so ||
        (before != 1 && before != 2)) {
      throw Error::InFile(file.string(),
                          "is no array [steps" + ShapeText(shape) +
                              "] or [sequences, steps" + ShapeText(shape) +
                              "] of float32, which the model takes");
    }
    // Of any number of sequences, none of which has steps.
    if (array.data.empty()) throw Error::InFile(file.string(), "has no steps");
    const size_t count = before == 2 ? array.shape[0] : 1;
    lengths.insert(lengths.end(), count, array.shape[before - 1]);
    const size_t first = rows.size();
    rows.resize(first + array.data.size() / sizeof(float));
    std::memcpy(rows.data() + first, array.data.data(), array.data.size());
    if (!std::all_of(rows.begin() + static_cast<ptrdiff_t>(first), rows.end(),
                     [](float x) { return std::isfinite(x); })) {
      throw Error::InFile(file.string(), "holds a value that is not finite");
    }
  }
  try {
    return {std::move(rows), lengths, row_size, window};
  } catch (const Error& error) {
    throw Error::InFile(path.string(), error.what());
  }
}

}  // namespace lutra::qat
