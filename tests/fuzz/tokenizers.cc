// Tokenizers: the tensor of a model file, and those of other programs.

#include <span>
#include <string>

#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/tools/tiny_sources.h"

namespace lutra::fuzz {
namespace {

using packer::ReadTokenizerFile;

void UseTokenizer(std::span<const std::byte> bytes) {
  const auto tokenizer = Tokenizer::Parse(bytes, "input");
  for (const char* text :
       {"", "Once upon a time,\n\n  he'll say: x  123,456 <s>!",
        "\xC3\xA9\xEF\xBC\xA1\xE2\x96\x81\xF0\x9F\x98\x80\xE4\xB8\xAD \xFF"}) {
    const auto ids = tokenizer->Encode(text, true);
    (void)tokenizer->Decode(ids, /*with_special=*/true);
    (void)tokenizer->DecodeText(ids);
    TextStream stream(*tokenizer);
    for (const int32_t id : tokenizer->EncodePrompt(text)) (void)stream.Add(id);
    (void)stream.Flush();
  }
}

void UseData(const TokenizerData& data) {
  UseTokenizer(SerializeTokenizer(data));
}

void ReadFile(const std::filesystem::path& path) {
  UseData(ReadTokenizerFile(path));
}

std::string FileOf(void (*write)(const std::filesystem::path&),
                   std::string_view name) {
  const TempDir dir;
  write(dir.path());
  return ReadBytes(dir / name);
}

// tokenizer.json of a model with merges, and the two other kinds.
Inputs JsonSeeds() {
  return {FileOf(tools::WriteHuggingFace, "tokenizer.json"),
          R"({"version": "1.0", "added_tokens": [{"id": 0, "content": "<unk>",
        "special": true, "normalized": false}],
        "normalizer": {"type": "Sequence", "normalizers": [
          {"type": "NFKC"}, {"type": "Strip", "strip_left": true,
          "strip_right": true}, {"type": "Replace",
          "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581",
          "prepend_scheme": "always", "split": true},
        "post_processor": null, "decoder": {"type": "Metaspace",
          "replacement": "\u2581", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
          "vocab": [["<unk>", 0.0], ["\u2581", -2.0], ["a", -2.5],
                    ["\u2581a", -1.5], ["b", -3.0]]}})",
          R"({"version": "1.0", "added_tokens": [{"id": 0, "content": "[UNK]",
        "special": true, "normalized": false}],
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
          "handle_chinese_chars": true, "strip_accents": null,
          "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null, "decoder": {"type": "WordPiece",
          "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]",
          "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
          "vocab": {"[UNK]": 0, "a": 1, "##a": 2, "x": 3}}})",
          R"({"version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
          {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\p{N}{1,3}|\\s+"},
           "behavior": "Isolated", "invert": false},
          {"type": "ByteLevel", "add_prefix_space": false,
           "use_regex": false}]},
        "post_processor": null, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
          "merges": ["a b"]}})"};
}

TokenizerData ReadJson(const std::string& input) {
  const TempDir dir;
  WriteBytes(dir / "tokenizer.json", input);
  return packer::ReadTokenizerJson(dir / "tokenizer.json");
}

// What the importer makes of these.
Inputs TensorsOf(const Inputs& texts) {
  Inputs inputs;
  for (const std::string& text : texts) {
    const auto bytes = SerializeTokenizer(ReadJson(text));
    inputs.emplace_back(reinterpret_cast<const char*>(bytes.data()),
                        bytes.size());
  }
  return inputs;
}

Inputs JsonData() { return DataFiles("golden/tokenizers", "tokenizer.json"); }

Inputs SentencePieceSeeds() {
  return {JoinFiles({{"tokenizer.model",
                      FileOf(tools::WriteSentencePiece, "tokenizer.model")}})};
}

Inputs VocabularySeeds() {
  return {JoinFiles(
      {{"vocab.json", R"({"a": 0, "b": 1, "ab": 2, "\u0120": 3, "<|e|>": 4})"},
       {"merges.txt", "#version: 0.2\na b\n"},
       {"tokenizer_config.json",
        R"({"added_tokens_decoder": {"4": {"content": "<|e|>",)"
        R"( "special": true}}, "eos_token": "<|e|>"})"}})};
}

Inputs TiktokenSeeds() {
  return {JoinFiles({{"tokenizer.tiktoken", "YQ== 0\nYg== 1\nYWI= 2\nIA== 3\n"},
                     {"tokenizer_config.json", "{}"}})};
}

}  // namespace

std::vector<FuzzTarget> TokenizerTargets() {
  return {
      {"tokenizer",
       [](const std::string& input) {
         UseTokenizer(std::as_bytes(std::span(input)));
       },
       [] { return TensorsOf(JsonSeeds()); }, DamageBytes,
       [] { return TensorsOf(JsonData()); }},
      {"tokenizer_json",
       [](const std::string& input) { UseData(ReadJson(input)); }, JsonSeeds,
       DamageJson, JsonData},
      FolderTarget("sentencepiece", "tokenizer.model", ReadFile,
                   SentencePieceSeeds),
      FolderTarget("vocab_and_merges", "vocab.json", ReadFile, VocabularySeeds),
      FolderTarget("tiktoken", "tokenizer.tiktoken", ReadFile, TiktokenSeeds),
  };
}

}  // namespace lutra::fuzz
