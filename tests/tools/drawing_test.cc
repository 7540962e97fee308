#include "tools/cli/drawing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "tests/runtime/throws.h"
#ifdef LUTRA_HAVE_PNG
#include <png.h>
#endif

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;

// One of each kind, apart from each other.
Drawing EachShape() {
  Drawing drawing;
  drawing.width = 200;
  drawing.height = 100;
  using Words = Drawing::Words;
  drawing.shapes = {
      Drawing::Box{{10, 10}, 30, 20, "#ff0000"},
      Drawing::Dot{{70, 20}, 8, "#00ff00"},
      Drawing::Line{{{90, 20}, {130, 20}, {130, 40}}, "#0000ff", 4},
      Words{{100, 80}, "<b\u00e9b>", Words::Anchor::kMiddle},
      Words{{190, 95}, "on", Words::Anchor::kStart, /*upwards=*/true}};
  return drawing;
}

TEST(DrawingTest, Svg) {
  const std::string svg = DrawingSvg(EachShape());
  EXPECT_THAT(svg, HasSubstr("width=\"200.0\" height=\"100.0\""));
  EXPECT_THAT(svg, HasSubstr("<rect x=\"10.0\" y=\"10.0\" width=\"30.0\" "
                             "height=\"20.0\" fill=\"#ff0000\"/>"));
  EXPECT_THAT(svg, HasSubstr("<circle r=\"8.0\" cx=\"70.0\" cy=\"20.0\" "
                             "fill=\"#00ff00\"/>"));
  EXPECT_THAT(svg, HasSubstr("stroke=\"#0000ff\" points=\"90.0,20.0 130.0,20.0 "
                             "130.0,40.0 \"/>"));
  EXPECT_THAT(svg, HasSubstr("text-anchor=\"middle\">&lt;b\u00e9b&gt;</text>"));
  EXPECT_THAT(svg, HasSubstr("rotate(-90 190.0 95.0)\">on</text>"));
}

#ifdef LUTRA_HAVE_PNG

using Pixel = std::array<uint8_t, 3>;
constexpr Pixel kWhite = {255, 255, 255};

class PngPixels {
 public:
  explicit PngPixels(const std::string& png) {
    image_.version = PNG_IMAGE_VERSION;
    EXPECT_NE(png_image_begin_read_from_memory(&image_, png.data(), png.size()),
              0);
    image_.format = PNG_FORMAT_RGB;
    bytes_.resize(PNG_IMAGE_SIZE(image_));
    EXPECT_NE(
        png_image_finish_read(&image_, nullptr, bytes_.data(), 0, nullptr), 0);
  }

  size_t width() const { return image_.width; }
  size_t height() const { return image_.height; }
  // Of the file, which has two for one of the drawing.
  Pixel At(double x, double y) const {
    const size_t at =
        (static_cast<size_t>(y * 2) * width() + static_cast<size_t>(x * 2)) * 3;
    return {bytes_[at], bytes_[at + 1], bytes_[at + 2]};
  }
  // Pixels that are not white, of part of the drawing.
  size_t Ink(double x0, double y0, double x1, double y1) const {
    size_t count = 0;
    for (double y = y0; y < y1; y += 0.5) {
      for (double x = x0; x < x1; x += 0.5) {
        if (At(x, y) != kWhite) ++count;
      }
    }
    return count;
  }

 private:
  png_image image_ = {};
  std::vector<uint8_t> bytes_;
};

TEST(DrawingTest, Png) {
  const PngPixels png(DrawingPng(EachShape()));
  ASSERT_EQ(png.width(), 400u);
  ASSERT_EQ(png.height(), 200u);
  EXPECT_EQ(png.At(0, 0), kWhite);
  EXPECT_EQ(png.At(25, 20), (Pixel{255, 0, 0}));
  EXPECT_EQ(png.Ink(10, 10, 40, 30), 60u * 40u);
  EXPECT_EQ(png.At(70, 20), (Pixel{0, 255, 0}));
  EXPECT_EQ(png.At(63, 13), kWhite);  // a corner of the dot's square
  EXPECT_EQ(png.At(110, 20), (Pixel{0, 0, 255}));
  EXPECT_EQ(png.At(130, 35), (Pixel{0, 0, 255}));
  EXPECT_EQ(png.At(100, 40), kWhite);  // lines are not filled
  // Words above their base line: one in the middle, one upwards on its left.
  const size_t left = png.Ink(70, 65, 100, 84);
  const size_t right = png.Ink(100, 65, 130, 84);
  EXPECT_GT(left, 50u);
  EXPECT_GT(right, 50u);
  EXPECT_GT(png.Ink(175, 75, 192, 95), 50u);
  EXPECT_EQ(png.Ink(193, 60, 200, 100), 0u);
  EXPECT_EQ(png.Ink(140, 30, 175, 100), 0u);
}

// A letter that the font does not have is one question mark.
TEST(DrawingTest, LettersOfPng) {
  Drawing accent;
  accent.width = 40;
  accent.height = 20;
  Drawing mark = accent;
  accent.shapes = {Drawing::Words{{5, 15}, "a\u4e2db"}};
  mark.shapes = {Drawing::Words{{5, 15}, "a?b"}};
  EXPECT_EQ(DrawingPng(accent), DrawingPng(mark));
}

#else

TEST(DrawingTest, PngIsRefused) {
  EXPECT_THAT(ErrorMessage([] { (void)DrawingPng(EachShape()); }),
              HasSubstr("built without AGG and libpng"));
}

#endif

}  // namespace
}  // namespace lutra::tools
