#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "kernels/format/bit_formats.h"
#include "lutra/kernels/activation_type.h"
#include "lutra/kernels/cache_type.h"
#include "lutra/packer/export.h"
#include "lutra/packer/import.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/operator.h"
#include "packer/architectures/architecture.h"
#include "tests/house/markdown.h"
#include "tests/runtime/throws.h"

// README.md's tables say what the code has, no more and no less.

namespace lutra {
namespace {

using nlohmann::json;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

std::string Readme() { return house::ReadFile(LUTRA_SOURCE_DIR "/README.md"); }

// ---- Platforms: presets with a toolchain, and the one of this machine ----

class Presets {
 public:
  Presets() {
    const json file =
        json::parse(house::ReadFile(LUTRA_SOURCE_DIR "/CMakePresets.json"));
    for (const json& preset : file.at("configurePresets")) {
      presets_[preset.at("name")] = preset;
    }
  }

  // Those that a table of platforms must name.
  std::set<std::string> Platforms() const {
    std::set<std::string> names = {"release"};
    for (const auto& [name, preset] : presets_) {
      if (preset.value("hidden", false)) continue;
      if (!Find(name, "/toolchainFile").is_null()) names.insert(name);
    }
    return names;
  }

  // "kernels;runtime"; without a choice all rooms are built.
  std::string Rooms(const std::string& name) const {
    const json rooms = Find(name, "/cacheVariables/LUTRA_ROOMS");
    return rooms.is_null() ? "everything" : rooms.get<std::string>();
  }

 private:
  // Of the preset or of what it inherits; null if nobody says it.
  json Find(const std::string& name, const char* pointer) const {
    const json& preset = presets_.at(name);
    const json::json_pointer place(pointer);
    if (preset.contains(place)) return preset.at(place);
    json parents = preset.value("inherits", json::array());
    if (parents.is_string()) parents = json::array({parents});
    for (const json& parent : parents) {
      const json found = Find(parent, pointer);
      if (!found.is_null()) return found;
    }
    return nullptr;
  }

  std::map<std::string, json> presets_;
};

TEST(ReadmeTest, Platforms) {
  const Presets presets;
  std::set<std::string> named;
  for (const Words& row : house::Table(Readme(), "platform")) {
    ASSERT_EQ(row.size(), 3u);
    std::set<std::string> rooms;  // of all that the row names
    for (const std::string& preset : house::Quoted(row[2])) {
      ASSERT_TRUE(presets.Platforms().contains(preset)) << preset;
      EXPECT_TRUE(named.insert(preset).second) << preset << " has two rows";
      rooms.insert(presets.Rooms(preset));
    }
    // The largest choice: each begins with the smaller ones.
    ASSERT_FALSE(rooms.empty()) << row[0] << " names no preset";
    const bool everything = rooms.contains("everything");
    const std::string most = everything ? "everything" : *rooms.rbegin();
    std::string said = row[1].substr(0, row[1].find(':'));
    if (const size_t comma = said.find(", "); comma != said.npos) {
      said.replace(comma, 2, ";");
    }
    EXPECT_EQ(said, most) << row[0];
  }
  EXPECT_THAT(named, ElementsAreArray(presets.Platforms()));
}

// ---- Models ----

// The names that a parser knows, from its message about one that it does not.
template <typename Parse>
Words KnownTo(const Parse& parse) {
  std::string message = ErrorMessage([&] { parse("no such name"); });
  const size_t begin = message.find("known: ");
  if (begin == std::string::npos) return {message};
  message = message.substr(begin + 7);
  if (message.ends_with(')')) message.pop_back();
  Words words;
  for (size_t at = 0; at != std::string::npos;) {
    const size_t comma = message.find(", ", at);
    words.push_back(message.substr(at, comma - at));
    at = comma == std::string::npos ? comma : comma + 2;
  }
  return words;
}

TEST(ReadmeTest, Models) {
  Words formats;
  for (const Words& row : house::Table(Readme(), "models")) {
    ASSERT_EQ(row.size(), 3u);
    ASSERT_EQ(house::Quoted(row[2]).size(), 1u) << row[0];
    formats.push_back(house::Quoted(row[2]).front());
  }
  Words known = KnownTo(packer::ParseImportFormat);
  known.erase(std::remove(known.begin(), known.end(), "auto"), known.end());
  EXPECT_THAT(formats, ElementsAreArray(known));
  const std::string page = Readme();
  EXPECT_THAT(page, HasSubstr(std::to_string(packer::Architectures().size()) +
                              " architectures"));
  EXPECT_THAT(page,
              HasSubstr("any of " + std::to_string(AllOperators().size()) +
                        " operators"));
}

// ---- Formats ----

TEST(ReadmeTest, Formats) {
  std::map<std::string, Words> rows;
  for (const Words& row : house::Table(Readme(), "of a packed model")) {
    ASSERT_EQ(row.size(), 2u);
    rows[row[0]] = house::Quoted(row[1]);
  }
  Words bits;
  for (const kernels::BitFormat& format : kernels::kBitFormats) {
    bits.push_back(std::to_string(format.bits));
  }
  Words activations;
  for (const kernels::ActivationTraits& traits : kernels::kActivationTypes) {
    activations.emplace_back(traits.name);
  }
  const Words caches(std::begin(kernels::kCacheTypeNames),
                     std::end(kernels::kCacheTypeNames));
  EXPECT_THAT(rows["bits of a weight"], ElementsAreArray(bits));
  EXPECT_THAT(rows["scales of weights"],
              ElementsAreArray(KnownTo(qat::ParseScaleType)));
  EXPECT_THAT(rows["activations"], ElementsAreArray(activations));
  EXPECT_THAT(rows["keys and values of attention"], ElementsAreArray(caches));
  EXPECT_THAT(rows["folders that `lutra export` writes"],
              ElementsAreArray(KnownTo(packer::ParseExportLayout)));
  EXPECT_EQ(rows.size(), 5u);
}

TEST(ReadmeTest, Examples) {
  const std::string page = Readme();
  size_t programs = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(LUTRA_SOURCE_DIR "/examples")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".c") && !name.ends_with(".cpp")) continue;
    ++programs;
    EXPECT_THAT(page, HasSubstr("[" + name + "](examples/" + name + ")"));
  }
  size_t named = 0;
  for (const Words& row : house::Table(page, "program")) {
    named += static_cast<size_t>(
        std::count(row.at(0).begin(), row.at(0).end(), '('));
  }
  EXPECT_EQ(named, programs);
}

}  // namespace
}  // namespace lutra
