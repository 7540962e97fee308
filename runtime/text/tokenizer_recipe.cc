// The JSON part of docs/tokenizer.md.

#include <algorithm>
#include <iterator>
#include <utility>

#include "lutra/runtime/tokenizer_data.h"
#include "runtime/base/json_object.h"

namespace lutra {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxSteps = 64;
constexpr size_t kMaxAdded = size_t{1} << 20;
constexpr size_t kMaxAround = 64;
// Bounds what one step makes of a text.
constexpr size_t kMaxReplacementBytes = 64;

template <typename E>
struct EnumName {
  E value;
  std::string_view name;
};

constexpr EnumName<TextStep::Kind> kKinds[] = {
    {TextStep::Kind::kNfc, "nfc"},
    {TextStep::Kind::kNfd, "nfd"},
    {TextStep::Kind::kNfkc, "nfkc"},
    {TextStep::Kind::kNfkd, "nfkd"},
    {TextStep::Kind::kLowercase, "lowercase"},
    {TextStep::Kind::kNoMarks, "no_marks"},
    {TextStep::Kind::kNoControls, "no_controls"},
    {TextStep::Kind::kSpaceIdeographs, "space_ideographs"},
    {TextStep::Kind::kStrip, "strip"},
    {TextStep::Kind::kReplaceMatches, "replace_matches"},
    {TextStep::Kind::kCollapse, "collapse"},
    {TextStep::Kind::kReplace, "replace"},
    {TextStep::Kind::kPrefix, "prefix"},
    {TextStep::Kind::kSplit, "split"}};
constexpr EnumName<TextStep::Prefix> kPrefixes[] = {
    {TextStep::Prefix::kAlways, "always"},
    {TextStep::Prefix::kUnlessThere, "unless_there"},
    {TextStep::Prefix::kAtStart, "at_start"}};
constexpr EnumName<TextStep::Ends> kEnds[] = {{TextStep::Ends::kBoth, "both"},
                                              {TextStep::Ends::kStart, "start"},
                                              {TextStep::Ends::kEnd, "end"}};
constexpr EnumName<PieceModel> kModels[] = {
    {PieceModel::kMerges, "merges"},
    {PieceModel::kUnigram, "unigram"},
    {PieceModel::kWordPiece, "word_piece"}};
constexpr EnumName<TextStep::Split> kSplits[] = {
    {TextStep::Split::kIsolated, "isolated"},
    {TextStep::Split::kRemoved, "removed"},
    {TextStep::Split::kKept, "kept"},
    {TextStep::Split::kMergedWithPrevious, "merged_with_previous"},
    {TextStep::Split::kMergedWithNext, "merged_with_next"},
    {TextStep::Split::kContiguous, "contiguous"}};

template <typename E, size_t N>
std::string_view NameOf(const EnumName<E> (&names)[N], E value) {
  return std::find_if(std::begin(names), std::end(names),
                      [value](const auto& n) { return n.value == value; })
      ->name;
}

template <typename E, size_t N>
E Value(const EnumName<E> (&names)[N], const JsonObject& object,
        std::string_view key) {
  const std::string text = object.String(key);
  const auto* found =
      std::find_if(std::begin(names), std::end(names),
                   [&text](const auto& n) { return n.name == text; });
  if (found == std::end(names)) {
    object.Fail("unknown " + std::string(key) + " '" + text + "'");
  }
  return found->value;
}

ordered_json ToJson(const std::vector<TextStep>& steps) {
  ordered_json list = ordered_json::array();
  for (const TextStep& step : steps) {
    ordered_json entry = {{"step", NameOf(kKinds, step.kind)}};
    switch (step.kind) {
      case TextStep::Kind::kNfc:
      case TextStep::Kind::kNfd:
      case TextStep::Kind::kNfkc:
      case TextStep::Kind::kNfkd:
      case TextStep::Kind::kLowercase:
      case TextStep::Kind::kNoMarks:
      case TextStep::Kind::kNoControls:
      case TextStep::Kind::kSpaceIdeographs:
        break;
      case TextStep::Kind::kStrip:
        entry["where"] = NameOf(kEnds, step.ends);
        break;
      case TextStep::Kind::kCollapse:
        entry["from"] = step.from;
        break;
      case TextStep::Kind::kReplace:
      case TextStep::Kind::kReplaceMatches:
        entry["from"] = step.from;
        entry["to"] = step.to;
        break;
      case TextStep::Kind::kPrefix:
        entry["to"] = step.to;
        entry["where"] = NameOf(kPrefixes, step.prefix);
        break;
      case TextStep::Kind::kSplit:
        entry["from"] = step.from;
        entry["matches"] = NameOf(kSplits, step.split);
        break;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

TextStep ReadStep(const JsonObject& object) {
  TextStep step;
  step.kind = Value(kKinds, object, "step");
  switch (step.kind) {
    case TextStep::Kind::kNfc:
    case TextStep::Kind::kNfd:
    case TextStep::Kind::kNfkc:
    case TextStep::Kind::kNfkd:
    case TextStep::Kind::kLowercase:
    case TextStep::Kind::kNoMarks:
    case TextStep::Kind::kNoControls:
    case TextStep::Kind::kSpaceIdeographs:
      object.AllowOnly({"step"});
      break;
    case TextStep::Kind::kStrip:
      object.AllowOnly({"step", "where"});
      step.ends = Value(kEnds, object, "where");
      break;
    case TextStep::Kind::kCollapse:
      object.AllowOnly({"step", "from"});
      step.from = object.String("from");
      if (step.from.empty()) object.Fail("'from' is empty");
      break;
    case TextStep::Kind::kReplace:
    case TextStep::Kind::kReplaceMatches:
      object.AllowOnly({"step", "from", "to"});
      step.from = object.String("from");
      step.to = object.String("to");
      if (step.from.empty()) object.Fail("'from' is empty");
      if (step.to.size() > kMaxReplacementBytes)
        object.Fail("'to' is too long");
      break;
    case TextStep::Kind::kPrefix:
      object.AllowOnly({"step", "to", "where"});
      step.to = object.String("to");
      step.prefix = Value(kPrefixes, object, "where");
      if (step.to.size() > kMaxReplacementBytes)
        object.Fail("'to' is too long");
      break;
    case TextStep::Kind::kSplit:
      object.AllowOnly({"step", "from", "matches"});
      step.from = object.String("from");
      step.split = Value(kSplits, object, "matches");
      break;
  }
  return step;
}

class RecipeReader {
 public:
  RecipeReader(const JsonObject& root, size_t pieces)
      : root_(root), pieces_(pieces) {}

  TokenizerRecipe Read() const {
    root_.AllowOnly(
        {"kind",         "model",         "continuation", "max_word",
         "clean_up",     "normalizer",    "splitter",     "added",
         "bytes",        "byte_fallback", "unknown",      "fuse_unknown",
         "whole_pieces", "space",         "strip_space",  "strip_piece",
         "before",       "after",         "bos",          "ends"});
    TokenizerRecipe recipe;
    recipe.kind = root_.String("kind");
    if (root_.Has("model")) recipe.model = Value(kModels, root_, "model");
    recipe.continuation = root_.String("continuation", "");
    recipe.max_word = root_.Integer("max_word", 0, int64_t{1} << 30, 0);
    recipe.clean_up = root_.Bool("clean_up", false);
    recipe.normalizer = Steps("normalizer");
    recipe.splitter = Steps("splitter");
    for (const TextStep& step : recipe.normalizer) {
      if (step.kind == TextStep::Kind::kSplit) {
        root_.Fail("a normalizer cannot split");
      }
    }
    recipe.added = Added();
    recipe.bytes = root_.Bool("bytes", false);
    recipe.byte_fallback = root_.Bool("byte_fallback", false);
    recipe.unknown = OptionalId("unknown");
    recipe.fuse_unknown = root_.Bool("fuse_unknown", false);
    recipe.whole_pieces = root_.Bool("whole_pieces", false);
    recipe.space = root_.String("space", "");
    recipe.strip_space = root_.Bool("strip_space", false);
    recipe.strip_piece = root_.Bool("strip_piece", false);
    recipe.before = Ids("before");
    recipe.after = Ids("after");
    recipe.bos = OptionalId("bos");
    recipe.ends = Ids("ends");
    return recipe;
  }

 private:
  int64_t LastId() const { return static_cast<int64_t>(pieces_) - 1; }

  int32_t OptionalId(std::string_view key) const {
    return static_cast<int32_t>(root_.Integer(key, -1, LastId(), -1));
  }

  std::vector<int32_t> Ids(std::string_view key) const {
    std::vector<int32_t> ids;
    for (const int64_t id : root_.Integers(key, 0, LastId(), kMaxAround)) {
      ids.push_back(static_cast<int32_t>(id));
    }
    return ids;
  }

  std::vector<TextStep> Steps(std::string_view key) const {
    std::vector<TextStep> steps;
    if (!root_.Has(key)) return steps;
    for (const json& entry : root_.List(key, kMaxSteps)) {
      const JsonObject object(entry, root_.file(),
                              root_.where() + ": " + std::string(key));
      steps.push_back(ReadStep(object));
    }
    return steps;
  }

  std::vector<AddedToken> Added() const {
    std::vector<AddedToken> added;
    if (!root_.Has("added")) return added;
    for (const json& entry : root_.List("added", kMaxAdded)) {
      const JsonObject object(entry, root_.file(), root_.where() + ": added");
      object.AllowOnly({"id", "text", "normalized", "single_word", "strip_left",
                        "strip_right"});
      AddedToken token;
      token.id = static_cast<int32_t>(object.Integer("id", 0, LastId()));
      token.text = object.String("text");
      token.normalized = object.Bool("normalized", false);
      token.single_word = object.Bool("single_word", false);
      token.strip_left = object.Bool("strip_left", false);
      token.strip_right = object.Bool("strip_right", false);
      if (token.text.empty()) object.Fail("'text' is empty");
      added.push_back(std::move(token));
    }
    return added;
  }

  const JsonObject& root_;
  size_t pieces_;
};

}  // namespace

std::string RecipeToJson(const TokenizerRecipe& recipe) {
  ordered_json root;
  root["kind"] = recipe.kind;
  if (recipe.model != PieceModel::kMerges) {
    root["model"] = NameOf(kModels, recipe.model);
  }
  if (recipe.model == PieceModel::kWordPiece) {
    root["continuation"] = recipe.continuation;
    root["max_word"] = recipe.max_word;
    root["clean_up"] = recipe.clean_up;
  }
  root["normalizer"] = ToJson(recipe.normalizer);
  root["splitter"] = ToJson(recipe.splitter);
  root["bytes"] = recipe.bytes;
  root["byte_fallback"] = recipe.byte_fallback;
  root["unknown"] = recipe.unknown;
  root["fuse_unknown"] = recipe.fuse_unknown;
  root["whole_pieces"] = recipe.whole_pieces;
  root["space"] = recipe.space;
  root["strip_space"] = recipe.strip_space;
  if (recipe.strip_piece) root["strip_piece"] = true;
  root["before"] = recipe.before;
  root["after"] = recipe.after;
  root["bos"] = recipe.bos;
  root["ends"] = recipe.ends;
  root["added"] = ordered_json::array();
  for (const AddedToken& token : recipe.added) {
    ordered_json entry = {{"id", token.id}, {"text", token.text}};
    if (token.normalized) entry["normalized"] = true;
    if (token.single_word) entry["single_word"] = true;
    if (token.strip_left) entry["strip_left"] = true;
    if (token.strip_right) entry["strip_right"] = true;
    root["added"].push_back(std::move(entry));
  }
  return root.dump();
}

TokenizerRecipe ParseRecipe(std::string_view text, size_t pieces,
                            std::string_view file) {
  const JsonDocument document = ParseJson(text, file, "tokenizer");
  const JsonObject object(document.root(), file, "tokenizer");
  return RecipeReader(object, pieces).Read();
}

}  // namespace lutra
