#include "runtime/text/text_steps.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/utf8.h"
#include "runtime/text/unicode.h"

namespace lutra {
namespace {

using Split = TextStep::Split;

// Makes the new parts of a kSplit step.
class Splitter {
 public:
  Splitter(Split split, TextParts& result) : split_(split), result_(result) {}

  void Part(std::string_view part, const Regex& regex) {
    last_ = Last::kNothing;
    size_t end = 0;  // of the last match
    regex.ForEachMatch(part, [&](size_t match, size_t match_end) {
      if (match > end) Gap(part.substr(end, match - end));
      Match(part.substr(match, match_end - match));
      end = match_end;
    });
    if (end < part.size()) Gap(part.substr(end));
  }

 private:
  enum class Last { kNothing, kGap, kMatch };

  void Gap(std::string_view gap) {
    if (split_ != Split::kKept) {
      Put(gap, split_ == Split::kMergedWithNext && last_ == Last::kMatch);
    }
    last_ = Last::kGap;
  }

  void Match(std::string_view match) {
    if (split_ != Split::kRemoved) {
      Put(match,
          (split_ == Split::kMergedWithPrevious && last_ == Last::kGap) ||
              (split_ == Split::kContiguous && last_ == Last::kMatch));
    }
    last_ = Last::kMatch;
  }

  // As a new part or joined to the last one.
  void Put(std::string_view piece, bool join) {
    result_.text += piece;
    if (!join) result_.ends.emplace_back();
    result_.ends.back() = result_.text.size();
  }

  Split split_;
  TextParts& result_;
  Last last_ = Last::kNothing;  // before the place we are at
};

std::string Collapsed(std::string_view part, std::string_view run) {
  std::string result;
  while (part.starts_with(run)) part.remove_prefix(run.size());
  while (part.ends_with(run)) part.remove_suffix(run.size());
  while (!part.empty()) {
    const size_t at = std::min(part.find(run), part.size());
    result += part.substr(0, at);
    part.remove_prefix(at);
    if (part.empty()) break;
    result += run;
    while (part.starts_with(run)) part.remove_prefix(run.size());
  }
  return result;
}

std::string Prefixed(std::string_view part, const TextStep& step,
                     bool at_start) {
  const bool there = part.starts_with(step.to);
  switch (step.prefix) {
    case TextStep::Prefix::kAlways:
      return step.to + std::string(part);
    case TextStep::Prefix::kUnlessThere:
      return there ? std::string(part) : step.to + std::string(part);
    case TextStep::Prefix::kAtStart:
      break;
  }
  return there || !at_start ? std::string(part) : step.to + std::string(part);
}

// map(c, result) appends what becomes of each character.
void MapCharacters(std::string_view part,
                   void (*map)(char32_t c, std::string& result),
                   std::string& result) {
  while (!part.empty()) {
    map(DecodeUtf8(part), result);
    part.remove_prefix(ReadUtf8(part).bytes);
  }
}

void Lowercase(char32_t c, std::string& result) {
  constexpr char32_t kCapitalIWithDot = 0x130;
  if (c == kCapitalIWithDot) {  // the only one that becomes two characters
    result += "i\xCC\x87";
  } else {
    AppendUtf8(ToLower(c), result);
  }
}

void WithoutMarks(char32_t c, std::string& result) {
  if (!IsNonspacingMark(c)) AppendUtf8(c, result);
}

void WithoutControls(char32_t c, std::string& result) {
  constexpr char32_t kReplacement = 0xFFFD;
  if (c == '\t' || c == '\n' || c == '\r') {
    result += ' ';
  } else if (c != 0 && c != kReplacement && !IsControl(c)) {
    AppendUtf8(IsWhiteSpace(c) ? U' ' : c, result);
  }
}

void SpacedIdeograph(char32_t c, std::string& result) {
  if (!IsIdeograph(c)) return AppendUtf8(c, result);
  result += ' ';
  AppendUtf8(c, result);
  result += ' ';
}

std::string_view Stripped(std::string_view part, TextStep::Ends ends) {
  if (ends != TextStep::Ends::kEnd) {
    while (!part.empty() && IsWhiteSpace(DecodeUtf8(part))) {
      part.remove_prefix(ReadUtf8(part).bytes);
    }
  }
  if (ends == TextStep::Ends::kStart) return part;
  size_t kept = 0;
  for (size_t at = 0; at < part.size();) {
    const std::string_view rest = part.substr(at);
    at += ReadUtf8(rest).bytes;
    if (!IsWhiteSpace(DecodeUtf8(rest))) kept = at;
  }
  return part.substr(0, kept);
}

void ReplaceMatches(std::string_view part, const Regex& regex,
                    std::string_view by, std::string& result) {
  size_t done = 0;
  regex.ForEachMatch(part, [&](size_t begin, size_t end) {
    result += part.substr(done, begin - done);
    result += by;
    done = end;
  });
  result += part.substr(done);
}

// Steps of real tokenizers make a text at most about four times as long.
// Positions in a part are 32-bit.
size_t LongestResult(size_t bytes) {
  constexpr size_t kLimit = std::numeric_limits<int32_t>::max();
  return std::min(64 * bytes + (size_t{1} << 20), kLimit);
}

}  // namespace

std::string ReplaceAll(std::string_view text, std::string_view from,
                       std::string_view to) {
  std::string result;
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::string_view::npos;
       at = text.find(from, begin)) {
    result += text.substr(begin, at - begin);
    result += to;
    begin = at + from.size();
  }
  return result += text.substr(begin);
}

std::string NormalizeText(const std::vector<TextStep>& normalizer,
                          std::string_view text, std::string_view file) {
  TextParts parts(std::string(text), /*start=*/true);
  TextSteps(normalizer, file).Run(parts);
  return parts.text;
}

TextSteps::TextSteps(std::vector<TextStep> steps, std::string_view file)
    : steps_(std::move(steps)), file_(file) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    switch (steps_[i].kind) {
      case TextStep::Kind::kSplit:
      case TextStep::Kind::kReplaceMatches:
        regexes_.emplace(i, Regex(steps_[i].from, file_));
        break;
      case TextStep::Kind::kNfc:
      case TextStep::Kind::kNfd:
      case TextStep::Kind::kNfkc:
      case TextStep::Kind::kNfkd:
      case TextStep::Kind::kLowercase:
      case TextStep::Kind::kNoMarks:
      case TextStep::Kind::kNoControls:
        CheckUnicodeSupport(file_);
        break;
      default:
        break;
    }
  }
}

void TextSteps::Run(TextParts& parts) const {
  const size_t longest = LongestResult(parts.text.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    RunStep(i, parts);
    if (parts.text.size() > longest) {
      throw Error::InFile(file_,
                          "tokenizer: its replacements make the text too long",
                          ErrorCode::kInvalidArgument);
    }
  }
}

void TextSteps::RunStep(size_t index, TextParts& parts) const {
  const TextStep& step = steps_[index];
  TextParts result("", parts.at_start);
  Splitter splitter(step.split, result);
  size_t begin = 0;
  for (const size_t end : parts.ends) {
    const std::string_view part =
        std::string_view(parts.text).substr(begin, end - begin);
    if (step.kind == TextStep::Kind::kSplit) {
      splitter.Part(part, regexes_.at(index));
    } else {
      switch (step.kind) {
        case TextStep::Kind::kNfc:
          result.text += Normalize(part, NormalForm::kC);
          break;
        case TextStep::Kind::kNfd:
          result.text += Normalize(part, NormalForm::kD);
          break;
        case TextStep::Kind::kNfkc:
          result.text += Normalize(part, NormalForm::kKC);
          break;
        case TextStep::Kind::kNfkd:
          result.text += Normalize(part, NormalForm::kKD);
          break;
        case TextStep::Kind::kLowercase:
          MapCharacters(part, Lowercase, result.text);
          break;
        case TextStep::Kind::kNoMarks:
          MapCharacters(part, WithoutMarks, result.text);
          break;
        case TextStep::Kind::kNoControls:
          MapCharacters(part, WithoutControls, result.text);
          break;
        case TextStep::Kind::kSpaceIdeographs:
          MapCharacters(part, SpacedIdeograph, result.text);
          break;
        case TextStep::Kind::kStrip:
          result.text += Stripped(part, step.ends);
          break;
        case TextStep::Kind::kReplaceMatches:
          ReplaceMatches(part, regexes_.at(index), step.to, result.text);
          break;
        case TextStep::Kind::kCollapse:
          result.text += Collapsed(part, step.from);
          break;
        case TextStep::Kind::kReplace:
          result.text += ReplaceAll(part, step.from, step.to);
          break;
        case TextStep::Kind::kPrefix:
          result.text += Prefixed(part, step, parts.at_start && begin == 0);
          break;
        case TextStep::Kind::kSplit:
          break;
      }
      const size_t before = result.ends.empty() ? 0 : result.ends.back();
      if (result.text.size() > before) {
        result.ends.push_back(result.text.size());
      }
    }
    begin = end;
  }
  parts = std::move(result);
}

}  // namespace lutra
