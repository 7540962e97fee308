#include "lutra/runtime/tokenizer.h"

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/utf8.h"
#include "runtime/text/added_tokens.h"
#include "runtime/text/bpe.h"
#include "runtime/text/text_steps.h"
#include "runtime/text/tokenizer_impl.h"

namespace lutra {
namespace {

// The steps may make it longer.
constexpr size_t kMaxTextBytes = size_t{1} << 28;

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens,
                               bool normalized) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.normalized == normalized) selected.push_back(token);
  }
  return selected;
}

// What a piece of WordPiece adds to the text before it.
std::string JoinedWord(std::string_view piece, const TokenizerRecipe& recipe,
                       bool first) {
  std::string text(piece);
  if (!first) {
    if (text.starts_with(recipe.continuation)) {
      text.erase(0, recipe.continuation.size());
    } else {
      text.insert(0, 1, ' ');
    }
  }
  if (!recipe.clean_up) return text;
  // English as BERT's decoder spells it.
  constexpr std::pair<std::string_view, std::string_view> kShorter[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kShorter) text = ReplaceAll(text, from, to);
  return text;
}

}  // namespace

Tokenizer::Impl::Impl(TokenizerData from, std::string_view file)
    : data(std::move(from)),
      file_(file),
      raw_added_(Select(data.recipe.added, /*normalized=*/false), file),
      normalized_added_(Select(data.recipe.added, /*normalized=*/true), file),
      normalizer_(data.recipe.normalizer, file),
      splitter_(data.recipe.splitter, file),
      merges_(data),
      unigram_(data),
      word_piece_(data) {}

void Tokenizer::Impl::CheckId(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= data.size()) {
    throw Error::InFile(file_,
                        "tokenizer: token id " + std::to_string(id) +
                            " is outside 0.." + std::to_string(data.size()) +
                            "-1",
                        ErrorCode::kInvalidArgument);
  }
}

// Added tokens cut the text into segments, each of which is normalized, cut
// again, split into parts, and merged.
void Tokenizer::Impl::Encode(std::string_view text,
                             std::vector<int32_t>& ids) const {
  if (text.size() > kMaxTextBytes) {
    throw Error::InFile(file_,
                        "tokenizer: text of " + std::to_string(text.size()) +
                            " bytes is too long; give it in pieces",
                        ErrorCode::kInvalidArgument);
  }
  std::string valid;
  if (!IsUtf8(text)) {
    valid = ReplaceInvalidUtf8(text);
    text = valid;
  }
  BytePairEncoder::Workspace workspace(text.size());
  bool at_start = true;
  const auto encode_parts = [&](std::string_view segment, int32_t id) {
    const bool first = std::exchange(at_start, false);
    if (id >= 0) {
      ids.push_back(id);
      return;
    }
    TextParts parts(std::string(segment), first);
    splitter_.Run(parts);
    size_t begin = 0;
    for (const size_t end : parts.ends) {
      EncodePart(std::string_view(parts.text).substr(begin, end - begin),
                 workspace, ids);
      begin = end;
    }
  };
  raw_added_.Cut(text, [&](std::string_view segment, int32_t id) {
    if (id >= 0) {
      encode_parts(segment, id);
      return;
    }
    TextParts normalized(std::string(segment), at_start);
    normalizer_.Run(normalized);
    normalized_added_.Cut(normalized.text, encode_parts);
  });
}

void Tokenizer::Impl::EncodePart(std::string_view part,
                                 BytePairEncoder::Workspace& workspace,
                                 std::vector<int32_t>& ids) const {
  switch (data.recipe.model) {
    case PieceModel::kMerges:
      return merges_.Encode(part, workspace, ids);
    case PieceModel::kUnigram:
      return unigram_.Encode(part, ids);
    case PieceModel::kWordPiece:
      return word_piece_.Encode(part, ids);
  }
}

bool Tokenizer::Impl::IsByte(int32_t id) const {
  return data.types[static_cast<size_t>(id)] == PieceType::kByte;
}

std::string Tokenizer::Impl::Bytes(int32_t id, bool with_special,
                                   bool& at_start) const {
  CheckId(id);
  const std::string_view piece = data.Piece(static_cast<size_t>(id));
  const PieceType type = data.types[static_cast<size_t>(id)];
  if (type == PieceType::kUnused) return "";
  if (type == PieceType::kControl && !with_special) return "";
  const TokenizerRecipe& recipe = data.recipe;
  const bool first = std::exchange(at_start, false);
  std::string text(piece);
  if (recipe.model == PieceModel::kWordPiece) {
    return JoinedWord(piece, recipe, first);
  }
  if (type == PieceType::kNormal && !recipe.space.empty()) {
    const bool strip = first && recipe.strip_piece;
    text = ReplaceAll(piece, recipe.space, strip ? "" : " ");
  }
  if (first && recipe.strip_space && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl)
    : impl_(std::move(impl)) {}

Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::FromModel(const Model& model) {
  const TensorView* tensor = model.file().Find(kTokenizerTensor);
  if (tensor == nullptr) return nullptr;
  if (tensor->dtype != DType::kUInt8) {
    throw Error::InTensor(model.path(), tensor->name, "is not U8");
  }
  return Parse(tensor->data, model.path());
}

std::shared_ptr<const Tokenizer> Tokenizer::Parse(Span<const std::byte> bytes,
                                                  std::string_view file) {
  auto impl = std::make_unique<const Impl>(ParseTokenizer(bytes, file), file);
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text,
                                       bool add_special) const {
  if (add_special) {
    const std::vector<int32_t>& after = impl_->data.recipe.after;
    std::vector<int32_t> ids = EncodePrompt(text);
    ids.insert(ids.end(), after.begin(), after.end());
    return ids;
  }
  std::vector<int32_t> ids;
  impl_->Encode(text, ids);
  return ids;
}

std::vector<int32_t> Tokenizer::EncodePrompt(std::string_view text) const {
  std::vector<int32_t> ids = impl_->data.recipe.before;
  impl_->Encode(text, ids);
  return ids;
}

std::string Tokenizer::Decode(Span<const int32_t> ids,
                              bool with_special) const {
  std::string text;
  bool at_start = true;
  for (const int32_t id : ids) text += impl_->Bytes(id, with_special, at_start);
  return text;
}

std::string Tokenizer::DecodeText(Span<const int32_t> ids,
                                  bool with_special) const {
  std::string text;
  bool at_start = true;
  // Bytes that stand side by side are characters together or not at all.
  std::string run;
  const auto end_run = [&] {
    const bool valid = !impl_->data.recipe.byte_fallback || IsUtf8(run);
    for (size_t i = 0; !valid && i < run.size(); ++i) {
      text += kReplacementCharacter;
    }
    if (valid) text += run;
    run.clear();
  };
  for (const int32_t id : ids) {
    const std::string bytes = impl_->Bytes(id, with_special, at_start);
    if (impl_->IsByte(id)) {
      run += bytes;
    } else if (!bytes.empty()) {
      end_run();
      text += bytes;
    }
  }
  end_run();
  return ReplaceInvalidUtf8(text);
}

std::string Tokenizer::TokenBytes(int32_t id, bool starts) const {
  return impl_->Bytes(id, /*with_special=*/false, starts);
}

size_t Tokenizer::size() const { return impl_->data.size(); }

std::string_view Tokenizer::Piece(int32_t id) const {
  impl_->CheckId(id);
  return impl_->data.Piece(static_cast<size_t>(id));
}

int32_t Tokenizer::bos() const { return impl_->data.recipe.bos; }

bool Tokenizer::IsEnd(int32_t id) const {
  const auto& ends = impl_->data.recipe.ends;
  return std::find(ends.begin(), ends.end(), id) != ends.end();
}

Span<const int32_t> Tokenizer::ends() const { return impl_->data.recipe.ends; }

bool Tokenizer::IsSpecial(int32_t id) const {
  impl_->CheckId(id);
  const PieceType type = impl_->data.types[static_cast<size_t>(id)];
  return type == PieceType::kControl || type == PieceType::kUnused;
}

bool Tokenizer::IsUnused(int32_t id) const {
  impl_->CheckId(id);
  return impl_->data.types[static_cast<size_t>(id)] == PieceType::kUnused;
}

}  // namespace lutra
