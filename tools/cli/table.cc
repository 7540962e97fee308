#include "tools/cli/table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace lutra::tools {
namespace {

// Characters of UTF-8 text: bytes that do not continue one.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Padded(const std::string& text, size_t width, Table::Align align) {
  const size_t used = Width(text);
  const std::string spaces(width > used ? width - used : 0, ' ');
  return align == Table::Align::kRight ? spaces + text : text + spaces;
}

std::string Format(const char* format, int digits, double value) {
  std::array<char, 400> buffer;  // the longest double has 309 digits
  const int length =
      std::snprintf(buffer.data(), buffer.size(), format, digits, value);
  return std::string(buffer.data(),
                     static_cast<size_t>(std::clamp(
                         length, 0, static_cast<int>(buffer.size()) - 1)));
}

}  // namespace

std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; },
      '?');
  return text;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = OneLine(std::move(cell));
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Table::Widths() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = std::max<size_t>(3, Width(columns_[i].header));
    for (const auto& row : rows_) width = std::max(width, Width(row[i]));
    widths.push_back(width);
  }
  return widths;
}

std::string Table::Text() const {
  const std::vector<size_t> widths = Widths();
  std::string text;
  const auto add_line = [&](const auto& cell) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line += "  ";
      line += Padded(cell(i), widths[i], columns_[i].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line([&](size_t i) { return columns_[i].header; });
  add_line([&](size_t i) { return std::string(widths[i], '-'); });
  for (const auto& row : rows_) add_line([&](size_t i) { return row[i]; });
  return text;
}

std::string Table::Markdown() const {
  const std::vector<size_t> widths = Widths();
  std::string text;
  const auto add_line = [&](const auto& cell) {
    text += "|";
    for (size_t i = 0; i < columns_.size(); ++i) {
      std::string escaped;
      for (const char c : cell(i)) {
        if (c == '|') escaped += '\\';
        escaped += c;
      }
      text += ' ';
      text += Padded(escaped, widths[i], columns_[i].align);
      text += " |";
    }
    text += "\n";
  };
  add_line([&](size_t i) { return columns_[i].header; });
  add_line([&](size_t i) {
    std::string rule(widths[i], '-');
    (columns_[i].align == Align::kRight ? rule.back() : rule.front()) = ':';
    return rule;
  });
  for (const auto& row : rows_) add_line([&](size_t i) { return row[i]; });
  return text;
}

std::string WithCommas(uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string Fixed(double value, int digits) {
  return Format("%.*f", digits, value);
}

std::string Short(double value) {
  const double size = std::abs(value);
  if (!std::isfinite(value) || size == 0) return Fixed(value, 0);
  if (size >= 1e7 || size < 1e-4) return Format("%.*e", 2, value);
  const int whole = static_cast<int>(std::floor(std::log10(size)));
  return Fixed(value, std::max(0, 2 - whole));
}

std::string Bytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB",
                                                 "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return (unit == 0 ? std::to_string(bytes) : Fixed(value, 2)) + " " +
         kUnits[unit];
}

}  // namespace lutra::tools
