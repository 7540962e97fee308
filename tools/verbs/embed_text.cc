#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/text_encoder.h"
#include "lutra/runtime/tokenizer.h"
#include "runtime/base/system_error.h"
#include "tools/cli/json.h"
#include "tools/cli/load_options.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kEmbedTextExample =
    "Prints a line of numbers for each text, or with --similarity how near\n"
    "each two of them are: the cosine of the angle between their vectors.\n"
    "\n"
    "Example:\n"
    "  lutra embed-text minilm.safetensors \"A text.\" \"Another one.\"\n"
    "  lutra embed-text minilm.safetensors --texts lines.txt --json\n"
    "  lutra embed-text minilm.safetensors \"a cat\" \"a kitten\" \"a car\" "
    "--similarity";

struct EmbedTextVerb {
  std::string model;
  std::vector<std::string> texts;
  std::string file;
  bool similarity = false;
  ProgramOptions program;
  LoadOptions load;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

// Texts of the command line, then lines of the file.
std::vector<std::string> AllTexts(const EmbedTextVerb& verb) {
  std::vector<std::string> texts = verb.texts;
  if (!verb.file.empty()) {
    errno = 0;
    std::ifstream stream(verb.file);
    if (!stream) throw SystemError(verb.file, "cannot open", errno);
    for (std::string line; std::getline(stream, line);) texts.push_back(line);
    if (stream.bad()) throw SystemError(verb.file, "cannot read", errno);
  }
  if (texts.empty()) throw UsageError("no text is given (TEXT or --texts)");
  return texts;
}

double Cosine(Span<const float> a, Span<const float> b) {
  double product = 0;
  double of_a = 0;
  double of_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * double{b[i]};
    of_a += double{a[i]} * double{a[i]};
    of_b += double{b[i]} * double{b[i]};
  }
  return product / std::sqrt(of_a * of_b);
}

void PrintVectors(const std::vector<std::string>& texts,
                  const std::vector<float>& vectors, OutputFormat format) {
  const size_t width = vectors.size() / texts.size();
  Json list = Json::Array();
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto* begin = vectors.data() + i * width;
    if (format == OutputFormat::kJson) {
      Json numbers = Json::Array();
      for (size_t j = 0; j < width; ++j) numbers.PushBack(double{begin[j]});
      Json entry = {{"text", texts[i]}};
      entry["embedding"] = std::move(numbers);
      list.PushBack(std::move(entry));
      continue;
    }
    for (size_t j = 0; j < width; ++j) {
      std::cout << (j == 0 ? "" : " ") << begin[j];
    }
    std::cout << "\n";
  }
  if (format == OutputFormat::kJson) std::cout << list.Dump(2) << "\n";
}

void PrintSimilarities(const std::vector<std::string>& texts,
                       const std::vector<float>& vectors, OutputFormat format) {
  const size_t width = vectors.size() / texts.size();
  const auto vector = [&](size_t i) {
    return Span<const float>(vectors.data() + i * width, width);
  };
  if (format == OutputFormat::kJson) {
    Json rows = Json::Array();
    for (size_t i = 0; i < texts.size(); ++i) {
      Json row = Json::Array();
      for (size_t j = 0; j < texts.size(); ++j) {
        row.PushBack(Cosine(vector(i), vector(j)));
      }
      rows.PushBack(std::move(row));
    }
    std::cout << rows.Dump(2) << "\n";
    return;
  }
  std::vector<Table::Column> columns = {{"text", Table::Align::kLeft}};
  for (size_t i = 0; i < texts.size(); ++i) {
    columns.push_back({std::to_string(i + 1)});
  }
  Table table(columns);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<std::string> row = {OneLine(texts[i])};
    for (size_t j = 0; j < texts.size(); ++j) {
      row.push_back(Short(Cosine(vector(i), vector(j))));
    }
    table.AddRow(row);
  }
  std::cout << Rendered(table, format);
}

void EmbedTextVerb::Run() const {
  const auto texts_to_encode = AllTexts(*this);
  const auto loaded = Model::Load(model, load);
  const auto tokenizer = Tokenizer::FromModel(*loaded);
  if (tokenizer == nullptr) throw Error::InFile(model, "has no tokenizer");
  TextEncoder encoder(loaded, program);
  // So many tokens at a time as the longest text may have.
  std::vector<float> vectors;
  std::vector<std::vector<int32_t>> ids;
  size_t tokens = 0;
  const auto flush = [&] {
    const auto part = encoder.EncodeAll(ids);
    vectors.insert(vectors.end(), part.begin(), part.end());
    ids.clear();
    tokens = 0;
  };
  for (const std::string& text : texts_to_encode) {
    std::vector<int32_t> next = tokenizer->Encode(text, true);
    if (!ids.empty() && tokens + next.size() > encoder.context()) flush();
    tokens += next.size();
    ids.push_back(std::move(next));
  }
  flush();
  if (similarity) {
    PrintSimilarities(texts_to_encode, vectors, format);
  } else {
    PrintVectors(texts_to_encode, vectors, format);
  }
}

}  // namespace

void AddEmbedTextVerb(CommandLine& line) {
  auto verb = std::make_shared<EmbedTextVerb>();
  Verb embed = line.AddVerb("embed-text", "Make vectors of texts");
  embed.Footer(kEmbedTextExample);
  embed.Add("MODEL", verb->model, "A model that encodes texts").Required();
  embed.Add("TEXT", verb->texts, "Texts");
  embed.Add("--texts", verb->file, "A file with a text in each line")
      .TypeName("FILE");
  embed.AddFlag("--similarity", verb->similarity,
                "Print how near the texts are to each other");
  AddThreadsOption(embed, verb->program.threads);
  AddActivationsOption(embed, verb->program.activations);
  AddLoadOptions(embed, verb->load);
  AddFormatOptions(embed, verb->format);
  embed.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
