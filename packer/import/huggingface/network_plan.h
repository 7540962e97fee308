#ifndef LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_PLAN_H_
#define LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_PLAN_H_

#include <cstdint>
#include <optional>

#include "packer/architectures/encoder.h"
#include "packer/import/checkpoint.h"
#include "packer/import/import_plan.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {

// The graph of the network that `config` describes, and its tensors out of a
// checkpoint whose names are Hugging Face's. Leaves the tokenizer out; `vocab`
// gets the rows of the embedding. `head` is what an encoder has behind its
// states, if the checkpoint says so. The plan keeps files mapped. Throws Error
// for networks that are not known, and for tensors that are missing or have no
// place.
ImportPlan PlanNetwork(const ImportOptions& options, const JsonObject& config,
                       const Checkpoint& checkpoint,
                       const std::optional<EncoderHead>& head, int64_t* vocab);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_HUGGINGFACE_NETWORK_PLAN_H_
