#include "lutra/runtime/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/tokenizer_data.h"
#include "runtime/base/utf8.h"
#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TextStep Step(TextStep::Kind kind, std::string from, std::string to = "") {
  TextStep step;
  step.kind = kind;
  step.from = std::move(from);
  step.to = std::move(to);
  return step;
}

TextStep SplitStep(std::string pattern, TextStep::Split split) {
  TextStep step = Step(TextStep::Kind::kSplit, std::move(pattern));
  step.split = split;
  return step;
}

// One piece per byte, so that ids show how the text was prepared: id = byte.
TokenizerData Bytes() {
  TokenizerData data;
  std::vector<uint32_t> lookup;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(static_cast<uint8_t>(byte));
    data.AddPiece({&c, 1}, PieceType::kNormal);
    lookup.push_back(byte);
  }
  data.recipe.bytes = true;
  MakeLookup(lookup, data);
  return data;
}

// Adds the merge of two pieces as a new piece and returns its id.
uint32_t AddMerge(TokenizerData& data, uint32_t left, uint32_t right) {
  const auto id = static_cast<uint32_t>(data.size());
  const std::string text =
      std::string(data.Piece(left)) + std::string(data.Piece(right));
  data.AddPiece(text, PieceType::kNormal);
  const auto rank = static_cast<uint32_t>(data.merges.size());
  data.merges.push_back({left, right, rank, id});
  return id;
}

std::shared_ptr<const Tokenizer> Make(TokenizerData data) {
  SortMerges(data.merges);
  return Tokenizer::Parse(SerializeTokenizer(data), "test.safetensors");
}

// The merge rule itself, on a plain list: the lowest rank, leftmost first.
std::vector<int32_t> SlowEncode(const TokenizerData& data,
                                std::string_view text) {
  std::vector<uint32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  while (true) {
    const Merge* best = nullptr;
    size_t place = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const Merge& merge : data.merges) {
        if (merge.left == ids[i] && merge.right == ids[i + 1] &&
            (best == nullptr || merge.rank < best->rank)) {
          best = &merge;
          place = i;
        }
      }
    }
    if (best == nullptr) break;
    ids[place] = best->result;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(place) + 1);
  }
  return {ids.begin(), ids.end()};
}

TEST(TokenizerTest, MergesByRank) {
  TokenizerData data = Bytes();
  const uint32_t bc = AddMerge(data, 'b', 'c');
  const uint32_t ab = AddMerge(data, 'a', 'b');
  const uint32_t abc = AddMerge(data, ab, 'c');
  const uint32_t aa = AddMerge(data, 'a', 'a');
  const auto tokenizer = Make(data);
  // bc goes before ab, so that abc is never made.
  EXPECT_THAT(tokenizer->Encode("abc", false), ElementsAre('a', bc));
  EXPECT_THAT(tokenizer->Encode("abx", false), ElementsAre(ab, 'x'));
  EXPECT_THAT(tokenizer->Encode("aaa", false), ElementsAre(aa, 'a'));
  EXPECT_THAT(tokenizer->Encode("", false), IsEmpty());
  EXPECT_EQ(tokenizer->Piece(static_cast<int32_t>(abc)), "abc");
}

TEST(TokenizerTest, QueueAgreesWithPlainRule) {
  std::mt19937 rng(3);
  TokenizerData data = Bytes();
  for (int i = 0; i < 60; ++i) {
    const auto any = [&] {
      const size_t made = data.size() - 256;
      return static_cast<uint32_t>(
          rng() % 2 == 0 || made == 0 ? 'a' + rng() % 4 : 256 + rng() % made);
    };
    AddMerge(data, any(), any());
    data.merges.back().rank /= 2;  // some ranks are shared
  }
  SortMerges(data.merges);
  const auto tokenizer = Make(data);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (size_t i = rng() % 40; i > 0; --i) {
      text += static_cast<char>('a' + rng() % 4);
    }
    EXPECT_EQ(tokenizer->Encode(text, false), SlowEncode(data, text)) << text;
  }
}

// Parts end where merges cannot reach across: every pair may be merged here.
TEST(TokenizerTest, Splits) {
  using Split = TextStep::Split;
  const auto parts = [](Split split, const std::string& text) {
    TokenizerData data = Bytes();
    data.recipe.splitter = {SplitStep("-", split),
                            // Marks the start of every part.
                            Step(TextStep::Kind::kPrefix, "", "|")};
    std::string result;
    for (const int32_t id : Make(data)->Encode(text, false)) {
      result += static_cast<char>(id);
    }
    return result;
  };
  EXPECT_EQ(parts(Split::kIsolated, "a--b"), "|a|-|-|b");
  EXPECT_EQ(parts(Split::kRemoved, "a--b"), "|a|b");
  EXPECT_EQ(parts(Split::kKept, "a--b"), "|-|-");
  EXPECT_EQ(parts(Split::kMergedWithPrevious, "a--b-"), "|a-|-|b-");
  EXPECT_EQ(parts(Split::kMergedWithPrevious, "-b"), "|-|b");
  EXPECT_EQ(parts(Split::kMergedWithNext, "a--b-"), "|a|-|-b|-");
  EXPECT_EQ(parts(Split::kContiguous, "a--b-"), "|a|--|b|-");
}

TEST(TokenizerTest, Steps) {
  TokenizerData data = Bytes();
  TextStep start = Step(TextStep::Kind::kPrefix, "", "_");
  start.prefix = TextStep::Prefix::kAtStart;
  data.recipe.normalizer = {Step(TextStep::Kind::kNfc, ""),
                            Step(TextStep::Kind::kReplace, " ", "_"), start};
  const auto tokenizer = Make(data);
  const auto ids = [&](std::string_view text) {
    const auto encoded = tokenizer->Encode(text, false);
    return std::string(encoded.begin(), encoded.end());
  };
  EXPECT_EQ(ids("a b"), "_a_b");
  EXPECT_EQ(ids(" a"), "_a");
  EXPECT_EQ(ids("e\xCC\x81"), "_\xC3\xA9");  // e and an accent become é
}

TEST(TokenizerTest, CollapsesRuns) {
  TokenizerData data = Bytes();
  data.recipe.normalizer = {Step(TextStep::Kind::kCollapse, " "),
                            Step(TextStep::Kind::kPrefix, "", "_")};
  const auto tokenizer = Make(data);
  const auto text = [&](std::string_view from) {
    return tokenizer->Decode(tokenizer->Encode(from, false));
  };
  EXPECT_EQ(text("  a   b c "), "_a b c");
  EXPECT_EQ(text("   "), "");
}

TEST(TokenizerTest, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  const auto tokenizer = Make(Bytes());
  const auto ids = tokenizer->Encode("a\xFF\xE2\x82", false);
  EXPECT_EQ(tokenizer->Decode(ids), "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(TokenizerTest, UnknownCharactersFuse) {
  TokenizerData data;
  data.AddPiece("<unk>", PieceType::kControl);
  data.AddPiece("a", PieceType::kNormal);
  data.AddPiece("é", PieceType::kNormal);
  MakeLookup({1, 2}, data);
  EXPECT_THAT(Make(data)->Encode("aXYé", false), ElementsAre(1, 2));
  data.recipe.unknown = 0;
  EXPECT_THAT(Make(data)->Encode("aXYé", false), ElementsAre(1, 0, 0, 2));
  data.recipe.fuse_unknown = true;
  EXPECT_THAT(Make(data)->Encode("aXYéX", false), ElementsAre(1, 0, 2, 0));
}

TEST(TokenizerTest, ByteFallbackNeedsAllBytes) {
  TokenizerData data;
  data.AddPiece("<unk>", PieceType::kControl);
  data.AddPiece("\xC3", PieceType::kByte);
  data.AddPiece("\xA9", PieceType::kByte);
  data.recipe.byte_fallback = true;
  data.recipe.unknown = 0;
  const auto tokenizer = Make(data);
  EXPECT_THAT(tokenizer->Encode("é", false), ElementsAre(1, 2));
  EXPECT_THAT(tokenizer->Encode("ê", false), ElementsAre(0));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{1, 2}), "é");
}

class AddedTokenTest : public ::testing::Test {
 protected:
  // The ids of `text` as a string, added tokens (from 256) as digits.
  std::string Ids() const {
    std::string result;
    for (const int32_t id : Make(data_)->Encode(text_, false)) {
      result += static_cast<char>(id < 256 ? id : id - 256 + '0');
    }
    return result;
  }

  AddedToken& Add(const std::string& text) {
    AddedToken token;
    token.id = static_cast<int32_t>(data_.size());
    token.text = text;
    data_.AddPiece(text, PieceType::kNormal);
    data_.recipe.added.push_back(token);
    return data_.recipe.added.back();
  }

  TokenizerData data_ = Bytes();
  std::string text_;
};

TEST_F(AddedTokenTest, LongestFromTheLeft) {
  Add("<a>");
  Add("<a><b>");
  Add("<b>");
  text_ = "x<a><b><b>y<a>";
  EXPECT_EQ(Ids(), "x12y0");
}

TEST_F(AddedTokenTest, TakesWhiteSpaceAlong) {
  AddedToken& token = Add("<a>");
  token.strip_left = true;
  token.strip_right = true;
  text_ = "x \xC2\xA0<a>\n y";  // U+00A0 is white space
  EXPECT_EQ(Ids(), "x0y");
}

// As Hugging Face's library has it: another token in the white space counts,
// and what follows it is text again.
TEST_F(AddedTokenTest, WhiteSpaceTakenAlongHidesNoToken) {
  Add("<a>").strip_right = true;
  Add("\n\n");
  Add("<b>").strip_left = true;
  Add(" c");
  Add("  ");
  for (const auto& [text, ids] :
       std::map<std::string, std::string>{{"<a> \n\n b", "01 b"},
                                          {"<a>\n\nb", "01b"},
                                          {"<a> cd", "03d"},
                                          {"<a> c<b>", "032"},
                                          {"a  <b>", "a42"},
                                          {"<a>   <b>", "042"},
                                          {"a c <b>", "a32"},
                                          {"<a>  \n\n  <b>d", "04142d"}}) {
    text_ = text;
    EXPECT_EQ(Ids(), ids) << text;
  }
}

TEST_F(AddedTokenTest, WhatAWordIs) {
  Add("cat").single_word = true;
  // Joiners, circled letters, a mark, a connector.
  for (const char* part : {"\u200D", "\u200C", "\u24B6", "\u24E9", "\U0001F130",
                           "\U0001F169", "\U0001F189", "\u0301", "\u203F"}) {
    text_ = std::string("cat") + part;
    EXPECT_EQ(Ids(), text_) << part;
    text_ = std::string(part) + "cat";
    EXPECT_EQ(Ids(), text_) << part;
  }
  // Beside them: no word.
  for (const char* other : {"\u200B", "\u200E", "\u24B5", "\u24EA",
                            "\U0001F14A", "\U0001F18A", "\u00B2"}) {
    text_ = std::string("cat") + other;
    EXPECT_EQ(Ids(), std::string("0") + other) << other;
  }
}

TEST_F(AddedTokenTest, SingleWord) {
  Add("cat").single_word = true;
  text_ = "cat concat cats (cat) cat";
  EXPECT_EQ(Ids(), "0 concat cats (0) 0");
}

TEST_F(AddedTokenTest, NormalizedOnesAreFoundAfterTheNormalizer) {
  data_.recipe.normalizer = {Step(TextStep::Kind::kReplace, " ", "_")};
  Add("_b").normalized = true;
  Add("_c");
  text_ = "a b_c c";
  EXPECT_EQ(Ids(), "a01_c");
}

// Bytes, and tokens around a text: 256 before it, 257 after it. 258 is unused.
TokenizerData WithSpecialTokens() {
  TokenizerData data = Bytes();
  data.AddPiece("<s>", PieceType::kControl);
  data.AddPiece("</s>", PieceType::kControl);
  data.AddPiece("", PieceType::kUnused);
  data.recipe.before = {256};
  data.recipe.after = {257};
  return data;
}

TEST(TokenizerTest, SpecialTokens) {
  TokenizerData data = WithSpecialTokens();
  data.recipe.bos = 256;
  data.recipe.ends = {257};
  const auto tokenizer = Make(data);
  const auto ids = tokenizer->Encode("hi", true);
  EXPECT_THAT(ids, ElementsAre(256, 'h', 'i', 257));
  EXPECT_THAT(tokenizer->Encode("hi", false), ElementsAre('h', 'i'));
  EXPECT_EQ(tokenizer->Decode(ids), "hi");
  EXPECT_EQ(tokenizer->Decode(ids, /*with_special=*/true), "<s>hi</s>");
  EXPECT_EQ(tokenizer->bos(), 256);
  EXPECT_TRUE(tokenizer->IsEnd(257));
  EXPECT_FALSE(tokenizer->IsEnd(256));
  EXPECT_TRUE(tokenizer->IsSpecial(258));
  EXPECT_FALSE(tokenizer->IsSpecial('a'));
  EXPECT_EQ(tokenizer->size(), 259u);
}

TEST(TokenizerTest, APromptDoesNotEnd) {
  TokenizerData data = WithSpecialTokens();
  const auto tokenizer = Make(data);
  EXPECT_THAT(tokenizer->Encode("a", true), ElementsAre(256, 'a', 257));
  EXPECT_THAT(tokenizer->EncodePrompt("a"), ElementsAre(256, 'a'));
  EXPECT_TRUE(tokenizer->IsUnused(258));
  EXPECT_FALSE(tokenizer->IsUnused(257));
  EXPECT_THROW(tokenizer->IsUnused(259), Error);
}

TEST(TokenizerTest, IdsOutOfRange) {
  const auto tokenizer = Make(Bytes());
  for (const int32_t id : {-1, 256, 1 << 30}) {
    const std::vector<int32_t> ids = {'a', id};
    EXPECT_THAT(
        ErrorMessage([&] { (void)tokenizer->Decode(ids); }),
        HasSubstr("token id " + std::to_string(id) + " is outside 0..256-1"));
  }
}

TEST(TokenizerTest, LeadingSpaceIsDropped) {
  TokenizerData data = Bytes();
  data.recipe.space = "_";
  data.recipe.strip_space = true;
  const auto tokenizer = Make(data);
  const auto ids = tokenizer->Encode("__a_b", false);
  EXPECT_EQ(tokenizer->Decode(ids), " a b");
  TextStream stream(*tokenizer);
  TextStream continued(*tokenizer, /*continues=*/true);
  std::string text;
  std::string after;
  for (const int32_t id : ids) {
    text += stream.Add(id);
    after += continued.Add(id);
  }
  EXPECT_EQ(text, " a b");
  EXPECT_EQ(after, "  a b");
}

TEST(TokenizerTest, SpacesOfTheFirstPieceAreDropped) {
  TokenizerData data = Bytes();
  data.AddPiece("<s>", PieceType::kControl);
  data.AddPiece("__a_", PieceType::kNormal);
  data.recipe.space = "_";
  data.recipe.strip_piece = true;
  const auto tokenizer = Make(data);
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{256, 257, '_', 257}),
            "a   a ");
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{'_', '_', 'b'}), " b");
  TextStream stream(*tokenizer);
  EXPECT_EQ(stream.Add(256), "");
  EXPECT_EQ(stream.Add('_'), "");
  EXPECT_EQ(stream.Add(257), "  a ");
}

TEST(TextStreamTest, GivesWholeCharactersOnly) {
  const auto tokenizer = Make(Bytes());
  TextStream stream(*tokenizer);
  const auto add = [&](unsigned byte) {
    return stream.Add(static_cast<int32_t>(byte));
  };
  EXPECT_EQ(add('a'), "a");
  EXPECT_EQ(add(0xE2), "");
  EXPECT_EQ(add(0x82), "");
  EXPECT_EQ(add(0xAC), "€");
  EXPECT_EQ(add(0xF0), "");
  EXPECT_EQ(add('b'),
            "\xEF\xBF\xBD"
            "b");  // the character never comes
  EXPECT_EQ(add(0x80), "\xEF\xBF\xBD");
  EXPECT_EQ(add(0xC3), "");
  EXPECT_EQ(stream.Flush(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.Flush(), "");
}

TEST(Utf8Test, KnowsTheStandard) {
  for (const std::string_view good :
       {"a", "é", "€", "😀", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
    std::string again;
    AppendUtf8(DecodeUtf8(good), again);
    EXPECT_EQ(again, good);
  }
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
  // The standard's example (table 3-8).
  EXPECT_EQ(ReplaceInvalidUtf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63"),
            "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
            "b\xEF\xBF\xBD"
            "c");
}

// --- Hostile regular expressions and files --------------------------------

TEST(TokenizerTest, ExplosivePatternGivesUp) {
  TokenizerData data = Bytes();
  data.recipe.splitter = {
      SplitStep("(a+)+$|(a|aa)+b", TextStep::Split::kIsolated)};
  const auto tokenizer = Make(data);
  EXPECT_THAT(ErrorMessage([&] {
                (void)tokenizer->Encode(std::string(5000, 'a') + "!", false);
              }),
              HasSubstr("regular expression does not work on this text"));
}

TEST(TokenizerTest, BadPatternIsNamed) {
  TokenizerData data = Bytes();
  data.recipe.splitter = {SplitStep("a(", TextStep::Split::kIsolated)};
  EXPECT_THAT(ErrorMessage([&] { Make(data); }),
              HasSubstr("test.safetensors: tokenizer: regular expression is "
                        "not valid at byte 2"));
}

TEST(TokenizerTest, GrowingReplacementsAreStopped) {
  TokenizerData data = Bytes();
  for (int i = 0; i < 12; ++i) {
    data.recipe.normalizer.push_back(
        Step(TextStep::Kind::kReplace, "a", std::string(64, 'a')));
  }
  const auto tokenizer = Make(data);
  EXPECT_THAT(ErrorMessage([&] { (void)tokenizer->Encode("aaaa", false); }),
              HasSubstr("make the text too long"));
}

}  // namespace
}  // namespace lutra
