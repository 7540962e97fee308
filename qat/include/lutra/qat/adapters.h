#ifndef LUTRA_QAT_ADAPTERS_H_
#define LUTRA_QAT_ADAPTERS_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/name_pattern.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/runtime/adapter.h"

// Low-rank adapters of models that are trained: see lutra/runtime/adapter.h.
// They alone are trained.

namespace lutra::qat {

struct AdapterOptions {
  size_t rank = 16;
  double factor = 2;  // often called alpha / rank
  uint64_t seed = 1;  // of A; B begins with zeros
  // Linear nodes by the name of their weight; empty: all but the one that gives
  // the graph's outputs.
  std::vector<NamePattern> targets = {};
};

// Adds adapters to a model, A uniform in +-1/sqrt(K), the same for a seed on
// every machine. Throws lutra::Error, and changes nothing, if nothing matches,
// if a rank is not below N and K, or for a node that has one already.
std::vector<Adapter> AddAdapters(const AdapterOptions& options,
                                 TrainableModel& model);

// The tensors of a model that are not of its adapters, which training leaves
// alone.
std::set<std::string, std::less<>> AllButAdapters(const TrainableModel& model);

// Adds factor * B A to each W, and removes the adapters. Throws lutra::Error,
// and changes nothing, for a model without, and where W is packed: what comes
// out would lie on no grid.
void MergeAdapters(TrainableModel& model, Executor* executor);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_ADAPTERS_H_
