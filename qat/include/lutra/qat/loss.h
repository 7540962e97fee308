#ifndef LUTRA_QAT_LOSS_H_
#define LUTRA_QAT_LOSS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lutra/kernels/executor.h"
#include "lutra/kernels/span.h"

// What training makes small. Losses are means over rows; the caller says by
// `scale` what a row counts, 1 / rows as a rule, so that a batch can come in
// parts whose gradients add up. Results have the same bits for any number of
// threads.

namespace lutra::qat {

// Of classes 0 ... C-1, with logits x and target t:
//   (1 - distillation) * CE(x, t)
//       + distillation * T^2 * KL(softmax(teacher / T) || softmax(x / T))
//   CE(x, t) = (1 - a) * -log softmax(x)[t]
//              + a * mean over c of -log softmax(x)[c]
// with label smoothing a (Szegedy et al., 2016) and, where there is a teacher,
// its logits at temperature T (Hinton et al., "Distilling the Knowledge in a
// Neural Network", 2015).
struct ClassificationOptions {
  // Rows with this target count for nothing.
  int32_t ignored_target = -100;
  double label_smoothing = 0.0;  // a, in [0, 1)
  double distillation = 0.0;     // in [0, 1]; needs a teacher unless 0
  double temperature = 1.0;      // T, above 0
};

struct ClassificationLoss {
  double loss = 0.0;   // the sum over the rows that count
  size_t rows = 0;     // that count
  size_t correct = 0;  // whose largest logit is that of the target

  void Add(const ClassificationLoss& other) {
    loss += other.loss;
    rows += other.rows;
    correct += other.correct;
  }
};

// Rows that count.
size_t CountTargets(Span<const int32_t> targets,
                    const ClassificationOptions& options);

// Throws lutra::Error for options out of range and for targets that are neither
// ignored nor in [0, classes).
void CheckTargets(Span<const int32_t> targets, size_t classes,
                  const ClassificationOptions& options);

// Logits [m, classes] against targets [m], which CheckTargets accepts. Where
// `gradient` is given ([m, classes]) it receives scale * the gradient of the
// sum; 0 in rows that count for nothing. It may be the logits themselves if
// options.distillation is 0; else `teacher`, [m, classes], is read.
ClassificationLoss SoftmaxCrossEntropy(Span<const float> logits,
                                       Span<const int32_t> targets,
                                       const ClassificationOptions& options,
                                       float scale = 1.0f,
                                       Span<float> gradient = {},
                                       Span<const float> teacher = {},
                                       Executor* executor = nullptr);

// logits = x * weight^T + bias.
struct LinearLayer {
  const float* x = nullptr;  // [m, width]
  size_t width = 0;
  const float* weight = nullptr;  // [classes, width]
  const float* bias = nullptr;    // [classes], or nullptr
};

// nullptr: not wanted. That of x is replaced, the others are added to.
struct LinearGradients {
  float* x = nullptr;
  float* weight = nullptr;
  float* bias = nullptr;
};

// Where the logits of a teacher come from.
class TeacherLogits {
 public:
  virtual ~TeacherLogits() = default;
  // Writes those of rows row ... row + m - 1 of a batch to [m, classes].
  virtual void Write(size_t row, size_t m, float* logits) const = 0;
};

// Those of a linear layer, whose arrays must outlive this.
class LayerLogits : public TeacherLogits {
 public:
  LayerLogits(const LinearLayer& layer, size_t classes, Executor* executor)
      : layer_(layer), classes_(classes), executor_(executor) {}
  void Write(size_t row, size_t m, float* logits) const override;

 private:
  LinearLayer layer_;
  size_t classes_;
  Executor* executor_;
};

// A linear layer and its classification loss in one, for vocabularies: logits
// are made for some rows at a time, and no matrix [m, classes] is held. Not
// thread-safe.
class LinearCrossEntropy {
 public:
  // Runs on `executor`, which must outlive this (nullptr: the calling thread).
  // Throws lutra::Error.
  LinearCrossEntropy(size_t classes, const ClassificationOptions& options,
                     Executor* executor);
  ~LinearCrossEntropy();
  LinearCrossEntropy(LinearCrossEntropy&&) noexcept;
  LinearCrossEntropy& operator=(LinearCrossEntropy&&) noexcept;

  // Memory of the logits that are held.
  size_t ByteCount() const;

  // As SoftmaxCrossEntropy. `teacher` is needed if options.distillation is not
  // 0. Allocates nothing but what a thread's first products need.
  ClassificationLoss Run(const LinearLayer& layer, Span<const int32_t> targets,
                         float scale, const LinearGradients& gradients,
                         const TeacherLogits* teacher = nullptr);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The sum of (x - target)^2. Gradients, where given, receive scale * that of
// the sum with respect to both.
double SquaredError(Span<const float> x, Span<const float> target,
                    float scale = 1.0f, Span<float> x_gradient = {},
                    Span<float> target_gradient = {});

}  // namespace lutra::qat

#endif  // LUTRA_QAT_LOSS_H_
