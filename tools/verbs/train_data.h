#ifndef LUTRA_TOOLS_VERBS_TRAIN_DATA_H_
#define LUTRA_TOOLS_VERBS_TRAIN_DATA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lutra/qat/dataset.h"
#include "lutra/qat/samples.h"
#include "tools/cli/command_line.h"

namespace lutra::tools {

// Windows of text that say enough of a model's layers.
inline constexpr size_t kDefaultWindows = 64;
inline constexpr const char* kDefaultSamples =
    "64 windows of a text, all of other samples";

// How texts become samples.
struct TextDataOptions {
  size_t length = 256;  // tokens of a window
  std::string separator = "<|endoftext|>";
  uint64_t seed = 1;
};

// Whether a model file is trained on texts: it takes ids.
bool TakesText(const std::string& model);

// Windows of a text file or a folder of them, by the model's tokenizer. Throws
// lutra::Error.
std::unique_ptr<qat::Samples> LoadTextSamples(const std::string& model,
                                              const std::string& path,
                                              const TextDataOptions& options);

// Float inputs with a label each, from a folder: idx files, or one file of
// signed bytes for each sample.
struct LabelledDataOptions {
  double scale = 1;  // of signed bytes
  int zero_point = 0;
  double held_out = 0;  // share that is not trained on
  uint64_t seed = 1;
};

struct LabelledData {
  std::unique_ptr<qat::LabelledImages> all;
  // The former refers to `all` where some of it is held out.
  std::unique_ptr<qat::Samples> train;
  std::unique_ptr<qat::Samples> test;  // nullptr if there is none
};

// Idx files have test images of their own, unless some are held out. Throws
// lutra::Error.
LabelledData LoadLabelledData(const std::string& path,
                              const LabelledDataOptions& options);
// All that judges: the test images of idx files, or all of a folder. Throws
// lutra::Error.
std::unique_ptr<qat::LabelledImages> LoadTestData(
    const std::string& path, const LabelledDataOptions& options);

// --samples (0, shown as `otherwise`), --length, --separator,
// --scale, --zero-point: of verbs that run a model over data to see what its
// layers get.
void AddDataOptions(Verb& verb, TextDataOptions& text,
                    LabelledDataOptions& labelled, size_t& samples,
                    const char* otherwise);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_DATA_H_
