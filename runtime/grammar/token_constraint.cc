#include "lutra/runtime/token_constraint.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/sampler.h"
#include "runtime/grammar/automaton.h"
#include "runtime/grammar/rules.h"
#include "runtime/grammar/token_table.h"

namespace lutra {
namespace {

using grammar::Automaton;
using grammar::TokenTable;

// What is kept of states and masks before all but the present is forgotten.
constexpr size_t kKeptConstraintStates = 20'000;
constexpr size_t kKeptMaskWords = size_t{4} << 20;

bool StartDiffers(const Tokenizer& tokenizer, size_t vocabulary) {
  const size_t count = std::min(vocabulary, tokenizer.size());
  for (size_t i = 0; i < count; ++i) {
    const auto id = static_cast<int32_t>(i);
    if (tokenizer.TokenBytes(id, true) != tokenizer.TokenBytes(id, false)) {
      return true;
    }
  }
  return false;
}

}  // namespace

class TokenConstraint::Impl {
 public:
  // What does not change.
  struct Shared {
    std::shared_ptr<const Grammar> grammar;
    std::vector<uint32_t> ends;  // a mask
    TokenTable table;
    // At the start of a text, where tokens stand for something else there.
    std::optional<TokenTable> start_table;
  };

  Impl(std::shared_ptr<const Shared> shared, bool continues)
      : shared_(std::move(shared)), automaton_(shared_->grammar->rules()) {
    Reset(continues);
  }

  const std::shared_ptr<const Shared>& shared() const { return shared_; }

  void Reset(bool continues) {
    state_ = automaton_.start();
    at_start_ = !continues && shared_->start_table;
  }

  bool complete() const { return automaton_.Accepts(state_); }
  bool finished() const { return complete() && !automaton_.GoesOn(state_); }

  Span<const uint32_t> Allowed() {
    const size_t words = shared_->ends.size();
    if (automaton_.states() > kKeptConstraintStates ||
        masks_.size() * words > kKeptMaskWords) {
      masks_.clear();
      state_ = automaton_.Forget(state_);
    }
    // A start is met once, so its mask is not kept.
    std::vector<uint32_t>& mask = at_start_ ? start_mask_ : masks_[state_];
    if (at_start_ || mask.empty()) {
      mask.clear();
      try {
        std::vector<uint32_t> made(words);
        if (complete()) made = shared_->ends;
        Table().Allow(automaton_, state_, made);
        mask = std::move(made);
      } catch (...) {
        Recover();
        throw;
      }
    }
    return mask;
  }

  void Accept(int32_t id) {
    const auto index = static_cast<size_t>(id);
    if (id >= 0 && index / 32 < shared_->ends.size() &&
        IsAllowed(shared_->ends, index) && complete()) {
      return;
    }
    Automaton::State next = state_;
    const std::string_view bytes = Table().BytesOf(id);
    for (const char byte : bytes) {
      next = automaton_.Next(next, static_cast<uint8_t>(byte));
    }
    if (bytes.empty() || next == Automaton::kDead) {
      throw Error("grammar: token " + std::to_string(id) + " cannot come next");
    }
    state_ = next;
    at_start_ = false;
  }

 private:
  const TokenTable& Table() const {
    return at_start_ ? *shared_->start_table : shared_->table;
  }

  // Frees what a grammar that is too large has filled.
  void Recover() noexcept {
    try {
      masks_.clear();
      state_ = automaton_.Forget(state_);
    } catch (...) {
      // Still too large: the error is on its way.
    }
  }

  std::shared_ptr<const Shared> shared_;
  Automaton automaton_;
  Automaton::State state_ = Automaton::kDead;
  bool at_start_ = false;
  std::unordered_map<Automaton::State, std::vector<uint32_t>> masks_;
  std::vector<uint32_t> start_mask_;
};

TokenConstraint::TokenConstraint(std::shared_ptr<const Grammar> grammar,
                                 const Tokenizer& tokenizer, size_t vocabulary,
                                 Span<const int32_t> ends, bool continues) {
  if (grammar == nullptr) throw Error("grammar: none was given");
  std::vector<uint32_t> mask(TokenMaskWords(vocabulary));
  const auto add = [&mask, vocabulary](int32_t id) {
    const auto index = static_cast<size_t>(id);
    if (id < 0 || index >= vocabulary) return;
    mask[index / 32] |= uint32_t{1} << (index % 32);
  };
  for (const int32_t id : tokenizer.ends()) add(id);
  for (const int32_t id : ends) add(id);
  auto shared = std::make_shared<Impl::Shared>(
      Impl::Shared{std::move(grammar),
                   std::move(mask),
                   TokenTable(tokenizer, vocabulary, ends, false),
                   {}});
  if (StartDiffers(tokenizer, vocabulary)) {
    shared->start_table.emplace(tokenizer, vocabulary, ends, true);
  }
  impl_ = std::make_unique<Impl>(std::move(shared), continues);
}

TokenConstraint::TokenConstraint(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
TokenConstraint::~TokenConstraint() = default;
TokenConstraint::TokenConstraint(TokenConstraint&&) noexcept = default;
TokenConstraint& TokenConstraint::operator=(TokenConstraint&&) noexcept =
    default;

TokenConstraint TokenConstraint::Again(bool continues) const {
  return TokenConstraint(std::make_unique<Impl>(impl_->shared(), continues));
}

Span<const uint32_t> TokenConstraint::Allowed() { return impl_->Allowed(); }
void TokenConstraint::Accept(int32_t id) { impl_->Accept(id); }
bool TokenConstraint::complete() const { return impl_->complete(); }
bool TokenConstraint::finished() const { return impl_->finished(); }
void TokenConstraint::Reset(bool continues) { impl_->Reset(continues); }

}  // namespace lutra
