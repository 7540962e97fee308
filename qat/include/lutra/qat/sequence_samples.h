#ifndef LUTRA_QAT_SEQUENCE_SAMPLES_H_
#define LUTRA_QAT_SEQUENCE_SAMPLES_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/samples.h"

namespace lutra::qat {

// Steps of sequences, as models that remember earlier ones take them: frames of
// sound, readings of a sensor. They have no labels; every target is 0.
class SequenceSamples : public Samples {
 public:
  // `rows` [steps of all sequences, row_size], of sequences of these lengths,
  // are cut into windows of `window` steps, or of as many as the shortest
  // sequence has; what is left over at the ends belongs to none. Throws
  // lutra::Error for sequences without steps.
  SequenceSamples(std::vector<float> rows, const std::vector<size_t>& lengths,
                  size_t row_size, size_t window);

  size_t Count() const override { return begins_.size(); }
  size_t RowsOfSample() const override { return window_; }
  std::string RowName() const override { return "step"; }
  void CheckGraph(const Graph& graph, size_t classes) const override;
  void Load(Span<const uint32_t> samples, uint64_t epoch,
            SampleBatch& batch) const override;
  uint32_t Checksum() const override;

 private:
  std::vector<float> rows_;
  size_t row_size_;
  size_t window_;
  std::vector<size_t> begins_;  // of windows, in rows
};

// Whether the path is a file of NumPy's, or a folder that has such files but
// none of labelled samples.
bool HasSequences(const std::filesystem::path& path);

// One array or all of a folder, by name: float32 [steps, shape...] or
// [sequences, steps, shape...], `shape` being that of the model's input. Throws
// lutra::Error.
SequenceSamples LoadSequences(const std::filesystem::path& path,
                              Span<const int64_t> shape, size_t window);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SEQUENCE_SAMPLES_H_
