#ifndef LUTRA_RUNTIME_GRAMMAR_TOKEN_TABLE_H_
#define LUTRA_RUNTIME_GRAMMAR_TOKEN_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/tokenizer.h"
#include "runtime/grammar/automaton.h"

namespace lutra::grammar {

// What the tokens of a vocabulary add to a text. Immutable.
class TokenTable {
 public:
  // Of the tokens that have a text and end none. With `starts` at the start of
  // a text.
  TokenTable(const Tokenizer& tokenizer, size_t vocabulary,
             Span<const int32_t> ends, bool starts);

  // Sets the bits of the tokens that an automaton can read in a state.
  void Allow(Automaton& automaton, Automaton::State state,
             std::vector<uint32_t>& mask) const;

  // Empty for tokens that are not in the table.
  std::string_view BytesOf(int32_t id) const;

 private:
  struct Token {
    int32_t id;
    uint32_t begin;
    uint32_t length;
    uint32_t shared;  // its first bytes that are those of the token before it
  };

  std::string_view Bytes(const Token& token) const {
    return std::string_view(bytes_).substr(token.begin, token.length);
  }

  std::string bytes_;
  std::vector<Token> tokens_;    // sorted by their bytes
  std::vector<uint32_t> of_id_;  // where it stands in tokens_
  size_t longest_ = 0;
};

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_TOKEN_TABLE_H_
