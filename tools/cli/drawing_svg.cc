#include <type_traits>

#include "tools/cli/drawing.h"
#include "tools/cli/svg.h"

namespace lutra::tools {
namespace {

std::string ShapeSvg(const Drawing::Line& line) {
  if (line.points.size() == 2 && line.width == 1) {
    return SvgLine(line.points[0].x, line.points[0].y, line.points[1].x,
                   line.points[1].y, line.color.c_str());
  }
  std::string points;
  for (const Drawing::Point& point : line.points) {
    points += SvgNumber(point.x) + "," + SvgNumber(point.y) + " ";
  }
  return "<polyline fill=\"none\" stroke-width=\"" + SvgNumber(line.width) +
         "\" stroke=\"" + line.color + "\" points=\"" + points + "\"/>\n";
}

std::string ShapeSvg(const Drawing::Dot& dot) {
  return "<circle r=\"" + SvgNumber(dot.radius) + "\" cx=\"" +
         SvgNumber(dot.center.x) + "\" cy=\"" + SvgNumber(dot.center.y) +
         "\" fill=\"" + dot.color + "\"/>\n";
}

std::string ShapeSvg(const Drawing::Box& box) {
  return SvgRectangle(box.corner.x, box.corner.y, box.width, box.height,
                      "fill=\"" + box.color + "\"");
}

std::string ShapeSvg(const Drawing::Words& words) {
  std::string attributes;
  switch (words.anchor) {
    case Drawing::Words::Anchor::kStart:
      break;
    case Drawing::Words::Anchor::kMiddle:
      attributes = "text-anchor=\"middle\"";
      break;
    case Drawing::Words::Anchor::kEnd:
      attributes = "text-anchor=\"end\"";
      break;
  }
  if (words.upwards) {
    attributes += " transform=\"rotate(-90 " + SvgNumber(words.at.x) + " " +
                  SvgNumber(words.at.y) + ")\"";
  }
  return SvgText(words.at.x, words.at.y, words.text, attributes);
}

}  // namespace

std::string DrawingSvg(const Drawing& drawing) {
  std::string content;
  for (const auto& shape : drawing.shapes) {
    content +=
        std::visit([](const auto& each) { return ShapeSvg(each); }, shape);
  }
  return SvgPicture(drawing.width, drawing.height, content);
}

}  // namespace lutra::tools
