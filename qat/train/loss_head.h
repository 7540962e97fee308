#ifndef LUTRA_QAT_TRAIN_LOSS_HEAD_H_
#define LUTRA_QAT_TRAIN_LOSS_HEAD_H_

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lutra/qat/loss.h"
#include "lutra/qat/training_program.h"
#include "qat/grad/rounded_rows.h"
#include "runtime/base/aligned_memory.h"

namespace lutra::qat {

// A graph whose one output are logits, or their softmax, which is left out, in
// two: a linear layer at its end, if there is one, and the rest. So the logits
// of a vocabulary need not all be there at once.
struct SplitGraph {
  // Throws lutra::Error for a graph with several outputs, and where parameters
  // are missing or do not fit.
  SplitGraph(const Graph& graph, const TensorMap& parameters);

  Graph body;
  bool has_layer = false;
  std::string weight;  // of the layer
  // What the layer's input is rounded to, if it is.
  std::optional<kernels::ActivationRounding> rounding;
  std::string bias;  // empty: none
  size_t classes = 0;
};

// A classification loss over the logits of a graph, with its gradients.
class LossHead {
 public:
  // The parameters must outlive this and keep their addresses. Those of
  // `frozen` have no gradient; `recompute` is that of TrainingProgramOptions.
  // Throws lutra::Error.
  LossHead(const Graph& graph, const TensorMap& parameters,
           const ClassificationOptions& options, Executor* executor,
           const std::set<std::string, std::less<>>& frozen = {},
           bool recompute = false);

  // Another model of the same classes, whose logits options.distillation
  // learns from.
  void SetTeacher(const Graph& graph, const TensorMap& parameters);

  // Logits that are known already, of the rows of the next call of Run each
  // time; `teacher` must outlive this.
  void SetTeacher(const TeacherLogits& teacher) { given_ = &teacher; }

  // Runs a batch and gives its logits, until the next call.
  const TeacherLogits& Logits(Span<const TrainingSequence> sequences,
                              const void* input);

  size_t classes() const { return student_.split.classes; }
  // Plans memory for calls of that size, and says how much it is with the
  // teacher's.
  size_t Reserve(size_t sequences, size_t longest);
  // Of all parameters that are trained.
  TensorMap& gradients() { return student_.program.gradients(); }
  void ClearGradients() { student_.program.ClearGradients(); }

  // The loss of a batch. With `scale` above 0 the gradients get scale * that of
  // the sum added.
  ClassificationLoss Run(Span<const TrainingSequence> sequences,
                         const void* input, Span<const int32_t> targets,
                         float scale);
  // Without the teacher, smoothing and gradients.
  ClassificationLoss Judge(Span<const TrainingSequence> sequences,
                           const void* input, Span<const int32_t> targets);

 private:
  struct Network {
    Network(const Graph& graph, const TensorMap& parameters,
            const std::set<std::string, std::less<>>& frozen,
            Executor* executor, bool recompute);
    // Plans memory; returns how much it is.
    size_t Reserve(size_t sequences, size_t longest);
    void ReserveRounded(size_t rows);
    // After a call of the program.
    LinearLayer Layer();

    SplitGraph split;
    const TensorMap& parameters;
    TrainingProgram program;
    Executor* threads;
    AlignedMemory memory;  // of `rounded`, for `capacity` rows
    size_t capacity = 0;
    RoundedRows rounded;  // the layer's input
  };

  // Of a network's last call.
  class NetworkLogits : public TeacherLogits {
   public:
    NetworkLogits(Network& network, Executor* executor);
    void Write(size_t row, size_t m, float* logits) const override;

   private:
    const Network& network_;
    LinearLayer layer_;
    Executor* executor_;
  };

  // nullptr for one that is frozen.
  float* Gradient(const std::string& parameter);

  ClassificationOptions options_;
  Executor* executor_;
  Network student_;
  std::unique_ptr<Network> teacher_;
  std::optional<NetworkLogits> of_teacher_;  // in the last call of Run
  const TeacherLogits* given_ = nullptr;     // in its place
  std::optional<NetworkLogits> logits_;      // of Logits
  std::vector<float> teacher_logits_;  // where no layer makes them in parts
  std::optional<LinearCrossEntropy> loss_;   // of the layer
  std::optional<LinearCrossEntropy> judge_;  // likewise, with plain options
  std::vector<float> gradient_;              // of the program's output
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_LOSS_HEAD_H_
