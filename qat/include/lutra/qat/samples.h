#ifndef LUTRA_QAT_SAMPLES_H_
#define LUTRA_QAT_SAMPLES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/training_program.h"

namespace lutra::qat {

// Rows to learn from: what a graph with one input takes, and a target for each
// row of its output.
struct SampleBatch {
  std::vector<TrainingSequence> sequences;
  // [rows, shape of the input], one of the two.
  std::vector<float> floats;
  std::vector<int32_t> ids;
  std::vector<int32_t> targets;  // [rows]

  const void* Input() const {
    return ids.empty() ? static_cast<const void*>(floats.data()) : ids.data();
  }
  void Clear() {
    sequences.clear();
    floats.clear();
    ids.clear();
    targets.clear();
  }
};

// Samples to train on or to be judged by: images with labels, windows of texts.
// Immutable; may be used by several threads.
class Samples {
 public:
  virtual ~Samples() = default;

  // Samples of an epoch.
  virtual size_t Count() const = 0;
  // Rows of the longest sample.
  virtual size_t RowsOfSample() const = 0;
  // What a row is called: "image", "token".
  virtual std::string RowName() const = 0;
  // Throws lutra::Error unless the graph's input takes the samples, and its
  // output tells enough classes apart.
  virtual void CheckGraph(const Graph& graph, size_t classes) const = 0;
  // Appends samples, each below Count(). What they are may depend on the epoch,
  // from 0, which stands for all that judging looks at.
  virtual void Load(Span<const uint32_t> samples, uint64_t epoch,
                    SampleBatch& batch) const = 0;
  // Tells other data apart.
  virtual uint32_t Checksum() const = 0;
};

// Some of the samples of others, which must outlive this.
class SampleSubset : public Samples {
 public:
  SampleSubset(const Samples& all, std::vector<uint32_t> which)
      : all_(all), which_(std::move(which)) {}

  size_t Count() const override { return which_.size(); }
  size_t RowsOfSample() const override { return all_.RowsOfSample(); }
  std::string RowName() const override { return all_.RowName(); }
  void CheckGraph(const Graph& graph, size_t classes) const override {
    all_.CheckGraph(graph, classes);
  }
  void Load(Span<const uint32_t> samples, uint64_t epoch,
            SampleBatch& batch) const override;
  uint32_t Checksum() const override;

 private:
  const Samples& all_;
  std::vector<uint32_t> which_;
};

// Numbers below `count` in two parts, drawn by the seed: the first has `share`
// of them, rounded, each in ascending order.
struct SampleSplit {
  std::vector<uint32_t> held_out;
  std::vector<uint32_t> rest;
};
// Throws lutra::Error if one of the parts is empty.
SampleSplit SplitSamples(size_t count, double share, uint64_t seed);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SAMPLES_H_
