#include <algorithm>
#include <cmath>

#include "tests/golden_replay/parq/cases.h"
#include "tests/golden_replay/parq/upstream.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

// How [rows, columns] is cut into values that share a grid.
GridView ViewOf(const json& granularity, const float* p, size_t rows,
                size_t columns) {
  if (granularity == "tensor") return {p, rows, columns, false};
  if (granularity == "channel") return {p, rows, columns, true};
  const auto block = granularity.get<size_t>();
  if (block == 0 || (rows * columns) % block != 0) {
    throw Error("the block size does not divide the input");
  }
  return {p, rows * columns / block, block, true};
}

double SquaredError(std::span<const float> p, std::span<const float> q) {
  double sum = 0.0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double e = static_cast<double>(p[i]) - static_cast<double>(q[i]);
    sum += e * e;
  }
  return sum;
}

// The optimal quantizers compare candidates by norms whose summation order is
// not defined: where two are almost equally good, either is right.
bool IsEquallyGood(std::span<const float> p, std::span<const float> q,
                   std::span<const float> expected) {
  constexpr double kTolerance = 1e-6;
  const double best = SquaredError(p, expected);
  return std::fabs(SquaredError(p, q) - best) <= kTolerance * best;
}

}  // namespace

void ReplayQuantizer(const golden::GoldenFile& file, const json& c,
                     golden::Comparison& comparison) {
  const auto inputs =
      golden::GoldenFile::Open(std::filesystem::path(file.file().path())
                                   .replace_filename("inputs.safetensors"));
  const auto input = c.at("input").get<std::string>();
  const auto prefix = c.at("prefix").get<std::string>();
  const int bits = c.at("bits").get<int>();
  const json kwargs = c.value("kwargs", json::object());
  const auto quantizer =
      MakeUpstreamQuantizer(c.at("class").get<std::string>(), kwargs);
  const bool optimal = kwargs.value("optimal", false);
  const std::vector<float> p = inputs.Load<float>(input);
  const size_t stack = inputs.Dimension(input, 0);
  const size_t rows = inputs.Dimension(input, 1);
  const size_t columns = inputs.Dimension(input, 2);
  const std::vector<float> q = file.Load<float>(prefix + "/q");
  const std::vector<float> grid = file.Load<float>(prefix + "/Q");
  const std::vector<uint8_t> ok = file.Load<uint8_t>(prefix + "/ok");
  if (q.size() != p.size() || ok.size() != stack || stack == 0) {
    throw Error("the recorded tensors do not fit the input");
  }
  const size_t size = rows * columns;
  const size_t levels = quantizer->GridSize(bits);
  for (size_t s = 0; s < stack; ++s) {
    if (ok[s] == 0) {
      comparison.Note("upstream raised an error for some input");
      continue;
    }
    const std::span<const float> values(&p[s * size], size);
    const GridView view =
        ViewOf(c.at("granularity"), values.data(), rows, columns);
    const size_t grid_size = view.GridCount() * levels;
    if (grid.size() != stack * grid_size) {
      throw Error("grids of another length are recorded");
    }
    std::vector<float> got_q(size);
    std::vector<float> got_grid(grid_size);
    quantizer->Quantize(view, bits, got_q.data(), got_grid.data());
    const std::span<const float> expected_q(&q[s * size], size);
    const std::span<const float> expected(&grid[s * grid_size], grid_size);
    const std::string at = " of input " + std::to_string(s);
    if (optimal && !std::ranges::equal(got_q, expected_q) &&
        IsEquallyGood(values, got_q, expected_q)) {
      comparison.Note("another optimum of equal error");
      comparison.Exact("q" + at, expected_q, expected_q);
      continue;
    }
    comparison.Exact("q" + at, got_q, expected_q);
    comparison.Exact("Q" + at, got_grid, expected);
  }
}

}  // namespace lutra::qat
