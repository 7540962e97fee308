// Graphs of ONNX that take texts of any length, with attention written out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/packer/onnx_importer.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using Node = OnnxWriter::Node;

constexpr int64_t kSize = 4;
constexpr int64_t kHeads = 2;
constexpr size_t kTokens = 7;

std::vector<float> Tokens(size_t count) {
  std::vector<float> x;
  for (size_t i = 0; i < count * kSize; ++i) {
    x.push_back(std::sin(0.7f * static_cast<float>(i * i % 29)));
  }
  return x;
}

using Sees = std::function<bool(size_t token, size_t other)>;
bool All(size_t, size_t) { return true; }
bool Past(size_t token, size_t other) { return other <= token; }

// Of tokens that are their own queries, keys and values, in heads.
std::vector<float> Attended(const std::vector<float>& x, const Sees& sees,
                            double scale, size_t heads = kHeads) {
  const size_t tokens = x.size() / kSize;
  const size_t size = kSize / heads;
  std::vector<float> y(x.size());
  for (size_t i = 0; i < tokens; ++i) {
    for (size_t h = 0; h < heads; ++h) {
      const auto at = [&](size_t token, size_t k) {
        return double{x[token * kSize + h * size + k]};
      };
      std::vector<double> sum(size, 0.0);
      double weights = 0;
      for (size_t j = 0; j < tokens; ++j) {
        if (!sees(i, j)) continue;
        double score = 0;
        for (size_t k = 0; k < size; ++k) score += at(i, k) * at(j, k);
        const double weight = std::exp(scale * score);
        weights += weight;
        for (size_t k = 0; k < size; ++k) sum[k] += weight * at(j, k);
      }
      for (size_t k = 0; k < size; ++k) {
        y[i * kSize + h * size + k] = static_cast<float>(sum[k] / weights);
      }
    }
  }
  return y;
}

auto Near(const std::vector<float>& expected) {
  return Pointwise(FloatNear(2e-3f), expected);  // of keys in float16
}

// x [N, T, 4] to scores "s" [N, 2, T, T], which follow, and "v".
OnnxWriter Scores() {
  OnnxWriter writer({-1, -2, kSize});
  writer.Integers("cut", {4}, {0, 0, kHeads, kSize / kHeads})
      .Add({"Reshape", {"x", "cut"}, "c"})
      .Add({"Transpose", {"c"}, "v", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Transpose", {"c"}, "k", {{"perm", {0, 2, 3, 1}}}})
      .Add({"MatMul", {"v", "k"}, "s"});
  return writer;
}

// Weights of scores `s`, and the products with values.
OnnxWriter& Weigh(OnnxWriter& writer, const std::string& s,
                  const std::string& y = "y") {
  return writer.Add({"Softmax", {s}, "w", {}, {{"axis", -1}}})
      .Add({"MatMul", {"w", "v"}, "a"})
      .Add({"Transpose", {"a"}, "t", {{"perm", {0, 2, 1, 3}}}})
      .Integers("join", {3}, {0, 0, kSize})
      .Add({"Reshape", {"t", "join"}, y});
}

// "r" [T], the positions of the tokens of x.
OnnxWriter& AddPositions(OnnxWriter& writer) {
  return writer.Integers("zero", {}, {0})
      .Integers("one", {}, {1})
      .Add({"Shape", {"x"}, "shape"})
      .Add({"Gather", {"shape", "one"}, "length"})
      .Add({"Range", {"zero", "length", "one"}, "r"});
}

// "row" [T, 1] and "column" [1, T].
OnnxWriter& AddPairs(OnnxWriter& writer) {
  return AddPositions(writer)
      .Integers("first", {1}, {0})
      .Integers("second", {1}, {1})
      .Add({"Unsqueeze", {"r", "second"}, "row"})
      .Add({"Unsqueeze", {"r", "first"}, "column"});
}

class OnnxTextsTest : public OnnxImportTest {};

TEST_F(OnnxTextsTest, TokensSeeAllOfATextOfAnyLength) {
  OnnxWriter writer = Scores();
  writer.Floats("half", {}, {0.5f}).Add({"Mul", {"s", "half"}, "m"});
  Weigh(writer, "m");
  for (const size_t tokens : {kTokens, size_t{1}, size_t{40}}) {
    const std::vector<float> x = Tokens(tokens);
    EXPECT_THAT(Run(writer, x), Near(Attended(x, All, 0.5))) << tokens;
  }
  EXPECT_EQ(CountOf(OpType::kAttention), 1u);
  EXPECT_EQ(Computing(), 1u);
  const ImportReport report = Import(writer);
  EXPECT_EQ(report.time_axis, 1);
  EXPECT_THAT(report.arrays.at(0).rows, ElementsAre(0, 1, -1));
  EXPECT_EQ(report.context, 4096u);
}

TEST_F(OnnxTextsTest, AMaskOfTheTokensBefore) {
  OnnxWriter writer = Scores();
  AddPairs(writer)
      .Add({"LessOrEqual", {"column", "row"}, "sees"})
      .Floats("hidden", {}, {-1e9f})
      .Add({"Where", {"sees", "s", "hidden"}, "m"});
  Weigh(writer, "m");
  const std::vector<float> x = Tokens(kTokens);
  EXPECT_THAT(Run(writer, x), Near(Attended(x, Past, 1)));
  EXPECT_EQ(Computing(), 1u);
  EXPECT_EQ(Import(writer).context, 1024u);  // as far as masks are looked at
}

// Chosen where the mask says no, and a triangle that is cut out of a larger
// one, which says how long texts may be.
TEST_F(OnnxTextsTest, AMaskOfAFixedSizeIsCut) {
  constexpr int64_t kLongest = 20;
  std::vector<float> triangle;
  for (int64_t i = 0; i < kLongest; ++i) {
    for (int64_t j = 0; j < kLongest; ++j) {
      triangle.push_back(j > i ? -10000.0f : 0.0f);
    }
  }
  OnnxWriter writer = Scores();
  AddPositions(writer)
      .Floats("triangle", {1, 1, kLongest, kLongest}, triangle)
      .Integers("begin", {2}, {0, 0})
      .Integers("dims", {2}, {2, 3})
      .Integers("first", {1}, {0})
      .Add({"Unsqueeze", {"length", "first"}, "l"})
      .Add({"Concat", {"l", "l"}, "end", {}, {{"axis", 0}}})
      .Add({"Slice", {"triangle", "begin", "end", "dims"}, "mask"})
      .Add({"Add", {"s", "mask"}, "m"});
  Weigh(writer, "m");
  const std::vector<float> x = Tokens(kTokens);
  EXPECT_THAT(Run(writer, x), Near(Attended(x, Past, 1)));
  EXPECT_EQ(Import(writer).context, 20u);
}

TEST_F(OnnxTextsTest, Windows) {
  for (const bool past : {false, true}) {
    OnnxWriter writer = Scores();
    AddPairs(writer)
        .Add({"Sub", {"row", "column"}, "away"})
        .Integers("three", {}, {3})
        .Integers("minus", {}, {-3})
        .Integers("none", {}, {0})
        .Add({"Less", {"away", "three"}, "near"})
        .Add({past ? "GreaterOrEqual" : "Greater",
              {"away", past ? "none" : "minus"},
              "behind"})
        .Add({"And", {"near", "behind"}, "sees"})
        .Add({"Not", {"sees"}, "hides"})
        .Floats("hidden", {}, {-3.4e38f})
        .Add({"Where", {"hides", "hidden", "s"}, "m"});
    Weigh(writer, "m");
    const std::vector<float> x = Tokens(kTokens);
    const auto sees = [=](size_t token, size_t other) {
      return token < other + 3 && (past ? other <= token : other < token + 3);
    };
    EXPECT_THAT(Run(writer, x), Near(Attended(x, sees, 1))) << past;
    EXPECT_EQ(Computing(), 1u);
  }
}

TEST_F(OnnxTextsTest, AMaskOfPaddingIsLeftOut) {
  OnnxWriter writer = Scores();
  writer.Input("attention_mask", {-1, -2}, OnnxWriter::kInt64)
      .Integers("dims", {2}, {1, 2})
      .Add({"Unsqueeze", {"attention_mask", "dims"}, "wide"})
      .Add({"Cast", {"wide"}, "ones", {}, {{"to", 1}}})
      .Floats("one", {}, {1})
      .Floats("much", {}, {-10000})
      .Add({"Sub", {"one", "ones"}, "hides"})
      .Add({"Mul", {"hides", "much"}, "mask"})
      .Add({"Add", {"mask", "s"}, "m"});
  Weigh(writer, "m");
  const std::vector<float> x = Tokens(kTokens);
  EXPECT_THAT(Run(writer, x), Near(Attended(x, All, 1)));
  EXPECT_EQ(Imported()->inputs().size(), 1u);
  EXPECT_THAT(Import(writer).notes,
              ElementsAre(HasSubstr("'attention_mask' is left out")));
}

// A table of positions says how long texts may be.
TEST_F(OnnxTextsTest, NumbersOfPositions) {
  constexpr int64_t kLongest = 30;
  const std::vector<float> table = Tokens(kLongest);
  OnnxWriter writer({-1, -2, kSize});
  AddPositions(writer)
      .Floats("table", {kLongest, kSize}, table)
      .Add({"Gather", {"table", "r"}, "at"})
      .Add({"Add", {"x", "at"}, "p"})
      .Integers("cut", {4}, {0, 0, kHeads, kSize / kHeads})
      .Add({"Reshape", {"p", "cut"}, "c"})
      .Add({"Transpose", {"c"}, "v", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Transpose", {"c"}, "k", {{"perm", {0, 2, 3, 1}}}})
      .Add({"MatMul", {"v", "k"}, "s"});
  Weigh(writer, "s");
  const std::vector<float> x(kTokens * kSize, 0.25f);
  std::vector<float> placed;
  for (size_t i = 0; i < x.size(); ++i) placed.push_back(x[i] + table[i]);
  EXPECT_THAT(Run(writer, x), Near(Attended(placed, All, 1)));
  EXPECT_EQ(Import(writer).context, 30u);
  EXPECT_EQ(CountOf(OpType::kPositionEmbedding), 1u);
}

TEST_F(OnnxTextsTest, OneRowOfAText) {
  const std::vector<float> x = Tokens(kTokens);
  const std::vector<float> all = Attended(x, All, 1);
  const auto last_row = [&](const Node& pool) {
    OnnxWriter writer = Scores();
    Weigh(writer, "s", "all");
    writer.Integers("first", {}, {0}).Integers("last", {}, {-1}).Add(pool);
    const std::vector<float> y = Run(writer, x);
    return std::vector<float>(y.end() - kSize, y.end());
  };
  EXPECT_THAT(last_row({"Gather", {"all", "first"}, "y", {}, {{"axis", 1}}}),
              Near({all.begin(), all.begin() + kSize}));
  EXPECT_THAT(last_row({"Gather", {"all", "last"}, "y", {}, {{"axis", 1}}}),
              Near({all.end() - kSize, all.end()}));
  std::vector<float> mean(kSize, 0.0f);
  for (size_t i = 0; i < all.size(); ++i) mean[i % kSize] += all[i] / kTokens;
  EXPECT_THAT(
      last_row(
          {"ReduceMean", {"all"}, "y", {{"axes", {1}}}, {{"keepdims", 0}}}),
      Near(mean));
}

// Two heads of queries for each of keys, repeated by views alone.
TEST_F(OnnxTextsTest, HeadsThatShareKeys) {
  OnnxWriter writer({-1, -2, kSize});
  writer.Integers("heads", {4}, {0, 0, 4, 2})
      .Integers("shared", {5}, {0, 0, 2, 1, 2})
      .Integers("times", {5}, {1, 1, 1, 2, 1})
      .Floats("twice", {kSize, 2 * kSize},
              {1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0,
               0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0})
      .Add({"MatMul", {"x", "twice"}, "q2"})
      .Add({"Reshape", {"q2", "heads"}, "q4"})
      .Add({"Transpose", {"q4"}, "q", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Reshape", {"x", "shared"}, "k1"})
      .Add({"Expand", {"k1", "times"}, "k2"})
      .Add({"Reshape", {"k2", "heads"}, "k4"})
      .Add({"Transpose", {"k4"}, "v", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Transpose", {"v"}, "k", {{"perm", {0, 1, 3, 2}}}})
      .Add({"MatMul", {"q", "k"}, "s"})
      .Add({"Softmax", {"s"}, "w", {}, {{"axis", -1}}})
      .Add({"MatMul", {"w", "v"}, "a"})
      .Add({"Transpose", {"a"}, "t", {{"perm", {0, 2, 1, 3}}}})
      .Integers("join", {3}, {0, 0, 2 * kSize})
      .Add({"Reshape", {"t", "join"}, "y"});
  const std::vector<float> x = Tokens(kTokens);
  const std::vector<float> y = Run(writer, x);
  // The second query of a pair has its two numbers the other way round.
  const std::vector<float> first = Attended(x, All, 1);
  for (size_t i = 0; i < kTokens; ++i) {
    for (size_t head = 0; head < 2; ++head) {
      for (size_t k = 0; k < 2; ++k) {
        EXPECT_NEAR(y[i * 8 + head * 4 + k], first[i * 4 + head * 2 + k], 2e-3);
      }
    }
  }
  const auto model = Imported();
  const auto& nodes = model->graph().nodes;
  const auto attention = std::find_if(
      nodes.begin(), nodes.end(),
      [](const auto& node) { return node.op == OpType::kAttention; });
  ASSERT_NE(attention, nodes.end());
  EXPECT_EQ(std::get<double>(attention->attributes.at("kv_heads")), 2.0);
  EXPECT_EQ(std::get<double>(attention->attributes.at("heads")), 4.0);
}

// [tokens, batch, size], and heads in one dimension with the batch, as
// nn.MultiheadAttention has them.
TEST_F(OnnxTextsTest, HeadsThatAreJoinedWithTheBatch) {
  OnnxWriter writer({-1, -2, kSize});
  writer.Add({"Transpose", {"x"}, "first", {{"perm", {1, 0, 2}}}})
      .Add({"Shape", {"first"}, "shape"})
      .Integers("zero", {1}, {0})
      .Integers("one", {1}, {1})
      .Integers("heads", {1}, {kHeads})
      .Integers("size", {1}, {kSize / kHeads})
      .Add({"Gather", {"shape", "zero"}, "tokens"})
      .Add({"Gather", {"shape", "one"}, "batch"})
      .Add({"Mul", {"batch", "heads"}, "joined"})
      .Add({"Concat", {"tokens", "joined", "size"}, "cut", {}, {{"axis", 0}}})
      .Add({"Reshape", {"first", "cut"}, "c"})
      .Add({"Transpose", {"c"}, "v", {{"perm", {1, 0, 2}}}})
      .Add({"Transpose", {"c"}, "k", {{"perm", {1, 2, 0}}}})
      .Add({"MatMul", {"v", "k"}, "s"})
      .Add({"Softmax", {"s"}, "w", {}, {{"axis", -1}}})
      .Add({"MatMul", {"w", "v"}, "a"})
      .Add({"Transpose", {"a"}, "t", {{"perm", {1, 0, 2}}}})
      .Add({"Reshape", {"t", "shape"}, "whole"})
      .Add({"Transpose", {"whole"}, "y", {{"perm", {1, 0, 2}}}});
  const std::vector<float> x = Tokens(kTokens);
  EXPECT_THAT(Run(writer, x), Near(Attended(x, All, 1)));
  EXPECT_EQ(Computing(), 1u);
}

TEST_F(OnnxTextsTest, SaysWhatItCannotExpress) {
  {
    // A number for each distance, as ALiBi has it.
    OnnxWriter writer = Scores();
    AddPairs(writer)
        .Add({"Sub", {"column", "row"}, "away"})
        .Add({"Cast", {"away"}, "slope", {}, {{"to", 1}}})
        .Add({"Add", {"s", "slope"}, "m"});
    Weigh(writer, "m");
    EXPECT_THAT(Refusal(writer), HasSubstr("scores of tokens with numbers"));
  }
  {
    // Every second token.
    OnnxWriter writer = Scores();
    AddPairs(writer)
        .Integers("two", {}, {2})
        .Add({"Mod", {"column", "two"}, "odd"})
        .Add({"Equal", {"odd", "zero"}, "even"})
        .Floats("hidden", {}, {-1e9f})
        .Add({"Where", {"even", "s", "hidden"}, "m"});
    Weigh(writer, "m");
    EXPECT_THAT(Refusal(writer), HasSubstr("a mask that is neither"));
  }
  {
    OnnxWriter writer = Scores();
    writer.Add({"Relu", {"s"}, "m"});
    Weigh(writer, "m");
    EXPECT_THAT(Refusal(writer), HasSubstr("in anything but attention"));
  }
  {
    OnnxWriter writer = Scores();
    writer.Add({"MatMul", {"s", "v"}, "y"});
    EXPECT_THAT(Refusal(writer), HasSubstr("without softmax"));
  }
  {
    // Made for a text of 9 tokens.
    OnnxWriter writer({-1, -2, kSize});
    writer.Integers("cut", {4}, {0, 9, kHeads, kSize / kHeads})
        .Add({"Reshape", {"x", "cut"}, "c"})
        .Add({"Transpose", {"c"}, "v", {{"perm", {0, 2, 1, 3}}}})
        .Add({"Transpose", {"c"}, "k", {{"perm", {0, 2, 3, 1}}}})
        .Add({"MatMul", {"v", "k"}, "s"});
    Weigh(writer, "s");
    EXPECT_NE(Refusal(writer), "");
  }
}

}  // namespace
}  // namespace lutra::packer
