#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/house/markdown.h"

// docs/readme.svg, the picture on README.md's first screen, is drawn here from
// the tables of the pages, so that it shows what was measured.

namespace lutra {
namespace {

constexpr const char* kPicture = LUTRA_SOURCE_DIR "/docs/readme.svg";

// Two bars, what there was and what lutra makes of it.
struct Panel {
  std::string title;
  std::string note;  // below the bars
  std::array<std::string, 2> names;
  std::array<std::string, 2> values;  // as the table has them
  std::string unit;
};

std::vector<std::string> FindRow(std::string_view page,
                                 std::string_view heading,
                                 std::string_view model, size_t column) {
  for (std::vector<std::string>& row : house::Table(page, heading)) {
    if (row.size() > column && row[column] == model) return std::move(row);
  }
  throw std::runtime_error("no row of '" + std::string(model) + "'");
}

double Number(std::string text) {
  std::erase(text, ',');
  return std::stod(text);
}

std::string Format(const char* format, double a, double b) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), format, a, b);
  return text.data();
}

std::vector<Panel> ReadPanels() {
  const std::string readme = house::ReadFile(LUTRA_SOURCE_DIR "/README.md");
  const std::string results =
      house::ReadFile(LUTRA_SOURCE_DIR "/docs/results_calibrated.md");
  const auto before = FindRow(readme, "model", "float32", 0);
  const auto after =
      FindRow(readme, "model", "2-bit QAT, packed, int8 activations", 0);
  const std::string smollm = results.substr(results.find("## smollm2-135m"));
  const auto peer = FindRow(smollm, "", "IQ3_S", 1);
  const auto ours = FindRow(smollm, "", "3 bits, 32", 1);

  const auto times = [](const std::string& a, const std::string& b) {
    return Format("%.1f times", Number(a) / Number(b), 0);
  };
  const std::array<std::string, 2> trained = {"float32", "2 bits, trained"};
  return {
      {"Weights",
       times(before[5], after[5]) + " smaller",
       trained,
       {before[5], after[5]},
       " bytes"},
      {"Time of an image",
       times(before[7], after[7]) + " faster, one thread",
       trained,
       {before[7], after[7]},
       " us"},
      {"Accuracy",
       "Fashion-MNIST, 10,000 test images",
       trained,
       {before[2].substr(0, before[2].find(' ')),
        after[2].substr(0, after[2].find(' '))},
       " %"},
      {"Perplexity: less is better",
       "SmolLM2-135M on WikiText-2",
       {"llama.cpp, IQ3_S, " + peer[2] + " bits a weight",
        "lutra pack, " + ours[2] + " bits a weight"},
       {peer[6], ours[6]},
       ""},
  };
}

std::string Text(double x, double y, const char* style,
                 const std::string& text) {
  return Format("<text x=\"%.0f\" y=\"%.0f\"", x, y) + style + ">" + text +
         "</text>\n";
}

std::string DrawPanel(const Panel& panel) {
  constexpr double kLongest = 180;
  constexpr std::array<const char*, 2> kColors = {"#a9b2bd", "#1b6ca8"};
  const double most =
      std::max(Number(panel.values[0]), Number(panel.values[1]));
  std::string svg = Text(0, 16, " font-weight=\"bold\"", panel.title);
  for (size_t i = 0; i < 2; ++i) {
    const double y = 40 + 46 * static_cast<double>(i);
    const double length = kLongest * Number(panel.values[i]) / most;
    svg += Text(0, y, " fill=\"#555\"", panel.names[i]);
    svg += Format("<rect y=\"%.0f\" width=\"%.1f\" height=\"18\" ", y + 6,
                  length) +
           "fill=\"" + kColors[i] + "\"/>\n";
    // Inside of bars that have room for it.
    const bool inside = length > kLongest / 2;
    svg += Text(inside ? 6 : length + 6, y + 19,
                inside && i == 1 ? " fill=\"#fff\"" : "",
                panel.values[i] + panel.unit);
  }
  return svg + Text(0, 134, " fill=\"#555\" font-style=\"italic\"", panel.note);
}

std::string Draw() {
  const std::vector<Panel> panels = ReadPanels();
  const double width = 30 + 230 * static_cast<double>(panels.size());
  std::string svg =
      Format(
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
          "height=\"%.0f\" ",
          width, 160) +
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
  for (size_t i = 0; i < panels.size(); ++i) {
    svg += Format("<g transform=\"translate(%.0f,%.0f)\">\n",
                  20 + 230 * static_cast<double>(i), 8) +
           DrawPanel(panels[i]) + "</g>\n";
  }
  return svg + "</svg>\n";
}

// LUTRA_UPDATE_DOCS=1 draws it anew.
TEST(ReadmePictureTest, IsThatOfTheTables) {
  const std::string drawn = Draw();
  if (std::getenv("LUTRA_UPDATE_DOCS") != nullptr) {
    std::ofstream(kPicture, std::ios::binary) << drawn;
  }
  EXPECT_EQ(house::ReadFile(kPicture), drawn)
      << "run this test with LUTRA_UPDATE_DOCS=1 to draw it again";
}

}  // namespace
}  // namespace lutra
