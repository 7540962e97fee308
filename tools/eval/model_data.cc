#include "tools/eval/model_data.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>

#include "lutra/packer/weights.h"
#include "lutra/qat/dataset.h"
#include "lutra/runtime/error.h"
#include "tools/cli/npy.h"

namespace lutra::tools {
namespace {

// Both types of values have four bytes.
constexpr size_t kValueBytes = 4;

// Ids of `input` must be below this.
int64_t IdLimit(const Model& model, const std::string& input) {
  int64_t limit = std::numeric_limits<int32_t>::max();
  for (const Node& node : model.graph().nodes) {
    if (node.op != OpType::kEmbedding || node.inputs[0] != input) continue;
    for (const packer::Weight& weight : packer::Weights(model)) {
      if (weight.name == node.weight) limit = std::min(limit, weight.n);
    }
  }
  return limit;
}

template <typename T>
void Store(T value, size_t index, std::span<std::byte> bytes) {
  static_assert(sizeof(T) == kValueBytes);
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

std::string FirstBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 6> bytes;
  file.read(bytes.data(), bytes.size());
  return std::string(bytes.data(), static_cast<size_t>(file.gcount()));
}

// An array of any of the formats.
NpyArray ReadArray(const std::filesystem::path& path) {
  const std::string start = FirstBytes(path);
  // Files that cannot be read are left to ReadNpy's messages.
  if (start.empty() || start.starts_with("\x93NUMPY")) return ReadNpy(path);
  if (!start.starts_with(std::string_view("\0\0", 2)) &&
      !start.starts_with("\x1f\x8b")) {
    throw Error::InFile(path.string(), "is neither a .npy nor an idx file");
  }
  const qat::IdxArray idx = qat::ReadIdx(path);
  NpyArray array;
  array.type = NpyType::kUInt8;
  array.shape = idx.shape;
  const auto bytes = std::as_bytes(std::span(idx.data));
  array.data.assign(bytes.begin(), bytes.end());
  return array;
}

std::string Shape(std::span<const size_t> shape) {
  const std::vector<int64_t> sizes(shape.begin(), shape.end());
  return ShapeToString(sizes);
}

// Tokens in an array for `value`. Throws Error with the bare cause.
size_t CountTokens(const NpyArray& array, const ValueInfo& value) {
  if (std::equal(array.shape.begin(), array.shape.end(), value.shape.begin(),
                 value.shape.end(), [](size_t a, int64_t b) {
                   return a == static_cast<size_t>(b);
                 })) {
    return 1;
  }
  const size_t elements = array.data.size() / ByteSize(array.type);
  const size_t tokens = array.shape.empty() ? 0 : array.shape[0];
  if (tokens == 0 || elements / tokens != value.ElementCount()) {
    throw Error("shape " + Shape(array.shape) + " does not fit the input '" +
                value.name + "', which takes tokens of shape " +
                ShapeToString(value.shape));
  }
  return tokens;
}

}  // namespace

Buffers::Buffers(const Model& model, size_t m) {
  for (const ValueInfo& input : model.inputs()) {
    input_token_bytes_.push_back(input.ElementCount() * kValueBytes);
    inputs_.emplace_back(m * input_token_bytes_.back());
    input_pointers_.push_back(inputs_.back().data());
  }
  for (const ValueInfo& output : model.outputs()) {
    outputs_.emplace_back(m * output.ElementCount());
    output_pointers_.push_back(outputs_.back().data());
  }
}

void Buffers::Run(Session& session, size_t m) {
  session.Run(m, input_pointers_, output_pointers_);
}

void FillRandomly(const Model& model, uint32_t seed, Buffers& buffers) {
  // Numbers straight from the generator: the standard's distributions differ
  // between libraries.
  std::mt19937 generator(seed);
  for (size_t i = 0; i < model.inputs().size(); ++i) {
    const ValueInfo& input = model.inputs()[i];
    const std::span<std::byte> bytes = buffers.input(i);
    const bool ids = input.type == ValueType::kInt32;
    const int64_t limit = ids ? IdLimit(model, input.name) : 0;
    for (size_t j = 0; j < bytes.size() / kValueBytes; ++j) {
      const auto random = static_cast<uint32_t>(generator());
      if (ids) {
        Store(static_cast<int32_t>(random % limit), j, bytes);
      } else {
        Store(static_cast<float>(random >> 8) * 0x1p-23f - 1.0f, j, bytes);
      }
    }
  }
}

InputData ReadInput(const std::filesystem::path& path, const ValueInfo& value) {
  NpyArray array = ReadArray(path);
  InputData data;
  try {
    data.tokens = CountTokens(array, value);
    const bool ids = value.type == ValueType::kInt32;
    if (array.type == NpyType::kUInt8) {
      data.bytes.resize(array.data.size() * kValueBytes);
      for (size_t i = 0; i < array.data.size(); ++i) {
        const auto byte = std::to_integer<uint8_t>(array.data[i]);
        if (ids) {
          Store(int32_t{byte}, i, data.bytes);
        } else {
          Store(static_cast<float>(byte) / 255.0f, i, data.bytes);
        }
      }
    } else if ((array.type == NpyType::kInt32) == ids) {
      data.bytes = std::move(array.data);
    } else {
      throw Error("is of type " + std::string(Name(array.type)) +
                  ", but the input '" + value.name + "' takes " +
                  (ids ? "int32" : "float32"));
    }
  } catch (const Error& error) {
    throw Error::InFile(path.string(), error.what());
  }
  return data;
}

bool HasPackedWeights(const Model& model) {
  const std::vector<packer::Weight> weights = packer::Weights(model);
  return std::any_of(
      weights.begin(), weights.end(),
      [](const packer::Weight& weight) { return weight.packed != nullptr; });
}

bool MultipliesInt8(const Model& model, kernels::ActivationType activations) {
  return HasPackedWeights(model) &&
         activations != kernels::ActivationType::kFloat32 &&
         activations != kernels::ActivationType::kBFloat16;
}

}  // namespace lutra::tools
