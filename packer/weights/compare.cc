#include "packer/weights/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "packer/weights/row_tasks.h"

namespace lutra::packer {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void CompareRow(std::span<const float> a, std::span<const float> b, size_t row,
                Differences& result) {
  for (size_t column = 0; column < a.size(); ++column) {
    const double value = a[column];
    result.signal += value * value;
    if (a[column] == b[column]) continue;
    if (std::isnan(a[column]) && std::isnan(b[column])) continue;
    double error = std::abs(value - double{b[column]});
    if (std::isnan(error)) error = kInfinity;
    result.noise += error * error;
    result.max_error = std::max(result.max_error, error);
    if (!result.first) result.first = {row, column};
  }
}

}  // namespace

double Differences::SqnrDb() const {
  return noise == 0 ? kInfinity : 10 * std::log10(signal / noise);
}

Differences Compare(const RowSource& a, const RowSource& b,
                    Executor* executor) {
  const RowTasks tasks(a.rows(), a.columns());
  // By task, so that sums do not depend on the number of threads.
  std::vector<Differences> parts(tasks.count());
  tasks.ForEach(executor, [&](size_t task) {
    std::vector<float> scratch_a;
    std::vector<float> scratch_b;
    for (size_t row = tasks.Begin(task); row < tasks.End(task); ++row) {
      CompareRow(a.Rows(row, 1, scratch_a), b.Rows(row, 1, scratch_b), row,
                 parts[task]);
    }
  });
  Differences all;
  for (const Differences& part : parts) {
    all.signal += part.signal;
    all.noise += part.noise;
    all.max_error = std::max(all.max_error, part.max_error);
    if (!all.first) all.first = part.first;
  }
  return all;
}

}  // namespace lutra::packer
