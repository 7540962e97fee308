#include "qat/grids/lsbq_compat.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "lutra/runtime/error.h"
#include "qat/grids/lsbq.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

// L2 norm of e(p[i]) with squares formed in float; only compared with others.
template <typename F>
float Norm(const float* p, size_t n, const F& e) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) {
    const float x = e(p[i]);
    sum += static_cast<double>(x * x);
  }
  return static_cast<float>(std::sqrt(sum));
}

struct Pair {
  float v1;
  float v2;
};

// One grid for the whole tensor.
std::vector<Pair> TensorCandidates(const SortedMagnitudes& magnitudes,
                                   int bits) {
  const size_t n = magnitudes.size();
  const std::vector<float>& a = magnitudes.values;
  std::vector<Pair> result;
  const float half = magnitudes.total() / static_cast<float>(n) / 2.0f;
  if (half < a[0]) result.push_back({half, half});
  for (size_t i = 0; i + 1 < n; ++i) {
    const float hi = magnitudes.MeanAbove(i);
    const float lo = bits == 0 ? 0.0f : magnitudes.MeanUpTo(i);
    if (hi < lo) continue;
    const float v = (hi + lo) / 2.0f;
    if (a[i] <= v && v < a[i + 1]) {
      result.push_back({v, bits == 0 ? 0.0f : (hi - lo) / 2.0f});
    }
  }
  return result;
}

// Levels of half the size that the candidates were derived for.
float HalfSizeTernary(float p, float v) {
  if (p > v / 2.0f) return v;
  return p > -v / 2.0f ? 0.0f : -v;
}

void QuantizeTensor(const float* p, size_t n, int bits, float* q, float* grid) {
  const auto residual = [bits](const Pair& pair) {
    return [bits, pair](float x) {
      return bits == 0 ? x - HalfSizeTernary(x, pair.v1)
                       : Residual(Residual(x, pair.v1), pair.v2);
    };
  };
  const SortedMagnitudes magnitudes(p, n);
  const Pair* best = nullptr;
  float least = Norm(p, n, [](float x) { return x; });
  const std::vector<Pair> candidates = TensorCandidates(magnitudes, bits);
  for (const Pair& pair : candidates) {
    const float norm = Norm(p, n, residual(pair));
    if (norm < least) {
      least = norm;
      best = &pair;
    }
  }
  if (best == nullptr) {
    throw Error("quantizer 'lsbq-optimal' (compat): no candidate was found");
  }
  const auto rest = residual(*best);
  if (bits == 0) {
    for (size_t i = 0; i < n; ++i) q[i] = HalfSizeTernary(p[i], best->v1);
    grid[0] = -best->v1;
    grid[1] = 0.0f;
    grid[2] = best->v1;
    return;
  }
  for (size_t i = 0; i < n; ++i) q[i] = p[i] - rest(p[i]);
  grid[0] = -best->v1 - best->v2;
  grid[1] = -best->v1 + best->v2;
  grid[2] = best->v1 - best->v2;
  grid[3] = best->v1 + best->v2;
}

// One grid per row: candidates are data points.
std::vector<float> RowCandidates(const float* p, size_t n, int bits) {
  const SortedMagnitudes magnitudes(p, n);
  const std::vector<float>& a = magnitudes.values;
  const auto between = [&a](float x, size_t i) {
    return a[i] <= x && x <= a[i + 1];
  };
  std::vector<float> result;
  for (size_t i = 1; i + 1 < n; ++i) {
    const float hi = (magnitudes.total() - magnitudes.sums[i]) /
                     static_cast<float>(2 * (n - 1 - i));
    const float lo = magnitudes.sums[i] / static_cast<float>(2 * (i + 1));
    if (between(hi, i) || (bits == 2 && between(lo + hi, i))) {
      result.push_back(a[i]);
    }
  }
  if (bits == 0) {
    const float half = Mean(p, n) / 2.0f;
    if (half < MinMax(p, n).min) result.push_back(half);
  }
  return result;
}

float BestOfRow(const float* p, size_t n, const std::vector<float>& candidates,
                size_t padded_count) {
  float best = 0.0f;
  float least = 0.0f;
  for (size_t i = 0; i < padded_count; ++i) {
    // Lists are padded to the longest one of all rows with zeros, which may
    // win.
    const float v = i < candidates.size() ? candidates[i] : 0.0f;
    const float norm =
        Norm(p, n, [v](float x) { return Residual(Residual(x, v), v); });
    if (i == 0 || norm < least) {
      least = norm;
      best = v;
    }
  }
  return best;
}

void QuantizeRow(const float* p, size_t n, int bits, float v, float* q,
                 float* grid) {
  if (bits == 0) {
    for (size_t i = 0; i < n; ++i) {
      q[i] = (SignOf(p[i]) + SignOf(Residual(p[i], v))) * v;
    }
    grid[0] = -2.0f * v;
    grid[1] = 0.0f;
    grid[2] = 2.0f * v;
    return;
  }
  std::vector<float> r(n);
  for (size_t i = 0; i < n; ++i) r[i] = Residual(p[i], v);
  const float v2 = MeanOfMagnitudes(r.data(), n);
  for (size_t i = 0; i < n; ++i) {
    q[i] = SignOf(p[i]) * v + SignOf(r[i]) * v2;
  }
  grid[0] = -v - v2;
  grid[1] = -v + v2;
  grid[2] = v - v2;
  grid[3] = v + v2;
}

class CompatOptimalLsbq : public Quantizer {
 public:
  explicit CompatOptimalLsbq(const LsbqOptions& options)
      : center_(options.center),
        greedy_(MakeLsbqQuantizer(
            {false, false, options.ternary_multiplier, true})) {}

  std::string_view name() const override { return "lsbq-optimal"; }
  bool RowsAreIndependent() const override { return false; }

  size_t GridSize(int bits) const override {
    if (bits > 2) {
      throw Error("quantizer 'lsbq-optimal' supports 0 to 2 bits");
    }
    return greedy_->GridSize(bits);
  }

  void Quantize(const GridView& view, int bits, float* q,
                float* grid) const override {
    const size_t levels = GridSize(bits);
    const size_t count = view.GridCount();
    const size_t n = view.per_row ? view.columns : view.rows * view.columns;
    if (n == 0) return;
    std::vector<float> p(view.p, view.p + count * n);
    std::vector<float> means(count, 0.0f);
    if (center_) {
      for (size_t i = 0; i < count; ++i) {
        means[i] = Mean(&p[i * n], n);
        for (size_t j = 0; j < n; ++j) p[i * n + j] -= means[i];
      }
    }
    if (bits == 1) {
      greedy_->Quantize({p.data(), count, n, true}, bits, q, grid);
    } else if (view.per_row) {
      QuantizeRows(p, count, n, bits, q, grid);
    } else {
      QuantizeTensor(p.data(), n, bits, q, grid);
    }
    if (!center_) return;
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < n; ++j) q[i * n + j] += means[i];
      for (size_t j = 0; j < levels; ++j) grid[i * levels + j] += means[i];
    }
  }

 private:
  void QuantizeRows(const std::vector<float>& p, size_t rows, size_t n,
                    int bits, float* q, float* grid) const {
    std::vector<std::vector<float>> candidates;
    size_t longest = 0;
    for (size_t i = 0; i < rows; ++i) {
      candidates.push_back(RowCandidates(&p[i * n], n, bits));
      longest = std::max(longest, candidates.back().size());
    }
    if (longest == 0) {
      throw Error("quantizer 'lsbq-optimal' (compat): no candidate was found");
    }
    const size_t levels = GridSize(bits);
    for (size_t i = 0; i < rows; ++i) {
      const float v = BestOfRow(&p[i * n], n, candidates[i], longest);
      QuantizeRow(&p[i * n], n, bits, v, q + i * n, grid + i * levels);
    }
  }

  bool center_;
  std::unique_ptr<Quantizer> greedy_;
};

}  // namespace

std::unique_ptr<Quantizer> MakeCompatOptimalLsbqQuantizer(
    const LsbqOptions& options) {
  return std::make_unique<CompatOptimalLsbq>(options);
}

}  // namespace lutra::qat
