#include "packer/plan.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMaxUint32 = std::numeric_limits<uint32_t>::max();

uint32_t Clamp(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, kMaxUint32));
}

// Fixes the blob that holds plan.weight under plan.scheme. Throws Error with
// the bare cause.
void PlanBlob(WeightPlan& plan) {
  const qat::QuantScheme& scheme = plan.scheme;
  const int64_t k = plan.weight.k;
  const auto quantizer = qat::MakeQuantizer(scheme.quantizer);
  kernels::LutFormat& format = plan.format;
  size_t levels = quantizer->GridSize(scheme.bits);
  if (auto table = quantizer->LutTable(scheme.bits)) {
    plan.table = *std::move(table);
    levels = plan.table.size();
  } else {
    if (scheme.group_size != 0 && scheme.group_size < k) {
      throw Error(
          "the levels of this quantizer are no multiples of one table; they "
          "take a table per row, so the group size must be 'row'");
    }
    format.table_granularity = kernels::TableGranularity::kRow;
    if (plan.method == PackMethod::kTrained) plan.method = PackMethod::kRounded;
  }
  // Clamped sizes are beyond every limit, so CheckFormat refuses them.
  format.n = Clamp(plan.weight.n);
  format.k = Clamp(k);
  format.bits = static_cast<uint32_t>(std::bit_width(levels - 1));
  format.group_size = Clamp(scheme.group_size);
  // A row shorter than a group is one short group.
  const bool short_row =
      scheme.group_size > k && scheme.group_size % kernels::kMinGroupSize == 0;
  if (scheme.group_size == 0 || short_row) format.group_size = format.k;
  if (const char* cause = kernels::CheckFormat(format); cause != nullptr) {
    throw Error(cause);
  }
  if (kernels::BlobBytes(format) == 0) {
    throw Error("is too large for this machine's addresses");
  }
}

}  // namespace

std::vector<WeightPlan> MakePlan(const Model& model,
                                 const qat::SchemeMap& trained,
                                 const PackOptions& options) {
  std::vector<WeightPlan> plans;
  for (Weight& weight : Weights(model)) {
    WeightPlan plan;
    plan.weight = std::move(weight);
    const std::string& name = plan.weight.name;
    const qat::RuleTarget target(name, plan.weight.op);
    const std::optional<qat::QuantScheme> match = options.rules.Match(target);
    const auto record = trained.find(name);
    if (!match.has_value()) {
      plan.method = PackMethod::kKept;
    } else if (!options.use_trained || options.rules.HasRule(target)) {
      plan.method = PackMethod::kPostTraining;
      plan.scheme = *match;
    } else if (record != trained.end()) {
      plan.method = PackMethod::kTrained;
      plan.scheme = record->second;
    } else if (trained.empty()) {
      plan.method = PackMethod::kPostTraining;
      plan.scheme = *match;
    }
    if (plan.method != PackMethod::kKept) {
      if (plan.weight.packed != nullptr) {
        throw Error::InTensor(model.path(), name,
                              "is already packed; pack from the model with "
                              "float weights, or exclude it");
      }
      try {
        PlanBlob(plan);
      } catch (const Error& error) {
        throw Error::InTensor(
            model.path(), name,
            "cannot be packed as " + qat::ToString(plan.scheme) + ": " +
                error.what() + " (shape [" + std::to_string(plan.weight.n) +
                ", " + std::to_string(plan.weight.k) + "])");
      }
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace lutra::packer
