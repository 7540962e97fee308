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

// Members that say more about a step.
enum StepMember : unsigned {
  kFrom = 1,
  kTo = 2,
  kWhichEnds = 4,
  kWhichParts = 8,
  kMatches = 16,
};

struct StepName {
  TextStep::Kind value;
  std::string_view name;
  unsigned members;
};

constexpr StepName kSteps[] = {
    {TextStep::Kind::kNfc, "nfc", 0},
    {TextStep::Kind::kNfd, "nfd", 0},
    {TextStep::Kind::kNfkc, "nfkc", 0},
    {TextStep::Kind::kNfkd, "nfkd", 0},
    {TextStep::Kind::kLowercase, "lowercase", 0},
    {TextStep::Kind::kNoMarks, "no_marks", 0},
    {TextStep::Kind::kNoControls, "no_controls", 0},
    {TextStep::Kind::kSpaceIdeographs, "space_ideographs", 0},
    {TextStep::Kind::kStrip, "strip", kWhichEnds},
    {TextStep::Kind::kReplaceMatches, "replace_matches", kFrom | kTo},
    {TextStep::Kind::kCollapse, "collapse", kFrom},
    {TextStep::Kind::kReplace, "replace", kFrom | kTo},
    {TextStep::Kind::kPrefix, "prefix", kTo | kWhichParts},
    {TextStep::Kind::kSplit, "split", kFrom | kMatches}};
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

// The row of a value, and that of what a member of `object` says.
template <typename Row, size_t N, typename E>
const Row& RowOf(const Row (&rows)[N], E value) {
  return *std::find_if(std::begin(rows), std::end(rows),
                       [value](const Row& row) { return row.value == value; });
}

template <typename Row, size_t N>
const Row& RowOf(const Row (&rows)[N], const JsonObject& object,
                 std::string_view key) {
  const std::string text = object.String(key);
  const Row* found =
      std::find_if(std::begin(rows), std::end(rows),
                   [&text](const Row& row) { return row.name == text; });
  if (found == std::end(rows)) {
    object.Fail("unknown " + std::string(key) + " '" + text + "'");
  }
  return *found;
}

ordered_json ToJson(const std::vector<TextStep>& steps) {
  ordered_json list = ordered_json::array();
  for (const TextStep& step : steps) {
    const auto& [kind, name, members] = RowOf(kSteps, step.kind);
    ordered_json entry = {{"step", name}};
    if (members & kFrom) entry["from"] = step.from;
    if (members & kTo) entry["to"] = step.to;
    if (members & kWhichEnds) entry["where"] = RowOf(kEnds, step.ends).name;
    if (members & kWhichParts) {
      entry["where"] = RowOf(kPrefixes, step.prefix).name;
    }
    if (members & kMatches) entry["matches"] = RowOf(kSplits, step.split).name;
    list.push_back(std::move(entry));
  }
  return list;
}

TextStep ReadStep(const JsonObject& object) {
  TextStep step;
  const auto& [kind, name, members] = RowOf(kSteps, object, "step");
  const auto key = [has = members](unsigned member, std::string_view spelling) {
    return (has & member) != 0 ? spelling : "step";
  };
  object.AllowOnly({"step", key(kFrom, "from"), key(kTo, "to"),
                    key(kWhichEnds | kWhichParts, "where"),
                    key(kMatches, "matches")});
  step.kind = kind;
  if (members & kFrom) {
    step.from = object.String("from");
    if (step.from.empty() && kind != TextStep::Kind::kSplit) {
      object.Fail("'from' is empty");
    }
  }
  if (members & kTo) {
    step.to = object.String("to");
    if (step.to.size() > kMaxReplacementBytes) object.Fail("'to' is too long");
  }
  if (members & kWhichEnds) step.ends = RowOf(kEnds, object, "where").value;
  if (members & kWhichParts) {
    step.prefix = RowOf(kPrefixes, object, "where").value;
  }
  if (members & kMatches) step.split = RowOf(kSplits, object, "matches").value;
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
    if (root_.Has("model")) recipe.model = RowOf(kModels, root_, "model").value;
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
    root["model"] = RowOf(kModels, recipe.model).name;
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
