#include "tools/cli/svg.h"

#include "tools/cli/table.h"

namespace lutra::tools {

std::string SvgNumber(double value) { return Fixed(value, 1); }

std::string SvgEscaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else {
      escaped += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return escaped;
}

std::string SvgText(double x, double y, const std::string& text,
                    const std::string& attributes) {
  return "<text x=\"" + SvgNumber(x) + "\" y=\"" + SvgNumber(y) + "\" " +
         attributes + ">" + SvgEscaped(text) + "</text>\n";
}

std::string SvgLine(double x0, double y0, double x1, double y1,
                    const char* color) {
  return "<line x1=\"" + SvgNumber(x0) + "\" y1=\"" + SvgNumber(y0) +
         "\" x2=\"" + SvgNumber(x1) + "\" y2=\"" + SvgNumber(y1) +
         "\" stroke=\"" + color + "\"/>\n";
}

std::string SvgRectangle(double x, double y, double width, double height,
                         const std::string& attributes) {
  return "<rect x=\"" + SvgNumber(x) + "\" y=\"" + SvgNumber(y) +
         "\" width=\"" + SvgNumber(width) + "\" height=\"" + SvgNumber(height) +
         "\" " + attributes + "/>\n";
}

std::string SvgPicture(double width, double height,
                       const std::string& content) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
         SvgNumber(width) + "\" height=\"" + SvgNumber(height) +
         "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"" + kSvgInk +
         "\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" +
         content + "</svg>\n";
}

}  // namespace lutra::tools
