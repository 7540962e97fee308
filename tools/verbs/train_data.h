#ifndef LUTRA_TOOLS_VERBS_TRAIN_DATA_H_
#define LUTRA_TOOLS_VERBS_TRAIN_DATA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/qat/dataset.h"
#include "lutra/qat/samples.h"
#include "tools/cli/command_line.h"
#include "tools/cli/options.h"

namespace lutra::tools {

// How texts become samples.
struct TextDataOptions {
  size_t length = 256;  // tokens of a window
  std::string separator = "<|endoftext|>";
  uint64_t seed = 1;
  std::string cache = {};  // file that keeps the ids; "": none
};

// Whether a model file is trained on texts: it takes ids.
bool TakesText(const std::string& model);

// Windows of a text file or a folder of them, by the model's tokenizer. Throws
// lutra::Error.
std::unique_ptr<qat::Samples> LoadTextSamples(const std::string& model,
                                              const std::string& path,
                                              const TextDataOptions& options);

// Float inputs with a label each, from a folder: idx files, NumPy's arrays, one
// file of signed bytes for each sample, or windows of recordings.
struct LabelledDataOptions {
  double scale = 1;  // of bytes
  int zero_point = 0;
  bool is_unsigned = false;  // bytes
  double held_out = 0;       // share that is not trained on
  uint64_t seed = 1;
  // Those of AddByteOptions, which other folders refuse.
  std::vector<NamedOption> of_bytes = {};
};

// --scale, --zero-point, --unsigned.
void AddByteOptions(Verb& verb, LabelledDataOptions& options);

struct LabelledData {
  std::unique_ptr<qat::LabelledImages> all;
  // The former refers to `all` where some of it is held out.
  std::unique_ptr<qat::Samples> train;
  std::unique_ptr<qat::Samples> test;  // what is held out, or nullptr
};

// What is trained on, or calibrated with. Throws lutra::Error.
LabelledData LoadLabelledData(const std::string& path,
                              const LabelledDataOptions& options);
// All that judges: the test images of idx files and NumPy's arrays, or all of a
// folder. Throws lutra::Error.
std::unique_ptr<qat::LabelledImages> LoadTestData(
    const std::string& path, const LabelledDataOptions& options);

// Of verbs that run a model over data of either kind.
struct DataOptions {
  TextDataOptions text{.length = 512};
  LabelledDataOptions labelled;
  size_t samples = 0;  // the most, spread evenly; 0: the verb's own default
};

// --samples (0, shown as `otherwise`), --length, --separator, and those of
// AddByteOptions.
void AddDataOptions(Verb& verb, DataOptions& options, const char* otherwise);

struct ModelData {
  std::unique_ptr<qat::Samples> windows;  // of a text or of sequences, or
  LabelledData labelled;
  bool is_text = false;

  bool IsText() const { return is_text; }
  const qat::Samples& All() const {
    return windows != nullptr ? *windows : *labelled.train;
  }
};
// What the model takes. Throws lutra::Error.
ModelData LoadModelData(const std::string& model, const std::string& path,
                        const DataOptions& options);

// What says enough of a model's layers where --samples does not say how much.
inline constexpr const char* kEnoughSamples =
    "64 windows of a text, all of other samples";
size_t EnoughSamples(const ModelData& data, const DataOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_DATA_H_
