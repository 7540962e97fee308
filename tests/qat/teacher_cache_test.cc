#include "qat/train/teacher_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "tests/qat/random_values.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

constexpr size_t kTeacherClasses = 9;
constexpr size_t kTop = 3;
constexpr size_t kStepRows = 150;  // of a step; more than are held at a time

// Logits of rows that are known.
class Given : public TeacherLogits {
 public:
  explicit Given(std::vector<float> logits) : logits_(std::move(logits)) {}
  void Write(size_t row, size_t m, float* logits) const override {
    std::copy_n(logits_.data() + row * kTeacherClasses, m * kTeacherClasses,
                logits);
  }

 private:
  std::vector<float> logits_;
};

std::vector<double> Softmax(const float* x) {
  std::vector<double> p(kTeacherClasses);
  double sum = 0.0;
  for (size_t c = 0; c < kTeacherClasses; ++c) sum += p[c] = std::exp(x[c]);
  for (double& value : p) value /= sum;
  return p;
}

// The three most probable classes keep their probabilities, the others share
// the rest: of every row, wherever reading begins.
TEST(TeacherCacheTest, KeepsTheMostProbableClasses) {
  const TempDir dir;
  const auto path = dir / "t.safetensors";
  const std::vector<float> first =
      RandomValues(kStepRows * kTeacherClasses, 1, 3.0f);
  // A last step of fewer rows, in two batches.
  constexpr size_t kSplit = 70;
  std::vector<float> second = RandomValues(100 * kTeacherClasses, 2, 3.0f);
  std::fill_n(second.begin(), kTeacherClasses, 0.5f);  // all are as probable
  const TeacherCacheShape shape{2, kStepRows, kTop, kTeacherClasses};
  const std::unique_ptr<Executor> team = StartThreadTeam(3);
  TeacherCacheWriter writer(path, {{"seed", 1}}, shape, team.get());
  writer.Add(0, 0, kStepRows, Given(first));
  writer.FinishStep(0, kStepRows);
  writer.Add(1, 0, kSplit, Given(second));
  writer.Add(1, kSplit, 100 - kSplit,
             Given({second.begin() + kSplit * kTeacherClasses, second.end()}));
  writer.FinishStep(1, 100);
  writer.Commit();

  TeacherCache cache(path, {{"seed", 1}}, shape);
  const auto expect = [&](int64_t step, size_t row, size_t count,
                          const std::vector<float>& logits) {
    cache.Seek(step, row, count);
    std::vector<float> got(count * kTeacherClasses);
    cache.Write(0, count, got.data());
    for (size_t i = 0; i < count; ++i) {
      const std::vector<double> p =
          Softmax(logits.data() + (row + i) * kTeacherClasses);
      std::vector<double> sorted = p;
      std::sort(sorted.rbegin(), sorted.rend());
      const double least = sorted[kTop - 1];
      double rest = 1.0;
      for (size_t k = 0; k < kTop; ++k) rest -= sorted[k];
      size_t kept = 0;
      for (size_t c = 0; c < kTeacherClasses; ++c) {
        const bool keeps = p[c] >= least && kept < kTop;
        kept += keeps;
        EXPECT_NEAR(std::exp(got[i * kTeacherClasses + c]),
                    keeps ? p[c] : rest / (kTeacherClasses - kTop), 1e-6)
            << step << " " << row + i << " " << c;
      }
    }
  };
  expect(0, 0, kStepRows, first);
  expect(0, 40, 20, first);
  expect(1, 0, kSplit, second);
  expect(1, kSplit, 100 - kSplit, second);
}

}  // namespace
}  // namespace lutra::qat
