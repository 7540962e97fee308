#ifndef LUTRA_PACKER_ENCODE_ROUNDINGS_H_
#define LUTRA_PACKER_ENCODE_ROUNDINGS_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/runtime/model.h"
#include "packer/assign/plan.h"
#include "packer/calibrate/sequential.h"
#include "packer/calibrate/taps.h"
#include "packer/encode/moment_rounding.h"
#include "packer/encode/weight_packer.h"

namespace lutra::packer {

// What rounds weights with data, as the options of packing say. Weights in a
// row often have the same inputs (query, key and value), so that the last one
// stays.
class Roundings {
 public:
  // All outlive this. `tick` is called often while data is run, and what it
  // throws ends that.
  Roundings(const Model& model, const PackOptions& options,
            std::function<void()> tick);

  // nullptr if nothing is known about the inputs. With data to run over,
  // weights come in the order of the graph. Throws Error.
  const MomentRounding* For(const WeightPlan& plan);
  // The weight has been packed.
  void Replace(const std::string& weight, PackedWeight packed);

 private:
  std::optional<MatrixInput> InputOf(const std::string& weight) const;
  InputMoments SumOf(const std::vector<std::string>& values) const;
  const MomentRounding* Latest(const std::vector<std::string>& values, size_t k,
                               const std::function<InputMoments()>& moments_of);

  const Model& model_;
  const PackOptions& options_;
  std::function<void()> tick_;
  std::optional<SequentialMoments> sequential_;
  std::map<std::string, PackedWeight> packed_;  // that sequential_ reads
  std::vector<std::string> values_;             // of last_
  std::unique_ptr<MomentRounding> last_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_ROUNDINGS_H_
