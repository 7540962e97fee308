#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/base/parallel.h"
#include "lutra/kernels/vector_ops.h"
#include "lutra/qat/loss.h"
#include "lutra/runtime/error.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

// Elements whose exponentials are computed at a time where they are not kept.
constexpr size_t kPart = 512;
// Rows of a piece of work, and pieces whose losses are held until all are done:
// they are added in the order of the rows.
constexpr size_t kRowTile = 8;

// Calls body(first, n, exp(x[first] * factor - most)) for parts of x.
template <typename Body>
void ForEachExp(const float* x, size_t n, float factor, float most,
                const Body& body) {
  float e[kPart] = {};
  for (size_t first = 0; first < n; first += kPart) {
    const size_t count = std::min(kPart, n - first);
    for (size_t i = 0; i < count; ++i) e[i] = x[first + i] * factor - most;
    kernels::Apply(kernels::Function::kExp, e, count, e);
    body(first, count, e);
  }
}

// softmax(x * factor)[i] = exp(x[i] * factor - most) / sum.
struct Softmax {
  float factor = 1;
  float most = 0;
  double sum = 0;

  double Log(float x) const {
    return static_cast<double>(x * factor) - most - std::log(sum);
  }
  float Inverse() const { return static_cast<float>(1.0 / sum); }
};

// Keeps the exponentials where `kept` (may be x) is given.
Softmax SoftmaxOf(const float* x, size_t n, float factor, float* kept) {
  Softmax softmax{.factor = factor};
  softmax.most = *std::max_element(x, x + n) * factor;
  ForEachExp(x, n, factor, softmax.most,
             [&](size_t first, size_t count, const float* e) {
               softmax.sum += Sum(count, [e](size_t i) { return e[i]; });
               if (kept != nullptr) std::copy_n(e, count, kept + first);
             });
  return softmax;
}

// The loss of rows of n logits.
class RowLoss {
 public:
  RowLoss(const ClassificationOptions& options, size_t n, float scale)
      : options_(options), n_(n), scale_(scale) {}

  // gradient: nullptr, or where it goes.
  double Run(const float* x, const float* teacher, size_t target,
             float* gradient) const {
    const double soft = options_.distillation;
    double loss = 0.0;
    if (soft < 1.0) {
      loss += (1.0 - soft) * Hard(x, target, gradient);
    } else if (gradient != nullptr) {
      std::fill(gradient, gradient + n_, 0.0f);
    }
    if (soft > 0.0) loss += soft * Soft(x, teacher, gradient);
    return loss;
  }

 private:
  double Hard(const float* x, size_t target, float* gradient) const {
    const double a = options_.label_smoothing;
    const float logit = x[target];
    double mean = 0.0;
    if (a != 0.0) {
      for (size_t i = 0; i < n_; ++i) mean += x[i];
      mean /= static_cast<double>(n_);
    }
    const Softmax softmax = SoftmaxOf(x, n_, 1.0f, gradient);
    if (gradient != nullptr) {
      const double share = scale_ * (1.0 - options_.distillation);
      const auto factor = static_cast<float>(share / softmax.sum);
      const auto others =
          static_cast<float>(share * a / static_cast<double>(n_));
      for (size_t i = 0; i < n_; ++i)
        gradient[i] = gradient[i] * factor - others;
      gradient[target] -= static_cast<float>(share * (1.0 - a));
    }
    double loss = -(1.0 - a) * softmax.Log(logit);
    if (a != 0.0) {
      loss -= a * (mean - softmax.most - std::log(softmax.sum));
    }
    return loss;
  }

  // T^2 * KL; adds to the gradient.
  double Soft(const float* x, const float* teacher, float* gradient) const {
    const double t = options_.temperature;
    const auto factor = static_cast<float>(1.0 / t);
    const Softmax q = SoftmaxOf(x, n_, factor, nullptr);
    const Softmax p = SoftmaxOf(teacher, n_, factor, nullptr);
    double divergence = 0.0;
    const auto share = static_cast<float>(scale_ * options_.distillation * t);
    ForEachExp(teacher, n_, factor, p.most,
               [&](size_t first, size_t count, const float* e) {
                 for (size_t i = 0; i < count; ++i) {
                   if (e[i] == 0.0f) continue;
                   const size_t c = first + i;
                   const double probability = e[i] / p.sum;
                   divergence +=
                       probability * (p.Log(teacher[c]) - q.Log(x[c]));
                   if (gradient != nullptr) {
                     gradient[c] -= share * static_cast<float>(probability);
                   }
                 }
               });
    if (gradient != nullptr) {
      const float inverse = share * q.Inverse();
      ForEachExp(x, n_, factor, q.most,
                 [&](size_t first, size_t count, const float* e) {
                   for (size_t i = 0; i < count; ++i) {
                     gradient[first + i] += inverse * e[i];
                   }
                 });
    }
    return t * t * divergence;
  }

  const ClassificationOptions& options_;
  size_t n_;
  float scale_;
};

}  // namespace

size_t CountTargets(Span<const int32_t> targets,
                    const ClassificationOptions& options) {
  return static_cast<size_t>(std::count_if(
      targets.begin(), targets.end(),
      [&](int32_t target) { return target != options.ignored_target; }));
}

void CheckTargets(Span<const int32_t> targets, size_t classes,
                  const ClassificationOptions& options) {
  if (!(options.label_smoothing >= 0.0 && options.label_smoothing < 1.0)) {
    throw Error("label smoothing must be in [0, 1)");
  }
  if (!(options.distillation >= 0.0 && options.distillation <= 1.0)) {
    throw Error("the share of distillation must be in [0, 1]");
  }
  if (!(options.temperature > 0.0 && std::isfinite(options.temperature))) {
    throw Error("the temperature must be above 0");
  }
  for (const int32_t target : targets) {
    if (target == options.ignored_target) continue;
    if (target < 0 || static_cast<size_t>(target) >= classes) {
      throw Error("target " + std::to_string(target) + " is outside [0, " +
                  std::to_string(classes) + ")");
    }
  }
}

ClassificationLoss SoftmaxCrossEntropy(Span<const float> logits,
                                       Span<const int32_t> targets,
                                       const ClassificationOptions& options,
                                       float scale, Span<float> gradient,
                                       Span<const float> teacher,
                                       Executor* executor) {
  ClassificationLoss result;
  if (targets.empty()) return result;
  const size_t n = logits.size() / targets.size();
  const RowLoss row_loss(options, n, scale);
  // Losses of a block of rows wait here, to be added in order.
  constexpr size_t kBlock = 64;
  double losses[kBlock] = {};
  bool correct[kBlock] = {};
  for (size_t begin = 0; begin < targets.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, targets.size() - begin);
    ParallelFor(executor, count, kRowTile, [&](size_t first, size_t end) {
      for (size_t i = first; i < end; ++i) {
        const size_t row = begin + i;
        float* dx = gradient.empty() ? nullptr : gradient.data() + row * n;
        losses[i] = 0.0;
        correct[i] = false;
        if (targets[row] == options.ignored_target) {
          if (dx != nullptr) std::fill(dx, dx + n, 0.0f);
          continue;
        }
        const float* x = logits.data() + row * n;
        const auto target = static_cast<size_t>(targets[row]);
        correct[i] = std::max_element(x, x + n) == x + target;
        losses[i] = row_loss.Run(
            x, teacher.empty() ? nullptr : teacher.data() + row * n, target,
            dx);
      }
    });
    for (size_t i = 0; i < count; ++i) {
      result.loss += losses[i];
      result.correct += correct[i];
      result.rows += targets[begin + i] != options.ignored_target;
    }
  }
  return result;
}

double SquaredError(Span<const float> x, Span<const float> target, float scale,
                    Span<float> x_gradient, Span<float> target_gradient) {
  double sum = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const float difference = x[i] - target[i];
    sum += static_cast<double>(difference) * difference;
    if (!x_gradient.empty()) x_gradient[i] = 2.0f * scale * difference;
    if (!target_gradient.empty()) {
      target_gradient[i] = -2.0f * scale * difference;
    }
  }
  return sum;
}

}  // namespace lutra::qat
