#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quantizers.h"

// docs/qat.md shows what the code does: its example is a program that is
// compiled and run, its picture is drawn here.

namespace lutra::qat {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

const std::filesystem::path kDocs =
    std::filesystem::path(LUTRA_SOURCE_DIR) / "docs";

// One curve: what a map makes of values from -2 to 2 with the levels -1.5,
// -0.5, 0.5, 1.5.
struct Curve {
  std::unique_ptr<ProxMap> map;
  int64_t step;
  const char* color;
  std::string label;
};

constexpr double kScale = 60.0;   // pixels per unit
constexpr double kRange = 2.0;    // of values, to both sides
constexpr double kPanel = 280.0;  // width and height of a panel
constexpr double kCenter = kPanel / 2.0;

std::string Format(const char* format, double a, double b) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, a, b);
  return text.data();
}

std::string Concatenate(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string DrawCurve(const Curve& curve) {
  constexpr int kPoints = 401;
  const std::array<float, 4> grid = {-1.5f, -0.5f, 0.5f, 1.5f};
  std::string path;
  double last = 0.0;
  for (int i = 0; i < kPoints; ++i) {
    const auto x =
        static_cast<float>(-kRange + 2.0 * kRange * i / (kPoints - 1));
    float y = x;
    curve.map->Apply(
        {&y, nullptr, grid.data(), 1, 1, grid.size(), /*per_row=*/false},
        curve.step);
    const double height = static_cast<double>(y);
    // A jump is not drawn as a line.
    const bool jump = i > 0 && std::abs(height - last) > 0.3;
    path += i == 0 || jump ? "M" : "L";
    path += Format("%.1f,%.1f", kCenter + kScale * static_cast<double>(x),
                   kCenter - kScale * height);
    last = height;
  }
  return Concatenate({"<path fill=\"none\" stroke=\"", curve.color,
                      "\" stroke-width=\"1.5\" d=\"", path, "\"/>\n"});
}

std::string DrawPanel(const std::string& title,
                      const std::vector<Curve>& curves, double left) {
  std::string svg = Concatenate(
      {"<g transform=\"translate(", Format("%.0f,%.0f", left, 0.0), ")\">\n",
       "<rect x=\"10\" y=\"10\" width=\"260\" height=\"260\" fill=\"none\" "
       "stroke=\"#999\"/>\n<path stroke=\"#ddd\" "
       "d=\"M10,140H270M140,10V270\"/>\n<text x=\"16\" y=\"26\">",
       title, "</text>\n"});
  double y = 42.0;
  for (const Curve& curve : curves) {
    svg += DrawCurve(curve);
    svg +=
        Concatenate({"<text ", Format("x=\"%.0f\" y=\"%.0f\"", 16.0, y),
                     " fill=\"", curve.color, "\">", curve.label, "</text>\n"});
    y += 14.0;
  }
  return svg + "</g>\n";
}

std::string DrawMaps() {
  const ParqSchedule schedule{0, 100, 10.0, 0.5};
  std::vector<Curve> hard;
  hard.push_back({MakeProxHardQuant(), 0, "#000", "always"});
  std::vector<Curve> parq;
  std::vector<Curve> relax;
  const std::array<const char*, 4> colors = {"#1b6ca8", "#2e933c", "#c77d0a",
                                             "#c02942"};
  const std::array<int64_t, 4> steps = {0, 35, 50, 70};
  for (size_t i = 0; i < steps.size(); ++i) {
    const double slope = InverseSlope(schedule, steps[i]);
    parq.push_back({MakeProxParq(schedule), steps[i], colors[i],
                    Format("r = %.2f", slope, 0.0)});
    relax.push_back(
        {MakeProxBinaryRelax(0, 100), steps[i], colors[i],
         Format("theta = %.2f", static_cast<double>(steps[i]) / 100.0, 0.0)});
  }
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"840\" height=\"280\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"840\" height=\"280\" fill=\"#fff\"/>\n";
  svg += DrawPanel("hard", hard, 0.0);
  svg += DrawPanel("parq", parq, kPanel);
  svg += DrawPanel("binaryrelax", relax, 2.0 * kPanel);
  return svg + "</svg>\n";
}

// LUTRA_UPDATE_DOCS=1 writes the picture anew.
TEST(DocumentsTest, PictureIsUpToDate) {
  const std::filesystem::path path = kDocs / "prox_maps.svg";
  const std::string drawn = DrawMaps();
  if (std::getenv("LUTRA_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << drawn;
  }
  EXPECT_EQ(ReadFile(path), drawn)
      << "run this test with LUTRA_UPDATE_DOCS=1 to draw it again";
}

TEST(DocumentsTest, ExampleIsTheProgramThatIsTested) {
  const std::string example = ReadFile(kDocs / "qat_example.cc");
  EXPECT_FALSE(example.empty());
  EXPECT_NE(ReadFile(kDocs / "qat.md")
                .find(Concatenate({"```cpp\n", example, "```"})),
            std::string::npos);
}

TEST(DocumentsTest, EveryQuantizerIsDescribed) {
  const std::string text = ReadFile(kDocs / "qat.md");
  for (const std::string_view name : QuantizerNames()) {
    EXPECT_NE(text.find(Concatenate({"`", name, "`"})), std::string::npos)
        << name;
  }
}

}  // namespace
}  // namespace lutra::qat
