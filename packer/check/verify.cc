#include "lutra/packer/verify.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

#include "lutra/packer/pack.h"
#include "lutra/runtime/error.h"
#include "packer/encode/weight_packer.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_source.h"
#include "packer/weights/unpacked.h"

namespace lutra::packer {
namespace {

// Records hold five digits.
constexpr double kRecordTolerance = 1e-4;

std::string Decibels(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f dB", value);
  return text;
}

bool IsFloat(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 ||
         dtype == DType::kBFloat16;
}

bool SameBytes(const TensorView& a, const TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::equal(a.data.begin(), a.data.end(), b.data.begin(), b.data.end());
}

void CheckPacked(const kernels::LutMatrix& matrix, TensorVerdict& verdict) {
  if (!kernels::ChecksumMatches(matrix)) {
    verdict.problems.emplace_back("the checksum is wrong");
  }
  const UnpackedMatrix unpacked(matrix);
  const kernels::LutFormat& format = unpacked.format;
  const std::vector<float>& scales = unpacked.scales;
  std::bitset<256> used;
  for (const uint8_t index : unpacked.indices) used.set(index);
  const size_t entries =
      format.HasTable() ? format.TableEntries() : used.size();
  verdict.table_utilisation =
      static_cast<double>(used.count()) / static_cast<double>(entries);
  const auto bad = std::find_if(scales.begin(), scales.end(),
                                [](float s) { return !std::isfinite(s); });
  if (bad != scales.end()) {
    const auto row =
        static_cast<size_t>(bad - scales.begin()) / format.GroupsPerRow();
    verdict.problems.push_back("a scale of row " + std::to_string(row) +
                               " is not finite");
    return;
  }
  const size_t size = kernels::BlobBytes(format);
  std::vector<BlobLine> blob(size / sizeof(BlobLine));
  kernels::PackLutMatrix(format, unpacked.Values(), blob.data()->bytes);
  if (std::memcmp(blob.data(), matrix.blob, size) != 0) {
    verdict.problems.emplace_back(
        "row sums, paddings or the table's range are not those of its weights");
  }
}

void CheckFloats(const TensorView& tensor, std::string_view file,
                 TensorVerdict& verdict) {
  const RowSource source(tensor, file);
  std::vector<float> scratch;
  for (size_t row = 0; row < source.rows(); ++row) {
    const std::span<const float> values = source.Rows(row, 1, scratch);
    const auto bad = std::find_if(values.begin(), values.end(),
                                  [](float x) { return !std::isfinite(x); });
    if (bad == values.end()) continue;
    verdict.problems.push_back(
        "the value at row " + std::to_string(row) + ", column " +
        std::to_string(bad - values.begin()) + " is not finite");
    return;
  }
}

void CompareTensor(const Model& model, const TensorView& tensor,
                   const VerifyOptions& options, TensorVerdict& verdict) {
  const TensorView* other = options.against->file().Find(tensor.name);
  if (other == nullptr) {
    verdict.problems.emplace_back("the other model does not have it");
    return;
  }
  if (!verdict.packed && model.stored(tensor.name) == nullptr) {
    if (!SameBytes(tensor, *other)) {
      verdict.problems.emplace_back("differs from the other model's");
    }
    return;
  }
  const auto packed = RowSource::Of(model, tensor.name);
  const kernels::LutMatrix* other_packed = options.against->packed(tensor.name);
  if (other_packed == nullptr && !IsFloat(other->dtype)) {
    verdict.problems.emplace_back("is no weight in the other model");
    return;
  }
  const RowSource source = RowSource::Of(*options.against, tensor.name);
  if (source.rows() != packed.rows() || source.columns() != packed.columns()) {
    verdict.problems.emplace_back("has another shape in the other model");
    return;
  }
  const Differences differences = Compare(source, packed, options.executor);
  const double sqnr = differences.SqnrDb();
  verdict.sqnr_db = sqnr;
  verdict.max_error = differences.max_error;
  if (options.min_sqnr_db && !(sqnr >= *options.min_sqnr_db)) {
    verdict.problems.push_back("its SQNR of " + Decibels(sqnr) +
                               " is below the limit");
  }
  if (verdict.recorded_sqnr_db) {
    const double recorded = *verdict.recorded_sqnr_db;
    const bool same = std::isfinite(sqnr)
                          ? std::abs(recorded - sqnr) <=
                                kRecordTolerance * std::max(1.0, std::abs(sqnr))
                          : recorded == sqnr;
    if (!same) {
      verdict.problems.push_back("its SQNR is " + Decibels(sqnr) + ", not " +
                                 Decibels(recorded) + " as the file says");
    }
  }
}

void CompareWhole(const Model& model, const Model& other,
                  std::vector<std::string>& problems) {
  if (GraphToJson(model.graph()) != GraphToJson(other.graph())) {
    problems.emplace_back("the graph differs from the other model's");
  }
  if (model.context_length() != other.context_length()) {
    problems.emplace_back("the context length differs from the other model's");
  }
  for (const TensorView& tensor : other.file().tensors()) {
    if (model.file().Find(tensor.name) != nullptr) continue;
    problems.push_back("has no tensor '" + tensor.name +
                       "', which the other model has");
  }
}

}  // namespace

const TensorVerdict* VerifyReport::Worst() const {
  const TensorVerdict* worst = nullptr;
  for (const TensorVerdict& tensor : tensors) {
    if (!tensor.sqnr_db) continue;
    if (worst == nullptr || *tensor.sqnr_db < *worst->sqnr_db) worst = &tensor;
  }
  return worst;
}

VerifyReport VerifyModel(const Model& model, const VerifyOptions& options) {
  std::map<std::string, PackRecord> records;
  const auto& metadata = model.file().metadata();
  const auto note = metadata.find(std::string(kPackKey));
  if (note != metadata.end()) {
    records = ReadPackNote(note->second, model.path());
  }
  VerifyReport report;
  if (options.against != nullptr) {
    CompareWhole(model, *options.against, report.problems);
    report.problem_count = report.problems.size();
  }
  for (const TensorView& tensor : model.file().tensors()) {
    TensorVerdict verdict;
    verdict.name = tensor.name;
    const kernels::LutMatrix* matrix = model.packed(tensor.name);
    verdict.packed = matrix != nullptr;
    const auto record = records.find(tensor.name);
    const bool quantized =
        verdict.packed || model.stored(tensor.name) != nullptr;
    if (quantized && record != records.end()) {
      verdict.recorded_sqnr_db = record->second.sqnr_db;
    }
    if (verdict.packed) {
      CheckPacked(*matrix, verdict);
    } else if (IsFloat(tensor.dtype)) {
      CheckFloats(tensor, model.path(), verdict);
    }
    if (options.against != nullptr) {
      CompareTensor(model, tensor, options, verdict);
    }
    report.problem_count += verdict.problems.size();
    report.tensors.push_back(std::move(verdict));
  }
  return report;
}

}  // namespace lutra::packer
