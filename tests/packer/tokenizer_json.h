#ifndef LUTRA_TESTS_PACKER_TOKENIZER_JSON_H_
#define LUTRA_TESTS_PACKER_TOKENIZER_JSON_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/runtime/tokenizer.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/utf8.h"
#include "tests/packer/import_data.h"
#include "tests/temp_dir.h"

namespace lutra::packer {

// Builds small files tokenizer.json and reads them.
class TokenizerJson {
 public:
  nlohmann::json root = nlohmann::json::parse(R"({
      "added_tokens": [], "normalizer": null, "post_processor": null,
      "model": {"type": "BPE", "vocab": {}, "merges": []}})");

  // One piece per byte, with the byte's value as id; splits by `pattern`, or as
  // GPT-2 does.
  void ByteLevel(const std::string& pattern) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      root["model"]["vocab"][Spell(byte)] = byte;
    }
    const bool own = !pattern.empty();
    const nlohmann::json bytes = {{"type", "ByteLevel"},
                                  {"add_prefix_space", false},
                                  {"use_regex", !own}};
    root["pre_tokenizer"] = bytes;
    if (own) {
      root["pre_tokenizer"] = {{"type", "Sequence"},
                               {"pretokenizers",
                                {{{"type", "Split"},
                                  {"pattern", {{"Regex", pattern}}},
                                  {"behavior", "Isolated"},
                                  {"invert", false}},
                                 bytes}}};
    }
    root["decoder"] = {{"type", "ByteLevel"}};
  }

  // Pieces a to c and U+2581, with a Metaspace.
  void Metaspace(const std::string& scheme) {
    for (const char* piece : {"a", "b", "c", "\xE2\x96\x81"}) Piece(piece);
    const nlohmann::json step = {{"type", "Metaspace"},
                                 {"replacement", "\xE2\x96\x81"},
                                 {"prepend_scheme", scheme},
                                 {"split", false}};
    root["pre_tokenizer"] = step;
    root["decoder"] = step;
  }

  void Piece(const std::string& piece) {
    nlohmann::json& vocab = root["model"]["vocab"];
    if (!vocab.contains(piece)) vocab[piece] = NextId();
  }

  void Merge(const std::string& left, const std::string& right) {
    root["model"]["merges"].push_back({left, right});
  }

  void Special(const std::string& text) {
    root["added_tokens"].push_back({{"id", NextId()},
                                    {"content", text},
                                    {"special", true},
                                    {"normalized", false}});
  }

  std::shared_ptr<const Tokenizer> Make() const {
    const TempDir dir;
    WriteText(dir / "tokenizer.json", root.dump());
    return Tokenizer::Parse(
        SerializeTokenizer(ReadTokenizerJson(dir / "tokenizer.json")), "test");
  }

  // The pieces of the text.
  std::vector<std::string> Pieces(const std::string& text) const {
    const auto tokenizer = Make();
    std::vector<std::string> pieces;
    for (const int32_t id : tokenizer->Encode(text, false)) {
      pieces.emplace_back(tokenizer->Piece(id));
    }
    return pieces;
  }

  // The parts that `text` is split into, of a byte-level tokenizer: with every
  // substring a piece, and pieces taken whole, each part is one.
  std::vector<std::string> Parts(const std::string& text) const {
    TokenizerJson all = *this;
    for (size_t length = 2; length <= text.size(); ++length) {
      for (size_t begin = 0; begin + length <= text.size(); ++begin) {
        all.Piece(Spell(text.substr(begin, length)));
      }
    }
    all.root["model"]["ignore_merges"] = true;
    return all.Pieces(text);
  }

 private:
  size_t NextId() const {
    return root["model"]["vocab"].size() + root["added_tokens"].size();
  }

  // The alphabet of byte-level tokenizers.
  static std::string Spell(unsigned byte) {
    std::string spelled;
    char32_t next = 0x100;
    for (unsigned b = 0; b <= byte; ++b) {
      const bool printable = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
      const char32_t c = printable ? b : next++;
      if (b == byte) AppendUtf8(c, spelled);
    }
    return spelled;
  }
  static std::string Spell(const std::string& bytes) {
    std::string spelled;
    for (const char c : bytes) spelled += Spell(static_cast<uint8_t>(c));
    return spelled;
  }
};

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_TOKENIZER_JSON_H_
