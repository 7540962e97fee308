#ifndef LUTRA_PACKER_ASSIGN_H_
#define LUTRA_PACKER_ASSIGN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/qat/samples.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/model.h"

// Which weight gets how many bits, under a budget. Every weight is packed alone
// with each candidate scheme, and the error of the layer's outputs is measured
// (statistics.h); and once the model is run with that weight alone packed, by
// the candidate of the fewest bits, to see how far the model's probabilities go
// from those of the float model. What a candidate costs is then
//
//   cost = divergence of the trial * its error / the error of the trial
//
// and the costs of weights add up, nearly. All weights begin with the cheapest
// candidate; the step that saves most divergence per bit is taken again and
// again, until none fits the budget (which is best on the lower convex hull of
// a weight's candidates).

namespace lutra::packer {

struct AssignOptions {
  // Bits per weight of all weights that are packed, with scales, tables and
  // padding; those that stay float do not count.
  double target_bits = 0;
  // In any order.
  std::vector<qat::QuantScheme> candidates;
  // As of packing, of which errors are measured by the statistics, where there
  // are some; its samples are not looked at. Weights that a rule matches have
  // what that says, and count for the budget.
  const PackOptions* pack = nullptr;
  // What trials are run over; of them `which`.
  const qat::Samples* samples = nullptr;
  std::vector<uint32_t> which;
};

struct Assignment {
  std::string name;
  qat::QuantScheme scheme;
  bool is_fixed = false;  // by a rule
  size_t bytes = 0;
  double divergence = 0;  // of the trial; 0 of fixed ones
  double cost = 0;        // of the scheme
};

struct AssignReport {
  std::vector<Assignment> weights;  // those that are packed, in graph order
  double bits_per_weight = 0;
  double cost = 0;  // the divergence that is to be expected
};

// Samples that are enough for trials: some 2,048 rows, fewer where the outputs
// of so many, which are held, would take more than 256 MiB.
std::vector<uint32_t> SamplesOfTrials(const Model& model,
                                      const qat::Samples& samples);

// Throws Error: for a target below what the
// cheapest candidates take, and as packing does.
AssignReport AssignSchemes(const std::shared_ptr<const Model>& model,
                           const AssignOptions& options,
                           const PackProgress& progress = {});

// `rules` with one more for every weight that is not fixed.
qat::SchemeRules RulesOf(const AssignReport& report, qat::SchemeRules rules);
// The same as a specification (lutra/qat/spec.h), with all weights; what it
// does not name stays float.
std::string SpecOf(const AssignReport& report);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ASSIGN_H_
