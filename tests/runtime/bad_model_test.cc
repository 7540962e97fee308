// Good model files, damaged in one place each. Every one must be refused with
// one line that names the file, the tensor where there is one, and the cause.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/layout.h"
#include "lutra/runtime/model.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

kernels::RandomMatrix RandomPacked(uint32_t n, uint32_t k) {
  std::mt19937 rng(7);
  return kernels::MakeRandomMatrix(
      {.n = n, .k = k, .bits = 2, .group_size = 16}, kernels::TableKind::kSmall,
      rng);
}

// x [32] -> packed linear -> relu -> float linear -> y [8]. Its blob is the
// first tensor of the file.
ModelBuilder GoodModel() {
  const auto packed = RandomPacked(24, 32);
  ModelBuilder builder;
  builder.Input("x", {32})
      .Add(OpType::kLinear, {"x"}, "h0", "fc1.weight", "fc1.bias")
      .Add(OpType::kRelu, {"h0"}, "h1")
      .Add(OpType::kLinear, {"h1"}, "y", "fc2.weight", "fc2.bias")
      .Output("y")
      .Packed("fc1.weight", {packed.blob.get(), packed.blob_bytes})
      .Floats("fc1.bias", {24}, RandomFloats(24, 1))
      .Floats("fc2.weight", {8, 24}, RandomFloats(8 * 24, 2))
      .Floats("fc2.bias", {8}, RandomFloats(8, 3));
  return builder;
}

void Embedding(ModelBuilder& builder, std::vector<int64_t> shape,
               ValueType type) {
  builder.Input("ids", std::move(shape), type)
      .Add(OpType::kEmbedding, {"ids"}, "e", "fc2.weight")
      .Output("e");
}

struct Case {
  std::string name;
  std::vector<std::string> expected;
  // Any of these, in this order.
  std::function<void(ModelBuilder&)> build = nullptr;
  std::function<void(RawFile&)> edit = nullptr;
  std::function<void(std::string&)> damage = nullptr;  // the bytes of the file
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Overwrites a field of the blob's header.
template <typename T>
std::function<void(RawFile&)> Blob(size_t offset, T value) {
  return [=](RawFile& raw) {
    std::memcpy(raw.data.data() + offset, &value, sizeof(value));
  };
}

std::function<void(RawFile&)> Header(std::string from, std::string to) {
  return [=](RawFile& raw) { raw.Replace(from, to); };
}

std::function<void(std::string&)> Length(uint64_t length) {
  return [=](std::string& bytes) {
    bytes.replace(0, sizeof(length), LengthPrefix(length));
  };
}

std::function<void(std::string&)> HeaderText(std::string header) {
  return [=](std::string& bytes) { bytes = RawFile{header, ""}.Bytes(); };
}

std::function<void(ModelBuilder&)> Graph(std::string json) {
  return [=](ModelBuilder& builder) { builder.Metadata(kGraphKey, json); };
}

std::vector<Case> ContainerCases() {
  const auto packed_bytes = std::to_string(RandomPacked(24, 32).blob_bytes);
  const std::string blob_entry = R"("fc1.weight":{"dtype":"U8","shape":[)" +
                                 packed_bytes + R"(],"data_offsets":[0,)" +
                                 packed_bytes + "]}";
  // Entries of the good file, in its order.
  const std::string fc2_weight = R"("dtype":"F32","shape":[8,24])";
  const std::string fc2_bias = R"("dtype":"F32","shape":[8])";
  return {
      {.name = "EmptyFile",
       .expected = {"too short", "0 bytes"},
       .damage = [](std::string& b) { b.clear(); }},
      {.name = "SevenBytes",
       .expected = {"too short", "7 bytes"},
       .damage = [](std::string& b) { b.resize(7); }},
      {.name = "OnlyTheLength",
       .expected = {"truncated", "header length"},
       .damage = [](std::string& b) { b.resize(8); }},
      {.name = "TruncatedInHeader",
       .expected = {"truncated", "header length"},
       .damage = [](std::string& b) { b.resize(100); }},
      {.name = "TruncatedInData",
       .expected = {"data_offsets run past the end of the file"},
       .damage = [](std::string& b) { b.resize(b.size() - 500); }},
      {.name = "TruncatedByOneByte",
       .expected = {"run past the end"},
       .damage = [](std::string& b) { b.pop_back(); }},
      {.name = "ExtraByte",
       .expected = {"1 bytes at the end belong to no tensor"},
       .damage = [](std::string& b) { b += 'x'; }},
      {.name = "LengthAllOnes",
       .expected = {"header length 18446744073709551615", "limit"},
       .damage = Length(~uint64_t{0})},
      {.name = "LengthAboveLimit",
       .expected = {"header length 100000001", "limit of 100000000"},
       .damage = Length(100'000'001)},
      {.name = "LengthPastTheEnd",
       .expected = {"header length 99999999 runs past the end"},
       .damage = Length(99'999'999)},
      {.name = "LengthTooShort",
       .expected = {"header is not valid JSON"},
       .damage = Length(50)},
      {.name = "LengthZero",
       .expected = {"header is not valid JSON"},
       .damage = Length(0)},
      {.name = "NotSafetensors",
       .expected = {"not a safetensors file?"},
       .damage = [](std::string& b) { b = "GGUF" + std::string(400, '\1'); }},
      {.name = "NotJson",
       .expected = {"header is not valid JSON"},
       .damage = HeaderText("weights: none")},
      {.name = "NotUtf8",
       .expected = {"header is not valid JSON"},
       .damage = HeaderText("{\"a\xff\":1}")},
      {.name = "JsonList",
       .expected = {"header is not a JSON object"},
       .damage = HeaderText("[]")},
      {.name = "JsonNumberOverflow",
       .expected = {"header is not valid JSON"},
       .damage = HeaderText("{\"a\":1e999}")},
      {.name = "JsonBomb",
       .expected = {"header is nested too deeply"},
       .damage =
           [](std::string& b) {
             b = RawFile{"{\"a\":" + std::string(1 << 20, '['), ""}.Bytes();
           }},
      {.name = "JsonObjectBomb",
       .expected = {"header is nested too deeply"},
       .damage =
           [](std::string& b) {
             std::string text;
             for (int i = 0; i < 100000; ++i) text += "{\"a\":";
             b = RawFile{text, ""}.Bytes();
           }},
      {.name = "JsonManyValues",
       .expected = {"header has too many values"},
       .damage =
           [](std::string& b) {
             std::string text = "{\"a\":[";
             for (int i = 0; i < 5'000'000; ++i) text += "0,";
             b = RawFile{text + "0]}", ""}.Bytes();
           }},
      {.name = "DuplicateTensor",
       .expected = {"header has the key 'fc1.bias' twice"},
       .edit = Header("\"fc2.bias\":{", "\"fc1.bias\":{")},
      {.name = "DuplicateKeyInTensor",
       .expected = {"the key 'dtype' twice"},
       .edit = Header("\"shape\":[8,24]", "\"dtype\":\"F32\"")},
      {.name = "MetadataNotAnObject",
       .expected = {"metadata is not a JSON object"},
       .damage = HeaderText("{\"__metadata__\":7}")},
      {.name = "MetadataNotStrings",
       .expected = {"metadata 'lutra.version' is not a string"},
       .edit = Header(R"("lutra.version":"1")", R"("lutra.version":1)")},
      {.name = "TensorNotAnObject",
       .expected = {"tensor 'fc1.weight'", "not described by a JSON object"},
       .edit = Header(blob_entry, "\"fc1.weight\":7")},
      {.name = "UnknownKeyInTensor",
       .expected = {"tensor 'fc2.weight'", "unknown key 'strides'"},
       .edit = Header(fc2_weight, fc2_weight + ",\"strides\":[1,1]")},
      {.name = "UnknownDtype",
       .expected = {"tensor 'fc2.weight'", "unknown dtype 'F31'"},
       .edit = Header(fc2_weight, R"("dtype":"F31","shape":[8,24])")},
      {.name = "DtypeNumber",
       .expected = {"tensor 'fc2.weight'", "dtype is not a string"},
       .edit = Header(fc2_weight, R"("dtype":5,"shape":[8,24])")},
      {.name = "DtypeMissing",
       .expected = {"tensor 'fc2.weight'", "dtype is missing"},
       .edit = Header(fc2_weight, R"("shape":[8,24])")},
      {.name = "ShapeMissing",
       .expected = {"tensor 'fc2.weight'", "shape is missing"},
       .edit = Header(fc2_weight, R"("dtype":"F32")")},
      {.name = "ShapeNotAList",
       .expected = {"tensor 'fc2.weight'", "shape is not a list"},
       .edit = Header(fc2_weight, R"("dtype":"F32","shape":192)")},
      {.name = "ShapeNegative",
       .expected = {"tensor 'fc2.weight'", "shape has the entry -8"},
       .edit = Header("[8,24]", "[-8,-24]")},
      {.name = "ShapeFraction",
       .expected = {"tensor 'fc2.weight'", "shape has the entry 8.5"},
       .edit = Header("[8,24]", "[8.5,24]")},
      {.name = "ShapeString",
       .expected = {"tensor 'fc2.weight'", "shape has the entry \"8\""},
       .edit = Header("[8,24]", "[\"8\",24]")},
      {.name = "ShapeAboveInt64",
       .expected = {"tensor 'fc2.weight'",
                    "shape has the entry 18446744073709551615"},
       .edit = Header("[8,24]", "[18446744073709551615]")},
      {.name = "ShapeProductOverflows",
       .expected = {"tensor 'fc2.weight'", "overflows"},
       .edit = Header("[8,24]", "[4294967296,4294967296]")},
      // 2^62 elements of 4 bytes are 0 modulo 2^64.
      {.name = "ShapeBytesOverflow",
       .expected = {"tensor 'fc2.weight'", "overflows"},
       .edit = Header("[8,24]", "[4611686018427387904]")},
      {.name = "ShapeTooManyDimensions",
       .expected = {"tensor 'fc2.weight'", "more than 32 dimensions"},
       .edit = Header(
           "[8,24]", "[8,24" +
                         [] {
                           std::string ones;
                           for (int i = 0; i < 40; ++i) ones += ",1";
                           return ones;
                         }() +
                         "]")},
      {.name = "ShapeDoesNotFitExtent",
       .expected = {"tensor 'fc2.weight'", "needs 800 bytes",
                    "data_offsets span 768"},
       .edit = Header("[8,24]", "[8,25]")},
      {.name = "OffsetsMissing",
       .expected = {"tensor 'fc1.weight'", "data_offsets is missing"},
       .edit = Header(R"(,"data_offsets":[0,)" + packed_bytes + "]", "")},
      {.name = "OffsetsThree",
       .expected = {"tensor 'fc1.weight'", "not a list of two numbers"},
       .edit = Header(R"("data_offsets":[0,)", R"("data_offsets":[0,0,)")},
      {.name = "OffsetsNotNumbers",
       .expected = {"tensor 'fc1.weight'", "not counts of bytes"},
       .edit = Header(R"("data_offsets":[0,)", R"("data_offsets":["0",)")},
      {.name = "OffsetsNegative",
       .expected = {"tensor 'fc1.weight'", "not counts of bytes"},
       .edit = Header(R"("data_offsets":[0,)", R"("data_offsets":[-64,)")},
      {.name = "OffsetsReversed",
       .expected = {"tensor 'fc1.weight'", "end before they begin"},
       .edit = Header(R"("data_offsets":[0,)", R"("data_offsets":[999999,)")},
      {.name = "OffsetsHuge",
       .expected = {"tensor 'fc1.weight'", "run past the end",
                    "18446744073709551615"},
       .edit = Header("[0," + packed_bytes + "]", "[0,18446744073709551615]")},
      {.name = "Overlap",
       .expected = {"tensor 'copy'", "overlaps another tensor"},
       .edit = Header(blob_entry, blob_entry +
                                      R"(,"copy":{"dtype":"U8","shape":[8],)"
                                      R"("data_offsets":[4,12]})")},
      {.name = "Hole",
       .expected = {"tensor 'fc1.weight'", "hole"},
       .edit =
           [=](RawFile& raw) {
             raw.Replace("\"shape\":[" + packed_bytes + "]",
                         "\"shape\":[" +
                             std::to_string(std::stoul(packed_bytes) - 8) +
                             "]");
             raw.Replace(R"("data_offsets":[0,)", R"("data_offsets":[8,)");
           }},
      {.name = "TensorNotDescribed",
       .expected = {"tensor 'fc2.weight'", "hole"},
       .edit = Header(blob_entry + ",", "")},
  };
}

std::vector<Case> ModelCases() {
  return {
      {.name = "NoVersion",
       .expected = {"not a lutra model", "'lutra.version' is missing"},
       .build = [](ModelBuilder& b) { b.NoMetadata(kVersionKey); }},
      {.name = "NewerVersion",
       .expected = {"model version '2' is not supported", "reads version 1"},
       .build = [](ModelBuilder& b) { b.Metadata(kVersionKey, "2"); }},
      {.name = "VersionNotANumber",
       .expected = {"model version '1\\x0a' is not supported"},
       .build = [](ModelBuilder& b) { b.Metadata(kVersionKey, "1\n"); }},
      {.name = "NoGraph",
       .expected = {"not a lutra model", "'lutra.graph' is missing"},
       .build = [](ModelBuilder& b) { b.NoMetadata(kGraphKey); }},
      {.name = "GraphNotJson",
       .expected = {"graph is not valid JSON (at byte"},
       .build = Graph("{\"inputs\":")},
      {.name = "GraphBomb",
       .expected = {"graph is nested too deeply"},
       .build = Graph(std::string(100000, '['))},
      {.name = "UnknownOperator",
       .expected = {"node 'y'", "unknown operator 'conv9d'"},
       .build = Graph(R"({"inputs":[{"name":"x","type":"float32",
           "shape":[32]}],"nodes":[{"op":"conv9d","inputs":["x"],
           "output":"y"}],"outputs":["y"]})")},
      {.name = "WrongInputCount",
       .expected = {"relu node 'z' has 2 inputs, expected 1"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRelu, {"y", "x"}, "z");
           }},
      {.name = "UndefinedValue",
       .expected = {"relu node 'z' uses the value 'q', which is not defined"},
       .build = [](ModelBuilder& b) { b.Add(OpType::kRelu, {"q"}, "z"); }},
      {.name = "Cycle",
       .expected = {"'p' depends on itself"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRelu, {"q"}, "p").Add(OpType::kRelu, {"p"}, "q");
           }},
      {.name = "DefinedTwice",
       .expected = {"value 'h1' is defined twice"},
       .build = [](ModelBuilder& b) { b.Add(OpType::kRelu, {"x"}, "h1"); }},
      {.name = "OutputTwice",
       .expected = {"output 'y' is listed twice"},
       .build = [](ModelBuilder& b) { b.Output("y"); }},
      {.name = "OutputIsNotFloat",
       .expected = {"output 'ids' is not float32"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {}, ValueType::kInt32).Output("ids");
           }},
      {.name = "InputHuge",
       .expected = {"value 'z' of shape [1099511627776] is not possible"},
       .build = [](ModelBuilder& b) { b.Input("z", {int64_t{1} << 40}); }},
      {.name = "InputShapeOverflows",
       .expected = {"value 'z' of shape", "is not possible"},
       .build =
           [](ModelBuilder& b) {
             constexpr int64_t kLarge = int64_t{1} << 33;
             b.Input("z", {kLarge, kLarge, kLarge});
           }},
      {.name = "InputEmpty",
       .expected = {"value 'z' of shape [3, 0] is not possible"},
       .build =
           [](ModelBuilder& b) {
             b.Input("z", {3, 0});
           }},
      {.name = "InputManyDimensions",
       .expected = {"value 'z' has more than 8 dimensions"},
       .build =
           [](ModelBuilder& b) { b.Input("z", std::vector<int64_t>(9, 1)); }},
      {.name = "MissingWeight",
       .expected = {"tensor 'fc9.weight'", "missing from the file"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc9.weight");
           }},
      {.name = "MissingBias",
       .expected = {"tensor 'fc9.bias'", "missing from the file"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc2.weight", "fc9.bias");
           }},
      {.name = "ShapesDoNotFit",
       .expected = {"linear node 'z'", "input 'x' of shape [32] does not fit",
                    "'fc2.weight' of shape [8, 24]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"x"}, "z", "fc2.weight");
           }},
      {.name = "ShapesDoNotFitPacked",
       .expected = {"linear node 'z'", "input 'h1' of shape [24]",
                    "'fc1.weight' of shape [24, 32]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc1.weight");
           }},
      {.name = "AddOfDifferentShapes",
       .expected = {"add node 'z'", "[32] and [24]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kAdd, {"x", "h1"}, "z");
           }},
      {.name = "ReluOfIds",
       .expected = {"relu node 'z'", "'ids' is not float32"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {}, ValueType::kInt32)
                 .Add(OpType::kRelu, {"ids"}, "z");
           }},
      {.name = "SoftmaxOfScalar",
       .expected = {"softmax node 'z'", "'s' must be float32"},
       .build =
           [](ModelBuilder& b) {
             b.Input("s", {}).Add(OpType::kSoftmax, {"s"}, "z");
           }},
      {.name = "LinearOfIds",
       .expected = {"linear node 'z'", "'ids' of shape [24] (int32)"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {24}, ValueType::kInt32)
                 .Add(OpType::kLinear, {"ids"}, "z", "fc2.weight");
           }},
      {.name = "EmbeddingOfFloats",
       .expected = {"embedding node 'e'", "'ids' must be int32"},
       .build = [](ModelBuilder& b) { Embedding(b, {}, ValueType::kFloat32); }},
      {.name = "EmbeddingOfVectors",
       .expected = {"embedding node 'e'", "of shape []"},
       .build = [](ModelBuilder& b) { Embedding(b, {4}, ValueType::kInt32); }},
      {.name = "BiasWrongLength",
       .expected = {"tensor 'fc1.bias'", "is F32 [24]", "must be F32 [8]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc2.weight", "fc1.bias");
           }},
      {.name = "BiasNotFloat",
       .expected = {"tensor 'half'", "is F16 [8]", "must be F32 [8]"},
       .build =
           [](ModelBuilder& b) {
             b.Tensor("half", DType::kFloat16, {8}, std::vector<std::byte>(16))
                 .Add(OpType::kLinear, {"h1"}, "z", "fc2.weight", "half");
           }},
      {.name = "WeightNotFloat",
       .expected = {"tensor 'half'", "dtype is BF16",
                    "weights are F32 or packed"},
       .build =
           [](ModelBuilder& b) {
             b.Tensor("half", DType::kBFloat16, {2, 24},
                      std::vector<std::byte>(96))
                 .Add(OpType::kLinear, {"h1"}, "z", "half");
           }},
      {.name = "WeightIsAVector",
       .expected = {"tensor 'fc1.bias'", "[24] is not a matrix"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc1.bias");
           }},
      {.name = "WeightIsEmpty",
       .expected = {"tensor 'none'", "[0, 24] is outside the limits"},
       .build =
           [](ModelBuilder& b) {
             b.Floats("none", {0, 24}, {})
                 .Add(OpType::kLinear, {"h1"}, "z", "none");
           }},
      {.name = "WeightNotAligned",
       .expected = {"tensor 'fc1.weight'", "not aligned for F32"},
       .build =
           [](ModelBuilder& b) {
             b.Floats("fc1.weight", {24, 32}, RandomFloats(24 * 32, 1));
           },
       .edit = [](RawFile& raw) { raw.header += ' '; }},
  };
}

std::vector<Case> BlobCases() {
  using namespace kernels;  // field offsets
  const std::string tensor = "tensor 'fc1.weight': not a packed matrix";
  return {
      {.name = "BlobMagic",
       .expected = {tensor, "wrong magic"},
       .edit = Blob(kMagicAt, uint8_t{'X'})},
      {.name = "BlobVersion",
       .expected = {tensor, "version"},
       .edit = Blob(kVersionAt, uint16_t{2})},
      {.name = "BlobBitsZero",
       .expected = {tensor, "bits"},
       .edit = Blob(kBitsAt, uint8_t{0})},
      {.name = "BlobBitsFive",
       .expected = {tensor, "bits"},
       .edit = Blob(kBitsAt, uint8_t{5})},
      {.name = "BlobBitsOfAnotherSize",
       .expected = {tensor, "size"},
       .edit = Blob(kBitsAt, uint8_t{4})},
      {.name = "BlobGranularity",
       .expected = {tensor, "granularity"},
       .edit = Blob(kGranularityAt, uint8_t{9})},
      {.name = "BlobScaleType",
       .expected = {tensor, "scale type"},
       .edit = Blob(kScaleTypeAt, uint8_t{255})},
      {.name = "BlobReserved",
       .expected = {tensor, "reserved"},
       .edit = Blob(kReservedAt48, uint8_t{1})},
      {.name = "BlobNZero",
       .expected = {tensor, "n and k"},
       .edit = Blob(kNAt, uint32_t{0})},
      {.name = "BlobNHuge",
       .expected = {tensor, "n exceeds"},
       .edit = Blob(kNAt, ~uint32_t{0})},
      {.name = "BlobNOther",
       .expected = {tensor, "size"},
       .edit = Blob(kNAt, uint32_t{240})},
      {.name = "BlobKHuge",
       .expected = {tensor, "k exceeds"},
       .edit = Blob(kKAt, uint32_t{1} << 31)},
      {.name = "BlobKAndNLarge",
       .expected = {tensor, "size"},
       .edit =
           [](RawFile& raw) {
             Blob(kNAt, uint32_t{1} << 30)(raw);
             Blob(kKAt, uint32_t{1} << 30)(raw);
           }},
      {.name = "BlobGroupSizeZero",
       .expected = {tensor, "group_size"},
       .edit = Blob(kGroupSizeAt, uint32_t{0})},
      {.name = "BlobGroupSizeOdd",
       .expected = {tensor, "group_size"},
       .edit = Blob(kGroupSizeAt, uint32_t{17})},
      {.name = "BlobGroupSizeHuge",
       .expected = {tensor, "group_size"},
       .edit = Blob(kGroupSizeAt, ~uint32_t{0})},
      {.name = "BlobSizeField",
       .expected = {tensor, "size"},
       .edit = Blob(kTotalBytesAt, uint64_t{64})},
      {.name = "BlobTableRange",
       .expected = {tensor, "table range"},
       .edit = Blob(kTableMaxAt, int8_t{127})},
      {.name = "BlobTruncated",
       .expected = {tensor, "truncated"},
       .build =
           [](ModelBuilder& b) {
             const auto packed = RandomPacked(24, 32);
             b.Packed("fc1.weight",
                      {packed.blob.get(), packed.blob_bytes - 64});
           }},
      {.name = "BlobTiny",
       .expected = {tensor, "shorter than its header"},
       .build =
           [](ModelBuilder& b) {
             b.Packed("fc1.weight", std::vector<uint8_t>(16));
           }},
      {.name = "BlobEmpty",
       .expected = {tensor, "shorter than its header"},
       .build = [](ModelBuilder& b) { b.Packed("fc1.weight", {}); }},
      {.name = "BlobShape",
       .expected = {"tensor 'fc1.weight'", "not that of a packed tensor"},
       .build =
           [](ModelBuilder& b) {
             b.Tensor("fc1.weight", DType::kUInt8, {8, 16},
                      std::vector<std::byte>(128));
           }},
      {.name = "BlobMisaligned",
       .expected = {"tensor 'fc1.weight'", "not aligned to 64 bytes"},
       .edit = [](RawFile& raw) { raw.header += "        "; }},
  };
}

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (const auto& cases : {ContainerCases(), ModelCases(), BlobCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

class BadModelTest : public ::testing::TestWithParam<Case> {
 protected:
  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "bad.safetensors";
};

TEST_P(BadModelTest, IsRefused) {
  const Case& c = GetParam();
  ModelBuilder builder = GoodModel();
  if (c.build) c.build(builder);
  builder.Write(path_);
  std::string bytes = ReadBytes(path_);
  if (c.edit) {
    RawFile raw = RawFile::Parse(bytes);
    c.edit(raw);
    bytes = raw.Bytes();
  }
  if (c.damage) c.damage(bytes);
  WriteBytes(path_, bytes);

  const std::string message = ErrorMessage([&] { Model::Load(path_); });
  EXPECT_EQ(message.rfind(path_.string() + ": ", 0), 0u) << message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  for (const std::string& expected : c.expected) {
    EXPECT_THAT(message, HasSubstr(expected));
  }
}

INSTANTIATE_TEST_SUITE_P(All, BadModelTest, ::testing::ValuesIn(AllCases()),
                         [](const auto& test) { return test.param.name; });

TEST_F(BadModelTest, GoodModelLoads) {
  GoodModel().Write(path_);
  EXPECT_EQ(Model::Load(path_)->outputs().size(), 1u);
}

TEST_F(BadModelTest, MissingFile) {
  EXPECT_THAT(ErrorMessage([&] { Model::Load(path_); }),
              HasSubstr("bad.safetensors: cannot open: No such file"));
}

TEST_F(BadModelTest, Folder) {
  EXPECT_THAT(ErrorMessage([&] { Model::Load(dir_.path()); }),
              HasSubstr("is a folder, not a file"));
}

TEST_F(BadModelTest, Device) {
  EXPECT_THAT(ErrorMessage([&] { Model::Load("/dev/null"); }),
              HasSubstr("/dev/null: is not a regular file"));
}

// Names from a file stay on one line of bounded length.
TEST_F(BadModelTest, HostileNames) {
  ModelBuilder builder = GoodModel();
  builder.Add(OpType::kLinear, {"h1"}, "z",
              "a\n\x1b[31m" + std::string(5000, 'w'));
  builder.Write(path_);
  const std::string message = ErrorMessage([&] { Model::Load(path_); });
  EXPECT_THAT(message, HasSubstr("'a\\x0a\\x1b[31mww"));
  EXPECT_LT(message.size(), 3000u);
}

// A wrong byte anywhere is refused or harmless, never a crash.
TEST_F(BadModelTest, AnyByteFlipped) {
  GoodModel().Write(path_);
  const std::string good = ReadBytes(path_);
  std::mt19937 rng(11);
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    std::string bytes = good;
    // The headers are the interesting part.
    const size_t limit = i % 2 == 0 ? 1600 : bytes.size();
    bytes[rng() % std::min(limit, bytes.size())] ^=
        static_cast<char>(1 << (rng() % 8));
    WriteBytes(path_, bytes);
    try {
      Model::Load(path_);
    } catch (const Error& error) {
      ++refused;
      EXPECT_THAT(error.what(), HasSubstr("bad.safetensors"));
    }
  }
  EXPECT_GT(refused, 80);
}

}  // namespace
}  // namespace lutra
