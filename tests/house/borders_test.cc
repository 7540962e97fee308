#include "tests/house/borders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/house/markdown.h"
#include "tests/temp_dir.h"

namespace lutra::house {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(BordersTest, NoIncludeCrossesOne) {
  const fs::path root = LUTRA_SOURCE_DIR;
  const House house = ReadHouse(ReadFile(root / "docs/architecture.md"));
  for (const char* room :
       {"kernels/", "runtime/", "qat/", "packer/", "tools/"}) {
    ASSERT_TRUE(house.rooms.contains(room)) << room;
    EXPECT_FALSE(house.rooms.at(room).inner.empty()) << room;
  }
  EXPECT_THAT(FindCrossings(house, root), IsEmpty());
}

// A house of two rooms, in which crossings are planted.
class PlantedTest : public ::testing::Test {
 protected:
  PlantedTest() {
    Write("low/base/words.h", "");
    Write("low/inner/a.h", "");
    Write("low/inner/a.cc",
          "#include \"low/inner/a.h\"\n#include \"low/base/words.h\"\n"
          "#include \"lutra/low/public.h\"\n#include \"hwy/highway.h\"\n");
    Write("low/include/lutra/low/public.h", "#include <vector>\n");
    Write("high/only/b.cc",
          "#include \"low/base/words.h\"\n#include \"lutra/low/public.h\"\n");
    Write("high/main.cc", "");
  }

  void Write(const std::string& path, const std::string& text) {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  std::vector<std::string> Crossings() const {
    return FindCrossings(ReadHouse(kPage), root_.path());
  }

  static constexpr const char* kPage =
      "# House\n\n## Rooms\n\n"
      "| room | what | may use |\n|---|---|---|\n"
      "| `low/` | the `lowest` | |\n"
      "| `high/` | above | `low/`, a library |\n\n"
      "## Inner rooms\n\n### `low/`\n\n"
      "| folder | what | may use |\n|---|---|---|\n"
      "| `base/` | common | |\n"
      "| `inner/` | a room | `base/` |\n\n"
      "### `high/`\n\n"
      "| folder | what | may use |\n|---|---|---|\n"
      "| `only/` | a room | |\n"
      "| `main.cc` | alone | |\n\n"
      "## Others\n\n| `nowhere/` | not a room | |\n";

  TempDir root_;
};

TEST_F(PlantedTest, NothingIsFoundWhereNothingIs) {
  EXPECT_THAT(Crossings(), IsEmpty());
}

TEST_F(PlantedTest, PrivateHeaderOfAnotherRoom) {
  Write("high/only/b.cc", "#include \"low/inner/a.h\"\n");
  EXPECT_THAT(Crossings(),
              ElementsAre("high/only/b.cc may not include low/inner/a.h"));
}

TEST_F(PlantedTest, RoomAbove) {
  Write("high/include/lutra/high/public.h", "");
  Write("low/inner/a.cc", "#include \"lutra/high/public.h\"\n");
  EXPECT_THAT(Crossings(), ElementsAre("low/inner/a.cc may not include "
                                       "high/include/lutra/high/public.h"));
}

TEST_F(PlantedTest, InnerRoomThatIsNotListed) {
  Write("low/base/words.h", "#include \"low/inner/a.h\"\n");
  Write("high/main.cc", "#include \"high/only/b.h\"\n");
  Write("high/only/b.h", "");
  EXPECT_THAT(Crossings(),
              ElementsAre("high/main.cc may not include high/only/b.h",
                          "low/base/words.h may not include low/inner/a.h"));
}

TEST_F(PlantedTest, PublicHeaderWithAPrivateOne) {
  Write("low/include/lutra/low/public.h", "#include \"low/base/words.h\"\n");
  EXPECT_THAT(Crossings(),
              ElementsAre("low/include/lutra/low/public.h may not include "
                          "low/base/words.h"));
}

TEST_F(PlantedTest, FileAndFolderOutsideOfTheHouse) {
  Write("low/stray.cc", "");
  Write("low/new_folder/c.cc", "");
  Write("high/only/b.cc", "#include \"low/gone.h\"\n");
  EXPECT_THAT(Crossings(),
              ElementsAre("high/only/b.cc includes low/gone.h, which is not",
                          "low/new_folder/c.cc stands in no inner room",
                          "low/stray.cc stands in no inner room"));
}

TEST_F(PlantedTest, FolderThatDoesNotExist) {
  fs::remove_all(root_ / "high/only");
  EXPECT_THAT(Crossings(),
              ElementsAre("the page names high/only/, which is not"));
}

TEST(ReadHouseTest, RefusesPagesWithoutRooms) {
  EXPECT_THROW(ReadHouse("# House\n"), std::runtime_error);
  EXPECT_THROW(ReadHouse("## Rooms\n| `a/` | b |\n"), std::runtime_error);
}

}  // namespace
}  // namespace lutra::house
