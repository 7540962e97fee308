#include "lutra/eval/multiple_choice.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"

namespace lutra::eval {
namespace {

double Share(size_t part, size_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

std::vector<int32_t> Encode(const Tokenizer& tokenizer, int32_t bos,
                            const std::string& text) {
  std::vector<int32_t> ids;
  if (bos >= 0) ids.push_back(bos);
  const std::vector<int32_t> of_text = tokenizer.Encode(text, false);
  ids.insert(ids.end(), of_text.begin(), of_text.end());
  return ids;
}

size_t BytesOf(const std::string& choice) {
  return choice.size() - (!choice.empty() && choice[0] == ' ' ? 1 : 0);
}

class Scorer {
 public:
  Scorer(LanguageModel& model, const Tokenizer& tokenizer)
      : model_(model), tokenizer_(tokenizer), bos_(TextStart(tokenizer)) {}

  void Add(const ChoiceQuestion& question, ChoiceScore& score) {
    if (question.answer >= question.choices.size()) {
      throw Error("the answer is none of its choices");
    }
    const std::vector<double> nats = Nats(question);
    size_t best = 0;
    size_t best_by_byte = 0;
    const auto by_byte = [&](size_t i) {
      const size_t bytes = std::max<size_t>(1, BytesOf(question.choices[i]));
      return nats[i] / static_cast<double>(bytes);
    };
    for (size_t i = 1; i < nats.size(); ++i) {
      if (nats[i] < nats[best]) best = i;
      if (by_byte(i) < by_byte(best_by_byte)) best_by_byte = i;
    }
    ++score.questions;
    if (best == question.answer) ++score.correct;
    if (best_by_byte == question.answer) ++score.correct_by_byte;
    score.answer_nats += nats[question.answer];
  }

 private:
  // Of each choice.
  std::vector<double> Nats(const ChoiceQuestion& question) {
    const size_t context = Encode(tokenizer_, bos_, question.context).size();
    if (context == 0) {
      throw Error("there is nothing before its choices: no context, no BOS");
    }
    std::vector<std::vector<int32_t>> all;
    for (const std::string& choice : question.choices) {
      all.push_back(Encode(tokenizer_, bos_, question.context + choice));
      if (all.back().size() <= context) {
        throw Error("choice '" + choice + "' adds no token to the context");
      }
      Check(all.back());
    }
    // Tokens that all begin with; the last of them predicts the next one.
    size_t shared = context - 1;
    for (const std::vector<int32_t>& ids : all) {
      const auto differ =
          std::mismatch(ids.begin(), ids.begin() + Signed(shared),
                        all.front().begin())
              .first;
      shared = static_cast<size_t>(differ - ids.begin());
    }
    Sequence begin = model_.program().NewSequence();
    if (shared > 0) {
      const LanguageModel::Tokens tokens{&begin,
                                         std::span(all.front()).first(shared)};
      model_.FeedAll({&tokens, 1});
    }
    std::vector<double> nats;
    for (const std::vector<int32_t>& ids : all) {
      nats.push_back(NatsOf(ids, context, begin.Fork(), shared));
    }
    return nats;
  }

  double NatsOf(const std::vector<int32_t>& ids, size_t context,
                Sequence sequence, size_t shared) {
    // The last token is only predicted.
    const LanguageModel::Tokens tokens{
        &sequence, std::span(ids).subspan(shared, ids.size() - 1 - shared)};
    double nats = 0;
    model_.ScoreAll({&tokens, 1}, [&](size_t, size_t i,
                                      std::span<const float> logits) {
      const size_t next = shared + i + 1;
      if (next < context) return;
      nats += NegativeLogLikelihood(logits.data(), logits.size(), ids[next]);
    });
    if (!std::isfinite(nats)) throw Error("its logits are not finite");
    return nats;
  }

  void Check(const std::vector<int32_t>& ids) const {
    const auto most = static_cast<int64_t>(model_.vocabulary());
    if (std::any_of(ids.begin(), ids.end(),
                    [most](int32_t id) { return id < 0 || id >= most; })) {
      throw Error("the tokenizer gives a token that the model does not have");
    }
    if (model_.context() > 0 && ids.size() - 1 > model_.context()) {
      throw Error("takes " + std::to_string(ids.size() - 1) +
                  " tokens, but the context has " +
                  std::to_string(model_.context()));
    }
  }

  static std::ptrdiff_t Signed(size_t count) {
    return static_cast<std::ptrdiff_t>(count);
  }

  LanguageModel& model_;
  const Tokenizer& tokenizer_;
  const int32_t bos_;
};

}  // namespace

double ChoiceScore::Accuracy() const { return Share(correct, questions); }
double ChoiceScore::AccuracyByByte() const {
  return Share(correct_by_byte, questions);
}

ChoiceScore ScoreChoices(
    LanguageModel& model, const Tokenizer& tokenizer,
    Span<const ChoiceQuestion> questions,
    const std::function<void(const ChoiceScore&)>& progress) {
  Scorer scorer(model, tokenizer);
  ChoiceScore score;
  for (const ChoiceQuestion& question : questions) {
    try {
      scorer.Add(question, score);
    } catch (const Cancelled&) {
      throw;
    } catch (const Error& error) {
      throw Error("question " + std::to_string(score.questions + 1) + ": " +
                  error.what());
    }
    if (progress) progress(score);
  }
  return score;
}

}  // namespace lutra::eval
