#ifndef LUTRA_RUNTIME_TEXT_BPE_H_
#define LUTRA_RUNTIME_TEXT_BPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <string_view>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"

namespace lutra {

// The merges of byte-pair encoding. Refers to the data, which outlives it.
// Immutable; may be used from several threads.
class BytePairEncoder {
 public:
  // Lists that grow and are used again, one set per thread.
  struct Workspace;

  explicit BytePairEncoder(const TokenizerData& data);

  // Appends the ids of `part` (UTF-8), O(n log n) for n characters.
  void Encode(std::string_view part, Workspace& workspace,
              std::vector<int32_t>& ids) const;

 private:
  void EncodeAnew(std::string_view part, Workspace& workspace,
                  std::vector<int32_t>& ids) const;

  struct Symbol {
    uint32_t id = 0;
    int32_t previous = -1;
    int32_t next = -1;
    bool alive = true;
  };
  struct Candidate {
    uint32_t rank = 0;
    int32_t left = 0;  // index of the left symbol
    uint32_t result = 0;

    // The order of a queue whose top is the merge to do next.
    friend bool operator<(const Candidate& a, const Candidate& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
    }
  };

  void AddSymbols(std::string_view part, std::vector<Symbol>& symbols) const;
  void MergeAll(Workspace& workspace) const;
  // nullptr if the pair is not merged.
  const Merge* Find(uint32_t left, uint32_t right) const;

  const TokenizerData& data_;
  std::vector<uint32_t> row_ends_;  // merges of a left piece end there
  // Pieces of one byte: from the lookup, and of the type kByte. -1: none.
  std::array<int64_t, 256> one_byte_ = {};
  std::array<int64_t, 256> fallback_ = {};
};

struct BytePairEncoder::Workspace {
  // For texts of that many bytes: what short parts became is remembered where
  // it may be of use.
  explicit Workspace(size_t text_bytes);

  // A part that was encoded before; none if it has no bytes.
  struct Known {
    uint8_t bytes = 0;
    uint8_t count = 0;  // of ids
    std::array<char, 30> part = {};
    std::array<int32_t, 14> ids = {};
  };

  std::vector<Symbol> symbols;
  std::priority_queue<Candidate> queue;
  std::vector<Known> known;  // a power of two, or none
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_BPE_H_
