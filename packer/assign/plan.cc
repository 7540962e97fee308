#include "packer/assign/plan.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "lutra/qat/conversion.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMaxUint32 = std::numeric_limits<uint32_t>::max();

constexpr size_t kMaxRowTable = 16;
constexpr uint32_t kMaxTableBits = 4;

uint32_t Clamp(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, kMaxUint32));
}

kernels::ScaleType StoredType(qat::ScaleType type) {
  switch (type) {
    case qat::ScaleType::kBFloat16:
      return kernels::ScaleType::kBFloat16;
    case qat::ScaleType::kFloat16:
      return kernels::ScaleType::kFloat16;
    case qat::ScaleType::kPowerOfTwo:
      return kernels::ScaleType::kE8M0;
    default:
      return kernels::ScaleType::kFloat32;
  }
}

kernels::OffsetType OffsetsFor(qat::ScaleType scales) {
  switch (scales) {
    case qat::ScaleType::kFloat:
      return kernels::OffsetType::kFloat32;
    case qat::ScaleType::kBFloat16:
      return kernels::OffsetType::kBFloat16;
    default:
      return kernels::OffsetType::kFloat16;
  }
}

// Number of levels, and how their tables are stored. Throws Error with the bare
// cause.
size_t PlanTables(WeightPlan& plan) {
  const qat::QuantScheme& scheme = plan.scheme;
  const auto per_row = [&plan] {
    plan.format.table_granularity = kernels::TableGranularity::kRow;
  };
  plan.learned = qat::FindLearnedTable(scheme.quantizer);
  if (plan.learned) {
    if (plan.method != PackMethod::kPostTraining) {
      throw Error("a learned table is no grid to train on");
    }
    if (scheme.scale_type == qat::ScaleType::kPowerOfTwo) {
      throw Error("learned tables need finer scales than powers of two");
    }
    if (plan.learned == qat::LearnedTable::kRow) per_row();
    return scheme.bits == 0 ? 3 : size_t{1} << scheme.bits;
  }
  const auto quantizer = qat::MakeQuantizer(scheme.quantizer);
  if (qat::IsAsymmetric(scheme.quantizer) &&
      plan.method == PackMethod::kPostTraining) {
    const size_t levels = quantizer->GridSize(scheme.bits);
    for (size_t i = 0; i < levels; ++i) {
      plan.table.push_back(static_cast<int8_t>(static_cast<int>(i) -
                                               static_cast<int>(levels / 2)));
    }
    plan.format.offset_type = OffsetsFor(scheme.scale_type);
    return levels;
  }
  if (auto table = quantizer->LutTable(scheme.bits)) {
    plan.table = *std::move(table);
    return plan.table.size();
  }
  if (quantizer->GridSize(scheme.bits) > kMaxRowTable) {
    throw Error("its levels are no int8 values, nor do they fit a table");
  }
  if (scheme.group_size != 0 && scheme.group_size < plan.weight.k) {
    throw Error(
        "the levels of this quantizer are no multiples of one table; they "
        "take a table per row, so the group size must be 'row'");
  }
  per_row();
  if (plan.method == PackMethod::kTrained) plan.method = PackMethod::kRounded;
  return quantizer->GridSize(scheme.bits);
}

// Kernels are not concerned, so there are few limits.
void PlanFloats(WeightPlan& plan) {
  const qat::QuantScheme& scheme = plan.scheme;
  const int64_t k = plan.weight.k;
  const bool exact = qat::HasPowersOfTwo(scheme.quantizer);
  if (scheme.scale_type != qat::ScaleType::kFloat &&
      !(exact && scheme.scale_type == qat::ScaleType::kPowerOfTwo)) {
    throw Error("8-bit floats are stored with scales of float32" +
                std::string(exact ? ", or powers of two" : ""));
  }
  if (plan.weight.n < 1 || k < 1 || plan.weight.n > kMaxUint32 ||
      k > kMaxUint32) {
    throw Error("has a dimension that is not possible");
  }
  int64_t columns = scheme.group_size == 0 ? k : std::min(scheme.group_size, k);
  // A file tells how many groups there are; where that says another size, as 2
  // of 32 and 16 columns are also 2 of 24, it has parts of groups.
  const int64_t groups = (k - 1) / columns + 1;
  if ((k - 1) / groups + 1 != columns) columns = std::gcd(columns, k);
  plan.format.n = Clamp(plan.weight.n);
  plan.format.k = Clamp(k);
  plan.format.bits = 8;
  plan.format.group_size = Clamp(columns);
}

}  // namespace

std::optional<kernels::LutFormat> WithTwoLevels(
    const kernels::LutFormat& format) {
  kernels::LutFormat plain = format;
  plain.scale_type = kernels::ScaleType::kFloat16;
  kernels::LutFormat result = format;
  result.scale_type = kernels::ScaleType::kInt8;
  result.super_type = kernels::ScaleType::kBFloat16;
  result.super_span = kernels::kSuperColumns % format.group_size == 0
                          ? kernels::SuperSpan::kColumns256
                          : kernels::SuperSpan::kRow;
  if (kernels::BlobBytes(result) >= kernels::BlobBytes(plain)) {
    return std::nullopt;
  }
  return result;
}

DType ScaleDType(const WeightPlan& plan) {
  return plan.scheme.scale_type == qat::ScaleType::kPowerOfTwo
             ? DType::kFloat8E8M0
             : DType::kFloat32;
}

size_t WeightPlan::Bytes() const {
  if (method == PackMethod::kKept) return weight.bytes;
  if (!floats) return kernels::BlobBytes(format);
  return weight.ElementCount() +
         format.n * format.GroupsPerRow() * ByteSize(ScaleDType(*this));
}

void PlanBlob(WeightPlan& plan) {
  const int64_t k = plan.weight.k;
  plan.scheme = qat::ForRow(plan.scheme, k);
  plan.floats = qat::FloatStorage(plan.scheme.quantizer);
  if (plan.floats) {
    PlanFloats(plan);
    return;
  }
  const qat::QuantScheme& scheme = plan.scheme;
  kernels::LutFormat& format = plan.format;
  if (scheme.scale_type == qat::ScaleType::kPowerOfTwo &&
      plan.method != PackMethod::kPostTraining &&
      !qat::HasPowersOfTwo(scheme.quantizer)) {
    throw Error("it was trained with scales that are no powers of two");
  }
  const size_t levels = PlanTables(plan);
  format.scale_type = StoredType(scheme.scale_type);
  if (scheme.scale_type != qat::ScaleType::kFloat &&
      plan.method == PackMethod::kTrained) {
    plan.method = PackMethod::kRounded;
  }
  // Clamped sizes are beyond every limit, so CheckFormat refuses them.
  format.n = Clamp(plan.weight.n);
  format.k = Clamp(k);
  format.bits = static_cast<uint32_t>(std::bit_width(levels - 1));
  // There are no tables of 6 bits: the entries themselves are stored.
  if (qat::FloatBits(scheme.quantizer) && format.bits > kMaxTableBits) {
    format.bits = 8;
  }
  format.group_size = Clamp(scheme.group_size);
  // A row shorter than a group is one short group.
  const bool short_row =
      scheme.group_size > k && scheme.group_size % kernels::kMinGroupSize == 0;
  if (scheme.group_size == 0 || short_row) format.group_size = format.k;
  if (const char* cause = kernels::CheckFormat(format); cause != nullptr) {
    throw Error(cause);
  }
  if (plan.scheme.scale_type == qat::ScaleType::kTwoLevels) {
    const auto two_levels = format.offset_type == kernels::OffsetType::kNone
                                ? WithTwoLevels(format)
                                : std::nullopt;
    if (two_levels) {
      format = *two_levels;
    } else {
      plan.scheme.scale_type = qat::ScaleType::kFloat16;
      format.scale_type = kernels::ScaleType::kFloat16;
    }
  }
  if (kernels::BlobBytes(format) == 0) {
    throw Error("is too large for this machine's addresses");
  }
}

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
      if (match->scale_type != qat::ScaleType::kFloat) {
        plan.scheme.scale_type = match->scale_type;
      }
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

void CheckInputs(const std::string& path, const Graph& graph,
                 const std::vector<WeightPlan>& plans) {
  std::map<std::string_view, size_t> groups;
  for (const WeightPlan& plan : plans) {
    if (plan.method == PackMethod::kKept || plan.floats) continue;
    groups[plan.weight.name] = plan.format.group_size;
  }
  for (const Node& node : graph.nodes) {
    const auto group = groups.find(node.weight);
    if (!QuantizesInput(node.op) || group == groups.end()) continue;
    const InputQuantization input = InputQuantizationOf(node);
    if (input.type != kernels::ActivationType::kInt8PerGroup ||
        input.group_size == group->second) {
      continue;
    }
    throw Error::InTensor(path, node.weight,
                          "its inputs are to have a scale for each " +
                              std::to_string(input.group_size) +
                              " columns, the weights for each " +
                              std::to_string(group->second) +
                              ": give both the same group size");
  }
}

void CheckSchemes(const Model& model, const qat::SchemeMap& schemes) {
  CheckInputs(model.path(), model.graph(), MakePlan(model, schemes, {}));
}

}  // namespace lutra::packer
