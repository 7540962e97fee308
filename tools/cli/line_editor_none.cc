#include <iostream>

#include "tools/cli/line_editor.h"

namespace lutra::tools {

class LineEditor::Impl {};

LineEditor::LineEditor() = default;
LineEditor::~LineEditor() = default;

bool LineEditor::Read(const std::string& prompt, std::string& line) {
  std::cout << prompt << std::flush;
  return static_cast<bool>(std::getline(std::cin, line));
}

}  // namespace lutra::tools
