#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "lutra/qat/fake_quant.h"
#include "lutra/qat/range_observer.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "tests/qat/random_values.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

constexpr size_t kRangeRows = 8;
constexpr size_t kRangeColumns = 512;

ObserverOptions Options(RangeMethod method, int bits = 8) {
  ObserverOptions options;
  options.method = method;
  options.scheme.bounds = SignedBounds(bits);
  return options;
}

double SquaredError(const std::vector<float>& x,
                    const AffineParameters& parameters,
                    const AffineScheme& scheme) {
  const AffineCode code(parameters, scheme);
  double sum = 0.0;
  for (const float value : x) {
    const double e = static_cast<double>(value) -
                     static_cast<double>(code.FakeQuantize(value));
    sum += e * e;
  }
  return sum;
}

TEST(RangeObserverTest, MinMaxIsWhatFakeQuantizationTakes) {
  const auto x = RandomValues(kRangeRows * kRangeColumns, 1);
  for (const int64_t group_size : {kWholeTensor, int64_t{0}, int64_t{64}}) {
    ObserverOptions options = Options(RangeMethod::kMinMax);
    options.group_size = group_size;
    RangeObserver observer(options);
    observer.Observe(x.data(), kRangeRows, kRangeColumns);
    FakeQuantOptions fake;
    fake.group_size = group_size;
    FakeQuantizer quantizer(fake);
    std::vector<float> y(x.size());
    quantizer.Forward(x.data(), kRangeRows, kRangeColumns, y.data());
    ASSERT_EQ(observer.groups(), quantizer.scales().size());
    for (size_t i = 0; i < observer.groups(); ++i) {
      EXPECT_EQ(observer.Parameters(i).scale, quantizer.scales()[i]);
    }
  }
}

TEST(RangeObserverTest, BatchesGrowTheRange) {
  RangeObserver observer(Options(RangeMethod::kMinMax));
  const float small[] = {1.0f, -1.0f};
  const float large[] = {3.0f, 0.0f};
  observer.Observe(small, 1, 2);
  observer.Observe(large, 1, 2);
  EXPECT_EQ(observer.Parameters(0).scale, 3.0f / 127.5f);
}

TEST(RangeObserverTest, PercentileIgnoresOutliers) {
  auto x = RandomValues(kRangeRows * kRangeColumns, 2);
  x[77] = 1000.0f;
  ObserverOptions options = Options(RangeMethod::kPercentile);
  options.percentile = 99.9;
  RangeObserver percentile(options);
  // The outlier comes in a later batch, so that the histogram must widen.
  percentile.Observe(x.data() + 512, kRangeRows - 1, kRangeColumns);
  percentile.Observe(x.data(), 1, kRangeColumns);
  const float range = percentile.Parameters(0).scale * 127.5f;
  EXPECT_GT(range, 2.5f);
  EXPECT_LT(range, 7.0f);
}

TEST(RangeObserverTest, AllPercentIsTheRange) {
  const auto x = RandomValues(kRangeRows * kRangeColumns, 3);
  ObserverOptions options = Options(RangeMethod::kPercentile);
  options.percentile = 100.0;
  RangeObserver all(options);
  RangeObserver range(Options(RangeMethod::kMinMax));
  all.Observe(x.data(), kRangeRows, kRangeColumns);
  range.Observe(x.data(), kRangeRows, kRangeColumns);
  EXPECT_NEAR(all.Parameters(0).scale, range.Parameters(0).scale,
              0.01f * range.Parameters(0).scale);
}

TEST(RangeObserverTest, MseHasTheSmallerError) {
  const auto x = RandomValues(kRangeRows * kRangeColumns, 4);
  for (const int bits : {2, 3, 4}) {
    const ObserverOptions options = Options(RangeMethod::kMse, bits);
    RangeObserver mse(options);
    RangeObserver range(Options(RangeMethod::kMinMax, bits));
    mse.Observe(x.data(), kRangeRows, kRangeColumns);
    range.Observe(x.data(), kRangeRows, kRangeColumns);
    EXPECT_LT(SquaredError(x, mse.Parameters(0), options.scheme),
              0.9 * SquaredError(x, range.Parameters(0), options.scheme));
  }
}

TEST(RangeObserverTest, RefusesWhatItCannotUse) {
  ObserverOptions options = Options(RangeMethod::kPercentile);
  options.percentile = 0.0;
  EXPECT_THROW(RangeObserver{options}, Error);
  options = Options(RangeMethod::kMse);
  options.group_size = -2;
  EXPECT_THROW(RangeObserver{options}, Error);
  options.group_size = 0;
  options.scheme.bounds = {3, 3};
  EXPECT_THROW(RangeObserver{options}, Error);

  RangeObserver observer(Options(RangeMethod::kMinMax));
  EXPECT_THROW(observer.Parameters(0), Error);
  const float bad[] = {1.0f, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_THROW(observer.Observe(bad, 1, 2), Error);

  options = Options(RangeMethod::kMse);
  options.group_size = 0;
  RangeObserver rows(options);
  const float values[4] = {1.0f, 2.0f, 3.0f, 4.0f};
  rows.Observe(values, 2, 2);
  EXPECT_THROW(rows.Observe(values, 4, 1), Error);
}

TEST(RangeStatisticsTest, AddsAndMerges) {
  const float a[] = {1.0f, -3.0f};
  const float b[] = {5.0f};
  RangeStatistics first;
  first.Add("x", a, 2);
  RangeStatistics second;
  second.Add("x", b, 1);
  second.Add("y", b, 1);
  first.Merge(second);
  EXPECT_EQ(first.entries().at("x"),
            (RangeStatistics::Entry{2, 8.0, -3.0, 6.0}));
  EXPECT_EQ(first.entries().at("y"),
            (RangeStatistics::Entry{1, 5.0, 0.0, 5.0}));
  const AffineScheme scheme{AffineMapping::kSymmetric, SignedBounds(8)};
  EXPECT_EQ(first.Parameters("x", scheme).scale, 4.0f / 127.5f);
  EXPECT_EQ(first.Range("x", true), std::pair(-4.0f, 4.0f));
  EXPECT_EQ(first.Range("x", false), std::pair(-1.5f, 3.0f));
  EXPECT_THROW(first.Parameters("z", scheme), Error);
}

TEST(RangeStatisticsTest, SavedAndLoadedTheyAreTheSame) {
  const TempDir temp;
  const auto path = temp / "ranges.safetensors";
  RangeStatistics statistics;
  for (uint32_t i = 0; i < 5; ++i) {
    const auto x = RandomValues(64, i);
    statistics.Add("layer." + std::to_string(i % 2), x.data(), x.size());
  }
  statistics.Save(path);
  EXPECT_EQ(RangeStatistics::Load(path).entries(), statistics.entries());
}

TEST(RangeStatisticsTest, DamagedFilesAreRefused) {
  const TempDir temp;
  const auto path = temp / "ranges.safetensors";
  const auto write = [&](const std::string& version, DType dtype,
                         std::vector<double> values) {
    SafetensorsWriter writer(
        path, {{"lutra.range_statistics", version}},
        {{"x",
          dtype,
          {static_cast<int64_t>(values.size() * 8 / ByteSize(dtype))}}});
    writer.Write("x", std::as_bytes(std::span(values)));
    writer.Commit();
  };
  write("2", DType::kFloat64, {2.0, 8.0, -3.0, 8.0});
  EXPECT_NO_THROW(RangeStatistics::Load(path));
  write("1", DType::kFloat64, {2.0, 8.0, -3.0, 8.0});
  EXPECT_THROW(RangeStatistics::Load(path), Error);
  write("2", DType::kInt64, {2.0, 8.0, -3.0, 8.0});
  EXPECT_THROW(RangeStatistics::Load(path), Error);
  const double nan = std::nan("");
  const std::vector<double> bad[] = {{2.0, 8.0},
                                     {2.5, 8.0, -3.0, 8.0},
                                     {-2.0, 8.0, -3.0, 8.0},
                                     {2.0, -8.0, 0.0, 0.0},
                                     {2.0, 8.0, 3.0, 8.0},
                                     {2.0, 8.0, -3.0, -8.0},
                                     {2.0, nan, -3.0, 8.0},
                                     {2.0, 8.0, nan, 8.0},
                                     {2.0, 8.0, -3.0, nan}};
  for (const std::vector<double>& values : bad) {
    write("2", DType::kFloat64, values);
    EXPECT_THROW(RangeStatistics::Load(path), Error);
  }
  EXPECT_THROW(RangeStatistics::Load(temp / "none.safetensors"), Error);
}

}  // namespace
}  // namespace lutra::qat
