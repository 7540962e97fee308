#include "lutra/eval/perplexity.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"

namespace lutra::eval {
namespace {

bool ContinuesCharacter(char byte) { return (byte & 0xC0) == 0x80; }

double LogSumExp(const float* logits, size_t count) {
  const double largest = *std::max_element(logits, logits + count);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += std::exp(static_cast<double>(logits[i]) - largest);
  }
  return std::log(sum) + largest;
}

size_t Best(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) -
                             logits.begin());
}

// What is scored on its own.
struct Chunk {
  std::vector<int32_t> ids;  // fed but for the last, which is only predicted
  size_t first_scored = 1;   // of ids
  size_t tokens = 0;         // of the text
  size_t first = 0;          // place of the first of them in the text

  std::span<const int32_t> Fed() const {
    return std::span(ids).first(ids.size() - 1);
  }
};

Chunk MakeChunk(std::span<const int32_t> targets, int32_t bos, size_t first) {
  Chunk chunk;
  if (bos >= 0) chunk.ids.push_back(bos);
  chunk.ids.insert(chunk.ids.end(), targets.begin(), targets.end());
  chunk.tokens = targets.size();
  chunk.first = first;
  return chunk;
}

std::vector<Chunk> AllChunks(std::span<const int32_t> ids, int32_t bos,
                             size_t context) {
  const size_t window = bos < 0 ? context : context - 1;
  std::vector<Chunk> chunks;
  for (size_t first = 0; first < ids.size(); first += window) {
    const size_t count = std::min(window, ids.size() - first);
    chunks.push_back(MakeChunk(ids.subspan(first, count), bos, first));
  }
  return chunks;
}

std::vector<Chunk> LlamaChunks(std::span<const int32_t> text, int32_t bos,
                               size_t context) {
  std::vector<int32_t> ids;
  if (bos >= 0) ids.push_back(bos);
  ids.insert(ids.end(), text.begin(), text.end());
  std::vector<Chunk> chunks;
  for (size_t first = 0; first + context <= ids.size(); first += context) {
    Chunk chunk = MakeChunk(std::span(ids).subspan(first, context), -1, first);
    if (bos >= 0) chunk.ids.front() = bos;
    chunk.first_scored = context / 2 + 1;
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

// Logits of scored tokens, to be compared with.
class Reference {
 public:
  Reference(LanguageModel& model)
      : model_(model), memory_(model.program().NewSequence()) {}

  void Run(const Chunk& chunk) {
    logits_.clear();
    memory_.Truncate(0);
    const LanguageModel::Tokens tokens{&memory_, chunk.Fed()};
    model_.ScoreAll(
        {&tokens, 1}, [&](size_t, size_t i, std::span<const float> logits) {
          if (i + 1 < chunk.first_scored) return;
          logits_.insert(logits_.end(), logits.begin(), logits.end());
        });
  }
  // Of the i-th token that is scored.
  std::span<const float> Logits(size_t i) const {
    return std::span(logits_).subspan(i * model_.vocabulary(),
                                      model_.vocabulary());
  }

 private:
  LanguageModel& model_;
  Sequence memory_;
  std::vector<float> logits_;
};

// All of them at once; `memory` has a sequence for each. With a reference there
// is one, which it has run.
void ScoreChunks(LanguageModel& model, std::span<const Chunk> chunks,
                 std::span<Sequence> memory, const Reference* reference,
                 TextScore& score) {
  std::vector<LanguageModel::Tokens> tokens;
  std::vector<const Chunk*> scored;
  std::vector<TextScore> parts;
  for (size_t i = 0; i < chunks.size(); ++i) {
    score.tokens += chunks[i].tokens;
    if (chunks[i].Fed().empty()) continue;
    memory[i].Truncate(0);
    tokens.push_back({&memory[i], chunks[i].Fed()});
    scored.push_back(&chunks[i]);
  }
  // Chunk by chunk, so that sums do not depend on how many run at once.
  parts.resize(scored.size());
  model.ScoreAll(
      tokens, [&](size_t sequence, size_t i, std::span<const float> logits) {
        const Chunk& chunk = *scored[sequence];
        if (i + 1 < chunk.first_scored) return;
        TextScore& part = parts[sequence];
        const int32_t target = chunk.ids[i + 1];
        const double nats =
            NegativeLogLikelihood(logits.data(), logits.size(), target);
        if (!std::isfinite(nats)) {
          throw Error::InFile(model.model().path(),
                              "the logits after token " +
                                  std::to_string(chunk.first + i) +
                                  " of the text are not finite");
        }
        part.nats += nats;
        const size_t best = Best(logits);
        if (best == static_cast<size_t>(target)) ++part.correct;
        if (reference != nullptr) {
          const auto expected = reference->Logits(part.scored);
          part.divergence +=
              KlDivergence(expected.data(), logits.data(), logits.size());
          if (best == Best(expected)) ++part.same_top;
        }
        ++part.scored;
      });
  for (const TextScore& part : parts) {
    score.scored += part.scored;
    score.correct += part.correct;
    score.nats += part.nats;
    score.divergence += part.divergence;
    score.same_top += part.same_top;
  }
}

void CheckTokens(const LanguageModel& model, std::span<const int32_t> ids) {
  const auto out_of_range = std::find_if(ids.begin(), ids.end(), [&](auto id) {
    return id < 0 || static_cast<size_t>(id) >= model.vocabulary();
  });
  if (out_of_range == ids.end()) return;
  throw Error::InFile(
      model.model().path(),
      "the tokenizer gives token " + std::to_string(*out_of_range) +
          ", but the model has " + std::to_string(model.vocabulary()));
}

std::vector<Chunk> MakeChunks(const LanguageModel& model,
                              std::span<const int32_t> ids,
                              const ScoreOptions& options) {
  const auto error = [&](const std::string& cause) {
    return Error::InFile(model.model().path(), cause);
  };
  if (options.context < 2) {
    throw error("a context of less than 2 tokens scores nothing");
  }
  std::vector<Chunk> chunks;
  if (options.protocol == ScoreProtocol::kAll) {
    chunks = AllChunks(ids, options.bos, options.context);
  } else {
    if (options.context < 4) {
      throw error("a context of less than 4 tokens has no second half");
    }
    chunks = LlamaChunks(ids, options.bos, options.context);
    if (chunks.size() < 2) {
      throw error("the text has " + std::to_string(ids.size()) +
                  " tokens, less than two chunks of " +
                  std::to_string(options.context));
    }
  }
  if (options.chunks > 0 && options.chunks < chunks.size()) {
    chunks.resize(options.chunks);
  }
  return chunks;
}

}  // namespace

double NegativeLogLikelihood(const float* logits, size_t count, int32_t token) {
  const double largest = *std::max_element(logits, logits + count);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += std::exp(static_cast<double>(logits[i]) - largest);
  }
  const double logit = logits[static_cast<size_t>(token)];
  return std::log(sum) + (largest - logit);
}

double KlDivergence(const float* reference, const float* logits, size_t count) {
  const double reference_sum = LogSumExp(reference, count);
  const double sum = LogSumExp(logits, count);
  double divergence = 0;
  for (size_t i = 0; i < count; ++i) {
    const double log_r = static_cast<double>(reference[i]) - reference_sum;
    const double log_p = static_cast<double>(logits[i]) - sum;
    divergence += std::exp(log_r) * (log_r - log_p);
  }
  return divergence;
}

double TextScore::NatsPerToken() const {
  return scored == 0 ? 0 : nats / static_cast<double>(scored);
}

double TextScore::Perplexity() const { return std::exp(NatsPerToken()); }

double TextScore::BitsPerByte(size_t text_bytes) const {
  return NatsPerToken() * static_cast<double>(tokens) /
         (std::numbers::ln2 * static_cast<double>(text_bytes));
}

double TextScore::DivergencePerToken() const {
  return scored == 0 ? 0 : divergence / static_cast<double>(scored);
}

double TextScore::SameTop() const {
  return scored == 0
             ? 0
             : static_cast<double>(same_top) / static_cast<double>(scored);
}

int32_t TextStart(const Tokenizer& tokenizer) {
  const std::vector<int32_t> prompt = tokenizer.EncodePrompt("a");
  const int32_t bos = tokenizer.bos();
  return !prompt.empty() && prompt.front() == bos ? bos : -1;
}

size_t DefaultContext(const Model& model) {
  constexpr size_t kTokens = 256;
  const size_t own = model.context_length();
  return own == 0 ? kTokens : std::min(kTokens, own);
}

TextScore ScoreText(LanguageModel& model, const std::vector<int32_t>& ids,
                    const ScoreOptions& options,
                    const std::function<void(const TextScore&)>& progress) {
  CheckTokens(model, ids);
  const std::vector<Chunk> chunks = MakeChunks(model, ids, options);
  std::optional<Reference> reference;
  if (options.reference != nullptr) {
    if (options.reference->vocabulary() != model.vocabulary()) {
      throw Error::InFile(model.model().path(),
                          "has " + std::to_string(model.vocabulary()) +
                              " tokens, but the reference " +
                              std::to_string(options.reference->vocabulary()));
    }
    reference.emplace(*options.reference);
  }
  const size_t at_once = reference ? 1 : options.sequences;
  std::vector<Sequence> memory;
  while (memory.size() < std::min(at_once, chunks.size())) {
    memory.push_back(model.program().NewSequence());
  }
  TextScore score;
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < chunks.size(); i += at_once) {
    const auto step =
        std::span(chunks).subspan(i, std::min(at_once, chunks.size() - i));
    if (reference) reference->Run(step.front());
    ScoreChunks(model, step, memory, reference ? &*reference : nullptr, score);
    score.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    if (progress) progress(score);
  }
  return score;
}

std::string ReadText(const std::filesystem::path& path, size_t limit) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Error::InFile(
        path.string(), "cannot open: " + std::generic_category().message(errno),
        errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo);
  }
  std::string text;
  // In pieces, as the size of a pipe is not known.
  constexpr size_t kPiece = size_t{1} << 16;
  while (file && (limit == 0 || text.size() < limit)) {
    const size_t begin = text.size();
    text.resize(begin +
                (limit == 0 ? kPiece : std::min(kPiece, limit - begin)));
    file.read(text.data() + begin,
              static_cast<std::streamsize>(text.size() - begin));
    text.resize(begin + static_cast<size_t>(file.gcount()));
  }
  // Only if the limit cut into it; what the file holds is taken as it is.
  if (file && file.peek() != std::ifstream::traits_type::eof() &&
      ContinuesCharacter(static_cast<char>(file.peek()))) {
    while (!text.empty() && ContinuesCharacter(text.back())) text.pop_back();
    if (!text.empty()) text.pop_back();
  }
  if (file.bad()) {
    throw Error::InFile(
        path.string(),
        "cannot read: " + std::generic_category().message(errno));
  }
  if (text.empty()) throw Error::InFile(path.string(), "holds no text");
  return text;
}

}  // namespace lutra::eval
