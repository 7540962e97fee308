#ifndef LUTRA_TESTS_GOLDEN_REPLAY_KIND_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_KIND_H_

#include <filesystem>
#include <span>

#include "tests/golden_replay/sink.h"

// The kinds of golden folders. A new one is a file that defines a Kind, and its
// line in kinds.cc. tests/data has small folders of some.

namespace lutra::golden {

struct Kind {
  const char* name;
  // Whether a folder is of this kind: by what its files hold, since names,
  // sizes and numbers of cases differ from set to set. The first kind that
  // accepts a folder gets it. What is thrown fails the folder.
  bool (*recognise)(const std::filesystem::path& folder);
  // Replays all cases of such a folder. A case or file that cannot be replayed
  // is a failed one. What is thrown fails the folder.
  void (*replay)(const std::filesystem::path& folder, Sink& sink);
  // Whether subfolders of such a folder are golden folders too.
  bool nests = false;
};

// Numerics of the original PARQ and torchao code: safetensors files whose
// metadata lists the cases (shared/golden/parq/README.md).
extern const Kind kParq;
// Hugging Face folders with the logits, ids and texts that transformers gives
// (shared/golden/hf/README.md).
extern const Kind kHuggingFace;
// Quantized checkpoints of other libraries with hashes of the values of their
// weights (shared/golden/checkpoints/README.md), and with what the models say
// but where the hashes' metadata has weights_only.
extern const Kind kCheckpoints;
// Folders of many architectures with the logits and greedy ids that
// transformers gives, or the vectors of encoders
// (shared/golden/arch/README.md).
extern const Kind kArchitecture;
// Float weights on hidden grids, with the groups that are on them
// (shared/golden/lattice/README.md).
extern const Kind kLattice;
// Tokenizers with the ids and texts that the tokenizers library gives
// (shared/golden/tokenizers/README.md).
extern const Kind kTokenizers;
// Results and gradients of operators and losses, runs of optimizers and of
// training (shared/golden/train/README.md).
extern const Kind kTraining;

// Chat templates with the texts that transformers makes of conversations, and
// hostile ones (shared/golden/chat/README.md).
extern const Kind kChat;

// Graphs of ONNX with inputs and outputs, and malformed ones
// (shared/golden/onnx/README.md).
extern const Kind kOnnx;
extern const Kind kMalformedOnnx;

// Files of TensorFlow Lite with inputs and what its interpreter gives
// (shared/golden/tflite/README.md).
extern const Kind kTflite;

// All of them.
std::span<const Kind* const> Kinds();

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_KIND_H_
