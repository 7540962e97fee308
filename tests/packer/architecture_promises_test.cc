// What holds for packed models of every architecture: the same bits however
// tokens come in calls, beside whatever else, after forks and from saved bytes,
// on any number of threads and every instruction set. And float ones train.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/import.h"
#include "lutra/packer/pack.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/program.h"
#include "lutra/runtime/random.h"
#include "tests/kernels/each_variant.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::packer {
namespace {

constexpr size_t kTokens = 25;
constexpr size_t kCut = 9;

class ArchitecturePromisesTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto folder = TestData(std::string("golden/arch/") + GetParam());
    if (!folder) GTEST_SKIP() << "golden/arch absent (LUTRA_TEST_DATA)";
    ImportModel({.source = *folder,
                 .output = dir_ / "float.safetensors",
                 .context = 64});
    const auto floats = Model::Load(dir_ / "float.safetensors");
    PackOptions options;
    qat::QuantScheme scheme;
    scheme.bits = 4;
    scheme.group_size = 16;
    options.rules = qat::SchemeRules(scheme);
    const PackReport report =
        PackModel(*floats, dir_ / "packed.safetensors", options);
    for (const TensorReport& weight : report.weights) {
      EXPECT_EQ(weight.method, PackMethod::kPostTraining) << weight.name;
    }
    model_ = Model::Load(dir_ / "packed.safetensors");
    width_ = model_->outputs()[0].ElementCount();
    for (size_t i = 0; i < kTokens; ++i) {
      ids_.push_back(static_cast<int32_t>(3 + i * i * 7 % 250));
    }
  }

  // Appends the tokens [begin, end) to a sequence; returns their outputs.
  std::vector<float> Feed(Program& program, Sequence& sequence, size_t begin,
                          size_t end) const {
    std::vector<float> y((end - begin) * width_);
    const Program::Rows rows = {&sequence, end - begin};
    const void* const in = &ids_[begin];
    float* const out = y.data();
    program.Run({&rows, 1}, {&in, 1}, {&out, 1});
    return y;
  }
  std::vector<float> Whole(Program& program) const {
    Sequence sequence = program.NewSequence();
    return Feed(program, sequence, 0, kTokens);
  }
  bool IsRecurrent() const {
    const auto& nodes = model_->graph().nodes;
    return std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
      return node.op == OpType::kCausalConv1d ||
             node.op == OpType::kGatedDeltaRule;
    });
  }
  // What Whole gives from the cut on.
  std::vector<float> Rest(const std::vector<float>& whole) const {
    return {whole.begin() + static_cast<std::ptrdiff_t>(kCut * width_),
            whole.end()};
  }

  TempDir dir_;
  std::shared_ptr<const Model> model_;
  size_t width_ = 0;
  std::vector<int32_t> ids_;
};

TEST_P(ArchitecturePromisesTest, SameBits) {
  Program program(model_, {.threads = 1});
  const std::vector<float> expected = Whole(program);

  const auto executor = StartThreadTeam(3);
  Program threaded(model_, {.executor = executor.get()});
  EXPECT_EQ(Whole(threaded), expected) << "three threads";

  for (const size_t chunk : {1u, 7u}) {
    Sequence sequence = threaded.NewSequence();
    std::vector<float> y;
    for (size_t t = 0; t < kTokens; t += chunk) {
      const auto part =
          Feed(threaded, sequence, t, std::min(t + chunk, kTokens));
      y.insert(y.end(), part.begin(), part.end());
    }
    EXPECT_EQ(y, expected) << chunk << " at a time";
  }

  // Two sequences in one call.
  {
    Sequence first = program.NewSequence();
    Sequence second = program.NewSequence();
    Feed(program, second, 0, kCut);
    std::vector<int32_t> ids = ids_;
    ids.insert(ids.end(), ids_.begin() + kCut, ids_.end());
    std::vector<float> y(ids.size() * width_);
    const Program::Rows rows[] = {{&first, kTokens}, {&second, kTokens - kCut}};
    const void* const in = ids.data();
    float* const out = y.data();
    program.Run(rows, {&in, 1}, {&out, 1});
    auto both = expected;
    const auto rest = Rest(expected);
    both.insert(both.end(), rest.begin(), rest.end());
    EXPECT_EQ(y, both) << "two sequences";
  }

  // Forked, saved, and cut back.
  Sequence sequence = program.NewSequence();
  Feed(program, sequence, 0, kCut);
  Sequence fork = sequence.Fork();
  const std::vector<std::byte> saved = sequence.Save();
  EXPECT_EQ(Feed(program, sequence, kCut, kTokens), Rest(expected));
  EXPECT_EQ(Feed(program, fork, kCut, kTokens), Rest(expected)) << "forked";
  Sequence restored = threaded.Restore(saved);
  EXPECT_EQ(Feed(threaded, restored, kCut, kTokens), Rest(expected))
      << "restored";
  if (IsRecurrent()) {
    EXPECT_THAT(ErrorMessage([&] { sequence.Truncate(kCut); }),
                ::testing::HasSubstr("recurrent nodes"));
  } else {
    sequence.Truncate(kCut);
    EXPECT_EQ(Feed(program, sequence, kCut, kTokens), Rest(expected))
        << "truncated";
  }

  kernels::ForEachVariant([&](const char* variant) {
    Program other(model_, {.threads = 1});
    EXPECT_EQ(Whole(other), expected) << variant;
  });
}

// Along its gradient, a loss changes as the gradient says.
TEST_P(ArchitecturePromisesTest, Trains) {
  qat::TrainableModel trained =
      qat::LoadTrainableModel(dir_ / "float.safetensors");
  qat::TrainingProgram program(trained.graph, trained.parameters, {});
  std::vector<float> dy(kTokens * width_);
  Random random(1);
  for (float& d : dy) d = random.Symmetric();
  const auto loss = [&] {
    const void* const in = ids_.data();
    program.Forward(kTokens, {&in, 1});
    double sum = 0;
    for (size_t i = 0; i < dy.size(); ++i) {
      sum += double{dy[i]} * double{program.Output(0)[i]};
    }
    return sum;
  };
  loss();
  const float* const of_output = dy.data();
  program.Backward({&of_output, 1});
  double of_gradients = 0;
  double of_weights = 0;
  for (const auto& [name, gradient] : program.gradients()) {
    const auto& weight = trained.parameters.at(name).values;
    for (size_t i = 0; i < weight.size(); ++i) {
      of_gradients += double{gradient.values[i]} * double{gradient.values[i]};
      of_weights += double{weight[i]} * double{weight[i]};
    }
  }
  // So small because the gated delta rule's unit vectors bend fast.
  const double step = 2e-6 * std::sqrt(of_weights / of_gradients);
  const auto move = [&](double by) {
    for (const auto& [name, gradient] : program.gradients()) {
      auto& weight = trained.parameters.at(name).values;
      for (size_t i = 0; i < weight.size(); ++i) {
        weight[i] += static_cast<float>(by * double{gradient.values[i]});
      }
    }
  };
  move(step);
  const double after = loss();
  move(-2 * step);
  const double before = loss();
  EXPECT_NEAR((after - before) / (2 * step * of_gradients), 1, 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Folders, ArchitecturePromisesTest,
                         ::testing::Values("cohere2", "gemma4_text",
                                           "gemma4_moe", "gpt2", "gpt_oss",
                                           "lfm2", "ministral3", "phi3",
                                           "qwen3", "qwen3_5", "qwen3_moe"));

}  // namespace
}  // namespace lutra::packer
