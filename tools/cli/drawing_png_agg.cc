#include <agg2/agg_basics.h>
#include <agg2/agg_conv_stroke.h>
#include <agg2/agg_conv_transform.h>
#include <agg2/agg_ellipse.h>
#include <agg2/agg_gsv_text.h>
#include <agg2/agg_path_storage.h>
#include <agg2/agg_pixfmt_rgb.h>
#include <agg2/agg_rasterizer_scanline_aa.h>
#include <agg2/agg_renderer_base.h>
#include <agg2/agg_renderer_scanline.h>
#include <agg2/agg_rendering_buffer.h>
#include <agg2/agg_scanline_p.h>
#include <agg2/agg_trans_affine.h>
#include <png.h>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "lutra/runtime/error.h"
#include "tools/cli/drawing.h"
#include "tools/cli/svg.h"

// Shapes are made of pixels by AGG, the Anti-Grain Geometry library, with the
// letters that it contains, so that no fonts are needed.

namespace lutra::tools {
namespace {

constexpr double kPixels = 2;  // of the file for one of the drawing
constexpr size_t kPixelBytes = 3;
// Of letters, in pixels of the drawing.
constexpr double kLetterHeight = 8.5;
constexpr double kLetterStroke = 1.1;

agg::rgba8 ColorFrom(const std::string& text) {
  unsigned value = 0;
  std::from_chars(text.data() + 1, text.data() + text.size(), value, 16);
  return agg::rgba8(value >> 16 & 255, value >> 8 & 255, value & 255);
}

// The letters of the font, of which each byte would be one.
std::string Ascii(const std::string& utf8) {
  std::string text;
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80) continue;  // goes on with a letter
    text += byte < 0x80 ? c : '?';
  }
  return text;
}

class Canvas {
 public:
  explicit Canvas(const Drawing& drawing)
      : width_(static_cast<uint32_t>(std::ceil(drawing.width * kPixels))),
        height_(static_cast<uint32_t>(std::ceil(drawing.height * kPixels))),
        bytes_(size_t{width_} * height_ * kPixelBytes, 255),
        buffer_(bytes_.data(), width_, height_,
                static_cast<int>(width_ * kPixelBytes)),
        format_(buffer_),
        base_(format_),
        to_pixels_(agg::trans_affine_scaling(kPixels)) {}

  void Draw(const Drawing::Line& line) {
    agg::path_storage path;
    for (size_t i = 0; i < line.points.size(); ++i) {
      const Drawing::Point& point = line.points[i];
      if (i == 0) {
        path.move_to(point.x, point.y);
      } else {
        path.line_to(point.x, point.y);
      }
    }
    agg::conv_stroke<agg::path_storage> stroke(path);
    stroke.width(line.width);
    stroke.line_join(agg::round_join);
    Fill(stroke, line.color);
  }

  void Draw(const Drawing::Dot& dot) {
    agg::ellipse circle(dot.center.x, dot.center.y, dot.radius, dot.radius);
    circle.approximation_scale(kPixels);
    Fill(circle, dot.color);
  }

  void Draw(const Drawing::Box& box) {
    agg::path_storage path;
    path.move_to(box.corner.x, box.corner.y);
    path.line_to(box.corner.x + box.width, box.corner.y);
    path.line_to(box.corner.x + box.width, box.corner.y + box.height);
    path.line_to(box.corner.x, box.corner.y + box.height);
    path.close_polygon();
    Fill(path, box.color);
  }

  void Draw(const Drawing::Words& words) {
    const std::string ascii = Ascii(words.text);
    agg::gsv_text text;
    text.flip(true);  // y is downwards
    text.size(kLetterHeight);
    text.text(ascii.c_str());
    double before = 0;
    if (words.anchor != Drawing::Words::Anchor::kStart) {
      before = text.text_width();
      if (words.anchor == Drawing::Words::Anchor::kMiddle) before /= 2;
    }
    text.start_point(-before, 0);
    agg::conv_stroke<agg::gsv_text> stroke(text);
    stroke.width(kLetterStroke);
    stroke.line_cap(agg::round_cap);
    stroke.line_join(agg::round_join);
    agg::trans_affine place;
    if (words.upwards) place *= agg::trans_affine_rotation(-agg::pi / 2);
    place *= agg::trans_affine_translation(words.at.x, words.at.y);
    agg::conv_transform<agg::conv_stroke<agg::gsv_text>> placed(stroke, place);
    Fill(placed, kSvgInk);
  }

  std::string Png() {
    png_image image = {};
    image.version = PNG_IMAGE_VERSION;
    image.width = width_;
    image.height = height_;
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = 0;
    std::string png;
    // Once for its size.
    for (const bool is_measure : {true, false}) {
      png.resize(size);
      if (png_image_write_to_memory(&image, is_measure ? nullptr : png.data(),
                                    &size, 0, bytes_.data(), 0, nullptr) == 0) {
        throw Error(std::string("libpng: ") + image.message);
      }
    }
    return png;
  }

 private:
  template <typename Source>
  void Fill(Source& source, const std::string& color) {
    agg::conv_transform<Source> pixels(source, to_pixels_);
    rasterizer_.reset();
    rasterizer_.add_path(pixels);
    agg::render_scanlines_aa_solid(rasterizer_, scanline_, base_,
                                   ColorFrom(color));
  }

  uint32_t width_;
  uint32_t height_;
  std::vector<uint8_t> bytes_;  // white
  agg::rendering_buffer buffer_;
  agg::pixfmt_rgb24 format_;
  agg::renderer_base<agg::pixfmt_rgb24> base_;
  agg::trans_affine to_pixels_;
  agg::rasterizer_scanline_aa<> rasterizer_;
  agg::scanline_p8 scanline_;
};

}  // namespace

std::string DrawingPng(const Drawing& drawing) {
  Canvas canvas(drawing);
  for (const auto& shape : drawing.shapes) {
    std::visit([&](const auto& each) { canvas.Draw(each); }, shape);
  }
  return canvas.Png();
}

}  // namespace lutra::tools
