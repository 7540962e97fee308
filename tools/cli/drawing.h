#ifndef LUTRA_TOOLS_CLI_DRAWING_H_
#define LUTRA_TOOLS_CLI_DRAWING_H_

#include <string>
#include <variant>
#include <vector>

namespace lutra::tools {

// A picture of a few kinds of shapes, in the order in which they are drawn, on
// white. Coordinates and sizes are in pixels, y downwards; colours "#rrggbb".
struct Drawing {
  struct Point {
    double x, y;
  };
  // Straight from point to point.
  struct Line {
    std::vector<Point> points;
    std::string color;
    double width = 1;
  };
  struct Dot {
    Point center;
    double radius;
    std::string color;
  };
  struct Box {
    Point corner;  // with the smallest x and y
    double width, height;
    std::string color;
  };
  // In small sans-serif letters, where `at` is on their base line.
  struct Words {
    enum class Anchor { kStart, kMiddle, kEnd };

    Point at;
    std::string text;                // UTF-8
    Anchor anchor = Anchor::kStart;  // what of them is there
    bool upwards = false;            // instead of to the right
  };

  double width = 0, height = 0;
  std::vector<std::variant<Line, Dot, Box, Words>> shapes;
};

std::string DrawingSvg(const Drawing& drawing);

// With twice as many pixels each way, for screens that are dense. Letters that
// are not ASCII are question marks. Throws lutra::Error where lutra was built
// without the libraries for it.
std::string DrawingPng(const Drawing& drawing);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_DRAWING_H_
