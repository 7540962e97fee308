#include "runtime/chat/characters.h"

#include <algorithm>
#include <iterator>

#include "runtime/text/unicode.h"

namespace lutra::chat {
namespace {

bool IsAscii(char32_t c) { return c < 0x80; }
bool IsAsciiLower(char32_t c) { return c >= 'a' && c <= 'z'; }
bool IsAsciiUpper(char32_t c) { return c >= 'A' && c <= 'Z'; }
bool IsAsciiDigit(char32_t c) { return c >= '0' && c <= '9'; }

Category CategoryHere(char32_t c) {
  CheckUnicodeSupport("chat template");
  return CategoryOf(c);
}

struct Range {
  char32_t first, last;
};

template <size_t N>
bool IsIn(const Range (&ranges)[N], char32_t c) {
  return std::any_of(std::begin(ranges), std::end(ranges), [c](Range range) {
    return c >= range.first && c <= range.last;
  });
}

// Unicode's Other_Lowercase and Other_Uppercase.
constexpr Range kOtherLower[] = {
    {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},
    {0x2C0, 0x2C1},     {0x2E0, 0x2E4},     {0x345, 0x345},
    {0x37A, 0x37A},     {0x1D2C, 0x1D6A},   {0x1D78, 0x1D78},
    {0x1D9B, 0x1DBF},   {0x2071, 0x2071},   {0x207F, 0x207F},
    {0x2090, 0x209C},   {0x2170, 0x217F},   {0x24D0, 0x24E9},
    {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},
    {0xA7F8, 0xA7F9},   {0xAB5C, 0xAB5F},   {0x10780, 0x10780},
    {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};
constexpr Range kOtherUpper[] = {{0x2160, 0x216F},
                                 {0x24B6, 0x24CF},
                                 {0x1F130, 0x1F149},
                                 {0x1F150, 0x1F169},
                                 {0x1F170, 0x1F189}};
// Numeric_Type=Digit.
constexpr Range kDigits[] = {
    {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},
    {0x19DA, 0x19DA},   {0x2070, 0x2070},   {0x2074, 0x2079},
    {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},
    {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
    {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
    {0x278A, 0x2792},   {0x10A40, 0x10A43}, {0x10E60, 0x10E68},
    {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
// Ideographs that are numbers.
constexpr char32_t kNumbers[] = {
    0x3405,  0x3483,  0x382A,  0x3B4D,  0x4E00,  0x4E03,  0x4E07,  0x4E09,
    0x4E24,  0x4E5D,  0x4E8C,  0x4E94,  0x4E96,  0x4EBF,  0x4EC0,  0x4EDF,
    0x4EE8,  0x4F0D,  0x4F70,  0x5104,  0x5146,  0x5169,  0x516B,  0x516D,
    0x5341,  0x5343,  0x5344,  0x5345,  0x534C,  0x53C1,  0x53C2,  0x53C3,
    0x53C4,  0x56DB,  0x58F1,  0x58F9,  0x5E7A,  0x5EFE,  0x5EFF,  0x5F0C,
    0x5F0D,  0x5F0E,  0x5F10,  0x62FE,  0x634C,  0x67D2,  0x6F06,  0x7396,
    0x767E,  0x8086,  0x842C,  0x8CAE,  0x8CB3,  0x8D30,  0x9621,  0x9646,
    0x964C,  0x9678,  0x96F6,  0xF96B,  0xF973,  0xF978,  0xF9B2,  0xF9D1,
    0xF9D3,  0xF9FD,  0x20001, 0x20064, 0x200E2, 0x20121, 0x2092A, 0x20983,
    0x2098C, 0x2099C, 0x20AEA, 0x20AFD, 0x20B19, 0x22390, 0x22998, 0x23B1B,
    0x2626D, 0x2F890};
// Parts of words that are no letters (Word_Break) have no case of their own.
constexpr char32_t kInsideWords[] = {
    0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
    0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};

bool IsCaseIgnorable(char32_t c) {
  if (std::find(std::begin(kInsideWords), std::end(kInsideWords), c) !=
      std::end(kInsideWords)) {
    return true;
  }
  switch (CategoryOf(c)) {
    case Category::kMn:
    case Category::kMe:
    case Category::kCf:
    case Category::kLm:
    case Category::kSk:
      return true;
    default:
      return false;
  }
}

void Append(const std::u32string& characters, std::string& text) {
  for (const char32_t c : characters) AppendUtf8(c, text);
}

void AppendUpper(char32_t c, std::string& text) {
  if (IsAscii(c)) {
    text += static_cast<char>(IsAsciiLower(c) ? c - 32 : c);
    return;
  }
  const Category category = CategoryHere(c);
  // A character whose upper case is several has as many when it is folded, and
  // capitals are their own.
  if (category != Category::kLu) {
    std::u32string folded = FoldCase(c);
    if (folded.size() > 1) {
      for (char32_t& each : folded) each = ToUpper(each);
      Append(folded, text);
      return;
    }
  }
  AppendUtf8(ToUpper(c), text);
}

void AppendTitle(char32_t c, std::string& text) {
  if (IsAscii(c)) {
    AppendUpper(c, text);
    return;
  }
  CheckUnicodeSupport("chat template");
  const char32_t title = ToTitle(c);
  // utf8proc has a capital of its own for the sharp s.
  constexpr char32_t kSharpS = 0xDF;
  if ((title == c && CategoryOf(c) == Category::kLl) || c == kSharpS) {
    std::u32string folded = FoldCase(c);
    if (folded.size() > 1) {
      // The apostrophe of U+0149 has no case: the letter behind it does.
      const size_t letter = folded[0] == 0x2BC ? 1 : 0;
      folded[letter] = ToTitle(folded[letter]);
      // The iota of a Greek title stays below its letter.
      if (c >= 0x1F80 && folded.back() == 0x3B9) folded.back() = 0x345;
      Append(folded, text);
      return;
    }
  }
  AppendUtf8(title, text);
}

std::u32string Decode(std::string_view text) {
  std::u32string result;
  ForEachCharacter(text, [&](char32_t c, std::string_view) {
    result += c;
    return true;
  });
  return result;
}

// The sigma at the end of a word has a form of its own.
bool IsFinalSigma(const std::u32string& text, size_t at) {
  size_t before = at;
  while (before > 0 && IsCaseIgnorable(text[before - 1])) --before;
  if (before == 0 || !IsCased(text[before - 1])) return false;
  size_t after = at + 1;
  while (after < text.size() && IsCaseIgnorable(text[after])) ++after;
  return after == text.size() || !IsCased(text[after]);
}

void AppendLower(const std::u32string& text, size_t at, std::string& result) {
  const char32_t c = text[at];
  if (IsAscii(c)) {
    result += static_cast<char>(IsAsciiUpper(c) ? c + 32 : c);
    return;
  }
  CheckUnicodeSupport("chat template");
  if (c == 0x3A3) {
    AppendUtf8(IsFinalSigma(text, at) ? 0x3C2 : 0x3C3, result);
  } else if (c == 0x130) {
    Append({0x69, 0x307}, result);
  } else {
    AppendUtf8(ToLower(c), result);
  }
}

bool IsInSet(std::string_view character, std::string_view set) {
  bool found = false;
  ForEachCharacter(set, [&](char32_t, std::string_view each) {
    found = each == character;
    return !found;
  });
  return found;
}

// The last character of a text that is not empty.
std::string_view Last(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 &&
         (static_cast<unsigned char>(text[begin]) & 0xC0u) == 0x80) {
    --begin;
  }
  return text.substr(begin);
}

template <class Goes>
std::string_view StripLeftIf(std::string_view text, const Goes& goes) {
  while (!text.empty()) {
    const std::string_view first = text.substr(0, ReadUtf8(text).bytes);
    if (!goes(first)) break;
    text.remove_prefix(first.size());
  }
  return text;
}

template <class Goes>
std::string_view StripRightIf(std::string_view text, const Goes& goes) {
  while (!text.empty()) {
    const std::string_view last = Last(text);
    if (!goes(last)) break;
    text.remove_suffix(last.size());
  }
  return text;
}

bool IsSpaceText(std::string_view character) {
  return IsSpace(DecodeUtf8(character));
}

}  // namespace

bool IsAlpha(char32_t c) {
  if (IsAscii(c)) return IsAsciiLower(c) || IsAsciiUpper(c);
  const Category category = CategoryHere(c);
  return category >= Category::kLu && category <= Category::kLo;
}

bool IsDecimal(char32_t c) {
  return IsAscii(c) ? IsAsciiDigit(c) : CategoryHere(c) == Category::kNd;
}

bool IsDigit(char32_t c) { return IsDecimal(c) || IsIn(kDigits, c); }

bool IsNumeric(char32_t c) {
  if (IsDecimal(c)) return true;
  if (IsAscii(c)) return false;
  const Category category = CategoryOf(c);
  return category == Category::kNl || category == Category::kNo ||
         std::find(std::begin(kNumbers), std::end(kNumbers), c) !=
             std::end(kNumbers);
}

bool IsPrintableCharacter(char32_t c) {
  if (IsAscii(c)) return c >= 0x20 && c < 0x7F;
  switch (CategoryHere(c)) {
    case Category::kCn:
    case Category::kCc:
    case Category::kCf:
    case Category::kCs:
    case Category::kCo:
    case Category::kZs:
    case Category::kZl:
    case Category::kZp:
      return false;
    default:
      return true;
  }
}

bool IsLowerCase(char32_t c) {
  if (IsAscii(c)) return IsAsciiLower(c);
  return CategoryHere(c) == Category::kLl || IsIn(kOtherLower, c);
}

bool IsUpperCase(char32_t c) {
  if (IsAscii(c)) return IsAsciiUpper(c);
  return CategoryHere(c) == Category::kLu || IsIn(kOtherUpper, c);
}

bool IsTitleCase(char32_t c) {
  return !IsAscii(c) && CategoryHere(c) == Category::kLt;
}

bool IsCased(char32_t c) {
  return IsLowerCase(c) || IsUpperCase(c) || IsTitleCase(c);
}

bool IsWord(char32_t c) { return c == '_' || IsAlpha(c) || IsNumeric(c); }

bool BeginsName(char32_t c) {
  if (c == '_' || IsAlpha(c)) return true;
  return !IsAscii(c) && CategoryOf(c) == Category::kNl;
}

bool ContinuesName(char32_t c) {
  if (BeginsName(c) || IsDecimal(c)) return true;
  if (IsAscii(c)) return false;
  const Category category = CategoryOf(c);
  return category == Category::kMn || category == Category::kMc ||
         category == Category::kPc;
}

std::string Upper(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  ForEachCharacter(text, [&](char32_t c, std::string_view) {
    AppendUpper(c, result);
    return true;
  });
  return result;
}

std::string Lower(std::string_view text) {
  const std::u32string characters = Decode(text);
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < characters.size(); ++i) {
    AppendLower(characters, i, result);
  }
  return result;
}

std::string Fold(std::string_view text) {
  std::string result;
  ForEachCharacter(text, [&](char32_t c, std::string_view) {
    if (IsAscii(c)) {
      result += static_cast<char>(IsAsciiUpper(c) ? c + 32 : c);
    } else {
      CheckUnicodeSupport("chat template");
      Append(FoldCase(c), result);
    }
    return true;
  });
  return result;
}

std::string Capitalize(std::string_view text) {
  const std::u32string characters = Decode(text);
  std::string result;
  for (size_t i = 0; i < characters.size(); ++i) {
    if (i == 0) {
      AppendTitle(characters[0], result);
    } else {
      AppendLower(characters, i, result);
    }
  }
  return result;
}

std::string Title(std::string_view text) {
  const std::u32string characters = Decode(text);
  std::string result;
  bool inside = false;
  for (size_t i = 0; i < characters.size(); ++i) {
    if (inside) {
      AppendLower(characters, i, result);
    } else {
      AppendTitle(characters[i], result);
    }
    inside = IsCased(characters[i]);
  }
  return result;
}

std::string SwapCase(std::string_view text) {
  const std::u32string characters = Decode(text);
  std::string result;
  for (size_t i = 0; i < characters.size(); ++i) {
    if (IsUpperCase(characters[i])) {
      AppendLower(characters, i, result);
    } else if (IsLowerCase(characters[i])) {
      AppendUpper(characters[i], result);
    } else {
      AppendUtf8(characters[i], result);
    }
  }
  return result;
}

std::string_view StripLeft(std::string_view text) {
  return StripLeftIf(text, IsSpaceText);
}
std::string_view StripRight(std::string_view text) {
  return StripRightIf(text, IsSpaceText);
}
std::string_view StripLeft(std::string_view text, std::string_view set) {
  return StripLeftIf(text, [set](std::string_view character) {
    return IsInSet(character, set);
  });
}
std::string_view StripRight(std::string_view text, std::string_view set) {
  return StripRightIf(text, [set](std::string_view character) {
    return IsInSet(character, set);
  });
}

}  // namespace lutra::chat
