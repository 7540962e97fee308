#ifndef LUTRA_PACKER_PACK_H_
#define LUTRA_PACKER_PACK_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/packer/statistics.h"
#include "lutra/qat/samples.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/spec.h"
#include "lutra/runtime/model.h"

// Packing replaces the float weights of a model's linear, embedding, conv2d,
// lstm_cell and gru_cell nodes by LUT matrices; a matrix that several nodes
// share is packed once. A weight that was trained on a grid is packed without
// loss; any other is quantized now, with the same quantizers or a learned table
// (docs/packing.md).

namespace lutra::packer {

// What became of a weight.
enum class PackMethod {
  kTrained,       // lay on the grid it was trained on; packed without loss
  kRounded,       // likewise, but the grid's levels were rounded: to int8, with
                  // a table per row (quantizers without a common table: LSBQ),
                  // or by scales of 16 bits
  kPostTraining,  // quantized while packing
  kImported,      // was quantized in the checkpoint that was imported
  kKept,          // copied as it is
};

// "trained", "trained, rounded", "post-training", "imported", "kept".
std::string_view Name(PackMethod method);

// The metadata key with a JSON object: "tool" and, under "tensors", "method",
// "sqnr_db" (null: without loss) and "max_error" of every packed tensor.
inline constexpr std::string_view kPackKey = "lutra.pack";

// An entry of it.
struct PackRecord {
  std::string method;
  double sqnr_db = 0;  // infinite without loss
  double max_error = 0;
};
// Reads the text under kPackKey of `file`. Throws Error.
std::map<std::string, PackRecord> ReadPackNote(std::string_view text,
                                               std::string_view file);

// How weights are rounded where there are statistics of their inputs: towards
// small errors of the layer's outputs, by GPTQ and what follows it
// (docs/packing.md).
struct DataRounding {
  // Added to the diagonal of the moments, as a share of its mean.
  double damping = 0.01;
  // How often scales, tables and indices are improved in turns after GPTQ; 0:
  // GPTQ alone.
  int turns = 6;
  enum class Method {
    kGptq,
    // Levels stay the nearest; the scale of each group is the one for which the
    // group alone loses least, as AWQ searches how much to clip.
    kClip,
  };
  Method method = Method::kGptq;
};

struct PackOptions {
  // A weight is treated, in this order:
  //   excluded by the rules               -> kept
  //   matched by a rule                   -> post-training, with that scheme
  //   use_trained, with recorded scheme   -> trained, with that scheme (and the
  //                                          default's scale type, if 16 bits)
  //   use_trained, other weights have one -> kept: training left it float
  //   otherwise                           -> post-training, default scheme
  qat::SchemeRules rules;
  // What the packed model's nodes say about their inputs, where something is
  // said (qat::QuantizeInputs). Fixed ranges must be there already.
  qat::QuantizationSpec activations;
  // Whether the schemes that the trainer recorded are looked at.
  bool use_trained = true;
  // Of the inputs of linear nodes; may be nullptr. Post-training weights whose
  // inputs are there are rounded by them; they start with what the scheme gives
  // without.
  const Statistics* statistics = nullptr;
  // In place of statistics: data that the model and what is packed of it are
  // run over, layer by layer, so that a layer makes up for errors of those
  // before. Memory holds the values between two layers for all rows. May be
  // nullptr; `which` of the samples.
  const qat::Samples* samples = nullptr;
  std::vector<uint32_t> which;
  DataRounding rounding;
  // Work is split among its threads; nullptr: all on the calling thread. The
  // bytes written are the same.
  Executor* executor = nullptr;
};

struct TensorReport {
  std::string name;
  DType dtype = DType::kFloat32;  // in the source
  int64_t n = 0;                  // rows
  int64_t k = 0;                  // columns
  PackMethod method = PackMethod::kKept;
  std::optional<qat::QuantScheme> scheme;  // of packed tensors
  size_t bytes = 0;                        // in the new file
  double bits_per_weight = 0;
  // 10 log10(sum w^2 / sum (w - packed w)^2); infinite without loss.
  double sqnr_db = 0;
  double max_error = 0;  // largest |w - packed w|
  // Entries of the table that some weight uses, as a share of all; 0 for kept
  // tensors.
  double table_utilisation = 0;
  // Of weights rounded with statistics: 10 log10 of the energy of the outputs
  // over that of their error, on the data, and what it was before.
  std::optional<double> output_sqnr_db;
  std::optional<double> start_output_sqnr_db;
};

struct PackReport {
  std::vector<TensorReport> weights;  // all that could be packed, each once
  // Tensors that no node holds as a weight to pack: norms, biases and the like,
  // copied as they are.
  std::vector<std::string> others;
  size_t weight_count = 0;         // elements of all of them
  size_t weight_bytes = 0;         // in the new file
  size_t source_weight_bytes = 0;  // in the source
  size_t file_bytes = 0;
  // Linear weights that were packed post-training without statistics, where
  // there were some for others.
  std::vector<std::string> without_statistics;
  // Rules and exclusions that matched no weight.
  std::vector<std::string> unused_rules;

  double BitsPerWeight() const;
};

// How far packing has come. Called at the start of each weight and then every
// few thousand rows, from any thread of the executor, but by one at a time.
// What it throws ends the work, and PackModel throws it on (an Error with the
// tensor's name).
struct PackStatus {
  std::string_view tensor;
  size_t done = 0;  // weights (numbers) of all tensors
  size_t total = 0;
};
using PackProgress = std::function<void(const PackStatus&)>;

// Packs `model` into a new file at `path`, which appears there when all of it
// is written (it may be the model's own file). Everything but the packed
// weights is copied, including tensors that the graph does not use. Memory
// holds one tensor at a time: an index per weight, the scales, and the blob,
// less than twice the largest tensor in the source; the source stays mapped.
//
// Throws Error for a weight that is not on the grid it is said to be trained on
// (with row, column and value), not finite, already packed (unless excluded),
// or for a scheme that does not fit its shape.
PackReport PackModel(const Model& model, const std::filesystem::path& path,
                     const PackOptions& options,
                     const PackProgress& progress = {});

// Before long work: whether weights of these shapes, trained on `schemes`, can
// be packed. Their values are not looked at. Throws Error naming the first that
// cannot.
void CheckSchemes(const Model& model, const qat::SchemeMap& schemes);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_PACK_H_
