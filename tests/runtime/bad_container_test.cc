// Files that are no valid safetensors container.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/runtime/bad_model.h"

namespace lutra {
namespace {

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

std::vector<BadModel> Cases() {
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

class BadContainerTest : public ::testing::TestWithParam<BadModel> {};

TEST_P(BadContainerTest, IsRefused) { ExpectRefused(GetParam()); }

INSTANTIATE_TEST_SUITE_P(All, BadContainerTest, ::testing::ValuesIn(Cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace lutra
