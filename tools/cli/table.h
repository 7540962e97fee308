#ifndef LUTRA_TOOLS_CLI_TABLE_H_
#define LUTRA_TOOLS_CLI_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Text tables, and the numbers in them.

namespace lutra::tools {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kRight;
  };

  explicit Table(std::vector<Column> columns);

  // One cell per column.
  void AddRow(std::vector<std::string> cells);

  // Columns aligned by spaces, a rule below the header; ends with a newline.
  // Widths count characters of UTF-8 text. Control characters, which names from
  // a file may hold, are replaced by '?'.
  std::string Text() const;
  // The same as a Markdown table.
  std::string Markdown() const;

 private:
  std::vector<size_t> Widths() const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// `text` with control characters replaced by '?', fit for one line.
std::string OneLine(std::string text);

// "1,234,567".
std::string WithCommas(uint64_t value);
// Fixed point; "inf", "-inf", "nan" where it is.
std::string Fixed(double value, int digits);
// Three or more significant digits without an exponent where that is readable,
// e.g. "0.0123", "12.3", "1234".
std::string Short(double value);
// "512 B", "1.5 KiB", "2.25 MiB".
std::string Bytes(uint64_t bytes);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_TABLE_H_
