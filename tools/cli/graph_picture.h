#ifndef LUTRA_TOOLS_CLI_GRAPH_PICTURE_H_
#define LUTRA_TOOLS_CLI_GRAPH_PICTURE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace lutra::tools {

struct PictureBox {
  std::string title;
  std::vector<std::string> lines;  // below it, in smaller letters
  std::string color;               // e.g. "#e4f2dc"
  std::vector<size_t> before;      // boxes, with smaller numbers, it follows
};

// Boxes in a row that are drawn inside of a frame.
struct PictureFrame {
  size_t first = 0;
  size_t count = 0;
  std::string label;
};

// What a colour stands for.
struct PictureKey {
  std::string color;
  std::string meaning;
};

// An SVG picture of a graph without cycles, from top to bottom: each box is
// below all that it follows, and lines that pass other boxes go around them.
// Long texts are cut in the middle.
std::string GraphPictureSvg(const std::string& title,
                            const std::vector<PictureBox>& boxes,
                            const std::vector<PictureFrame>& frames,
                            const std::vector<PictureKey>& keys);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_GRAPH_PICTURE_H_
