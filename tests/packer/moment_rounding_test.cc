#include "packer/encode/moment_rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tests/runtime/model_builder.h"

namespace lutra::packer {
namespace {

constexpr size_t kMomentRows = 24;
constexpr size_t kMomentColumns = 72;
constexpr size_t kMomentGroup = 32;
constexpr size_t kMomentGroups = 3;
constexpr double kDamping = 0.01;

// Of rows that have few directions, and columns of different size.
std::vector<float> CorrelatedMoments() {
  constexpr size_t kSamples = 400;
  constexpr size_t kDirections = 20;
  const std::vector<float> mix = RandomFloats(kDirections * kMomentColumns, 5);
  const std::vector<float> source = RandomFloats(kSamples * kDirections, 6);
  const std::vector<float> noise = RandomFloats(kSamples * kMomentColumns, 7);
  std::vector<float> moments(kMomentColumns * kMomentColumns);
  for (size_t s = 0; s < kSamples; ++s) {
    std::vector<float> x(kMomentColumns);
    for (size_t j = 0; j < kMomentColumns; ++j) {
      x[j] = 0.3f * noise[s * kMomentColumns + j];
      for (size_t d = 0; d < kDirections; ++d) {
        x[j] += source[s * kDirections + d] * mix[d * kMomentColumns + j];
      }
      x[j] *= static_cast<float>(1 + j % 5);
    }
    for (size_t i = 0; i < kMomentColumns; ++i) {
      for (size_t j = 0; j < kMomentColumns; ++j) {
        moments[i * kMomentColumns + j] += x[i] * x[j];
      }
    }
  }
  return moments;
}

// The moments that the rounding works with.
std::vector<double> Damped(const std::vector<float>& moments) {
  std::vector<double> h(moments.begin(), moments.end());
  double mean = 0;
  for (size_t i = 0; i < kMomentColumns; ++i)
    mean += h[i * kMomentColumns + i] / kMomentColumns;
  for (size_t i = 0; i < kMomentColumns; ++i) {
    h[i * kMomentColumns + i] += kDamping * mean;
  }
  return h;
}

// A matrix and its form, which starts with the scale that holds all values.
struct Form {
  Form(std::vector<int8_t> levels, bool per_row, qat::ScaleType type,
       bool with_offsets = false)
      : w(RandomFloats(kMomentRows * kMomentColumns, 9)),
        indices(kMomentRows * kMomentColumns),
        scales(kMomentRows * kMomentGroups),
        offsets(kMomentRows * kMomentGroups) {
    entries = levels.size();
    rows.group_size = kMomentGroup;
    rows.scale_type = type;
    rows.entries = entries;
    rows.table_per_row = per_row;
    for (size_t row = 0; row < (per_row ? kMomentRows : 1); ++row) {
      tables.insert(tables.end(), levels.begin(), levels.end());
    }
    for (size_t row = 0; row < kMomentRows; ++row) {
      for (size_t g = 0; g < kMomentGroups; ++g) {
        float largest = 0;
        if (with_offsets) offsets[row * kMomentGroups + g] = 0.75f;
        for (size_t i = g * kMomentGroup; i < End(g); ++i) {
          if (with_offsets) w[row * kMomentColumns + i] += 1;
          largest = std::max(largest, std::abs(w[row * kMomentColumns + i]));
        }
        scales[row * kMomentGroups + g] =
            qat::RoundScale(type, largest / static_cast<float>(levels.back()));
      }
      for (size_t i = 0; i < kMomentColumns; ++i) Nearest(row, i);
    }
    rows.indices = indices;
    rows.scales = scales;
    if (with_offsets) rows.offsets = offsets;
    rows.offset_type = type;
    rows.tables = tables;
  }

  static size_t End(size_t g) {
    return std::min(kMomentColumns, (g + 1) * kMomentGroup);
  }
  float Level(size_t row, size_t index) const {
    return tables[(rows.table_per_row ? row * entries : 0) + index];
  }
  double Value(size_t row, size_t i) const {
    return offsets[row * kMomentGroups + i / kMomentGroup] +
           static_cast<double>(scales[row * kMomentGroups + i / kMomentGroup]) *
               Level(row, indices[row * kMomentColumns + i]);
  }
  uint8_t NearestTo(size_t row, size_t i, double wanted) const {
    size_t best = 0;
    wanted -= offsets[row * kMomentGroups + i / kMomentGroup];
    for (size_t e = 0; e < entries; ++e) {
      const double scale = scales[row * kMomentGroups + i / kMomentGroup];
      if (std::abs(scale * Level(row, e) - wanted) <
          std::abs(scale * Level(row, best) - wanted)) {
        best = e;
      }
    }
    return static_cast<uint8_t>(best);
  }
  void Nearest(size_t row, size_t i) {
    indices[row * kMomentColumns + i] =
        NearestTo(row, i, w[row * kMomentColumns + i]);
  }

  double RowLoss(const std::vector<double>& h, size_t row) const {
    std::vector<double> errors(kMomentColumns);
    for (size_t i = 0; i < kMomentColumns; ++i) {
      errors[i] = w[row * kMomentColumns + i] - Value(row, i);
    }
    double loss = 0;
    for (size_t i = 0; i < kMomentColumns; ++i) {
      for (size_t j = 0; j < kMomentColumns; ++j) {
        loss += errors[i] * h[i * kMomentColumns + j] * errors[j];
      }
    }
    return loss;
  }
  double Loss(const std::vector<double>& h) const {
    double loss = 0;
    for (size_t row = 0; row < kMomentRows; ++row) loss += RowLoss(h, row);
    return loss;
  }

  std::vector<float> w;
  std::vector<uint8_t> indices;
  std::vector<float> scales;
  std::vector<float> offsets;  // zeros where the form has none
  std::vector<int8_t> tables;
  size_t entries = 0;
  LutRows rows;
};

// By Gauss-Jordan elimination.
std::vector<double> Inverse(std::vector<double> a, size_t n) {
  std::vector<double> inverse(n * n);
  for (size_t i = 0; i < n; ++i) inverse[i * n + i] = 1;
  for (size_t p = 0; p < n; ++p) {
    const double pivot = a[p * n + p];
    for (size_t j = 0; j < n; ++j) {
      a[p * n + j] /= pivot;
      inverse[p * n + j] /= pivot;
    }
    for (size_t i = 0; i < n; ++i) {
      const double factor = a[i * n + p];
      if (i == p) continue;
      for (size_t j = 0; j < n; ++j) {
        a[i * n + j] -= factor * a[p * n + j];
        inverse[i * n + j] -= factor * inverse[p * n + j];
      }
    }
  }
  return inverse;
}

// GPTQ as its paper writes it: every weight in turn is rounded, the others are
// moved to make up for it, and its row and column leave the inverse.
std::vector<uint8_t> PlainGptq(const Form& form, const std::vector<double>& h) {
  std::vector<size_t> order(kMomentColumns);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return h[a * kMomentColumns + a] > h[b * kMomentColumns + b];
  });
  std::vector<double> w(form.w.begin(), form.w.end());
  std::vector<double> inverse = Inverse(h, kMomentColumns);
  std::vector<uint8_t> indices(w.size());
  for (const size_t p : order) {
    const double pivot = inverse[p * kMomentColumns + p];
    for (size_t row = 0; row < kMomentRows; ++row) {
      const double wanted = w[row * kMomentColumns + p];
      const uint8_t index = form.NearestTo(row, p, wanted);
      indices[row * kMomentColumns + p] = index;
      const double scale = form.scales[row * kMomentGroups + p / kMomentGroup];
      const double error =
          (wanted - form.offsets[row * kMomentGroups + p / kMomentGroup] -
           scale * form.Level(row, index)) /
          pivot;
      for (size_t j = 0; j < kMomentColumns; ++j) {
        w[row * kMomentColumns + j] -= error * inverse[p * kMomentColumns + j];
      }
    }
    const std::vector<double> row(
        inverse.begin() + static_cast<ptrdiff_t>(p * kMomentColumns),
        inverse.begin() + static_cast<ptrdiff_t>((p + 1) * kMomentColumns));
    for (size_t i = 0; i < kMomentColumns; ++i) {
      for (size_t j = 0; j < kMomentColumns; ++j) {
        inverse[i * kMomentColumns + j] -= row[i] * row[j] / pivot;
      }
    }
    inverse[p * kMomentColumns + p] = 1;  // never used again
  }
  return indices;
}

const std::vector<int8_t> kTwoBits = {-3, -1, 1, 3};

class WithOffsetsTest : public ::testing::TestWithParam<bool> {};

TEST_P(WithOffsetsTest, WithoutTurnsIsGptq) {
  const std::vector<float> moments = CorrelatedMoments();
  const std::vector<double> h = Damped(moments);
  Form form({-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 7}, false,
            qat::ScaleType::kFloat, GetParam());
  const double start = form.Loss(h);
  const MomentRounding rounding(moments, kMomentColumns, {kDamping, 0});
  const RowLosses losses = rounding.Improve(form.w, form.rows);
  EXPECT_NEAR(losses.start, start, 1e-3 * start);
  EXPECT_NEAR(losses.result, form.Loss(h), 1e-3 * losses.result);
  EXPECT_LT(losses.result, 0.5 * start);
  const std::vector<uint8_t> expected = PlainGptq(form, h);
  size_t equal = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == form.indices[i]) ++equal;
  }
  // A weight between two levels may round either way, and then the rest of its
  // row does.
  EXPECT_GE(equal, expected.size() * 97 / 100);
}

// Where indices have settled, no other scale or offset is better for them.
TEST_P(WithOffsetsTest, ScalesAndOffsetsSettle) {
  const std::vector<float> moments = CorrelatedMoments();
  const std::vector<double> h = Damped(moments);
  double before = HUGE_VAL;
  for (const int turns : {0, 1, 60}) {
    Form form(kTwoBits, false, qat::ScaleType::kFloat, GetParam());
    const double start = form.Loss(h);
    const MomentRounding rounding(moments, kMomentColumns, {kDamping, turns});
    const RowLosses losses = rounding.Improve(form.w, form.rows);
    EXPECT_NEAR(losses.result, form.Loss(h), 1e-3 * losses.result);
    EXPECT_LT(losses.result, start);
    EXPECT_LT(losses.result, before * (turns == 1 ? 0.95 : 1.0));
    before = losses.result;
    if (turns < 60) continue;
    size_t better = 0;
    for (std::vector<float>* const numbers : {&form.scales, &form.offsets}) {
      if (numbers == &form.offsets && !GetParam()) continue;
      for (size_t i = 0; i < numbers->size(); ++i) {
        const float kept = (*numbers)[i];
        const double loss = form.RowLoss(h, i / kMomentGroups);
        for (const float step : {-0.02f, 0.02f}) {
          (*numbers)[i] = kept + step * form.scales[i];
          if (form.RowLoss(h, i / kMomentGroups) < loss * (1 - 1e-3)) ++better;
        }
        (*numbers)[i] = kept;
      }
    }
    EXPECT_LE(better, form.scales.size() / 10);
  }
}

// Every group by itself: the best of the scales around the first one, by plain
// search.
TEST_P(WithOffsetsTest, Clip) {
  const std::vector<float> moments = CorrelatedMoments();
  const std::vector<double> h = Damped(moments);
  const Form start(kTwoBits, false, qat::ScaleType::kFloat, GetParam());
  Form form(kTwoBits, false, qat::ScaleType::kFloat, GetParam());
  DataRounding options{kDamping, 6};
  options.method = DataRounding::Method::kClip;
  const RowLosses losses = MomentRounding(moments, kMomentColumns, options)
                               .Improve(form.w, form.rows);
  EXPECT_LT(losses.result, 0.95 * losses.start);
  const auto group_loss = [&](const Form& of, size_t row, size_t g) {
    double loss = 0;
    for (size_t i = g * kMomentGroup; i < Form::End(g); ++i) {
      for (size_t j = g * kMomentGroup; j < Form::End(g); ++j) {
        loss += (of.w[row * kMomentColumns + i] - of.Value(row, i)) *
                h[i * kMomentColumns + j] *
                (of.w[row * kMomentColumns + j] - of.Value(row, j));
      }
    }
    return loss;
  };
  size_t changed = 0;
  for (size_t row = 0; row < kMomentRows; ++row) {
    // A row that is worse in all stays as it was.
    if (form.RowLoss(h, row) == start.RowLoss(h, row)) continue;
    ++changed;
    for (size_t g = 0; g < kMomentGroups; ++g) {
      Form other = start;
      for (double factor = 0.55; factor < 1.42; factor += 0.05) {
        if (factor > 1.22 && std::abs(factor - 1.3) > 0.01 &&
            std::abs(factor - 1.4) > 0.01) {
          continue;
        }
        other.scales[row * kMomentGroups + g] =
            static_cast<float>(start.scales[row * kMomentGroups + g] * factor);
        for (size_t i = g * kMomentGroup; i < Form::End(g); ++i) {
          other.Nearest(row, i);
        }
        EXPECT_LE(group_loss(form, row, g),
                  group_loss(other, row, g) * (1 + 1e-4));
      }
    }
  }
  EXPECT_GT(changed, kMomentRows / 2);
}

INSTANTIATE_TEST_SUITE_P(Groups, WithOffsetsTest, ::testing::Bool());

TEST(MomentRoundingTest, TurnsImprove) {
  const std::vector<float> moments = CorrelatedMoments();
  const std::vector<double> h = Damped(moments);
  for (const bool per_row : {false, true}) {
    for (const auto type : {qat::ScaleType::kFloat, qat::ScaleType::kFloat16}) {
      SCOPED_TRACE(per_row);
      double before = HUGE_VAL;
      for (const int turns : {0, 1, 6}) {
        Form form(kTwoBits, per_row, type);
        const double start = form.Loss(h);
        const MomentRounding rounding(moments, kMomentColumns,
                                      {kDamping, turns});
        const RowLosses losses = rounding.Improve(form.w, form.rows);
        const double loss = form.Loss(h);
        EXPECT_NEAR(losses.result, loss, 1e-3 * loss);
        EXPECT_LT(loss, start);
        EXPECT_LE(loss, before * (turns == 1 ? 0.95 : 1.0));
        before = loss;
        for (const float scale : form.scales) {
          EXPECT_EQ(scale, qat::RoundScale(type, scale));
        }
        for (size_t e = 1; e < form.tables.size(); ++e) {
          if (e % kTwoBits.size() == 0) continue;
          EXPECT_LE(form.tables[e - 1], form.tables[e]);
        }
        const bool same_tables =
            std::equal(kTwoBits.begin(), kTwoBits.end(), form.tables.begin());
        EXPECT_EQ(same_tables, !per_row || turns == 0);
      }
    }
  }
}

// No index alone can be better.
TEST(MomentRoundingTest, IndicesSettle) {
  const std::vector<float> moments = CorrelatedMoments();
  const std::vector<double> h = Damped(moments);
  Form form(kTwoBits, false, qat::ScaleType::kFloat);
  MomentRounding(moments, kMomentColumns, {kDamping, 30})
      .Improve(form.w, form.rows);
  size_t better = 0;
  for (size_t i = 0; i < kMomentRows * kMomentColumns; ++i) {
    const size_t row = i / kMomentColumns;
    const double loss = form.RowLoss(h, row);
    const uint8_t kept = form.indices[i];
    for (uint8_t e = 0; e < 4; ++e) {
      form.indices[i] = e;
      if (form.RowLoss(h, row) < loss * (1 - 1e-4)) ++better;
    }
    form.indices[i] = kept;
  }
  // A row may end in the middle of a turn.
  EXPECT_LE(better, form.indices.size() / 200);
}

TEST(MomentRoundingTest, NothingIsKnownOfInputsThatAreZero) {
  Form form(kTwoBits, false, qat::ScaleType::kFloat);
  const Form before = form;
  const MomentRounding rounding(
      std::vector<float>(kMomentColumns * kMomentColumns), kMomentColumns, {});
  rounding.Improve(form.w, form.rows);
  EXPECT_EQ(form.indices, before.indices);
  EXPECT_EQ(form.scales, before.scales);
}

// Some inputs are always 0, and two are the same.
TEST(MomentRoundingTest, SingularMoments) {
  std::vector<float> moments = CorrelatedMoments();
  for (size_t i = 0; i < kMomentColumns; ++i) {
    moments[3 * kMomentColumns + i] = moments[i * kMomentColumns + 3] = 0;
    moments[8 * kMomentColumns + i] = moments[9 * kMomentColumns + i];
  }
  for (size_t i = 0; i < kMomentColumns; ++i) {
    moments[i * kMomentColumns + 8] = moments[i * kMomentColumns + 9];
  }
  Form form(kTwoBits, true, qat::ScaleType::kFloat);
  const MomentRounding rounding(moments, kMomentColumns, {0.0, 3});
  const RowLosses losses = rounding.Improve(form.w, form.rows);
  EXPECT_LT(losses.result, losses.start);
  for (const float scale : form.scales) EXPECT_TRUE(std::isfinite(scale));
}

}  // namespace
}  // namespace lutra::packer
