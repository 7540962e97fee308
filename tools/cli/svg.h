#ifndef LUTRA_TOOLS_CLI_SVG_H_
#define LUTRA_TOOLS_CLI_SVG_H_

#include <string>

// Parts of SVG pictures. Coordinates are in pixels, y downwards.

namespace lutra::tools {

inline constexpr const char* kSvgInk = "#222222";

// With one decimal.
std::string SvgNumber(double value);
// Text as XML takes it; control characters become blanks.
std::string SvgEscaped(const std::string& text);
std::string SvgText(double x, double y, const std::string& text,
                    const std::string& attributes);
std::string SvgLine(double x0, double y0, double x1, double y1,
                    const char* color);
// `attributes` for its colours and the like.
std::string SvgRectangle(double x, double y, double width, double height,
                         const std::string& attributes);
// The whole picture: `content` on white, in small sans-serif letters.
std::string SvgPicture(double width, double height, const std::string& content);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_SVG_H_
