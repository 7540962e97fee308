#ifndef LUTRA_TESTS_TOOLS_TINY_SOURCES_H_
#define LUTRA_TESTS_TOOLS_TINY_SOURCES_H_

#include <filesystem>

// A small checkpoint of each kind that `lutra import` reads, with random
// weights. Each function makes its files in a folder that exists.

namespace lutra::tools {

// model.bin of llama2.c and its tokenizer.bin.
void WriteLlama2c(const std::filesystem::path& folder);

// The same model.bin and, as tokenizer.model, sentencepiece's form of the
// tokenizer.
void WriteSentencePiece(const std::filesystem::path& folder);

// config.json, generation_config.json, tokenizer.json and model.safetensors.
void WriteHuggingFace(const std::filesystem::path& folder);

// The same with the tensors in two files and model.safetensors.index.json.
void WriteShards(const std::filesystem::path& folder);

// graph.json and weights.safetensors: a network of convolutions
// with a batch normalization.
void WriteGraph(const std::filesystem::path& folder);

// variables.data-00000-of-00001 of MLPerf Tiny's keyword spotter.
void WriteKeywordSpotter(const std::filesystem::path& folder);

// manifest.json, vocab.json and the tensors of an ml5.js charRNN.
void WriteCharacterLstm(const std::filesystem::path& folder);

}  // namespace lutra::tools

#endif  // LUTRA_TESTS_TOOLS_TINY_SOURCES_H_
