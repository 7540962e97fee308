#ifndef LUTRA_QAT_TEXT_SAMPLES_H_
#define LUTRA_QAT_TEXT_SAMPLES_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/samples.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra::qat {

struct TextOptions {
  size_t length = 256;  // tokens of a window
  // Where given, each window begins with this token, and it is followed by the
  // first one of the text; else its own first token is not predicted.
  std::optional<int32_t> begin;
  uint64_t seed = 1;
};

// Windows of a text to predict the next token in. Those of an epoch follow each
// other without gaps, from a place that is drawn for each epoch (0 for epoch
// 0); what is left over at the ends belongs to no window.
class TextSamples : public Samples {
 public:
  // `ids` of all texts, one after the other. Throws lutra::Error for a length
  // of 0 and for fewer ids than two windows take.
  TextSamples(std::vector<int32_t> ids, const TextOptions& options);

  size_t Count() const override { return count_; }
  size_t RowsOfSample() const override { return options_.length; }
  std::string RowName() const override { return "token"; }
  void CheckGraph(const Graph& graph, size_t classes) const override;
  void Load(Span<const uint32_t> samples, uint64_t epoch,
            SampleBatch& batch) const override;
  uint32_t Checksum() const override;

  size_t tokens() const { return ids_.size(); }

 private:
  std::vector<int32_t> ids_;
  TextOptions options_;
  size_t step_;  // ids from window to window
  size_t count_;
};

// The ids of a text file, or of all files of a folder whose names end in
// ".txt", by name. A text is cut at `separator` (empty: nowhere) into
// documents, whose white space at both ends is dropped; they follow each other
// with a line feed between. Throws lutra::Error, also if there are no ids.
std::vector<int32_t> LoadTextIds(const std::filesystem::path& path,
                                 const Tokenizer& tokenizer,
                                 std::string_view separator);

// The same, with the ids kept in the file `cache`, from where they are taken if
// it was made of the same texts and separator by the same tokenizer, whose
// bytes in the model file the caller gives; else it is made anew. Another file
// is refused.
std::vector<int32_t> LoadTextIds(const std::filesystem::path& path,
                                 const Tokenizer& tokenizer,
                                 std::string_view separator,
                                 const std::filesystem::path& cache,
                                 Span<const std::byte> tokenizer_bytes);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TEXT_SAMPLES_H_
