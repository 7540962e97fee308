// Two types of one name in one namespace, in two files that never meet, are
// undefined behaviour: the linker takes one's inline functions for the other's.
// Compilers do not notice. Files of one folder do meet (LUTRA_UNITY), in pieces
// that change whenever a file is added: types and constants of their unnamed
// namespaces, too, have names that the folder has once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/temp_dir.h"

namespace lutra::house {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Places = std::map<std::string, std::string>;  // files, by type

// The name at the start of `text`.
std::string_view NameIn(std::string_view text) {
  size_t size = 0;
  while (size < text.size() &&
         (std::isalnum(static_cast<unsigned char>(text[size])) != 0 ||
          text[size] == '_' || text[size] == ':')) {
    ++size;
  }
  return text.substr(0, size);
}

// The constant that a line defines, by its name ("kMost"); "" if it is none.
std::string_view ConstantIn(std::string_view text) {
  if (!text.starts_with("constexpr ")) return "";
  for (size_t at = text.find(" k"); at != text.npos;
       at = text.find(" k", at + 1)) {
    const std::string_view name = NameIn(text.substr(at + 1));
    const std::string_view rest = text.substr(at + 1 + name.size());
    const bool is_defined = rest.empty() || rest.starts_with(" =") ||
                            rest.starts_with('[') || rest.starts_with('{');
    if (is_defined && name.size() > 1 && std::isupper(name[1]) != 0) {
      return name;
    }
  }
  return "";
}

// Definitions at the start of a line, as the formatter puts all that are in
// namespaces; those of unnamed ones by their folder.
void AddTypes(const fs::path& file, const std::string& name, Places& places,
              std::vector<std::string>& repeated) {
  std::ifstream stream(file);
  std::vector<std::string> spaces;
  for (std::string line; std::getline(stream, line);) {
    const std::string_view text = line;
    if (text.starts_with("namespace ") && text.ends_with('{')) {
      spaces.emplace_back(NameIn(text.substr(10)));
    } else if (text.starts_with("}  // namespace") && !spaces.empty()) {
      spaces.pop_back();
    }
    std::string space_name;
    std::string inner;  // of it, in an unnamed one
    bool own = false;
    for (const std::string& space : spaces) {
      if (own) inner += space + "::";
      own = own || space.empty();
      space_name += space + "::";
    }
    const auto add = [&](std::string_view defined) {
      std::string full = space_name;
      if (own) {
        full = fs::path(name).parent_path().generic_string() + ": " + inner;
      }
      full += defined;
      const auto [place, is_new] = places.emplace(full, name);
      if (is_new || place->second == name) return;
      repeated.push_back(full + " is in " + place->second + " and in " + name);
    };
    if (const auto constant = ConstantIn(text); own && !constant.empty()) {
      add(constant);
    }
    for (const std::string_view kind : {"struct ", "class ", "enum class "}) {
      if (!text.starts_with(kind)) continue;
      const std::string_view defined = NameIn(text.substr(kind.size()));
      const std::string_view rest = text.substr(kind.size() + defined.size());
      // A declaration; or a part of a class, of which a build takes one.
      if (rest.starts_with(';') || defined.find("::") != defined.npos) continue;
      add(defined);
    }
  }
}

std::vector<std::string> RepeatedTypes(const fs::path& root) {
  std::vector<fs::path> files;
  for (const char* room : {"kernels", "runtime", "qat", "packer", "tools"}) {
    if (!fs::exists(root / room)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string ending = entry.path().extension().string();
      // What is compiled for each instruction set has a namespace for each.
      const bool of_targets = entry.path().string().ends_with("-inl.h");
      if ((ending == ".h" || ending == ".cc") && !of_targets) {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  Places places;
  std::vector<std::string> repeated;
  for (const fs::path& file : files) {
    AddTypes(file, fs::relative(file, root).generic_string(), places, repeated);
  }
  return repeated;
}

TEST(TypeNamesTest, NoTwoTypesHaveOneName) {
  EXPECT_THAT(RepeatedTypes(LUTRA_SOURCE_DIR), IsEmpty());
}

TEST(TypeNamesTest, APlantedOneIsFound) {
  const TempDir root;
  fs::create_directories(root / "qat");
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(root / "qat" / name) << text;
  };
  write("a.h",
        "namespace lutra::qat {\nclass Grid;\nstruct Grid {\n};\n}  //\n");
  write("b.cc",
        "namespace lutra::qat {\nnamespace {\nclass Grid {\n};\n"
        "}  // namespace\nclass Grid final : public Base {\n};\n");
  write("c.cc", "namespace lutra {\nclass Grid {\n};\n");
  EXPECT_THAT(RepeatedTypes(root.path()),
              ElementsAre("lutra::qat::Grid is in qat/a.h and in qat/b.cc"));
}

TEST(TypeNamesTest, APlantedOneOfUnnamedNamespacesIsFound) {
  const TempDir root;
  for (const char* folder : {"qat/grids", "qat/optim"}) {
    fs::create_directories(root / folder);
  }
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(root / name) << text;
  };
  const char* text =
      "namespace lutra {\nnamespace {\nstruct Part {\n};\n"
      "constexpr std::array<int, 2> kMost = {};\n}  // namespace\n";
  write("qat/grids/a.cc", text);
  write("qat/grids/b.cc", text);
  write("qat/optim/c.cc", text);
  EXPECT_THAT(
      RepeatedTypes(root.path()),
      ElementsAre("qat/grids: Part is in qat/grids/a.cc and in qat/grids/b.cc",
                  "qat/grids: kMost is in qat/grids/a.cc and in "
                  "qat/grids/b.cc"));
}

}  // namespace
}  // namespace lutra::house
