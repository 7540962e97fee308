#include "lutra/eval/perplexity.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numbers>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "lutra/runtime/error.h"

namespace lutra::eval {
namespace {

bool ContinuesCharacter(char byte) { return (byte & 0xC0) == 0x80; }

// What is scored on its own.
struct Chunk {
  Chunk(std::span<const int32_t> targets, int32_t bos, size_t begin)
      : first(begin), tokens(targets.size()) {
    if (bos >= 0) ids.push_back(bos);
    ids.insert(ids.end(), targets.begin(), targets.end());
  }

  // The last token is only predicted.
  std::span<const int32_t> Fed() const {
    return std::span(ids).first(ids.size() - 1);
  }
  void AddTo(TextScore& score) const {
    score.tokens += tokens;
    score.scored += Fed().size();
    score.correct += correct;
    score.nats += nats;
  }

  std::vector<int32_t> ids;
  size_t first;   // place of its first token in the text
  size_t tokens;  // of the text
  size_t correct = 0;
  double nats = 0;
};

// All of them at once; `memory` has a sequence for each.
void ScoreChunks(LanguageModel& model, std::span<Chunk> chunks,
                 std::span<Sequence> memory) {
  std::vector<LanguageModel::Tokens> tokens;
  std::vector<Chunk*> scored;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].Fed().empty()) continue;
    memory[i].Truncate(0);
    tokens.push_back({&memory[i], chunks[i].Fed()});
    scored.push_back(&chunks[i]);
  }
  model.ScoreAll(
      tokens, [&](size_t sequence, size_t i, std::span<const float> logits) {
        Chunk& chunk = *scored[sequence];
        const int32_t target = chunk.ids[i + 1];
        const double nats =
            NegativeLogLikelihood(logits.data(), logits.size(), target);
        if (!std::isfinite(nats)) {
          throw Error::InFile(model.model().path(),
                              "the logits after token " +
                                  std::to_string(chunk.first + i) +
                                  " of the text are not finite");
        }
        chunk.nats += nats;
        const auto best = std::max_element(logits.begin(), logits.end());
        if (best - logits.begin() == target) ++chunk.correct;
      });
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

double TextScore::NatsPerToken() const {
  return scored == 0 ? 0 : nats / static_cast<double>(scored);
}

double TextScore::Perplexity() const { return std::exp(NatsPerToken()); }

double TextScore::BitsPerByte(size_t text_bytes) const {
  return NatsPerToken() * static_cast<double>(tokens) /
         (std::numbers::ln2 * static_cast<double>(text_bytes));
}

TextScore ScoreText(LanguageModel& model, const std::vector<int32_t>& ids,
                    int32_t bos, size_t context,
                    const std::function<void(const TextScore&)>& progress,
                    size_t sequences) {
  const size_t window = bos < 0 ? context : context - 1;
  if (window < 1 || context < 2) {
    throw Error::InFile(model.model().path(),
                        "a context of less than 2 tokens scores nothing");
  }
  const auto out_of_range = std::find_if(ids.begin(), ids.end(), [&](auto id) {
    return id < 0 || static_cast<size_t>(id) >= model.vocabulary();
  });
  if (out_of_range != ids.end()) {
    throw Error::InFile(
        model.model().path(),
        "the tokenizer gives token " + std::to_string(*out_of_range) +
            ", but the model has " + std::to_string(model.vocabulary()));
  }
  TextScore score;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Chunk> chunks;
  std::vector<Sequence> memory;
  while (score.tokens < ids.size()) {
    chunks.clear();
    size_t end = score.tokens;
    while (chunks.size() < sequences && end < ids.size()) {
      const size_t count = std::min(window, ids.size() - end);
      chunks.emplace_back(std::span(ids).subspan(end, count), bos, end);
      end += count;
      if (memory.size() < chunks.size()) {
        memory.push_back(model.program().NewSequence());
      }
    }
    ScoreChunks(model, chunks, memory);
    for (const Chunk& chunk : chunks) chunk.AddTo(score);
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
  if (file.bad()) throw Error::InFile(path.string(), "cannot read");
  if (text.empty()) throw Error::InFile(path.string(), "holds no text");
  return text;
}

}  // namespace lutra::eval
