// torchao's tensor subclasses, as its safetensors support and torch.save write
// them: the metadata says of what class each tensor is and of what parts.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/float8.h"
#include "lutra/runtime/error.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kMaxTensors = size_t{1} << 20;

// The parts of one tensor. Since torchao 0.15 they are called
// module._weight_qdata, before it module.weight:qdata.
class Parts {
 public:
  Parts(const FormatInput& in, const std::string& name) : in_(in), name_(name) {
    const size_t dot = name.rfind('.');
    const size_t begin = dot == std::string::npos ? 0 : dot + 1;
    current_ = name.substr(0, begin) + "_" + name.substr(begin) + "_";
  }

  bool Has(const char* part) const {
    return in_.raw.Find(current_ + part) != nullptr ||
           in_.raw.Find(name_ + ":" + part) != nullptr;
  }
  RawTensor Take(const char* part) const {
    RawTensor tensor = in_.raw.TakeIfPresent(name_ + ":" + part);
    return tensor.owner != nullptr ? tensor : in_.raw.Take(current_ + part);
  }

 private:
  const FormatInput& in_;
  std::string name_;
  std::string current_;
};

// "int4" of {"_type": "torch.dtype", "_data": "int4"}.
std::string TypeName(const JsonObject& data, const char* key) {
  return data.Object(key).String("_data");
}

// [1, columns per group], or all of the matrix.
size_t BlockSize(const JsonObject& data, size_t rows, size_t columns) {
  const nlohmann::json& block = data.List("block_size", 2);
  if (block == nlohmann::json({rows, columns})) return columns;
  if (block.size() != 2 || block[0] != 1 || !block[1].is_number_integer() ||
      block[1].get<int64_t>() < 1) {
    data.Fail("block_size " + ShortDump(block) +
              " is not supported; supported: [1, n]");
  }
  return std::min(columns, block[1].get<size_t>());
}

void CheckGroups(const Part& part, const StoredWeight& weight) {
  part.CheckMatrix(weight.rows, weight.Groups());
}

// The same, or one for all.
void LoadGroups(const Part& part, size_t groups, size_t first, size_t count,
                std::vector<float>& to) {
  if (part.size() == 1) {
    to.assign(count * groups, part.Float(0));
  } else {
    LoadRows(part, groups, first, count, to);
  }
}

// int8 elements of a type of 1 to 8 bits.
StoredWeight IntX(const Parts& parts, const JsonObject& data, int bits,
                  Part& values) {
  values = Part(parts.Take("qdata"), {DType::kInt8});
  StoredWeight weight;
  weight.rows = values.Dim(0);
  weight.columns = values.Dim(1);
  values.CheckMatrix(weight.rows, weight.columns);
  weight.group_size = BlockSize(data, weight.rows, weight.columns);
  const Part scale(parts.Take("scale"), kFloatTypes);
  if (scale.size() != 1) CheckGroups(scale, weight);
  Part zero;
  if (parts.Has("zero_point")) {
    zero = Part(parts.Take("zero_point"),
                {DType::kInt8, DType::kInt32, DType::kInt64, DType::kFloat32,
                 DType::kFloat16, DType::kBFloat16});
    if (zero.size() != 1) CheckGroups(zero, weight);
    weight.zero = ZeroRule::kSubtract;
  }
  const int minimum = -(1 << (bits - 1));
  weight.levels = IntegerLevels(minimum, size_t{1} << bits);
  weight.format = "torchao, int" + std::to_string(bits);
  const size_t columns = weight.columns;
  const size_t groups = weight.Groups();
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadGroups(scale, groups, first, count, out.scales);
    if (zero.present()) LoadGroups(zero, groups, first, count, out.zeros);
    if (out.want_codes) {
      LoadSignedCodes(values, columns, minimum, first, count, out.codes);
    }
  };
  return weight;
}

// Nibbles in two's complement; scale and zero point are transposed, and the
// zero point is added.
StoredWeight Int4(const Parts& parts, const JsonObject& data, Part& values) {
  values = Part(parts.Take("qdata"), {DType::kInt8, DType::kUInt8});
  StoredWeight weight;
  weight.rows = values.Dim(0);
  weight.columns = values.Dim(1) * 2;
  values.CheckMatrix(weight.rows, weight.columns / 2);
  weight.group_size = BlockSize(data, weight.rows, weight.columns);
  const Part scale(parts.Take("scale"), kFloatTypes);
  const Part zero(parts.Take("zero_point"), kFloatTypes);
  const size_t rows = weight.rows;
  const size_t columns = weight.columns;
  const size_t groups = weight.Groups();
  scale.CheckMatrix(groups, rows);
  zero.CheckMatrix(groups, rows);
  // Code 8 is -8, and so on.
  weight.levels = IntegerLevels(0, 16);
  for (size_t i = 8; i < 16; ++i) weight.levels[i] -= 16;
  weight.zero = ZeroRule::kAdd;
  weight.format = "torchao, Int4Tensor";
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadTransposedRows(scale, rows, groups, first, count, out.scales);
    LoadTransposedRows(zero, rows, groups, first, count, out.zeros);
    if (out.want_codes) LoadNibbles(values, columns, first, count, out.codes);
  };
  return weight;
}

// e2m1 with scales of e8m0 or e4m3.
StoredWeight Float4(const Parts& parts, const JsonObject& data, bool nvidia,
                    Part& values) {
  if (data.Bool("is_swizzled_scales", false)) {
    data.Fail(
        "swizzled scales are not supported; save the model with "
        "is_swizzled_scales=False");
  }
  if (!nvidia && TypeName(data, "elem_dtype") != "float4_e2m1fn_x2") {
    data.Fail("elem_dtype '" + TypeName(data, "elem_dtype") +
              "' is not supported; supported: float4_e2m1fn_x2");
  }
  values = Part(parts.Take("qdata"), {DType::kUInt8});
  const Part scale(parts.Take("scale"),
                   {DType::kFloat8E8M0, DType::kUInt8, DType::kFloat8E4M3});
  Part global;
  if (parts.Has("per_tensor_scale")) {
    global = Part(parts.Take("per_tensor_scale"), kFloatTypes);
    if (global.size() != 1) global.Fail("is not one number");
  }
  StoredWeight weight;
  weight.rows = values.Dim(0);
  weight.columns = values.Dim(1) * 2;
  values.CheckMatrix(weight.rows, weight.columns / 2);
  weight.group_size = static_cast<size_t>(
      data.Integer("block_size", 1, int64_t{1} << 20, nvidia ? 16 : 32));
  const size_t groups = weight.Groups();
  const size_t columns = weight.columns;
  CheckGroups(scale, weight);
  weight.levels = Float4Levels();
  weight.format = nvidia ? "torchao, NVFP4" : "torchao, MXFP4";
  if (global.present()) weight.factor = global.Float(0);
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    out.scales.resize(count * groups);
    for (size_t i = 0; i < out.scales.size(); ++i) {
      const uint8_t bits = scale.Byte(first * groups + i);
      const float value = nvidia ? FloatFromE4M3(bits) : FloatFromE8M0(bits);
      out.scales[i] = global.present() ? value * global.Float(0) : value;
    }
    if (out.want_codes) LoadNibbles(values, columns, first, count, out.codes);
  };
  return weight;
}

void AddWeight(const FormatInput& in, const std::string& name,
               const std::string& type, const JsonObject& data) {
  const Parts parts(in, name);
  // One that is listed but stored nowhere is tied to another.
  if (!parts.Has("qdata") && !parts.Has("packed_weights")) return;
  if (parts.Has("act_pre_scale")) {
    data.Fail("act_pre_scale (inputs are scaled first) is not supported");
  }
  Part values;
  StoredWeight weight;
  if (type == "IntxUnpackedToInt8Tensor") {
    const std::string target = TypeName(data, "target_dtype");
    if (target.size() != 4 || !target.starts_with("int") || target[3] < '1' ||
        target[3] > '8') {
      data.Fail("target_dtype '" + target +
                "' is not supported; supported: int1 to int8");
    }
    weight = IntX(parts, data, target[3] - '0', values);
  } else if (type == "Int8Tensor") {
    weight = IntX(parts, data, 8, values);
  } else if (type == "Int4Tensor") {
    weight = Int4(parts, data, values);
  } else if (type == "MXTensor" || type == "NVFP4Tensor") {
    weight = Float4(parts, data, type == "NVFP4Tensor", values);
  } else {
    data.Fail("tensors of class " + type +
              " are not supported (those that hold only what kernels unpack: "
              "save the model before it is converted for a machine); "
              "supported: IntxUnpackedToInt8Tensor, Int8Tensor, Int4Tensor, "
              "MXTensor, NVFP4Tensor");
  }
  in.Add(name, values, std::move(weight));
}

}  // namespace

void ReadTorchao(const FormatInput& in) {
  const auto listed = in.raw.metadata.find("tensor_names");
  if (listed == in.raw.metadata.end()) {
    in.quantization.Fail(
        "the files have no list of torchao's tensors (metadata "
        "'tensor_names'); save the model again with safetensors");
  }
  const std::string file(in.quantization.file());
  const JsonDocument names =
      ParseJson(listed->second, file, "metadata 'tensor_names'");
  if (!names.root().is_array() || names.root().size() > kMaxTensors) {
    throw Error::InFile(file, "metadata 'tensor_names' is not a list");
  }
  for (const nlohmann::json& entry : names.root()) {
    if (!entry.is_string()) continue;
    const auto name = entry.get<std::string>();
    const auto text = in.raw.metadata.find(name);
    if (text == in.raw.metadata.end()) continue;
    const std::string what = "metadata '" + name + "'";
    const JsonDocument description = ParseJson(text->second, file, what);
    const JsonObject object(description.root(), file, what);
    const std::string type = object.String("_type");
    if (type != "Tensor") {
      // The last dimension's values count, so it is in the data.
      AddWeight(in, name, type, object.Object("_data"));
      continue;
    }
    // The older naming has a suffix for plain ones, too.
    RawTensor plain = in.raw.TakeIfPresent(name + ":_data");
    if (plain.owner == nullptr) continue;
    plain.view.name = name;
    in.raw.tensors.emplace(name, std::move(plain));
  }
}

}  // namespace lutra::packer
