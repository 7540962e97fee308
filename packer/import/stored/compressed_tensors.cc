// The checkpoints of llm-compressor and vLLM
// (github.com/vllm-project/compressed-tensors): whole numbers of 2 to 8 bits,
// packed or not, and e2m1 with scales of one (MXFP4) or two levels (NVFP4).

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/float8.h"
#include "lutra/runtime/error.h"
#include "packer/import/stored/group_order.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kMaxGroups = 256;

// What the configuration says of a group of modules.
struct Scheme {
  size_t bits = 0;
  size_t group_size = 0;  // 0: not said
};

std::vector<Scheme> Schemes(const JsonObject& config) {
  std::vector<Scheme> schemes;
  const JsonObject groups = config.Object("config_groups");
  for (const auto& [name, entry] : config.Get("config_groups").items()) {
    if (schemes.size() == kMaxGroups) groups.Fail("has too many groups");
    const JsonObject group = groups.Object(name);
    if (!group.Has("weights")) continue;
    const JsonObject weights = group.Object("weights");
    Scheme scheme;
    scheme.bits = static_cast<size_t>(weights.Integer("num_bits", 1, 64));
    scheme.group_size = static_cast<size_t>(
        weights.Integer("group_size", -1, int64_t{1} << 30, 0));
    const bool grouped = weights.String("strategy", "") == "group" ||
                         weights.String("strategy", "") == "tensor_group";
    if (!grouped) scheme.group_size = 0;
    schemes.push_back(scheme);
  }
  return schemes;
}

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }

// Columns that share one of `groups` scales.
size_t GroupSize(const std::vector<Scheme>& schemes, size_t columns,
                 size_t groups, const Part& scale) {
  if (groups == 1) return columns;
  for (const Scheme& scheme : schemes) {
    if (scheme.group_size > 0 &&
        DivideUp(columns, scheme.group_size) == groups) {
      return scheme.group_size;
    }
  }
  if (groups == 0 || columns % groups != 0) {
    scale.Fail("has " + std::to_string(groups) + " groups for " +
               std::to_string(columns) + " columns");
  }
  return columns / groups;
}

// A scale or zero point per row and group, per row, or for all.
struct PerGroup {
  Part part;
  size_t groups = 1;

  void Load(size_t first, size_t count, std::vector<float>& to) const {
    if (part.size() == 1) {
      to.assign(count, part.Float(0));
    } else {
      LoadRows(part, groups, first, count, to);
    }
  }
};

PerGroup GroupsOf(Part part, size_t rows) {
  PerGroup result;
  result.groups = part.size() == 1 ? 1 : part.Dim(1);
  if (part.size() != 1 && (part.Dim(0) != rows || part.shape().size() > 2)) {
    part.Fail("has the shape " + ShapeToString(part.shape()) + " for " +
              std::to_string(rows) + " rows");
  }
  result.part = std::move(part);
  return result;
}

// Scales of activations are about what a CPU that multiplies as the trainer's
// does; lutra's activations have scales of their own.
void DropActivations(const FormatInput& in, const std::string& stem) {
  for (const char* name :
       {"input_scale", "input_zero_point", "input_global_scale", "output_scale",
        "output_zero_point", "output_global_scale"}) {
    in.raw.TakeIfPresent(stem + name);
  }
}

// Fields in a run of words that may straddle them, or not (files up to 2026).
struct Packing {
  size_t bits;
  bool dense;

  size_t Words(size_t fields) const {
    return dense ? DivideUp(fields * bits, 32) : DivideUp(fields, 32 / bits);
  }
  template <typename Word>
  uint8_t At(size_t field, const Word& word) const {
    if (dense) return Field(field * bits, bits, word);
    const size_t per = 32 / bits;
    return Field(field / per * 32 + field % per * bits, bits, word);
  }
};

std::optional<Packing> FindPacking(const std::vector<Scheme>& schemes,
                                   size_t columns, size_t words) {
  for (const Scheme& scheme : schemes) {
    const size_t bits = scheme.bits;
    if (bits == 0 || bits > 8) continue;
    for (const bool dense : {true, false}) {
      const Packing packing{bits, dense};
      if (packing.Words(columns) == words) return packing;
    }
  }
  return std::nullopt;
}

void AddPacked(const FormatInput& in, const std::vector<Scheme>& schemes,
               const std::string& stem) {
  const std::string name = stem + "weight";
  const Part shape(in.raw.Take(name + "_shape"),
                   {DType::kInt64, DType::kInt32});
  if (shape.size() != 2) shape.Fail("has not two dimensions");
  const Part packed(in.raw.Take(name + "_packed"), kWordTypes);
  StoredWeight weight;
  for (size_t i = 0; i < 2; ++i) {
    if (shape.Integer(i) < 1 || shape.Integer(i) > int64_t{1} << 30) {
      shape.Fail("has a dimension that is not possible");
    }
  }
  weight.rows = static_cast<size_t>(shape.Integer(0));
  weight.columns = static_cast<size_t>(shape.Integer(1));
  const auto packing = FindPacking(schemes, weight.columns, packed.Dim(1));
  if (!packing) {
    packed.Fail("has " + std::to_string(packed.Dim(1)) + " words per row of " +
                std::to_string(weight.columns) +
                ", which is no number of bits of the configuration");
  }
  const size_t bits = packing->bits;
  packed.CheckMatrix(weight.rows, packed.Dim(1));
  const PerGroup scale =
      GroupsOf(Part(in.raw.Take(name + "_scale"), kFloatTypes), weight.rows);
  weight.group_size =
      GroupSize(schemes, weight.columns, scale.groups, scale.part);
  weight.levels = IntegerLevels(-(1 << (bits - 1)), size_t{1} << bits);
  weight.format = "compressed-tensors, " + std::to_string(bits) + " bits";
  // The zero points of a group are packed along the rows.
  const Part zero(in.raw.TakeIfPresent(name + "_zero_point"),
                  {DType::kInt32, DType::kUInt32});
  if (zero.present()) {
    weight.zero = ZeroRule::kSubtract;
    zero.CheckMatrix(packing->Words(weight.rows), scale.groups);
  }
  const Part order(in.raw.TakeIfPresent(name + "_g_idx"), kWordTypes);
  if (order.present()) SetGroupOrder(order, scale.groups, weight);
  DropActivations(in, stem);
  const size_t columns = weight.columns;
  const size_t words = packed.Dim(1);
  weight.read = [=, packing = *packing](size_t first, size_t count,
                                        StoredRows& out) {
    scale.Load(first, count, out.scales);
    if (zero.present()) {
      out.zeros.resize(count * scale.groups);
      for (size_t r = 0; r < count; ++r) {
        for (size_t g = 0; g < scale.groups; ++g) {
          const uint8_t field = packing.At(first + r, [&](size_t word) {
            return zero.Word(word * scale.groups + g);
          });
          out.zeros[r * scale.groups + g] =
              static_cast<float>(field) - static_cast<float>(1 << (bits - 1));
        }
      }
    }
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t r = 0; r < count; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        out.codes[r * columns + c] = packing.At(c, [&](size_t word) {
          return packed.Word((first + r) * words + word);
        });
      }
    }
  };
  in.Add(name, packed, std::move(weight));
}

// int8 elements, whatever their bits.
void AddPlain(const FormatInput& in, const std::vector<Scheme>& schemes,
              const std::string& stem) {
  const std::string name = stem + "weight";
  const RawTensor* found = in.raw.Find(name);
  if (found == nullptr) return;
  if (found->view.dtype != DType::kInt8) {
    throw Error::InTensor(
        found->file, name,
        "is of type " + std::string(Name(found->view.dtype)) +
            ", which is not supported; supported: integers and FP4 of "
            "compressed-tensors",
        ErrorCode::kUnsupported);
  }
  const Part values(in.raw.Take(name), {DType::kInt8});
  StoredWeight weight;
  weight.rows = values.Dim(0);
  weight.columns = values.Dim(1);
  values.CheckMatrix(weight.rows, weight.columns);
  size_t bits = 8;
  if (schemes.size() == 1 && schemes[0].bits < 8) bits = schemes[0].bits;
  const PerGroup scale =
      GroupsOf(Part(in.raw.Take(name + "_scale"), kFloatTypes), weight.rows);
  weight.group_size =
      GroupSize(schemes, weight.columns, scale.groups, scale.part);
  const int minimum = -(1 << (bits - 1));
  weight.levels = IntegerLevels(minimum, size_t{1} << bits);
  weight.format = "compressed-tensors, int";
  weight.format += std::to_string(bits);
  const Part zero(in.raw.TakeIfPresent(name + "_zero_point"),
                  {DType::kInt8, DType::kInt32});
  PerGroup zeros;
  if (zero.present()) {
    weight.zero = ZeroRule::kSubtract;
    zeros = GroupsOf(zero, weight.rows);
    if (zeros.groups != scale.groups) zero.Fail("has other groups than scales");
  }
  DropActivations(in, stem);
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    scale.Load(first, count, out.scales);
    if (zero.present()) zeros.Load(first, count, out.zeros);
    if (out.want_codes) {
      LoadSignedCodes(values, columns, minimum, first, count, out.codes);
    }
  };
  in.Add(name, values, std::move(weight));
}

void AddFloat4(const FormatInput& in, const std::string& stem) {
  const std::string name = stem + "weight";
  const Part packed(in.raw.Take(name + "_packed"), {DType::kUInt8});
  const Part scale(in.raw.Take(name + "_scale"),
                   {DType::kUInt8, DType::kFloat8E4M3, DType::kFloat8E8M0});
  const Part global(in.raw.TakeIfPresent(name + "_global_scale"), kFloatTypes);
  StoredWeight weight;
  weight.rows = packed.Dim(0);
  weight.columns = packed.Dim(1) * 2;
  packed.CheckMatrix(weight.rows, weight.columns / 2);
  const size_t groups = scale.Dim(1);
  scale.CheckMatrix(weight.rows, groups);
  weight.group_size = GroupSize({}, weight.columns, groups, scale);
  weight.levels = Float4Levels();
  const bool two_levels = scale.dtype() == DType::kFloat8E4M3;
  weight.format = two_levels ? "NVFP4" : "MXFP4";
  if (two_levels != (global.present() && global.size() == 1)) {
    scale.Fail("has no global scale beside it, or needs none");
  }
  if (two_levels) weight.factor = 1 / global.Float(0);
  DropActivations(in, stem);
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    if (two_levels) {
      LoadRows(scale, groups, first, count, out.scales);
      for (float& value : out.scales) value = value / global.Float(0);
    } else {
      out.scales.resize(count * groups);
      for (size_t i = 0; i < out.scales.size(); ++i) {
        out.scales[i] = FloatFromE8M0(scale.Byte(first * groups + i));
      }
    }
    if (out.want_codes) LoadNibbles(packed, columns, first, count, out.codes);
  };
  in.Add(name, packed, std::move(weight));
}

}  // namespace

void ReadCompressedTensors(const FormatInput& in) {
  const std::string format = in.quantization.String("format", "dense");
  const std::string sparsity =
      in.quantization.Has("sparsity_config")
          ? in.quantization.Object("sparsity_config").String("format", "dense")
          : "dense";
  if (sparsity != "dense") {
    in.quantization.Fail("sparsity format '" + sparsity +
                         "' is not supported; save the checkpoint dense");
  }
  for (const char* refused : {"marlin-24", "sparse-24-bitmask",
                              "sparse-bitmask", "float-quantized"}) {
    if (format == refused) {
      in.quantization.Fail("format '" + format +
                           "' of compressed-tensors is not supported");
    }
  }
  if (!in.quantization.Has("config_groups")) return;
  const std::vector<Scheme> schemes = Schemes(in.quantization);
  for (const std::string& stem : in.Stems("weight_packed")) {
    if (in.raw.Find(stem + "weight_packed")->view.dtype == DType::kUInt8) {
      AddFloat4(in, stem);
    } else {
      AddPacked(in, schemes, stem);
    }
  }
  for (const std::string& stem : in.Stems("weight_scale")) {
    AddPlain(in, schemes, stem);
  }
  // Of a quantized cache; lutra's has scales of its own.
  for (const char* ending : {".k_scale", ".v_scale", ".q_scale"}) {
    for (const std::string& stem : in.Stems(ending)) {
      in.raw.TakeIfPresent(stem + ending);
    }
  }
}

}  // namespace lutra::packer
