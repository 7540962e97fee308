#include "packer/encode/float_store.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "kernels/base/float8.h"
#include "lutra/qat/conversion.h"
#include "lutra/runtime/error.h"
#include "packer/encode/value_text.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_tasks.h"

namespace lutra::packer {
namespace {

// The values that are stored in place of w [rows, k].
void Quantize(std::span<const float> w, const WeightPlan& plan,
              const qat::Quantizer& quantizer, float* q) {
  const size_t k = plan.format.k;
  const size_t group = plan.scheme.group_size == 0
                           ? k
                           : static_cast<size_t>(plan.scheme.group_size);
  std::vector<float> grid(quantizer.GridSize(plan.scheme.bits));
  for (size_t row = 0; row < w.size(); row += k) {
    for (size_t c = 0; c < k; c += group) {
      const size_t count = std::min(group, k - c);
      quantizer.Quantize({w.data() + row + c, 1, count, true}, plan.scheme.bits,
                         q + row + c, grid.data());
    }
  }
}

void StoreScales(const std::vector<float>& scales, size_t first, DType dtype,
                 std::vector<std::byte>& to) {
  if (dtype == DType::kFloat32) {
    std::memcpy(to.data() + first * sizeof(float), scales.data(),
                scales.size() * sizeof(float));
    return;
  }
  for (size_t i = 0; i < scales.size(); ++i) {
    const uint8_t stored = E8M0FromFloat(scales[i]);
    // Zeros have none of their own.
    if (scales[i] != 0.0f && FloatFromE8M0(stored) != scales[i]) {
      throw Error("a scale is no power of two");
    }
    to[first + i] = static_cast<std::byte>(stored);
  }
}

}  // namespace

StoredFloats StoreFloats(const RowSource& w, const WeightPlan& plan,
                         Executor* executor,
                         const std::function<void(size_t rows)>& done) {
  const size_t n = plan.format.n;
  const size_t k = plan.format.k;
  const size_t groups = plan.format.GroupsPerRow();
  const DType scale_type = ScaleDType(plan);
  const auto quantizer = qat::MakeQuantizer(plan.scheme.quantizer);
  StoredFloats result;
  result.codes.resize(n * k);
  result.scales.resize(n * groups * ByteSize(scale_type));
  std::vector<float> values(n * k);
  const RowTasks tasks(n, k);
  tasks.ForEach(executor, [&](size_t task) {
    const size_t row = tasks.Begin(task);
    const size_t rows = tasks.End(task) - row;
    std::vector<float> scratch;
    const std::span<const float> source = w.Rows(row, rows, scratch);
    CheckFinite(source, row, k);
    float* const q = values.data() + row * k;
    if (plan.method == PackMethod::kPostTraining) {
      Quantize(source, plan, *quantizer, q);
    } else {
      std::copy(source.begin(), source.end(), q);
    }
    qat::GridMismatch mismatch;
    const std::optional<qat::FloatForm> form = qat::MatchFloats(
        q, rows, k, plan.scheme.quantizer, plan.format.group_size, &mismatch);
    if (!form) {
      mismatch.row += row;
      throw Error(mismatch.ToString() + "; the model says it was trained as " +
                  qat::ToString(plan.scheme));
    }
    std::copy(form->codes.begin(), form->codes.end(),
              result.codes.begin() + static_cast<std::ptrdiff_t>(row * k));
    StoreScales(form->scales, row * groups, scale_type, result.scales);
    done(rows);
  });
  TensorView stored;
  stored.shape = {static_cast<int64_t>(n), static_cast<int64_t>(k)};
  stored.data = std::as_bytes(std::span(values));
  const Differences differences = Compare(w, RowSource(stored, ""), executor);
  result.sqnr_db = differences.SqnrDb();
  result.max_error = differences.max_error;
  std::bitset<256> used;
  for (const uint8_t code : result.codes) used.set(code);
  result.utilisation = std::min(
      1.0, static_cast<double>(used.count()) /
               static_cast<double>(quantizer->GridSize(plan.scheme.bits)));
  return result;
}

}  // namespace lutra::packer
