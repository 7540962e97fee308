#ifndef LUTRA_RUNTIME_TOKENIZER_DATA_H_
#define LUTRA_RUNTIME_TOKENIZER_DATA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"

// What a tokenizer is made of, as importers fill it in and as the model file
// stores it (docs/tokenizer.md).

namespace lutra {

// A step that prepares text for the merges. Steps work on a list of parts, at
// first one; kSplit makes more of them, the others change each part.
struct TextStep {
  enum class Kind {
    kNfc,              // Unicode normalization form C
    kNfd,              // D: decomposed
    kNfkc,             // KC: composed of compatible characters
    kNfkd,             // KD
    kLowercase,        // each character by itself
    kNoMarks,          // without nonspacing marks
    kNoControls,       // without control characters; any white space is a space
    kSpaceIdeographs,  // ideographs of Chinese between spaces
    kStrip,            // without the white space at an end
    kCollapse,         // runs of `from` become one; those at start and end go
    kReplace,          // `from` by `to`
    kReplaceMatches,   // matches of the regular expression `from` by `to`
    kPrefix,           // `to` in front of every part that is not empty
    kSplit,            // at the matches of the regular expression `from`
  };
  // What kPrefix leaves alone.
  enum class Prefix {
    kAlways,       // nothing
    kUnlessThere,  // parts that start with `to`
    kAtStart,      // those, and parts that do not start the whole text
  };
  // Where kStrip takes white space away.
  enum class Ends { kBoth, kStart, kEnd };
  // What kSplit makes of a match and of the text between matches.
  enum class Split {
    kIsolated,            // each a part
    kRemoved,             // matches are dropped
    kKept,                // what lies between matches is dropped
    kMergedWithPrevious,  // a match ends the part before it
    kMergedWithNext,      // a match starts the part after it
    kContiguous,          // matches that touch are one part
  };

  Kind kind = Kind::kNfc;
  std::string from;
  std::string to;
  Prefix prefix = Prefix::kAlways;
  Ends ends = Ends::kBoth;
  Split split = Split::kIsolated;
};

// A token that is found in the text before anything is merged.
struct AddedToken {
  int32_t id = 0;
  std::string text;          // what to look for
  bool normalized = false;   // look after the normalizer's steps, not before
  bool single_word = false;  // only where no letter, mark, digit touches it
  bool strip_left = false;   // takes the white space before it along
  bool strip_right = false;  // ... and after it
};

enum class PieceType : uint8_t {
  kNormal = 0,
  kControl = 1,  // stands for no text, e.g. BOS
  kByte = 2,     // <0x00> to <0xFF>, the byte of that value
  kUnused = 3,   // an id without a meaning
};

// How a part becomes pieces.
enum class PieceModel {
  kMerges,     // byte-pair encoding
  kUnigram,    // the pieces whose scores have the largest sum
  kWordPiece,  // the longest pieces from left to right
};

struct TokenizerRecipe {
  std::string kind;  // where it came from, for people
  PieceModel model = PieceModel::kMerges;
  std::vector<TextStep> normalizer;
  std::vector<TextStep> splitter;
  std::vector<AddedToken> added;
  // Merging starts with bytes, else with characters.
  bool bytes = false;
  // A character without a piece becomes its bytes' pieces, if all exist; else
  // the unknown token (runs of them one, with `fuse_unknown`), else nothing.
  bool byte_fallback = false;
  int32_t unknown = -1;
  bool fuse_unknown = false;
  // A part that is a piece is taken whole, whatever the merges say.
  bool whole_pieces = false;
  // kWordPiece: what pieces begin with that do not begin a word, and the most
  // characters of one; longer ones are unknown. Decoded, words are put together
  // with spaces between, but in front of punctuation with `clean_up`.
  std::string continuation;
  int64_t max_word = 0;
  bool clean_up = false;
  // Stands for a space in pieces; empty if spaces stand for themselves.
  std::string space;
  // Whether one space at the start of decoded text is dropped.
  bool strip_space = false;
  // Whether `space` stands for nothing in the first piece that is decoded.
  bool strip_piece = false;
  // Put around a text with special tokens.
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  int32_t bos = -1;
  std::vector<int32_t> ends;
};

// Where adjacent pieces `left` and `right` stand, they may be replaced by
// `result`; merges of lower rank go first, of equal rank the leftmost.
struct Merge {
  uint32_t left = 0;
  uint32_t right = 0;
  uint32_t rank = 0;
  uint32_t result = 0;

  friend bool operator==(const Merge& a, const Merge& b) {
    return a.left == b.left && a.right == b.right && a.rank == b.rank &&
           a.result == b.result;
  }
  friend bool operator!=(const Merge& a, const Merge& b) { return !(a == b); }
};

struct TokenizerData {
  TokenizerRecipe recipe;
  std::string text;            // all pieces, one after the other
  std::vector<uint32_t> ends;  // where each ends in `text`
  std::vector<PieceType> types;
  std::vector<Merge> merges;  // sorted by (left, right), each pair once
  // Ids of the pieces that text is looked up in, sorted by their bytes.
  std::vector<uint32_t> lookup;
  std::vector<double> scores;  // of all pieces; kUnigram only

  size_t size() const { return ends.size(); }
  std::string_view Piece(size_t id) const {
    const size_t begin = id == 0 ? 0 : ends[id - 1];
    const std::string_view all = text;
    return all.substr(begin, ends[id] - begin);
  }
  // Ids count from 0 in the order of the calls.
  void AddPiece(std::string_view piece, PieceType type);
  // The id of the piece in `lookup`, -1 if there is none.
  int64_t Find(std::string_view piece) const;
};

// More than any tokenizer has; bounds what a hostile source makes us allocate.
inline constexpr size_t kMaxPieces = size_t{1} << 22;
inline constexpr size_t kMaxPieceBytes = 4096;
inline constexpr size_t kMaxMerges = size_t{1} << 24;

// Merges by score, as sentencepiece and llama2.c do: any two pieces whose bytes
// join to a normal piece may be merged, the highest score first. Pieces are cut
// between characters, or bytes if the recipe says so. Fills `data.merges`; the
// lookup is already there.
void AddMergesByScore(Span<const float> scores, TokenizerData& data);

// Sorts `merges` as TokenizerData wants them; of a pair that occurs twice the
// last one counts.
void SortMerges(std::vector<Merge>& merges);

// Makes the lookup of the pieces `ids`; of equal pieces the first in `ids`
// stays.
void MakeLookup(std::vector<uint32_t> ids, TokenizerData& data);

// The tensor's bytes, a multiple of 64 of them, so that tensors behind it are
// aligned. `data` satisfies what ParseTokenizer checks.
std::vector<std::byte> SerializeTokenizer(const TokenizerData& data);
// Checks everything that Tokenizer relies on. Throws Error.
TokenizerData ParseTokenizer(Span<const std::byte> bytes,
                             std::string_view file);

// `text`, which is UTF-8, after the steps of a normalizer. Throws Error for
// steps that this build cannot do.
std::string NormalizeText(const std::vector<TextStep>& normalizer,
                          std::string_view text, std::string_view file);

// The recipe's part of it.
std::string RecipeToJson(const TokenizerRecipe& recipe);
TokenizerRecipe ParseRecipe(std::string_view json, size_t pieces,
                            std::string_view file);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TOKENIZER_DATA_H_
