#ifndef LUTRA_RUNTIME_TOKENIZER_H_
#define LUTRA_RUNTIME_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"

namespace lutra {

// The tensor of a model file that holds its tokenizer (docs/tokenizer.md).
inline constexpr std::string_view kTokenizerTensor = "lutra.tokenizer";

// Text to token ids and back: byte-pair encoding (Sennrich et al., "Neural
// Machine Translation of Rare Words with Subword Units", 2016) with the
// variations of sentencepiece, llama2.c and Hugging Face's tokenizers, Unigram
// and WordPiece.
//
// Immutable; may be used from several threads.
class Tokenizer {
 public:
  // The model's tokenizer, nullptr if it has none. Throws Error.
  static std::shared_ptr<const Tokenizer> FromModel(const Model& model);
  // `bytes` as docs/tokenizer.md specifies; copied. `file` is for messages.
  // Throws Error.
  static std::shared_ptr<const Tokenizer> Parse(Span<const std::byte> bytes,
                                                std::string_view file);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Bytes that are not UTF-8 count as U+FFFD. Special tokens spelled out in the
  // text become their ids. With `add_special` the tokens that the model expects
  // around a whole text (BOS, EOS) are added. Time is about linear in the
  // text's length. Throws Error if the text is too hard for the tokenizer's
  // regular expression.
  std::vector<int32_t> Encode(std::string_view text, bool add_special) const;
  // The same for a text that is to be continued: what the model expects before
  // it is added, but not what tells that it has ended.
  std::vector<int32_t> EncodePrompt(std::string_view text) const;

  // The bytes the tokens stand for, special tokens (BOS, EOS, ...) left out
  // unless `with_special`. Ids cut out of a longer text may start or end inside
  // a UTF-8 character. If the tokenizer put a space in front of the text, one
  // leading space is dropped. Throws Error for ids outside 0..size()-1.
  std::string Decode(Span<const int32_t> ids, bool with_special = false) const;

  // The same as a text, with U+FFFD for what is no UTF-8 as the tokenizer's
  // original has it: one for each longest part of a character, or with byte
  // fallback one for each byte of pieces that are no characters together.
  std::string DecodeText(Span<const int32_t> ids,
                         bool with_special = false) const;

  // The bytes one token adds to a text, none for special tokens; with `starts`
  // as the text's first. Throws Error for ids outside 0..size()-1.
  std::string TokenBytes(int32_t id, bool starts = false) const;

  // Number of ids. The model may know fewer or more.
  size_t size() const;
  // The bytes the merges know the token by, e.g. "▁the". Special tokens have
  // their spelling. Throws Error for ids outside 0..size()-1.
  std::string_view Piece(int32_t id) const;
  // The token a text starts with; -1 if there is none.
  int32_t bos() const;
  // Whether the token ends a text.
  bool IsEnd(int32_t id) const;
  Span<const int32_t> ends() const;
  // Whether the token is left out of decoded text. Throws Error for ids outside
  // 0..size()-1.
  bool IsSpecial(int32_t id) const;
  // Whether no text leads to the token and none comes from it: a row that pads
  // the model's vocabulary. A generation should not choose it (TextGenerator
  // does not). Throws Error likewise.
  bool IsUnused(int32_t id) const;

 private:
  friend class TextStream;
  class Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);

  std::unique_ptr<const Impl> impl_;
};

// Decodes token by token for a reader who watches: what comes out is always
// whole UTF-8 characters. Bytes that can no longer become one come out as
// U+FFFD.
class TextStream {
 public:
  // With `continues` the tokens follow others of the same text: a leading space
  // is kept. `tokenizer` must outlive the stream.
  explicit TextStream(const Tokenizer& tokenizer, bool continues = false);

  // The characters that `id` completes. Special tokens give none. Throws Error
  // for ids outside 0..size()-1.
  std::string Add(int32_t id);
  // What is left at the end, incomplete characters as U+FFFD.
  std::string Flush();

 private:
  const Tokenizer* tokenizer_;
  bool at_start_;
  std::string pending_;  // the start of a character
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TOKENIZER_H_
