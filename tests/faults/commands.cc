#include "tests/faults/commands.h"

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "lutra/runtime/chat_data.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/tools/command.h"
#include "tests/tools/tiny_sources.h"
#include "tests/tools/workshop.h"

namespace lutra::faults {
namespace {

void MustRun(const std::vector<std::string>& call) {
  const tools::Outcome outcome = tools::RunLutra(call);
  if (outcome.exit_code != 0) {
    throw std::runtime_error(call[0] + ": " + outcome.err);
  }
}

}  // namespace

void MakeSources() {
  const tools::Workshop shop;
  std::filesystem::copy(shop.dir(), ".",
                        std::filesystem::copy_options::recursive);
  ChatData chat;
  chat.templates = {{"default",
                     "{% for m in messages %}{{ m.role }}. {{ m.content }}\n"
                     "{% endfor %}assistant. "}};
  TinyLanguage{.context = 200}
      .Build()
      .Metadata(kChatKey, ChatDataToJson(chat))
      .Write("language");
  TinyLanguage{.packed = true}.Build().Write("packed");
  TinyLanguage{.encodes = true}.Build().Write("encoder");
  std::string text;
  for (int i = 0; i < 30; ++i) text += "the quick brown fox he said.\n";
  WriteBytes("text", text);
  WriteBytes("spec",
             R"({"weights": {"dtype": "int4", "granularity": "channel"}})");
  WriteBytes("grammar", "root ::= [a-z]+ \".\"\n");
  std::filesystem::create_directory("checkpoint");
  tools::WriteHuggingFace("checkpoint");
  MustRun({"import", "checkpoint", "-o", "imported"});
  MustRun({"export", "imported", "-o", "imported.gguf", "--no-tokenizer"});
  MustRun({"train", "language", "--data", "text", "--steps", "3", "--batch",
           "4", "--length", "16", "-o", "trained", "--log", "log.jsonl"});
}

std::vector<Command> Commands() {
  const std::vector<std::string> train = {"train",
                                          "language",
                                          "--data",
                                          "text",
                                          "--steps",
                                          "6",
                                          "--batch",
                                          "4",
                                          "--length",
                                          "16",
                                          "--bits",
                                          "4",
                                          "--group-size",
                                          "16",
                                          "--checkpoint",
                                          "out/checkpoint",
                                          "--checkpoint-steps",
                                          "2",
                                          "--log",
                                          "out/log.jsonl",
                                          "-o",
                                          "out/model",
                                          "--pack",
                                          "out/packed"};
  std::vector<std::string> resume = train;
  resume.push_back("--resume");
  return {
      {"pack",
       {"pack", "float.safetensors", "-o", "out/model", "--spec", "spec"}},
      {"pack --data",
       {"pack", "language", "-o", "out/model", "--bits", "2", "--group-size",
        "16", "--quantizer", "mse-stretched", "--data", "text", "--length",
        "30"}},
      {"calibrate",
       {"calibrate", "language", "-o", "out/statistics", "--data", "text",
        "--length", "30"}},
      {"tune",
       {"tune", "packed", "--reference", "language", "--data", "text",
        "--length", "16", "--steps", "2", "-o", "out/model"}},
      {"train", train, {}, resume},
      {"import folder", {"import", "checkpoint", "-o", "out/model"}},
      {"import GGUF", {"import", "imported.gguf", "-o", "out/model"}},
      {"export folder", {"export", "imported", "-o", "out/folder"}},
      {"export GGUF",
       {"export", "imported", "-o", "out/model.gguf", "--no-tokenizer"}},
      {"run",
       {"run", "trained.safetensors", "-i", "data/t10k-images-idx3-ubyte", "-o",
        "out/scores.npy"}},
      {"eval --data", {"eval", "--data", "data", "trained.safetensors"}},
      {"eval --text", {"eval", "--text", "text", "packed"}},
      {"generate",
       {"generate", "packed", "-p", "the", "-n", "12", "-q", "--grammar",
        "grammar", "--prompt-cache", "out/cache"}},
      {"chat",
       {"chat", "language", "-q", "-n", "8", "--prompt-cache", "out/cache"},
       "the hen\n/save out/history\n"},
      {"embed-text", {"embed-text", "encoder", "--texts", "text"}},
      {"inspect", {"inspect", "packed", "--graph", "out/graph.svg"}},
      {"verify", {"verify", "packed"}},
      {"embed", {"embed", "float.safetensors", "-o", "out/model.c"}},
      {"plot", {"plot", "log.jsonl", "-o", "out/plot.svg"}},
  };
}

}  // namespace lutra::faults
