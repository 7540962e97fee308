#include "packer/import/tokenizers/text_step_json.h"

#include <cctype>
#include <utility>

#include "packer/import/tokenizers/oniguruma.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

constexpr size_t kMaxParts = 32;
constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // U+2581

// What GPT-2 splits by (https://github.com/openai/gpt-2, encoder.py): the
// contractions of English, words, numbers, and the rest, each with the space
// before it, and white space.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|)"
    R"(\s+)";

// A run of white space, and a character of punctuation: ASCII's, which has
// symbols, and Unicode's.
constexpr const char* kSpaces = R"(\s)";
constexpr const char* kPunctuation = R"([!-\/:-@\[-`{-~\p{P}])";

using Split = TextStep::Split;

[[noreturn]] void Unsupported(const JsonObject& object,
                              const std::string& what) {
  object.Fail(what + " is not supported");
}

TextStep Plain(TextStep::Kind kind) {
  TextStep step;
  step.kind = kind;
  return step;
}

TextStep Replace(std::string from, std::string to) {
  TextStep step;
  step.kind = TextStep::Kind::kReplace;
  step.from = std::move(from);
  step.to = std::move(to);
  return step;
}

TextStep Prefix(std::string text, TextStep::Prefix where) {
  TextStep step;
  step.kind = TextStep::Kind::kPrefix;
  step.to = std::move(text);
  step.prefix = where;
  return step;
}

TextStep SplitBy(std::string pattern, TextStep::Split split) {
  TextStep step;
  step.kind = TextStep::Kind::kSplit;
  step.from = std::move(pattern);
  step.split = split;
  return step;
}

// A pattern that matches `text` itself.
std::string Literally(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::ispunct(byte) != 0) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// {"String": text}; other patterns are refused.
std::string PlainPattern(const JsonObject& object) {
  const JsonObject pattern = object.Object("pattern");
  if (!pattern.Has("String")) {
    Unsupported(object, "a pattern that is not a String");
  }
  std::string text = pattern.String("String");
  if (text.empty()) Unsupported(object, "an empty pattern");
  return text;
}

std::string AnyPattern(const JsonObject& object) {
  const JsonObject pattern = object.Object("pattern");
  if (!pattern.Has("Regex")) return Literally(PlainPattern(object));
  return PcrePattern(object, pattern.String("Regex"));
}

TextStep::Split Behavior(const JsonObject& object) {
  const std::string behavior = object.String("behavior");
  const bool invert = object.Bool("invert", false);
  if (behavior == "Isolated") return TextStep::Split::kIsolated;
  if (behavior == "Removed") {
    return invert ? TextStep::Split::kKept : TextStep::Split::kRemoved;
  }
  if (invert) Unsupported(object, "invert with behavior '" + behavior + "'");
  if (behavior == "MergedWithPrevious") {
    return TextStep::Split::kMergedWithPrevious;
  }
  if (behavior == "MergedWithNext") return TextStep::Split::kMergedWithNext;
  if (behavior == "Contiguous") return TextStep::Split::kContiguous;
  Unsupported(object, "behavior '" + behavior + "'");
}

// Whether, and before which parts, a Metaspace puts its mark: older files have
// add_prefix_space instead of prepend_scheme.
std::string PrependScheme(const JsonObject& object) {
  const bool old = object.Bool("add_prefix_space", true);
  std::string scheme =
      object.String("prepend_scheme", old ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    Unsupported(object, "prepend_scheme '" + scheme + "'");
  }
  return scheme;
}

void ReadMetaspace(const JsonObject& object, std::vector<TextStep>& steps) {
  const std::string mark =
      object.String("replacement", std::string(kMetaspace));
  if (mark.empty()) Unsupported(object, "an empty replacement");
  const std::string scheme = PrependScheme(object);
  steps.push_back(Replace(" ", mark));
  if (scheme != "never") {
    steps.push_back(Prefix(mark, scheme == "always"
                                     ? TextStep::Prefix::kUnlessThere
                                     : TextStep::Prefix::kAtStart));
  }
  if (object.Bool("split", true)) {
    steps.push_back(SplitBy(Literally(mark), TextStep::Split::kMergedWithNext));
  }
}

void ReadStrip(const JsonObject& object, std::vector<TextStep>& steps) {
  const bool start = object.Bool("strip_left", true);
  const bool end = object.Bool("strip_right", true);
  if (!start && !end) return;
  TextStep step = Plain(TextStep::Kind::kStrip);
  step.ends = !end     ? TextStep::Ends::kStart
              : !start ? TextStep::Ends::kEnd
                       : TextStep::Ends::kBoth;
  steps.push_back(step);
}

void ReadBertNormalizer(const JsonObject& object,
                        std::vector<TextStep>& steps) {
  const bool lowercase = object.Bool("lowercase", true);
  if (object.Bool("clean_text", true)) {
    steps.push_back(Plain(TextStep::Kind::kNoControls));
  }
  if (object.Bool("handle_chinese_chars", true)) {
    steps.push_back(Plain(TextStep::Kind::kSpaceIdeographs));
  }
  if (object.Bool("strip_accents", lowercase)) {
    steps.push_back(Plain(TextStep::Kind::kNfd));
    steps.push_back(Plain(TextStep::Kind::kNoMarks));
  }
  if (lowercase) steps.push_back(Plain(TextStep::Kind::kLowercase));
}

// Calls `use` with the object itself, or with each of a Sequence's `key`.
template <typename Use>
void ForEachPart(const JsonObject& object, const char* key, const Use& use) {
  if (object.String("type") != "Sequence") {
    use(object);
    return;
  }
  for (const json& entry : object.List(key, kMaxParts)) {
    ForEachPart(JsonObject(entry, object.file(), object.where()), key, use);
  }
}

}  // namespace

std::vector<TextStep> ReadNormalizer(const JsonObject& normalizer) {
  std::vector<TextStep> steps;
  ForEachPart(normalizer, "normalizers", [&](const JsonObject& part) {
    const std::string type = part.String("type");
    if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
      steps.push_back(Plain(type == "NFC"    ? TextStep::Kind::kNfc
                            : type == "NFD"  ? TextStep::Kind::kNfd
                            : type == "NFKC" ? TextStep::Kind::kNfkc
                                             : TextStep::Kind::kNfkd));
    } else if (type == "Lowercase") {
      steps.push_back(Plain(TextStep::Kind::kLowercase));
    } else if (type == "StripAccents") {
      steps.push_back(Plain(TextStep::Kind::kNoMarks));
    } else if (type == "Strip") {
      ReadStrip(part, steps);
    } else if (type == "BertNormalizer") {
      ReadBertNormalizer(part, steps);
    } else if (type == "Prepend") {
      steps.push_back(
          Prefix(part.String("prepend"), TextStep::Prefix::kAlways));
    } else if (type == "Replace") {
      TextStep step = Replace("", part.String("content"));
      if (part.Object("pattern").Has("Regex")) {
        step.kind = TextStep::Kind::kReplaceMatches;
        step.from = AnyPattern(part);
      } else {
        step.from = PlainPattern(part);
      }
      steps.push_back(std::move(step));
    } else {
      Unsupported(part, "type '" + type + "'");
    }
  });
  return steps;
}

PreTokenizer ReadPreTokenizer(const JsonObject& pre_tokenizer) {
  PreTokenizer result;
  std::vector<TextStep>& steps = result.steps;
  ForEachPart(pre_tokenizer, "pretokenizers", [&](const JsonObject& part) {
    const std::string type = part.String("type");
    if (result.bytes)
      Unsupported(part, std::string("'") + type + "' after ByteLevel");
    if (type == "ByteLevel") {
      if (part.Bool("add_prefix_space", true)) {
        steps.push_back(Prefix(" ", TextStep::Prefix::kUnlessThere));
      }
      if (part.Bool("use_regex", true)) {
        steps.push_back(SplitBy(PcrePattern(part, kGpt2Pattern),
                                TextStep::Split::kIsolated));
      }
      result.bytes = true;
    } else if (type == "Split") {
      steps.push_back(SplitBy(AnyPattern(part), Behavior(part)));
    } else if (type == "Digits") {
      const bool single = part.Bool("individual_digits", false);
      steps.push_back(SplitBy(single ? R"(\p{N})" : R"(\p{N}+)",
                              TextStep::Split::kIsolated));
    } else if (type == "Metaspace") {
      ReadMetaspace(part, steps);
    } else if (type == "BertPreTokenizer") {
      steps.push_back(SplitBy(PcrePattern(part, kSpaces), Split::kRemoved));
      steps.push_back(SplitBy(kPunctuation, Split::kIsolated));
    } else if (type == "Whitespace") {
      steps.push_back(
          SplitBy(PcrePattern(part, R"(\w+|[^\w\s]+)"), Split::kKept));
    } else if (type == "WhitespaceSplit") {
      steps.push_back(SplitBy(PcrePattern(part, kSpaces), Split::kRemoved));
    } else if (type == "Punctuation") {
      steps.push_back(SplitBy(kPunctuation, part.Has("behavior")
                                                ? Behavior(part)
                                                : Split::kIsolated));
    } else {
      Unsupported(part, "type '" + type + "'");
    }
  });
  return result;
}

TextDecoder ReadDecoder(const JsonObject& decoder) {
  TextDecoder result;
  ForEachPart(decoder, "decoders", [&](const JsonObject& part) {
    const std::string type = part.String("type");
    if (type == "ByteLevel") {
      result.bytes = true;
    } else if (type == "Metaspace") {
      result.space = part.String("replacement", std::string(kMetaspace));
      result.strip_piece = PrependScheme(part) != "never";
    } else if (type == "Replace") {
      result.space = PlainPattern(part);
      if (part.String("content") != " ") {
        Unsupported(part, "Replace by something other than a space");
      }
    } else if (type == "Strip") {
      if (part.String("content") != " " || part.Integer("start", 0, 99) != 1 ||
          part.Integer("stop", 0, 99) != 0) {
        Unsupported(part, "Strip other than of one space at the start");
      }
      result.strip_space = true;
    } else if (type == "WordPiece") {
      result.continuation = part.String("prefix", "##");
      result.clean_up = part.Bool("cleanup", true);
    } else if (type != "ByteFallback" && type != "Fuse") {
      Unsupported(part, "type '" + type + "'");
    }
  });
  return result;
}

}  // namespace lutra::packer
