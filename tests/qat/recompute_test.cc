// Where the forward half of a training step is computed again.

#include "qat/grad/recompute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "lutra/qat/trainable_model.h"
#include "lutra/qat/training_program.h"
#include "tests/kernels/random_matrix.h"
#include "tests/rounds.h"
#include "tests/runtime/tiny_llama.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::Lt;

// `count` operations, each on the one before it, whose backward steps read
// their inputs. Value 0 is the graph's input.
std::vector<PlannedOperation> Chain(size_t count) {
  std::vector<PlannedOperation> operations;
  for (size_t i = 0; i < count; ++i) {
    operations.push_back({.inputs = {i},
                          .output = i + 1,
                          .width = 1,
                          .has_backward = true,
                          .read_backward = {i}});
  }
  return operations;
}

// Operations on one or two of the values before them.
std::vector<PlannedOperation> RandomGraph(size_t count, std::mt19937& rng) {
  std::vector<PlannedOperation> operations;
  for (size_t i = 0; i < count; ++i) {
    PlannedOperation& each = operations.emplace_back();
    each.inputs = {i - rng() % std::min<size_t>(i + 1, 3)};
    if (rng() % 3 == 0) each.inputs.push_back(rng() % (i + 1));
    each.output = i + 1;
    each.width = 1 + rng() % 5;
    each.has_backward = rng() % 8 != 0;
    if (rng() % 4 != 0) each.read_backward = each.inputs;
    if (rng() % 3 == 0) each.read_backward.push_back(each.output);
  }
  return operations;
}

// What goes from part to part, counted at each border, and what the largest
// part's backward steps read.
size_t MemoryOf(const std::vector<PlannedOperation>& operations,
                const std::vector<size_t>& outputs,
                const std::vector<size_t>& parts) {
  size_t kept = 0;
  for (size_t border = 1; border < parts.size(); ++border) {
    std::set<size_t> crossing;
    for (size_t i = parts[border]; i < operations.size(); ++i) {
      crossing.insert(operations[i].inputs.begin(), operations[i].inputs.end());
    }
    crossing.insert(outputs.begin(), outputs.end());
    for (size_t i = 0; i < parts[border]; ++i) {
      if (crossing.contains(operations[i].output)) kept += operations[i].width;
    }
  }
  size_t largest = 0;
  for (size_t part = 0; part < parts.size(); ++part) {
    const size_t end =
        part + 1 < parts.size() ? parts[part + 1] : operations.size();
    size_t width = 0;
    for (size_t i = parts[part]; i < end; ++i) {
      const size_t value = operations[i].output;
      const bool is_read = std::any_of(
          operations.begin(), operations.end(), [&](const auto& operation) {
            const auto& read = operation.read_backward;
            return operation.has_backward &&
                   std::find(read.begin(), read.end(), value) != read.end();
          });
      if (is_read) width += operations[i].width;
    }
    largest = std::max(largest, width);
  }
  return kept + largest;
}

TEST(RecomputedPartsTest, OfAChain) {
  const auto operations = Chain(16);
  const std::vector<size_t> outputs = {16};
  const auto parts = RecomputedParts(operations, outputs);
  // Three values kept and parts of four, or four values kept and parts of
  // three.
  EXPECT_EQ(MemoryOf(operations, outputs, parts), 7u);
  EXPECT_THAT(RecomputedParts(Chain(1), std::vector<size_t>{1}),
              ElementsAre(0));
}

TEST(RecomputedPartsTest, AreTheBestOfAll) {
  std::mt19937 rng(1);
  for (int round = 0; round < Rounds(200); ++round) {
    const size_t count = 2 + rng() % 8;
    const auto operations = RandomGraph(count, rng);
    const std::vector<size_t> outputs = {count, 1 + rng() % count};
    size_t least = std::numeric_limits<size_t>::max();
    for (size_t borders = 0; borders < (size_t{1} << (count - 1)); ++borders) {
      std::vector<size_t> parts = {0};
      for (size_t i = 1; i < count; ++i) {
        if ((borders >> (i - 1) & 1) != 0) parts.push_back(i);
      }
      least = std::min(least, MemoryOf(operations, outputs, parts));
    }
    EXPECT_EQ(
        MemoryOf(operations, outputs, RecomputedParts(operations, outputs)),
        least)
        << "round " << round;
  }
}

// Whatever a step reads is there: kept, or made again in its part.
TEST(BackwardHalfTest, HasWhatItReads) {
  std::mt19937 rng(2);
  size_t again = 0;
  for (int round = 0; round < Rounds(500); ++round) {
    const size_t count = 1 + rng() % 30;
    const auto operations = RandomGraph(count, rng);
    const std::vector<size_t> outputs = {count};
    std::vector<size_t> parts = {0};
    for (size_t i = 1; i < count; ++i) {
      if (rng() % 5 == 0) parts.push_back(i);
    }
    const auto steps = BackwardHalf(operations, outputs, parts);
    // All that is not made again.
    std::set<size_t> there;
    for (size_t value = 0; value <= count; ++value) there.insert(value);
    for (const LateStep& step : steps) {
      if (step.again) there.erase(operations[step.operation].output);
    }
    std::vector<size_t> backward;
    for (const LateStep& step : steps) {
      const PlannedOperation& operation = operations[step.operation];
      const auto& read =
          step.again ? operation.inputs : operation.read_backward;
      for (const size_t value : read) {
        EXPECT_TRUE(there.contains(value)) << "round " << round;
      }
      if (step.again) {
        EXPECT_TRUE(there.insert(operation.output).second);
        EXPECT_LT(step.operation, parts.back());
        ++again;
      } else {
        backward.push_back(step.operation);
      }
    }
    std::vector<size_t> expected;
    for (size_t i = count; i-- > 0;) {
      if (operations[i].has_backward) expected.push_back(i);
    }
    EXPECT_EQ(backward, expected);
  }
  EXPECT_GT(again, 0u);
}

struct Trained {
  std::vector<float> output;
  TensorMap gradients;
  size_t bytes = 0;
};

// Two steps on `sequences` texts of `length` rows.
Trained Train(const TrainableModel& model, bool recompute,
              const void* const input, size_t sequences, size_t length) {
  TrainingProgramOptions options;
  options.recompute = recompute;
  TrainingProgram program(model.graph, model.parameters, options);
  const std::vector<TrainingSequence> rows(sequences, {.rows = length});
  for (int step = 0; step < 2; ++step) {
    program.Forward(rows, {&input, 1});
    const auto gradient = RandomFloats(program.Output(0).size(), 5);
    const float* const gradients[] = {gradient.data()};
    program.Backward(gradients);
  }
  const Span<const float> output = program.Output(0);
  return {{output.begin(), output.end()},
          program.gradients(),
          program.ArenaBytes()};
}

void ExpectTheSame(const Trained& kept, const Trained& again) {
  ASSERT_EQ(kept.gradients.size(), again.gradients.size());
  for (const auto& [name, gradient] : kept.gradients) {
    EXPECT_EQ(gradient.values, again.gradients.find(name)->second.values)
        << name;
  }
}

TEST(RecomputeTest, ALanguageModelHasTheSameGradientsInLessMemory) {
  const TempDir dir;
  TinyLlama{.layers = 8}.Build().Write(dir / "m.safetensors");
  const TrainableModel model = LoadTrainableModel(dir / "m.safetensors");
  const auto ids = RandomIds(3 * 20, 50, 1);
  const Trained kept = Train(model, false, ids.data(), 3, 20);
  const Trained again = Train(model, true, ids.data(), 3, 20);
  ExpectTheSame(kept, again);
  EXPECT_THAT(again.bytes, Lt(kept.bytes / 2));
}

// Recurrent layers begin anew when they are computed again.
TEST(RecomputeTest, LayersWithAStateHaveTheSameGradients) {
  constexpr size_t kUnits = 6;
  ModelBuilder builder;
  builder.Input("x", {kUnits});
  std::string last = "x";
  for (int layer = 0; layer < 6; ++layer) {
    const std::string name = std::to_string(layer);
    builder.Add(OpType::kLinear, {last}, "gates" + name, "w" + name)
        .Add(OpType::kLstmCell, {"gates" + name}, "h" + name, "u" + name)
        .Set("gates", std::string("ifgo"))
        .Floats("w" + name, {4 * kUnits, kUnits},
                RandomFloats(4 * kUnits * kUnits, 1))
        .Floats("u" + name, {4 * kUnits, kUnits},
                RandomFloats(4 * kUnits * kUnits, 2));
    last = "h" + name;
  }
  builder.Output(last);
  const TempDir dir;
  builder.Write(dir / "m.safetensors");
  const TrainableModel model = LoadTrainableModel(dir / "m.safetensors");
  const auto x = RandomFloats(4 * 15 * kUnits, 3);
  const Trained kept = Train(model, false, x.data(), 4, 15);
  const Trained again = Train(model, true, x.data(), 4, 15);
  ExpectTheSame(kept, again);
  EXPECT_LT(again.bytes, kept.bytes);
}

}  // namespace
}  // namespace lutra::qat
