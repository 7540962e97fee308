#ifndef LUTRA_PACKER_CALIBRATE_STREAM_H_
#define LUTRA_PACKER_CALIBRATE_STREAM_H_

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/samples.h"
#include "lutra/runtime/model.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {

// A model run over data piece by piece: up to some values, and later on from
// there. Between the pieces it holds, for all rows, the values that nodes which
// have not run yet need, and the inputs of layers until these have had them.
// Weights may be replaced before their nodes run.
class ValueStream {
 public:
  // `which` are the samples that are run. `model` and `samples` must outlive
  // this.
  ValueStream(const Model& model, const qat::Samples& samples,
              std::vector<uint32_t> which, Executor* executor);

  // From now on the weight's bytes are those of a packed matrix, which must
  // outlive this. Its nodes must not have run.
  void Replace(const std::string& weight, Span<const std::byte> blob);

  // Runs what is left of what `targets` need. `done` is told of rows as they
  // are through. Throws Error.
  void Advance(const std::vector<std::string>& targets,
               const std::function<void(size_t rows)>& done);

  // [rows, width], of a target of the last Advance.
  const std::vector<float>& Value(const std::string& name) const;
  // One of the layers that take the value has had it.
  void Took(const std::string& name);
  size_t rows() const { return rows_; }

 private:
  Graph NextPiece(const std::vector<std::string>& targets) const;
  void LoadInputs(const std::vector<std::string>& targets);
  void DropUnneeded(const std::vector<std::string>& targets);

  const Model& model_;
  const qat::Samples& samples_;
  std::vector<uint32_t> which_;
  Executor* executor_;
  bool stateful_;
  size_t rows_ = 0;
  std::set<std::string, std::less<>> ran_;  // outputs of nodes
  std::map<std::string, std::vector<float>, std::less<>> values_;
  PackedBlobs replaced_;
  // Inputs of layers, one for each that has not had it: they are held even
  // where all that read them have run, which a target of another path can do.
  std::multiset<std::string, std::less<>> awaited_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_STREAM_H_
