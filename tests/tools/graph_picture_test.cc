#include "tools/cli/graph_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tools/cli/repeats.h"

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Found(const std::string& text) {
  std::string found;
  for (const Repeat& repeat : FindRepeats(text.size(), [&](size_t i, size_t j) {
         return text[i] == text[j];
       })) {
    found += std::to_string(repeat.times) + " " +
             text.substr(repeat.first, repeat.length) + ";";
  }
  return found;
}

TEST(RepeatsTest, TakeMostItems) {
  EXPECT_EQ(Found(""), "");
  EXPECT_EQ(Found("abcd"), "");
  EXPECT_EQ(Found("abab"), "");  // too few
  EXPECT_EQ(Found("xabababy"), "3 ab;");
  EXPECT_EQ(Found("aabcaabcaabc"), "3 aabc;");
  EXPECT_EQ(Found("sabcdabcdtefefefe"), "2 abcd;3 ef;");
  EXPECT_EQ(Found("aaaaaaa"), "3 aa;");
}

struct Rectangle {
  double x = 0, y = 0, width = 0, height = 0;

  bool Overlaps(const Rectangle& other) const {
    return x < other.x + other.width && other.x < x + width &&
           y < other.y + other.height && other.y < y + height;
  }
};

// Those with round corners of five pixels, in the order of the picture.
std::vector<Rectangle> Boxes(const std::string& svg) {
  std::vector<Rectangle> boxes;
  for (size_t at = svg.find("<rect x="); at != std::string::npos;
       at = svg.find("<rect x=", at + 1)) {
    Rectangle box;
    int corner = 0;
    if (std::sscanf(svg.c_str() + at,
                    "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\" "
                    "rx=\"%d\"",
                    &box.x, &box.y, &box.width, &box.height, &corner) == 5 &&
        corner == 5) {
      boxes.push_back(box);
    }
  }
  return boxes;
}

TEST(GraphPictureTest, BoxesAreBelowWhatTheyFollow) {
  // A chain, from whose boxes lines go past up to six others, and branches.
  std::vector<PictureBox> boxes;
  for (size_t i = 0; i < 60; ++i) {
    PictureBox box{"box", {"number " + std::to_string(i)}, "#ffffff", {}};
    if (i > 0 && i % 5 != 4) box.before.push_back(i - 1);
    if (i > 7) box.before.push_back(i - 2 - i * 7 % 6);
    boxes.push_back(box);
  }
  const std::string svg = GraphPictureSvg("title", boxes, {}, {});
  const std::vector<Rectangle> drawn = Boxes(svg);
  ASSERT_EQ(drawn.size(), boxes.size());
  for (size_t i = 0; i < boxes.size(); ++i) {
    EXPECT_GE(drawn[i].x, 0);
    for (const size_t other : boxes[i].before) {
      EXPECT_GT(drawn[i].y, drawn[other].y + drawn[other].height);
    }
    for (size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(drawn[i].Overlaps(drawn[j])) << i << " " << j;
    }
  }
}

TEST(GraphPictureTest, Texts) {
  const std::string svg =
      GraphPictureSvg("a < b",
                      {{"conv2d",
                        {std::string(20, 'x') + std::string(40, 'y')},
                        "#123456",
                        {}}},
                      {{0, 1, "times 3"}}, {{"#abcdef", "a & b"}});
  for (const char* part : {"a &lt; b", "conv2d", "xxx...yyy", "#123456",
                           "times 3", "#abcdef", "a &amp; b"}) {
    EXPECT_THAT(svg, HasSubstr(part));
  }
  EXPECT_THAT(svg, Not(HasSubstr(std::string(20, 'x'))));
}

}  // namespace
}  // namespace lutra::tools
