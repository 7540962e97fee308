// Graphs of ONNX whose rows are whole arrays: products of computed values,
// norms that are written out, constants that are computed, values that are
// quantized by their own range.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/packer/onnx_importer.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<float> Numbers(size_t count, float step) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    values.push_back(std::sin(step * static_cast<float>(i + 1)));
  }
  return values;
}

// Four heads of queries, of which two share keys: q [N, 3, 4 * 2] and
// k [N, 3, 2 * 2] are parts of x [N, 3, 12].
TEST_F(OnnxImportTest, HeadsThatShareKeys) {
  OnnxWriter writer({-1, 3, 12});
  writer.Add({"Slice", {"x", "0", "8", "2"}, "q"})
      .Add({"Slice", {"x", "8", "12", "2"}, "k"})
      .Add({"Reshape", {"q", "heads"}, "q4"})
      .Add({"Transpose", {"q4"}, "qt", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Reshape", {"k", "heads"}, "k4"})
      .Add({"Transpose", {"k4"}, "kt", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Unsqueeze", {"kt", "2"}, "k5"})
      .Add({"Expand", {"k5", "shape"}, "ke"})
      .Add({"Reshape", {"ke", "joined"}, "kj"})
      .Add({"Transpose", {"kj"}, "kj_t", {{"perm", {0, 1, 3, 2}}}})
      .Add({"MatMul", {"qt", "kj_t"}})
      .Integers("0", {1}, {0})
      .Integers("2", {1}, {2})
      .Integers("8", {1}, {8})
      .Integers("12", {1}, {12})
      .Integers("heads", {4}, {0, 3, -1, 2})
      .Integers("shape", {5}, {1, 2, 2, 3, 2})
      .Integers("joined", {4}, {0, 4, 3, 2});
  const std::vector<float> x = Numbers(2 * 36, 0.7f);
  const std::vector<float> y = Run(writer, x);
  ASSERT_EQ(y.size(), 2u * 4 * 3 * 3);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t column = i % 3;
    const size_t row = i / 3 % 3;
    const size_t head = i / 9 % 4;
    const float* const from = x.data() + i / 36 * 36;
    float sum = 0;
    for (size_t d = 0; d < 2; ++d) {
      sum += from[row * 12 + head * 2 + d] *
             from[column * 12 + 8 + head / 2 * 2 + d];
    }
    EXPECT_NEAR(y[i], sum, 1e-6) << i;
  }
  // Keys are used by all heads that share them, not copied for each.
  EXPECT_EQ(CountOf(OpType::kGather), 2u);  // the two parts of x
  EXPECT_EQ(CountOf(OpType::kMatmul), 1u);
}

TEST_F(OnnxImportTest, ProductsOfVectorsAndOfConstantsInFront) {
  OnnxWriter writer({-1, 2, 3});
  writer
      .Add({"MatMul", {"w", "x"}, "p"})  // [4, 2] by [N, 2, 3]
      .Add({"MatMul", {"p", "v"}})
      .Floats("w", {4, 2}, {1, 0, 0, 1, 1, 1, 2, -1})
      .Floats("v", {3}, {1, 10, 100});
  EXPECT_THAT(Run(writer, {1, 2, 3, 4, 5, 6}), ElementsAre(321, 654, 975, -12));
}

TEST_F(OnnxImportTest, SeveralMatricesThatAreKnown) {
  OnnxWriter writer({-1, 2, 3});
  writer.Add({"MatMul", {"x", "w"}}).Floats("w", {2, 3, 1}, {1, 0, 0, 0, 0, 1});
  // Both rows times both matrices: [N, 2, 2, 1] of x [N, 1, 2, 3] would be
  // more, here matrix i of the batch has its own, so a batch that is open is
  // refused.
  EXPECT_THAT(Refusal(writer), HasSubstr("do not fit"));
  OnnxWriter heads({-1, 2, 1, 3});
  heads.Add({"MatMul", {"x", "w"}}).Floats("w", {2, 3, 1}, {1, 0, 0, 0, 0, 1});
  EXPECT_THAT(Run(heads, {1, 2, 3, 4, 5, 6}), ElementsAre(1, 6));
}

TEST_F(OnnxImportTest, AProductAlongTheBatchIsRefused) {
  OnnxWriter writer({-1, 3});
  writer.Add({"Transpose", {"x"}, "t"}).Add({"MatMul", {"x", "t"}});
  EXPECT_THAT(
      Refusal(writer),
      HasSubstr("MatMul: a product of computed values along the batch"));
}

// x / sqrt(mean(x^2) + eps) in the ways of exporters.
TEST_F(OnnxImportTest, NormsThatAreWrittenOut) {
  const auto graph_of = [](const std::vector<OnnxWriter::Node>& last) {
    OnnxWriter writer({-1, 4});
    writer.Add({"Pow", {"x", "two"}, "s"})
        .Add({"ReduceMean", {"s"}, "m", {{"axes", {-1}}}})
        .Add({"Add", {"m", "eps"}, "a"});
    for (const OnnxWriter::Node& node : last) writer.Add(node);
    writer.Floats("two", {}, {2})
        .Floats("one", {}, {1})
        .Floats("half", {}, {0.5f})
        .Floats("minus_half", {}, {-0.5f})
        .Floats("eps", {1}, {0.5f})
        .Floats("w", {4}, {1, 2, 3, -1});
    return writer;
  };
  const std::vector<float> x = {1, -2, 3, 4};
  const float root = std::sqrt(7.5f + 0.5f);
  const std::vector<float> expected = {1 / root, -4 / root, 9 / root,
                                       -4 / root};
  const OnnxWriter::Node weight = {"Mul", {"w", "n"}};
  for (const auto& last : std::vector<std::vector<OnnxWriter::Node>>{
           {{"Sqrt", {"a"}, "r"}, {"Div", {"x", "r"}, "n"}, weight},
           {{"Sqrt", {"a"}, "r"},
            {"Reciprocal", {"r"}, "i"},
            {"Mul", {"x", "i"}, "n"},
            weight},
           {{"Sqrt", {"a"}, "r"},
            {"Div", {"one", "r"}, "i"},
            {"Mul", {"i", "x"}, "n"},
            weight},
           {{"Pow", {"a", "minus_half"}, "i"},
            {"Mul", {"x", "i"}, "n"},
            weight},
           {{"Pow", {"a", "half"}, "r"}, {"Div", {"x", "r"}, "n"}, weight}}) {
    EXPECT_THAT(Run(graph_of(last), x), Pointwise(FloatNear(1e-6f), expected));
    EXPECT_EQ(Computing(), 1u);
    EXPECT_EQ(CountOf(OpType::kRmsNorm), 1u);
  }
  // One that is none of x: of what it is made still comes out.
  const auto other =
      graph_of({{"Sqrt", {"a"}, "r"}, {"Div", {"s", "r"}, "n"}, weight});
  EXPECT_THAT(
      Run(other, x),
      Pointwise(FloatNear(1e-5f),
                std::vector<float>{1 / root, 8 / root, 27 / root, -16 / root}));
  EXPECT_EQ(CountOf(OpType::kRmsNorm), 0u);
}

TEST_F(OnnxImportTest, LayerNormThatIsWrittenOut) {
  for (const bool bias : {false, true}) {
    OnnxWriter writer({-1, 4});
    writer.Add({"ReduceMean", {"x"}, "mean", {{"axes", {-1}}}})
        .Add({"Sub", {"x", "mean"}, "d"})
        .Add({"Mul", {"d", "d"}, "s"})
        .Add({"ReduceMean", {"s"}, "m", {{"axes", {-1}}}})
        .Add({"Add", {"m", "eps"}, "a"})
        .Add({"Sqrt", {"a"}, "r"})
        .Add({"Div", {"d", "r"}, "n"})
        .Add({"Mul", {"n", "w"}, bias ? "weighted" : "y"});
    if (bias) writer.Add({"Add", {"b", "weighted"}});
    writer.Floats("eps", {}, {0.75f})
        .Floats("w", {4}, {1, 2, 3, -1})
        .Floats("b", {4}, {10, 20, 30, 40});
    // The mean is 2.5, the variance 1.25.
    const float unit = 0.5f / std::sqrt(2.0f);
    std::vector<float> expected = {-3 * unit, -2 * unit, 3 * unit, -3 * unit};
    for (size_t i = 0; bias && i < 4; ++i) {
      expected[i] += 10 * static_cast<float>(i + 1);
    }
    EXPECT_THAT(Run(writer, {1, 2, 3, 4}),
                Pointwise(FloatNear(1e-5f), expected));
    EXPECT_EQ(Computing(), 1u);
    EXPECT_EQ(CountOf(OpType::kLayerNorm), 1u);
  }
}

// Angles of positions, a mask of a triangle: nothing of it is left in the
// graph.
TEST_F(OnnxImportTest, WhatIsComputedFromConstantsIsFolded) {
  OnnxWriter writer({-1, 3});
  writer.Add({"Range", {"zero", "three", "one"}, "positions"})
      .Add({"Cast", {"positions"}, "p", {}, {{"to", 1}}})
      .Add({"Unsqueeze", {"p", "last"}, "column"})
      .Add({"MatMul", {"column", "frequencies"}, "angles"})  // [3, 2]
      .Add({"Concat", {"angles", "angles"}, "both", {}, {{"axis", -1}}})
      .Add({"Cos", {"both"}, "cosines"})
      .Add({"Gather", {"cosines", "two"}, "row"})      // [4]
      .Add({"Slice", {"row", "begin", "end"}, "cut"})  // [3]
      .Add({"Unsqueeze", {"positions", "last"}, "i"})
      .Add({"LessOrEqual", {"positions", "i"}, "seen"})  // [3, 3]
      .Add({"Where", {"seen", "low", "high"}, "mask"})
      .Add({"Gather", {"mask", "one"}, "of_one"})  // seen: 0 and 1
      .Add({"Mul", {"x", "cut"}, "scaled"})
      .Add({"Add", {"scaled", "of_one"}})
      .Integers("zero", {}, {0})
      .Integers("one", {}, {1})
      .Integers("two", {}, {2})
      .Integers("three", {}, {3})
      .Integers("last", {1}, {-1})
      .Integers("begin", {1}, {0})
      .Integers("end", {1}, {3})
      .Floats("frequencies", {1, 2}, {1, 0.5f})
      .Floats("low", {}, {0})
      .Floats("high", {}, {-100});
  EXPECT_THAT(Run(writer, {1, 1, 1}),
              Pointwise(FloatNear(1e-6f),
                        std::vector<float>{std::cos(2.0f), std::cos(1.0f),
                                           std::cos(2.0f) - 100}));
  EXPECT_EQ(Computing(), 1u);
}

TEST_F(OnnxImportTest, FoldsOfWholeNumbers) {
  OnnxWriter writer({-1, 6});
  writer.Add({"Trilu", {"ones"}, "upper"})
      .Add({"Trilu", {"ones", "below"}, "lower", {}, {{"upper", 0}}})
      .Add({"CumSum", {"ones", "one"}, "sums"})
      .Add({"Mod", {"sums", "two"}, "odd"})
      .Add({"Not", {"odd"}, "even"})
      .Add({"Or", {"even", "lower"}, "either"})
      .Add({"Mul", {"upper", "either"}, "product"})
      .Add({"Max", {"product", "lower"}, "most"})
      .Add({"Cast", {"most"}, "floats", {}, {{"to", 1}}})
      .Add({"Reshape", {"floats", "flat"}, "f"})
      .Add({"Mul", {"x", "f"}})
      .Integers("ones", {2, 3}, {1, 1, 1, 1, 1, 1})
      .Integers("below", {}, {-1})
      .Integers("one", {}, {1})
      .Integers("two", {}, {2})
      .Integers("flat", {1}, {6});
  // upper [1 1 1; 0 1 1], lower [0 0 0; 1 0 0], even [0 1 0; 0 1 0]
  EXPECT_THAT(Run(writer, {1, 2, 3, 4, 5, 6}), ElementsAre(0, 2, 0, 4, 5, 0));
}

// A small file may ask for any number of computed constants.
TEST_F(OnnxImportTest, ComputedConstantsHaveALimit) {
  OnnxWriter writer({-1, 1});
  writer.Add({"Expand", {"half", "shape"}, "c0"});
  constexpr int kNodes = 40;
  for (int i = 0; i < kNodes; ++i) {
    writer.Add({"Cos", {"c" + std::to_string(i)}, "c" + std::to_string(i + 1)});
  }
  writer.Add({"Slice", {"c" + std::to_string(kNodes), "zero", "one"}, "last"})
      .Add({"Mul", {"x", "last"}})
      .Floats("half", {1}, {0.5f})
      .Integers("shape", {1}, {1 << 20})
      .Integers("zero", {1}, {0})
      .Integers("one", {1}, {1});
  EXPECT_THAT(Refusal(writer), HasSubstr("Cos: more than 2^24 numbers that are "
                                         "computed from constants"));
}

TEST_F(OnnxImportTest, ChoicesByAMaskThatIsKnown) {
  OnnxWriter writer({-1, 3});
  writer.Add({"Mul", {"x", "x"}, "squares"})
      .Add({"Where", {"mask", "squares", "infinite"}, "a"})
      .Add({"Where", {"other", "a", "x"}})
      .Integers("mask", {3}, {1, 0, 0})
      .Integers("other", {3}, {1, 1, 0})
      .Floats("infinite", {3}, {0, -INFINITY, 7});
  EXPECT_THAT(Run(writer, {3, 4, 5}), ElementsAre(9, -INFINITY, 5));
}

// Attention that sees nothing gives zeros, as exporters write it out.
TEST_F(OnnxImportTest, SoftmaxOfNothing) {
  const auto graph_of = [](const char* of, const char* other) {
    OnnxWriter writer({-1, 2});
    writer.Add({"Softmax", {"x"}, "s"})
        .Add({"IsNaN", {of}, "m"})
        .Add({"Where", {"m", other, "s"}})
        .Floats("zero", {}, {0})
        .Floats("one", {}, {1});
    return writer;
  };
  EXPECT_THAT(
      Run(graph_of("s", "zero"), {1, 1, -INFINITY, -INFINITY, -INFINITY, 3}),
      ElementsAre(0.5f, 0.5f, 0, 0, 0, 1));
  EXPECT_EQ(Computing(), 1u);
  std::filesystem::remove(dir_ / "m.safetensors");
  EXPECT_THAT(Refusal(graph_of("x", "zero")),
              HasSubstr("Where: other values where there is no number"));
  EXPECT_THAT(Refusal(graph_of("s", "one")),
              HasSubstr("Where: other values where there is no number"));
  OnnxWriter bare({-1, 2});
  bare.Add({"IsNaN", {"x"}, "m"})
      .Add({"Where", {"m", "zero", "x"}})
      .Floats("zero", {}, {0});
  EXPECT_THAT(Refusal(bare), HasSubstr("Where: what is no number, in anything "
                                       "but what softmax gives"));
}

TEST_F(OnnxImportTest, ConstantsBesideComputedValues) {
  for (const bool first : {true, false}) {
    OnnxWriter writer({-1, 2, 2});
    const std::vector<std::string> parts =
        first ? std::vector<std::string>{"token", "x"}
              : std::vector<std::string>{"x", "token"};
    writer.Add({"Concat", parts, "y", {}, {{"axis", 1}}})
        .Floats("token", {1, 1, 2}, {7, 8});
    const auto y = Run(writer, {1, 2, 3, 4, 5, 6, 7, 8});
    if (first) {
      EXPECT_THAT(y, ElementsAre(7, 8, 1, 2, 3, 4, 7, 8, 5, 6, 7, 8));
    } else {
      EXPECT_THAT(y, ElementsAre(1, 2, 3, 4, 7, 8, 5, 6, 7, 8, 7, 8));
    }
    EXPECT_EQ(CountOf(OpType::kTranspose), 0u);
    EXPECT_EQ(CountOf(OpType::kGather), 0u);
  }
}

TEST_F(OnnxImportTest, QuotientsAndRoots) {
  OnnxWriter writer({-1, 2});
  writer.Add({"Sqrt", {"x"}, "r"})
      .Add({"Exp", {"r"}, "e"})
      .Add({"Div", {"e", "x"}, "q"})
      .Add({"Div", {"three", "q"}, "t"})
      .Add({"Pow", {"t", "exponent"}})
      .Floats("three", {}, {3})
      .Floats("exponent", {}, {1.5f});
  const auto y = Run(writer, {4, 0.25f});
  EXPECT_NEAR(y[0], std::pow(3 * 4 / std::exp(2.0), 1.5), 1e-5);
  EXPECT_NEAR(y[1], std::pow(0.75 / std::exp(0.5), 1.5), 1e-6);
  OnnxWriter cube({-1, 2});
  cube.Add({"Pow", {"x", "e"}}).Floats("e", {}, {0.3f});
  std::filesystem::remove(dir_ / "m.safetensors");
  EXPECT_THAT(Refusal(cube),
              HasSubstr("Pow: an exponent that is no multiple of 1/2"));
}

// The mean over any dimension is taken where its elements lie.
TEST_F(OnnxImportTest, MeansMoveNothing) {
  const std::vector<float> x = Numbers(24, 0.9f);
  for (const int64_t axis : {1, 2, 3}) {
    OnnxWriter writer({-1, 2, 3, 4});
    writer.Add({"ReduceMean", {"x"}, "y", {{"axes", {axis}}}});
    const auto y = Run(writer, x);
    const size_t sizes[] = {2, 3, 4};
    const auto reduced = static_cast<size_t>(axis - 1);
    const size_t inner = axis == 1 ? 12 : axis == 2 ? 4 : 1;
    ASSERT_EQ(y.size(), 24 / sizes[reduced]);
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t first = i / inner * inner * sizes[reduced] + i % inner;
      float sum = 0;
      for (size_t t = 0; t < sizes[reduced]; ++t) sum += x[first + t * inner];
      EXPECT_NEAR(y[i], sum / static_cast<float>(sizes[reduced]), 1e-6);
    }
    EXPECT_EQ(CountOf(OpType::kTranspose) + CountOf(OpType::kGather), 0u);
  }
}

// Ids of a text are one row; a batch of texts may be open.
TEST_F(OnnxImportTest, SeveralIdsInARow) {
  for (const int64_t batch : {1, -1}) {
    OnnxWriter writer({batch, 3}, OnnxWriter::kInt64);
    writer.Add({"Gather", {"table", "x"}, "e"})
        .Add({"Add", {"e", "places"}})
        .Floats("table", {4, 2}, {0, 1, 2, 3, 4, 5, 6, 7})
        .Floats("places", {3, 2}, {10, 10, 20, 20, 30, 30});
    const ImportReport report = Import(writer);
    EXPECT_THAT(report.arrays[0].rows, ElementsAre(0, -1));
    EXPECT_THAT(Run(writer, std::vector<int32_t>{3, 0, 1, 1, 1, 2}),
                ElementsAre(16, 17, 20, 21, 32, 33, 12, 13, 22, 23, 34, 35));
  }
}

// A mask of whole numbers that becomes floats is one of floats.
TEST_F(OnnxImportTest, WholeNumbersThatBecomeFloats) {
  OnnxWriter writer({-1, 3}, OnnxWriter::kInt64);
  writer.Add({"Unsqueeze", {"x", "one"}, "u"})
      .Add({"Cast", {"u"}, "f", {}, {{"to", 1}}})
      .Add({"Sub", {"unit", "f"}, "d"})
      .Add({"Mul", {"d", "low"}})
      .Integers("one", {1}, {1})
      .Floats("unit", {}, {1})
      .Floats("low", {}, {-100});
  EXPECT_THAT(Run(writer, {1, 0, 1}), ElementsAre(0, -100, 0));
  // Those that are computed with as such are not.
  OnnxWriter sum({-1, 3}, OnnxWriter::kInt64);
  sum.Add({"Cast", {"x"}, "f", {}, {{"to", 1}}})
      .Add({"Gather", {"table", "x"}, "e"})
      .Add({"ReduceMean", {"e"}, "m", {{"axes", {2}}}, {{"keepdims", 0}}})
      .Add({"Add", {"f", "m"}})
      .Floats("table", {4, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  std::filesystem::remove(dir_ / "m.safetensors");
  EXPECT_THAT(Refusal(sum), HasSubstr("Cast: a cast of computed values"));
}

OnnxWriter DynamicProduct(int64_t batch) {
  OnnxWriter writer({batch, 4});
  writer.Add({"DynamicQuantizeLinear", {"x"}, "q", {}, {}, {"scale", "zero"}})
      .Add({"MatMulInteger", {"q", "w", "zero", "w_zero"}, "p"})
      .Add({"Cast", {"p"}, "f", {}, {{"to", 1}}})
      .Add({"Mul", {"scale", "w_scale"}, "s"})
      .Add({"Mul", {"f", "s"}, "product"})
      .Add({"Add", {"product", "b"}})
      .Bytes("w", {4, 2}, {1, -1, 2, 5, -3, 100, 4, 0})
      .Bytes("w_zero", {2}, {1, 0})
      .Floats("w_scale", {2}, {0.5f, 0.25f})
      .Floats("b", {2}, {10, -10});
  return writer;
}

// Values are rounded by the range of all rows of a call; the weight stays whole
// numbers.
TEST_F(OnnxImportTest, DynamicQuantization) {
  const std::vector<float> x = {0.5f, -1, 2, 0.25f, 254, 0, 3.5f, -0.75f};
  const auto expected = [&](size_t first, size_t count) {
    const auto [low, high] = std::minmax_element(
        x.begin() + static_cast<std::ptrdiff_t>(first),
        x.begin() + static_cast<std::ptrdiff_t>(first + count));
    const float scale = (std::max(*high, 0.0f) - std::min(*low, 0.0f)) / 255;
    const float zero = std::nearbyint(-std::min(*low, 0.0f) / scale);
    const float w[4][2] = {{1, -1}, {2, 5}, {-3, 100}, {4, 0}};
    std::vector<float> y;
    for (size_t row = first; row < first + count; row += 4) {
      for (size_t n = 0; n < 2; ++n) {
        float sum = 0;
        for (size_t k = 0; k < 4; ++k) {
          const float q = std::nearbyint(x[row + k] / scale) + zero;
          sum += (q - zero) * (w[k][n] - (n == 0 ? 1.0f : 0.0f));
        }
        y.push_back(sum * scale * (n == 0 ? 0.5f : 0.25f) +
                    (n == 0 ? 10.0f : -10.0f));
      }
    }
    return y;
  };
  EXPECT_THAT(Run(DynamicProduct(-1), x),
              Pointwise(FloatNear(1e-3f), expected(0, 8)));
  EXPECT_EQ(Imported()->graph().nodes.size(), 2u);
  EXPECT_NE(Imported()->packed("w"), nullptr);
  // A file for one row has a range for each.
  auto rows = expected(0, 4);
  for (const float value : expected(4, 4)) rows.push_back(value);
  EXPECT_THAT(Run(DynamicProduct(1), x), Pointwise(FloatNear(1e-3f), rows));
}

// The table stays whole numbers, too.
TEST_F(OnnxImportTest, RowsOfAQuantizedTable) {
  OnnxWriter writer({-1}, OnnxWriter::kInt64);
  writer.Add({"Gather", {"table", "x"}, "rows"})
      .Add({"DequantizeLinear", {"rows", "scale", "zero"}})
      .Bytes("table", {3, 2}, {1, -128, 3, 4, 127, 6})
      .Floats("scale", {}, {0.5f})
      .Bytes("zero", {}, {1});
  EXPECT_THAT(Run(writer, std::vector<int32_t>{2, 0}),
              ElementsAre(63, 2.5f, 0, -64.5f));
  EXPECT_NE(Imported()->packed("table"), nullptr);
  OnnxWriter bare({-1}, OnnxWriter::kInt64);
  bare.Add({"Gather", {"table", "x"}, "rows"})
      .Add({"Cast", {"rows"}, "y", {}, {{"to", 1}}})
      .Bytes("table", {3, 2}, {1, -128, 3, 4, 127, 6});
  std::filesystem::remove(dir_ / "m.safetensors");
  EXPECT_THAT(Refusal(bare), HasSubstr("Gather: a table of integers"));
}

TEST_F(OnnxImportTest, ScalesAndNumbersOfOtherValuesAreRefused) {
  const auto refusal = [&](const std::vector<std::string>& inputs,
                           const char* scale) {
    OnnxWriter writer({-1, 4});
    writer.Add({"DynamicQuantizeLinear", {"x"}, "q", {}, {}, {"scale", "zero"}})
        .Add({"Relu", {"x"}, "r"})
        .Add({"DynamicQuantizeLinear", {"r"}, "p", {}, {}, {"other", "third"}})
        .Add({"MatMulInteger", inputs, "i"})
        .Add({"Cast", {"i"}, "f", {}, {{"to", 1}}})
        .Add({"Mul", {"f", scale}})
        .Bytes("w", {4, 2}, {1, -1, 2, 5, -3, 100, 4, 0});
    return Refusal(writer);
  };
  EXPECT_THAT(refusal({"q", "w", "third"}, "scale"),
              HasSubstr("MatMulInteger: numbers without their zero point"));
  EXPECT_THAT(refusal({"q", "w"}, "scale"),
              HasSubstr("MatMulInteger: numbers without their zero point"));
  EXPECT_THAT(refusal({"q", "w", "zero"}, "other"),
              HasSubstr("Mul: quantized values with a factor"));
  EXPECT_EQ(refusal({"q", "w", "zero"}, "scale"), "");
}

// Operators on constants alone are told from those that are not known.
TEST_F(OnnxImportTest, WhatIsFoldedOnlyIsRefusedOfComputedValues) {
  OnnxWriter writer({-1, 4});
  writer.Add({"Cos", {"x"}, "a"})
      .Add({"Cos", {"x"}, "b"})
      .Add({"Add", {"a", "b"}});
  EXPECT_THAT(Refusal(writer),
              HasSubstr("Cos (2 times): of what is computed. "));
}

}  // namespace
}  // namespace lutra::packer
