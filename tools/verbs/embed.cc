#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iostream>
#include <memory>
#include <span>
#include <string>

#include "lutra/runtime/model.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/mapped_file.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kEmbedExample =
    "Writes C11 source with the bytes of the model as they are, for programs\n"
    "without files. They are used in place, not copied, by\n"
    "  extern const void* const NAME;\n"
    "  extern const size_t NAME_size;\n"
    "  lutra_model_load_from_memory(NAME, NAME_size, NULL, &model);\n"
    "examples/embedded.c is such a program. The source has up to four times "
    "the\n"
    "bytes of the model.\n"
    "\n"
    "Example:\n"
    "  lutra embed packed.safetensors -o network.c\n"
    "  cc -c network.c";

// Rows are string literals: compilers take several times longer for lists of
// numbers, and more memory. A row is a multiple of the alignment, and no longer
// than what each compiler has to take (4095 characters).
constexpr size_t kRow = 4032;
constexpr size_t kLine = 32;

struct EmbedVerb {
  std::string model;
  std::string output;
  std::string name;

  void Run() const;
};

bool IsIdentifier(const std::string& name) {
  return !name.empty() && (std::isdigit(name[0] & 0x7f) == 0) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c < 128 && (std::isalnum(c) != 0 || c == '_');
         });
}

// The name of the file, without what identifiers cannot have.
std::string NameOf(const std::string& output) {
  std::string name = std::filesystem::path(output).stem().string();
  for (char& c : name) {
    if (!IsIdentifier("_" + std::string(1, c))) c = '_';
  }
  return IsIdentifier(name) ? name : "_" + name;
}

// As a string literal.
std::string Literal(std::span<const std::byte> bytes) {
  std::string text = "\"";
  for (const std::byte value : bytes) {
    const auto c = static_cast<unsigned char>(value);
    if (c < 128 && (std::isalnum(c) != 0 || c == ' ')) {
      text += static_cast<char>(c);
    } else {  // three digits end an escape, whatever follows
      text += '\\';
      for (const int shift : {6, 3, 0}) {
        text += static_cast<char>('0' + ((c >> shift) & 7));
      }
    }
  }
  return text + "\"";
}

void EmbedVerb::Run() const {
  const std::string symbol = name.empty() ? NameOf(output) : name;
  if (!IsIdentifier(symbol)) {
    throw UsageError("--name: '" + symbol + "' is no name in C");
  }
  const MappedFile file(model);
  const std::span<const std::byte> bytes = file.bytes();
  Model::LoadMemory(bytes, model);  // throws for what is no model

  OutputFile source{std::filesystem::path(output)};
  source.Append("/* A model of " + std::to_string(bytes.size()) +
                " bytes, for lutra_model_load_from_memory; made by 'lutra "
                "embed'. C11. */\n"
                "#include <stddef.h>\n\n"
                "extern const void* const " +
                symbol + ";\nextern const size_t " + symbol +
                "_size;\n\n"
                "/* Used in place, as it starts at a multiple of 64 bytes. */\n"
                "static _Alignas(64) const unsigned char rows[][" +
                std::to_string(kRow) + "] = {\n");
  for (size_t row = 0; row < bytes.size(); row += kRow) {
    const auto row_bytes =
        bytes.subspan(row, std::min(kRow, bytes.size() - row));
    std::string text;
    for (size_t at = 0; at < row_bytes.size(); at += kLine) {
      text += Literal(row_bytes.subspan(
                  at, std::min(kLine, row_bytes.size() - at))) +
              "\n";
    }
    text.back() = ',';
    source.Append(text + "\n");
  }
  source.Append("};\n\nconst void* const " + symbol +
                " = rows;\nconst size_t " + symbol +
                "_size = " + std::to_string(bytes.size()) + ";\n");
  source.Commit();
  std::cout << OneLine(output) << ": " << WithCommas(bytes.size()) << " bytes, "
            << symbol << " and " << symbol << "_size\n";
}

}  // namespace

void AddEmbedVerb(CommandLine& line) {
  Verb verb =
      line.AddVerb("embed", "Write a model as C source, to compile it in");
  const auto embed = std::make_shared<EmbedVerb>();
  verb.Add("MODEL", embed->model, "Model file").Required();
  verb.Add("-o,--output", embed->output, "C source to write")
      .TypeName("FILE.c")
      .Required();
  verb.Add("--name", embed->name,
           "What the bytes are called; by itself as the file")
      .TypeName("NAME");
  verb.Footer(kEmbedExample);
  verb.OnRun([embed] { embed->Run(); });
}

}  // namespace lutra::tools
