#include "tests/house/markdown.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace lutra::house {
namespace {

std::string Trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> Lines(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> Cells(std::string_view line) {
  std::vector<std::string> cells;
  if (!line.starts_with("| ")) return cells;
  std::istringstream stream{std::string(line.substr(1))};
  for (std::string cell; std::getline(stream, cell, '|');) {
    cells.push_back(Trimmed(cell));
  }
  return cells;
}

std::vector<std::string> Quoted(std::string_view text) {
  std::vector<std::string> words;
  for (size_t begin = text.find('`'); begin != std::string_view::npos;) {
    const size_t end = text.find('`', begin + 1);
    if (end == std::string_view::npos) break;
    words.emplace_back(text.substr(begin + 1, end - begin - 1));
    begin = text.find('`', end + 1);
  }
  return words;
}

std::vector<std::vector<std::string>> Table(std::string_view page,
                                            std::string_view heading) {
  std::vector<std::vector<std::string>> rows;
  bool inside = false;
  for (const std::string& line : Lines(page)) {
    const bool is_row = line.starts_with('|');
    if (inside && !is_row) return rows;
    const std::vector<std::string> cells = Cells(line);
    if (inside && !cells.empty() && !cells.front().starts_with(':')) {
      rows.push_back(cells);
    }
    inside = inside || (!cells.empty() && cells.front() == heading);
  }
  if (!inside) {
    throw std::runtime_error("no table begins with '" + std::string(heading) +
                             "'");
  }
  return rows;
}

}  // namespace lutra::house
