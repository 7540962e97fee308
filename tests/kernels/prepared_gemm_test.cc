// Several products of the same activations give what separate calls give.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lutra/kernels/gemm.h"
#include "lutra/kernels/thread_team.h"
#include "tests/kernels/each_variant.h"
#include "tests/kernels/gemm_case.h"
#include "tests/kernels/random_matrix.h"

namespace lutra::kernels {
namespace {

std::vector<float> RandomFloats(size_t count, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = normal(rng);
  return values;
}

// Products of one x; some matrices can share activations, others cannot.
class Products {
 public:
  Products(std::vector<LutFormat> formats, size_t m, std::mt19937& rng)
      : m_(m), k_(formats[0].k), x_(RandomFloats(m * k_, rng)) {
    for (const LutFormat& format : formats) {
      // Tables of the first kind all have the same smallest entry.
      const auto kind = rng() % 2 ? TableKind::kSmall : TableKind::kExtreme;
      matrices_.push_back(MakeRandomMatrix(format, kind, rng));
      const size_t size = m * format.n;
      biases_.push_back(RandomFloats(format.n, rng));
      residuals_.push_back(RandomFloats(size, rng));
      outputs_.emplace_back(size);
      GemmArguments a;
      a.x = x_.data();
      a.x_stride = k_;
      a.m = m;
      if (rng() % 2) a.bias = biases_.back().data();
      a.y = outputs_.back().data();
      a.y_stride = format.n;
      a.fusion = static_cast<Fusion>(rng() % 6);
      a.clamp_max = 0.5f;
      if (rng() % 2) {
        a.residual = residuals_.back().data();
        a.residual_stride = format.n;
      }
      products_.push_back({nullptr, a});
    }
    for (size_t i = 0; i < formats.size(); ++i) {
      products_[i].w = &matrices_[i].matrix;
    }
  }

  const std::vector<GemmProduct>& products() const { return products_; }
  size_t m() const { return m_; }
  // From now on there are fewer tokens.
  void set_m(size_t m) {
    m_ = m;
    for (GemmProduct& product : products_) product.arguments.m = m;
  }

  // Clears the outputs, calls run() and returns them.
  template <class Run>
  std::vector<std::vector<float>> Outputs(const Run& run) {
    for (std::vector<float>& y : outputs_) y.assign(y.size(), -1e30f);
    run();
    return outputs_;
  }

  std::vector<std::vector<float>> Separately(ActivationType type) {
    return Outputs([&] {
      for (const GemmProduct& p : products_) {
        const AlignedBytes scratch =
            AllocateAligned(GemmScratchBytes(*p.w, type, m_));
        Gemm(*p.w, type, p.arguments, scratch.get(), nullptr);
      }
    });
  }

  std::vector<std::vector<float>> ByReference(ActivationType type) {
    return Outputs([&] {
      for (const GemmProduct& p : products_) {
        ReferenceGemm(*p.w, type, p.arguments);
      }
    });
  }

 private:
  size_t m_;
  size_t k_;
  std::vector<float> x_;
  std::vector<RandomMatrix> matrices_;
  std::vector<std::vector<float>> biases_;
  std::vector<std::vector<float>> residuals_;
  std::vector<std::vector<float>> outputs_;
  std::vector<GemmProduct> products_;
};

void ExpectSame(const std::vector<std::vector<float>>& expected,
                const std::vector<std::vector<float>>& actual,
                const std::vector<GemmProduct>& products) {
  for (size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE("product " + std::to_string(i));
    ExpectSameBits(expected[i], actual[i], products[i].w->format.n);
  }
}

class PreparedGemmBase {
 protected:
  static std::vector<std::vector<float>> RunPrepared(Products& products,
                                                     PreparedGemm& gemm,
                                                     Executor* executor) {
    return products.Outputs([&] { gemm.Run(products.m(), executor); });
  }

  static AlignedBytes Scratch(const Products& products, ActivationType type,
                              size_t m) {
    return AllocateAligned(
        PreparedGemm::ScratchBytes(products.products(), type, m));
  }
};

class PreparedGemmTest : public PreparedGemmBase,
                         public ::testing::TestWithParam<size_t> {};
class PreparedGemmOnceTest : public PreparedGemmBase, public ::testing::Test {};

TEST_P(PreparedGemmTest, GivesTheBitsOfSeparateCalls) {
  const size_t m = GetParam();
  std::mt19937 rng(static_cast<uint32_t>(21 + m));
  const std::unique_ptr<Executor> executor = StartThreadTeam(3);
  // The reference is slow.
  const int small = m > 4 ? 4 : 10;
  const int trials = m > 4 ? small : small + 2;
  for (int trial = 0; trial < trials; ++trial) {
    // Half of the trials have matrices of the same format. With the last sizes,
    // or enough tokens, a call is large enough for threads.
    const uint32_t k =
        trial < small ? 16 + static_cast<uint32_t>(rng() % 200) : 512;
    std::vector<LutFormat> formats;
    const size_t count = 1 + rng() % kMaxGemmProducts;
    for (size_t i = 0; i < count; ++i) {
      const auto n = static_cast<uint32_t>(trial < small ? 1 + rng() % 90
                                                         : 400 + rng() % 300);
      LutFormat format = RandomFormat(n, k, rng);
      if (trial % 2 == 0 && i > 0) {
        format = formats[0];
        format.n = n;
      }
      formats.push_back(format);
    }
    Products products(formats, m, rng);
    for (const ActivationTraits& traits : kActivationTypes) {
      const ActivationType type = traits.type;
      const auto reference = products.ByReference(type);
      ForEachVariant([&](const char* variant) {
        SCOPED_TRACE(std::string(variant) + " trial " + std::to_string(trial) +
                     " type " + std::to_string(static_cast<int>(type)));
        const auto expected = products.Separately(type);
        if (!traits.is_float)
          ExpectSame(reference, expected, products.products());
        const AlignedBytes scratch = Scratch(products, type, m);
        PreparedGemm gemm(products.products(), type, scratch.get());
        ExpectSame(expected, RunPrepared(products, gemm, nullptr),
                   products.products());
        ExpectSame(expected, RunPrepared(products, gemm, executor.get()),
                   products.products());
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokens, PreparedGemmTest,
                         ::testing::Values(1, 2, 3, 4, 17, 70));

// What was prepared for one variant still runs after another has been forced.
TEST_F(PreparedGemmOnceTest, SurvivesAnotherVariant) {
  std::mt19937 rng(22);
  const LutFormat format{.n = 50, .k = 96, .bits = 4, .group_size = 32};
  Products products({format, format}, 9, rng);
  const ActivationType type = ActivationType::kInt8Asymmetric;
  const auto expected = products.ByReference(type);
  const AlignedBytes scratch = Scratch(products, type, 9);
  PreparedGemm gemm(products.products(), type, scratch.get());
  ForEachVariant([&](const char* variant) {
    SCOPED_TRACE(variant);
    ExpectSame(expected, RunPrepared(products, gemm, nullptr),
               products.products());
  });
}

// One object serves calls of any number of tokens, in any order.
TEST_F(PreparedGemmOnceTest, RunsAnyNumberOfTokens) {
  std::mt19937 rng(24);
  const LutFormat format{.n = 50, .k = 96, .bits = 3, .group_size = 32};
  for (const ActivationTraits& traits : kActivationTypes) {
    const ActivationType type = traits.type;
    Products products({format, format}, 40, rng);
    const AlignedBytes scratch = Scratch(products, type, 40);
    PreparedGemm gemm(products.products(), type, scratch.get());
    for (const size_t m : std::vector<size_t>{40, 3, 1, 1, 17, 2, 40}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(type)) + " " +
                   std::to_string(m));
      products.set_m(m);
      ExpectSame(products.Separately(type),
                 RunPrepared(products, gemm, nullptr), products.products());
    }
  }
}

TEST_F(PreparedGemmOnceTest, NothingToDoForNoTokens) {
  std::mt19937 rng(23);
  const LutFormat format{.n = 5, .k = 32, .bits = 2, .group_size = 32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  const GemmProduct product = {&w.matrix, {}};
  EXPECT_EQ(PreparedGemm::ScratchBytes({&product, 1},
                                       ActivationType::kInt8Symmetric, 0),
            0u);
  PreparedGemm gemm({&product, 1}, ActivationType::kInt8Symmetric, nullptr);
  gemm.Run(0, nullptr);
}

}  // namespace
}  // namespace lutra::kernels
