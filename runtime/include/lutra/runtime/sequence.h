#ifndef LUTRA_RUNTIME_SEQUENCE_H_
#define LUTRA_RUNTIME_SEQUENCE_H_

#include <cstddef>
#include <memory>
#include <vector>

namespace lutra {

class SequenceState;

// What a model remembers of the tokens of one sequence: keys and values of
// attention, in pages that are taken from the machine as tokens fill them, and
// the states of recurrent nodes. Made by a Program; its calls append tokens.
//
// A sequence is used by one thread at a time. Different ones, forks included,
// may be used by different threads and by all programs of the same model whose
// caches are of the same type.
class Sequence {
 public:
  explicit Sequence(std::unique_ptr<SequenceState> state) noexcept;
  ~Sequence();
  Sequence(Sequence&&) noexcept;
  Sequence& operator=(Sequence&&) noexcept;

  // Tokens that it holds.
  size_t position() const noexcept;

  // A sequence of the same tokens. Pages are shared until one of the two writes
  // to them. Throws Error for want of memory.
  Sequence Fork() const;

  // Forgets the tokens from `position` on, so that others may follow the first
  // `position` ones. Pages are kept for them. Throws Error if there are fewer,
  // or if the model has recurrent nodes (lstm_cell, gru_cell, causal_conv1d,
  // gated_delta_rule, token_pool), which can only go back to position 0: for
  // other places, fork or save a sequence there.
  void Truncate(size_t position);
  // Whether it can go back anywhere: the model has no recurrent nodes.
  bool CanTruncate() const noexcept;

  // Takes the memory of the first `tokens` tokens now, so that calls up to
  // there allocate nothing. Throws Error for want of memory, or if that is more
  // than the context.
  void Reserve(size_t tokens);

  // Of all pages and states; pages that are shared count for each sequence.
  size_t ByteCount() const noexcept;

  // All of it as bytes, for Program::Restore of a program of the same model on
  // any machine and any number of threads (docs/model_file.md has the format).
  // Throws Error for want of memory.
  std::vector<std::byte> Save() const;

 private:
  friend class Program;
  std::unique_ptr<SequenceState> state_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SEQUENCE_H_
