// The tokenizers of real models against ids that their own programs gave.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <sstream>
#include <string>

#include "lutra/runtime/tokenizer.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "tests/packer/import_data.h"
#include "tests/packer/tokenizer_json.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const Tokenizer> Make(const TokenizerData& data) {
  return Tokenizer::Parse(SerializeTokenizer(data), "test");
}

std::vector<int32_t> TokenIds(const nlohmann::json& list) {
  return list.get<std::vector<int32_t>>();
}

// The prompts and the file prefixes of reference_values.json.
void ExpectReferenceIds(const Tokenizer& tokenizer, const std::string& model,
                        const std::filesystem::path& data) {
  const auto reference = ReadJsonFile(data / "reference_values.json").at(model);
  for (const auto& prompt : reference.at("prompts")) {
    const auto text = prompt.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.Encode(text, true), TokenIds(prompt.at("ids"))) << text;
  }
  for (const auto& entry : reference.at("perplexity")) {
    std::string text = ReadText(data / entry.at("file"));
    const auto& first = entry.at("first_bytes");
    if (first.is_number()) text.resize(first.get<size_t>());
    const auto ids = tokenizer.Encode(text, false);
    EXPECT_EQ(ids.size(), entry.at("n_tokens")) << entry.at("file");
    const auto head = TokenIds(entry.at("first_16_ids"));
    ASSERT_GE(ids.size(), head.size());
    EXPECT_TRUE(std::equal(head.begin(), head.end(), ids.begin()));
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text, true)), text)
        << entry.at("file");
  }
}

TEST(TokenizerImportTest, Stories260k) {
  LUTRA_REQUIRE_DATA(data, "data");
  const auto tokenizer =
      Make(ReadLlama2cTokenizer(data / "stories260k/tok512.bin", 512));
  ExpectReferenceIds(*tokenizer, "stories260k", data);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_TRUE(tokenizer->IsEnd(2));
}

TEST(TokenizerImportTest, TinyStories656k) {
  LUTRA_REQUIRE_DATA(data, "data");
  const auto tokenizer =
      Make(ReadTokenizerJson(data / "tinystories-656k/tokenizer.json"));
  ExpectReferenceIds(*tokenizer, "tinystories_656k", data);
  EXPECT_THAT(tokenizer->Encode("<|end_story|>", false), ElementsAre(2));
}

TEST(TokenizerImportTest, SentencePieceGivesTheSameIds) {
  LUTRA_REQUIRE_DATA(data, "data");
  TokenizerData model;
  try {
    model = ReadSentencePieceTokenizer(data / "stories260k/tok512.model");
  } catch (const Error& error) {
    if (std::strstr(error.what(), "lacks the library") != nullptr) {
      GTEST_SKIP() << error.what();
    }
    throw;
  }
  const auto a = Make(model);
  const auto b =
      Make(ReadLlama2cTokenizer(data / "stories260k/tok512.bin", 512));
  for (const char* file :
       {"tinystories/tinystories_val.txt", "wikitext2/valid.txt",
        "tinyshakespeare/input.txt", "charrnn-bronte/bronte.txt"}) {
    std::istringstream text(ReadText(data / file));
    size_t lines = 0;
    for (std::string line; std::getline(text, line);) {
      // This model drops spaces at the ends and doubled ones.
      while (line.starts_with(' ')) line.erase(0, 1);
      while (line.ends_with(' ')) line.pop_back();
      if (line.find("  ") != std::string::npos) continue;
      const auto ids = a->Encode(line, true);
      ASSERT_EQ(ids, b->Encode(line, true)) << line;
      ASSERT_EQ(a->Decode(ids), line);
      ++lines;
    }
    EXPECT_GT(lines, 10u) << file;
  }
  EXPECT_EQ(a->Encode("  a   b ", true), b->Encode("a b", true));
}

TEST(TokenizerImportTest, RoundTripsOfAnyText) {
  LUTRA_REQUIRE_DATA(folder, "golden/hf/llama3-scaled");
  LUTRA_REQUIRE_DATA(data, "data");
  const auto bytes = Make(ReadTokenizerJson(folder / "tokenizer.json"));
  const auto pieces =
      Make(ReadLlama2cTokenizer(data / "stories260k/tok512.bin", 512));
  std::mt19937 rng(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (size_t i = rng() % 30; i > 0; --i) {
      // Characters of one to four bytes, no surrogates.
      const char32_t limits[] = {0x80, 0x800, 0xD800, 0x110000};
      const char32_t lows[] = {0, 0x80, 0x800, 0x10000};
      const size_t kind = rng() % 4;
      AppendUtf8(lows[kind] +
                     static_cast<char32_t>(rng() % (limits[kind] - lows[kind])),
                 text);
    }
    EXPECT_EQ(bytes->Decode(bytes->Encode(text, false)), text);
    EXPECT_EQ(pieces->Decode(pieces->Encode(text, true)), text);
    TextStream stream(*bytes);
    std::string streamed;
    for (const int32_t id : bytes->Encode(text, false)) {
      streamed += stream.Add(id);
    }
    EXPECT_EQ(streamed + stream.Flush(), text);
  }
}

TEST(TokenizerImportTest, LongTextWithoutSpacesIsFast) {
  LUTRA_REQUIRE_DATA(data, "data");
  const auto tokenizer =
      Make(ReadTokenizerJson(data / "tinystories-656k/tokenizer.json"));
  const auto begin = std::chrono::steady_clock::now();
  const auto ids = tokenizer->Encode(std::string(1 << 20, 'a'), false);
  const auto seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin);
  EXPECT_EQ(tokenizer->Decode(ids), std::string(1 << 20, 'a'));
  EXPECT_LT(seconds.count(), 60);  // an hour if it were quadratic
}

// --- tokenizer.json of the kinds that real models have ---------------------

TEST(TokenizerJsonTest, Llama3Pattern) {
  TokenizerJson json;
  json.ByteLevel(
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
  EXPECT_THAT(json.Parts("It'S 12345 d\xC3\xA9j\xC3\xA0-vu!!\n\n  x  "),
              ElementsAre("It", "'S", " ", "123", "45", " d\xC3\xA9j\xC3\xA0",
                          "-vu", "!!\n\n", " ", " x", "  "));
}

TEST(TokenizerJsonTest, Gpt2Pattern) {
  TokenizerJson json;
  json.ByteLevel("");
  EXPECT_THAT(json.Parts("I'll pay 100\xE2\x82\xAC  now\n"),
              ElementsAre("I", "'ll", " pay", " 100", "\xE2\x82\xAC", " ",
                          " now", "\n"));
}

TEST(TokenizerJsonTest, DigitsOneByOne) {
  TokenizerJson json;
  json.ByteLevel("");
  json.root["pre_tokenizer"] = nlohmann::json::parse(R"({"type": "Sequence",
      "pretokenizers": [{"type": "Digits", "individual_digits": true},
      {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}]})");
  // The space goes before every part that Digits made.
  EXPECT_THAT(json.Pieces("a12 b"),
              ElementsAre(" ", "a", " ", "1", " ", "2", " ", "b"));
}

TEST(TokenizerJsonTest, WholePiecesIgnoreMerges) {
  TokenizerJson json;
  json.ByteLevel("");
  json.Piece("ab");
  json.Piece("abc");
  json.Merge("a", "b");
  EXPECT_THAT(json.Pieces("abc ab"), ElementsAre("ab", "c", " ", "ab"));
  json.root["model"]["ignore_merges"] = true;
  EXPECT_THAT(json.Pieces("abc ab"), ElementsAre("abc", " ", "ab"));
}

TEST(TokenizerJsonTest, MergesInBothSpellings) {
  TokenizerJson json;
  json.ByteLevel("");
  json.Piece("ab");
  json.root["model"]["merges"].push_back("a b");
  EXPECT_THAT(json.Pieces("ab"), ElementsAre("ab"));
}

TEST(TokenizerJsonTest, MetaspaceFirst) {
  TokenizerJson json;
  json.Metaspace("first");
  json.Special("<s>");
  EXPECT_THAT(
      json.Pieces("a b<s>c"),
      ElementsAre("\xE2\x96\x81", "a", "\xE2\x96\x81", "b", "<s>", "c"));
  json.Metaspace("always");
  EXPECT_THAT(json.Pieces("a<s>c"),
              ElementsAre("\xE2\x96\x81", "a", "<s>", "\xE2\x96\x81", "c"));
  EXPECT_EQ(json.Make()->Decode(json.Make()->Encode("a  c", false)), "a  c");
}

TEST(TokenizerJsonTest, MetaspaceDecodesTheFirstPieceWithoutSpaces) {
  TokenizerJson json;
  json.Metaspace("first");
  json.Piece("\xE2\x96\x81\xE2\x96\x81");
  json.Merge("\xE2\x96\x81", "\xE2\x96\x81");
  const auto decoded = [&json](const char* text) {
    return json.Make()->Decode(json.Make()->Encode(text, false));
  };
  EXPECT_EQ(decoded("  a  b"), "a  b");
  EXPECT_EQ(decoded("a b"), "a b");
  json.Metaspace("never");
  EXPECT_EQ(decoded("  a  b"), "  a  b");
}

TEST(TokenizerJsonTest, PiecesOutsideTheByteAlphabetAreNeverFound) {
  TokenizerJson json;
  json.ByteLevel("");
  // Spelled with a character that stands for no byte: not the byte 0x0A.
  json.root["model"]["vocab"]["\n"] = 256;
  EXPECT_THAT(json.Make()->Encode("\n", false), ElementsAre('\n'));
  const std::vector<int32_t> ids = {256};
  EXPECT_EQ(json.Make()->Decode(ids), "\n");
}

TEST(TokenizerJsonTest, TemplateAddsSpecialTokens) {
  TokenizerJson json;
  json.ByteLevel("");
  json.Special("<s>");
  json.Special("</s>");
  json.root["post_processor"] = nlohmann::json::parse(R"({"type": "Sequence",
    "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "</s>", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [256]},
                         "</s>": {"id": "</s>", "ids": [257]}}}]})");
  EXPECT_THAT(json.Make()->Encode("a", true), ElementsAre(256, 'a', 257));
  EXPECT_THAT(json.Make()->Encode("a", false), ElementsAre('a'));
}

// The library gives them other ids than the file says.
TEST(TokenizerJsonTest, IdsOfAddedTokensMustAgreeWithTheVocab) {
  struct Case {
    std::vector<std::pair<int, const char*>> added;
    const char* expected;  // "": accepted
  };
  const Case cases[] = {
      {{{257, "<y>"}, {256, "<x>"}, {97, "a"}}, ""},
      {{{256, "<x>"}, {256, "<x>"}}, ""},
      {{{256, ""}, {256, "<x>"}}, ""},
      {{{5, "a"}}, "'a' has the id 5, but by the vocab and the other tokens"},
      {{{98, "<x>"}},
       "'<x>' has the id 98, but by the vocab and the other "
       "tokens it is 256"},
      {{{257, "<x>"}}, "it is 256"},
      {{{256, "<x>"}, {257, "<x>"}}, "it is 256"},
      {{{256, "<x>"}, {256, "<y>"}}, "it is 257"},
  };
  for (const Case& test : cases) {
    TokenizerJson json;
    json.ByteLevel("");
    for (const auto& [id, text] : test.added) {
      json.root["added_tokens"].push_back({{"id", id}, {"content", text}});
    }
    if (*test.expected == '\0') {
      json.Make();
    } else {
      EXPECT_THAT(ErrorMessage([&] { json.Make(); }), HasSubstr(test.expected));
    }
  }
}

TEST(TokenizerJsonTest, BytesAmongAddedTokensStayBytes) {
  TokenizerJson json;
  json.Metaspace("never");
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    json.Piece(text);
  }
  json.root["model"]["byte_fallback"] = true;
  const int32_t newline = json.root["model"]["vocab"]["<0x0A>"];
  json.root["added_tokens"].push_back(
      {{"id", newline}, {"content", "<0x0A>"}, {"special", true}});
  const auto tokenizer = json.Make();
  const std::vector<int32_t> ids = tokenizer->Encode("a\n<0x0A>", false);
  EXPECT_THAT(ids, ElementsAre(0, newline, newline));
  EXPECT_EQ(tokenizer->Decode(ids), "a\n\n");
}

TEST(TokenizerJsonTest, TokensWithoutARowAreRefused) {
  TokenizerJson json;
  json.ByteLevel("");
  json.Special("<s>");
  const TempDir dir;
  WriteText(dir / "tokenizer.json", json.root.dump());
  const TokenizerData data = ReadTokenizerJson(dir / "tokenizer.json");
  const auto fit = [&](size_t rows) {
    TokenizerData fitted = data;
    FitTokenizer(rows, "tokenizer.json", fitted);
    return fitted;
  };
  EXPECT_THAT(ErrorMessage([&] { fit(256); }),
              HasSubstr("tokenizer.json: has the token '<s>' with the id 256, "
                        "but the model has 256 rows"));
  EXPECT_EQ(fit(257).size(), 257u);
  const TokenizerData padded = fit(300);
  EXPECT_EQ(padded.size(), 300u);
  EXPECT_EQ(padded.types.back(), PieceType::kUnused);
}

// The same pieces as tokenizer.json, as GPT-2's two files and as a file of
// tiktoken, whose ranks are ids.
TEST(TokenizerFilesTest, AllKindsGiveTheSameIds) {
  const TempDir dir;
  TokenizerJson json;
  json.ByteLevel("");
  auto& model = json.root["model"];
  const std::vector<std::string> pieces = {"th", "the", "in", "ing", "re"};
  const std::vector<std::string> merges = {"t h", "th e", "i n", "in g", "r e"};
  for (const std::string& piece : pieces) {
    model["vocab"][piece] = model["vocab"].size();
  }
  model["merges"] = merges;
  std::ofstream(dir / "vocab.json") << model["vocab"].dump();
  std::ofstream list(dir / "merges.txt");
  list << "#version: 0.2\n";
  for (const std::string& merge : merges) list << merge << "\n";
  list.close();
  std::ofstream ranks(dir / "ranks.tiktoken");
  const auto base64 = [](std::string_view bytes) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t bit = 0; bit < 8 * bytes.size(); bit += 6) {
      unsigned digit = 0;
      for (size_t i = bit; i < bit + 6; ++i) {
        const unsigned byte =
            i / 8 < bytes.size() ? static_cast<uint8_t>(bytes[i / 8]) : 0u;
        digit = digit << 1 | (byte >> (7 - i % 8) & 1u);
      }
      text += kDigits[digit];
    }
    while (text.size() % 4 != 0) text += '=';
    return text;
  };
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(static_cast<uint8_t>(byte));
    ranks << base64({&c, 1}) << " " << byte << "\n";
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    ranks << base64(pieces[i]) << " " << 256 + i << "\n";
  }
  ranks.close();
  const auto expected = json.Make();
  for (const char* file : {"vocab.json", "ranks.tiktoken"}) {
    const auto path = dir / file;
    const auto tokenizer = Tokenizer::Parse(
        SerializeTokenizer(ReadTokenizerFile(path)), path.string());
    for (const char* text : {"the thing in there", "caf\xC3\xA9 ring"}) {
      EXPECT_EQ(tokenizer->Encode(text, false), expected->Encode(text, false))
          << file << ": " << text;
    }
  }
  std::ofstream(dir / "bad.tiktoken") << "AA== 0\nAQ== 0\n";
  EXPECT_THAT(ErrorMessage([&] { ReadTokenizerFile(dir / "bad.tiktoken"); }),
              HasSubstr("piece 1 is not one in base64"));
}

TEST(TokenizerJsonTest, RefusesByName) {
  struct Case {
    const char* patch;  // RFC 7396
    const char* expected;
  };
  const Case cases[] = {
      {R"({"model": {"type": "WordLevel"}})", "type 'WordLevel'"},
      {R"({"model": {"type": "Unigram", "vocab": [["a", -1], ["b"]]}})",
       "entry 1 is no piece with a score"},
      {R"({"model": {"type": "WordPiece"}})",
       "is not the WordPiece decoder of the model"},
      {R"({"model": {"dropout": 0.1}})", "dropout"},
      {R"({"model": {"continuing_subword_prefix": "##"}})",
       "continuing_subword_prefix"},
      {R"({"model": {"end_of_word_suffix": "</w>"}})", "end_of_word_suffix"},
      {R"({"model": {"unk_token": "<x>"}})", "'<x>' is not in the vocab"},
      {R"({"model": {"merges": ["a b c"]}})", "merge 0 is not two pieces"},
      {R"({"model": {"merges": ["a b"]}})", "'ab' is not in the vocab"},
      {R"({"model": {"vocab": {"a": 98}}})", "the id 98"},
      {R"({"model": {"vocab": {"z9": -1}}})", "'z9' is -1"},
      {R"({"model": {"vocab": {"z9": 4000000000}}})", "'z9' is 4000000000"},
      {R"({"normalizer": {"type": "Precompiled"}})", "type 'Precompiled'"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "a{2}+"},
           "content": "b"}})",
       "a count followed by '+'"},
      {R"({"pre_tokenizer": {"type": "UnicodeScripts"}})",
       "type 'UnicodeScripts'"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a{2}+"},
           "behavior": "Isolated"}})",
       "a count followed by '+'"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"},
           "behavior": "Sideways"}})",
       "behavior 'Sideways'"},
      {R"({"pre_tokenizer": null})", "does not undo the pre_tokenizer"},
      {R"({"decoder": {"type": "CTC"}})", "type 'CTC'"},
      {R"({"decoder": null})", "has no 'decoder'"},
      {R"({"post_processor": {"type": "BertProcessing"}})", "has no 'cls'"},
      {R"({"post_processor": {"type": "BertProcessing", "cls": ["a", 99999],
           "sep": ["b", 1]}})",
       "cls is no token and its id"},
      {R"({"model": null})", "has no 'model'"},
  };
  for (const Case& test : cases) {
    TokenizerJson json;
    json.ByteLevel("");
    json.root.merge_patch(nlohmann::json::parse(test.patch));
    EXPECT_THAT(ErrorMessage([&] { json.Make(); }), HasSubstr(test.expected))
        << test.patch;
  }
}

}  // namespace
}  // namespace lutra::packer
