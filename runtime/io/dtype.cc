#include "runtime/io/dtype.h"

#include <algorithm>
#include <iterator>

namespace lutra {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  size_t bytes;
};

constexpr DTypeRow kDTypes[] = {
    {DType::kFloat64, "F64", 8},        {DType::kFloat32, "F32", 4},
    {DType::kFloat16, "F16", 2},        {DType::kBFloat16, "BF16", 2},
    {DType::kInt64, "I64", 8},          {DType::kInt32, "I32", 4},
    {DType::kInt16, "I16", 2},          {DType::kInt8, "I8", 1},
    {DType::kUInt64, "U64", 8},         {DType::kUInt32, "U32", 4},
    {DType::kUInt16, "U16", 2},         {DType::kUInt8, "U8", 1},
    {DType::kBool, "BOOL", 1},          {DType::kFloat8E4M3, "F8_E4M3", 1},
    {DType::kFloat8E5M2, "F8_E5M2", 1}, {DType::kFloat8E8M0, "F8_E8M0", 1},
};

const DTypeRow& Row(DType dtype) {
  return *std::find_if(
      std::begin(kDTypes), std::end(kDTypes),
      [dtype](const DTypeRow& row) { return row.dtype == dtype; });
}

}  // namespace

size_t ByteSize(DType dtype) { return Row(dtype).bytes; }

std::string_view Name(DType dtype) { return Row(dtype).name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace lutra
