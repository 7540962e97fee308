#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/log_probability.h"
#include "lutra/runtime/speculation.h"
#include "runtime/base/printable.h"

namespace lutra {

PromptLookup::PromptLookup(size_t longest, size_t shortest)
    : longest_(longest), shortest_(shortest) {
  if (shortest == 0 || longest < shortest) {
    throw Error("prompt lookup: there must be at least one token to look for");
  }
}

void PromptLookup::Guess(Span<const int32_t> tokens, size_t most,
                         std::vector<int32_t>& guess) {
  // The latest place where the most tokens before it are those at the end.
  size_t best = 0;
  size_t longest = shortest_ - 1;
  for (size_t end = tokens.size(); end-- > 1 && longest < longest_;) {
    size_t same = 0;
    while (same < std::min(end, longest_) &&
           tokens[end - 1 - same] == tokens[tokens.size() - 1 - same]) {
      ++same;
    }
    if (same > longest) {
      longest = same;
      best = end;
    }
  }
  if (best == 0) return;
  const size_t count = std::min(most, tokens.size() - best);
  guess.insert(guess.end(), tokens.begin() + best,
               tokens.begin() + best + count);
}

void CheckDraftTokenizer(const Tokenizer& model, const Tokenizer& draft) {
  const size_t both = std::min(model.size(), draft.size());
  for (size_t i = 0; i < both; ++i) {
    const auto id = static_cast<int32_t>(i);
    if (model.Piece(id) == draft.Piece(id)) continue;
    throw Error("the draft has another tokenizer: its token " +
                std::to_string(id) + " is '" + Printable(draft.Piece(id)) +
                "', the model's '" + Printable(model.Piece(id)) + "'");
  }
}

DraftModel::DraftModel(LanguageModel& draft, float least)
    : draft_(draft), least_(std::log(least)) {
  if (!draft.session().sequence().CanTruncate()) {
    throw Error::InFile(draft.model().path(),
                        "cannot be a draft: the model has recurrent nodes, "
                        "which cannot go back",
                        ErrorCode::kUnsupported);
  }
}

void DraftModel::Guess(Span<const int32_t> tokens, size_t most,
                       std::vector<int32_t>& guess) {
  const size_t context = draft_.context();
  if (tokens.empty() || (context > 0 && tokens.size() > context)) return;
  if (context > 0) most = std::min(most, context - tokens.size() + 1);
  fed_.resize(std::min(fed_.size(), draft_.position()));
  const auto [mine, theirs] =
      std::mismatch(fed_.begin(), fed_.end(), tokens.begin(), tokens.end());
  // The last token is fed in any case, for its logits.
  const size_t common =
      std::min(static_cast<size_t>(mine - fed_.begin()), tokens.size() - 1);
  for (size_t i = common; i < tokens.size(); ++i) {
    // The larger model may know more.
    if (static_cast<size_t>(tokens[i]) >= draft_.vocabulary()) return;
  }
  draft_.Rewind(common);
  fed_.assign(tokens.begin(), tokens.begin() + common);
  const auto feed = [this](Span<const int32_t> ids) {
    const Span<const float> logits = draft_.Feed(ids);
    fed_.insert(fed_.end(), ids.begin(), ids.end());
    return logits;
  };
  Span<const float> logits = feed(tokens.subspan(common));
  for (size_t i = 0; i < most; ++i) {
    const auto best = std::max_element(logits.begin(), logits.end());
    const auto id = static_cast<int32_t>(best - logits.begin());
    if (LogProbability(logits, id) < least_) return;
    guess.push_back(id);
    if (i + 1 < most) logits = feed({&id, 1});
  }
}

}  // namespace lutra
