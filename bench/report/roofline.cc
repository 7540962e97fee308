#include "bench/report/roofline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

// Colours that also colour-blind eyes tell apart, for 1 to 4 bits.
constexpr std::array<const char*, 4> kColors = {"#d55e00", "#0072b2", "#009e73",
                                                "#aa4499"};
constexpr const char* kInk = "#222222";
constexpr const char* kFaint = "#e4e4e4";

constexpr double kWidth = 1120;
constexpr double kHeight = 580;
constexpr double kPlotWidth = 470;
constexpr double kPlotHeight = 400;
constexpr double kTop = 50;
constexpr std::array<double, 2> kLeft = {70, 620};
constexpr double kCharacter = 7;  // width, at most, of a character
constexpr double kLabelHeight = 11;

enum class Shape { kCold, kWarm, kGemm };

struct Point {
  double x = 0;  // operations per byte
  double y = 0;  // GOPS
  size_t color = 0;
  Shape shape = Shape::kGemm;
  std::string label;
};

struct Panel {
  std::string threads;
  double bandwidth = 0;  // GB/s
  double int8 = 0;       // GOPS
  double floats = 0;
  std::vector<Point> points;
};

std::string Number(double value) { return Fixed(value, 1); }

std::string Text(double x, double y, const std::string& text,
                 const std::string& attributes = "") {
  return "<text x=\"" + Number(x) + "\" y=\"" + Number(y) + "\" " + attributes +
         ">" + text + "</text>\n";
}

std::string Line(double x0, double y0, double x1, double y1,
                 const std::string& attributes) {
  return "<line x1=\"" + Number(x0) + "\" y1=\"" + Number(y0) + "\" x2=\"" +
         Number(x1) + "\" y2=\"" + Number(y1) + "\" " + attributes + "/>\n";
}

std::string Marker(Shape shape, double x, double y, const std::string& color) {
  if (shape == Shape::kGemm) {
    return "<rect x=\"" + Number(x - 4) + "\" y=\"" + Number(y - 4) +
           "\" width=\"8\" height=\"8\" fill=\"" + color +
           "\" stroke=\"white\"/>\n";
  }
  const bool cold = shape == Shape::kCold;
  return "<circle cx=\"" + Number(x) + "\" cy=\"" + Number(y) + "\" r=\"" +
         (cold ? "4.5" : "5") + "\" fill=\"" + (cold ? "white" : color) +
         "\" stroke=\"" + (cold ? color : "white") + "\" stroke-width=\"" +
         (cold ? "2.5" : "1") + "\"/>\n";
}

// A logarithmic scale of both axes, the same for all panels.
struct Scale {
  double x0 = 1, x1 = 10, y0 = 1, y1 = 10;

  double X(double x) const {
    return kPlotWidth * std::log(x / x0) / std::log(x1 / x0);
  }
  double Y(double y) const {
    return kPlotHeight * (1 - std::log(y / y0) / std::log(y1 / y0));
  }
};

Scale FitScale(const std::vector<Panel>& panels) {
  Scale s{1e30, 0, 1e30, 0};
  for (const Panel& panel : panels) {
    for (const Point& p : panel.points) {
      s.x0 = std::min(s.x0, p.x);
      s.x1 = std::max(s.x1, p.x);
      s.y0 = std::min(s.y0, p.y);
      s.y1 = std::max(s.y1, p.y);
    }
    s.y1 = std::max(s.y1, panel.int8);
  }
  return {s.x0 / 1.8, s.x1 * 1.8, s.y0 / 1.8, s.y1 * 1.8};
}

// 1, 2, 5, 10, 20, ... within a range.
std::vector<double> Ticks(double low, double high) {
  std::vector<double> ticks;
  for (double decade = std::pow(10, std::floor(std::log10(low)));
       decade <= high; decade *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double tick = decade * step;
      if (tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::string Tick(double value) { return Fixed(value, value < 1 ? 1 : 0); }

std::string Axes(const Scale& scale) {
  std::string svg;
  const std::string grid = std::string("stroke=\"") + kFaint + "\"";
  for (const double x : Ticks(scale.x0, scale.x1)) {
    svg += Line(scale.X(x), 0, scale.X(x), kPlotHeight, grid);
    svg +=
        Text(scale.X(x), kPlotHeight + 17, Tick(x), "text-anchor=\"middle\"");
  }
  for (const double y : Ticks(scale.y0, scale.y1)) {
    svg += Line(0, scale.Y(y), kPlotWidth, scale.Y(y), grid);
    svg += Text(-8, scale.Y(y) + 4, Tick(y), "text-anchor=\"end\"");
  }
  svg += "<rect width=\"" + Number(kPlotWidth) + "\" height=\"" +
         Number(kPlotHeight) + "\" fill=\"none\" stroke=\"#888888\"/>\n";
  return svg;
}

// What is in the way of labels.
struct Box {
  double x, y, width, height;

  bool Overlaps(const Box& b) const {
    return x < b.x + b.width && b.x < x + width && y < b.y + b.height &&
           b.y < y + height;
  }
};

std::string Ceilings(const Panel& panel, const Scale& scale,
                     std::vector<Box>& taken) {
  std::string svg;
  const std::string ink = std::string("stroke=\"") + kInk + "\"";
  const auto ceiling = [&](double gops, const std::string& style,
                           const std::string& text) {
    const double ridge = std::max(scale.x0, gops / panel.bandwidth);
    svg += Line(scale.X(ridge), scale.Y(gops), kPlotWidth, scale.Y(gops),
                ink + style);
    taken.push_back({scale.X(ridge), scale.Y(gops), kPlotWidth, 1});
    const double y = scale.Y(gops) - 6;
    svg += Text(kPlotWidth - 6, y, text, "text-anchor=\"end\"");
    const double width = kCharacter * static_cast<double>(text.size());
    taken.push_back(
        {kPlotWidth - 6 - width, y - kLabelHeight, width, kLabelHeight + 4});
  };
  if (panel.bandwidth <= 0) return svg;
  if (panel.int8 > 0) {
    ceiling(panel.int8, " stroke-width=\"2\"",
            "int8 dot product " + Fixed(panel.int8, 0) + " GOPS");
  }
  if (panel.floats > 0) {
    ceiling(panel.floats, " stroke-dasharray=\"5 4\"",
            "float multiply-add " + Fixed(panel.floats, 0) + " GFLOPS");
  }
  // Memory, from the left or lower edge to the highest ceiling.
  const double left = std::max(scale.x0, scale.y0 / panel.bandwidth);
  const double right = std::max(panel.int8, panel.floats) / panel.bandwidth;
  if (right <= left) return svg;
  const double xa = scale.X(left), ya = scale.Y(left * panel.bandwidth);
  const double xb = scale.X(right), yb = scale.Y(right * panel.bandwidth);
  svg += Line(xa, ya, xb, yb, ink + " stroke-width=\"2\"");
  const std::string text = "memory " + Fixed(panel.bandwidth, 1) + " GB/s";
  const double width = kCharacter * static_cast<double>(text.size());
  svg += Text(xb - 10, yb + 4, text, "text-anchor=\"end\"");
  taken.push_back({xb - 10 - width, yb - 8, width, kLabelHeight + 4});
  for (double part = 0; part < 1; part += 0.01) {
    taken.push_back({xa + (xb - xa) * part, ya + (yb - ya) * part, 1, 1});
  }
  return svg;
}

// Writes a label at the first of several places around its point that is free.
std::string Label(const Point& point, const Scale& scale,
                  std::vector<Box>& taken) {
  const double width = kCharacter * static_cast<double>(point.label.size());
  const double x = scale.X(point.x);
  const double y = scale.Y(point.y);
  for (const double distance : {7.0, 12.0, 18.0, 25.0}) {
    for (const double angle : {-90, 90, 0, 180, -45, 45, -135, 135}) {
      const double radians = angle * std::numbers::pi / 180;
      const double dx = std::cos(radians) * (distance + width / 2);
      const double dy = std::sin(radians) * (distance + kLabelHeight / 2);
      const Box box{x + dx - width / 2, y + dy - kLabelHeight / 2, width,
                    kLabelHeight};
      if (box.x < 0 || box.x + width > kPlotWidth || box.y < 0 ||
          box.y + kLabelHeight > kPlotHeight ||
          std::any_of(taken.begin(), taken.end(),
                      [&box](const Box& b) { return b.Overlaps(box); })) {
        continue;
      }
      taken.push_back(box);
      return Text(
          box.x + width / 2, box.y + kLabelHeight - 2, point.label,
          std::string("class=\"label\" text-anchor=\"middle\" fill=\"") +
              kColors[point.color] + "\"");
    }
  }
  return "";
}

std::string DrawPanel(const Panel& panel, const Scale& scale, double left) {
  std::string svg = "<g transform=\"translate(" + Number(left) + " " +
                    Number(kTop) + ")\">\n";
  svg += Text(0, -14,
              panel.threads + (panel.threads == "1" ? " thread" : " threads"),
              "class=\"title\"");
  svg += Axes(scale);
  std::vector<Box> taken;
  svg += Ceilings(panel, scale, taken);
  // The products of one matrix, joined by a line.
  for (size_t color = 0; color < kColors.size(); ++color) {
    std::string path;
    for (const Point& p : panel.points) {
      if (p.color != color || p.shape != Shape::kGemm) continue;
      path += (path.empty() ? "M" : "L") + Number(scale.X(p.x)) + " " +
              Number(scale.Y(p.y));
    }
    if (path.empty()) continue;
    svg += "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + kColors[color] +
           "\" stroke-opacity=\"0.4\"/>\n";
  }
  for (const Point& p : panel.points) {
    const double x = scale.X(p.x);
    const double y = scale.Y(p.y);
    svg += Marker(p.shape, x, y, kColors[p.color]);
    taken.push_back({x - 5, y - 5, 10, 10});
  }
  for (const Point& p : panel.points) svg += Label(p, scale, taken);
  svg +=
      Text(kPlotWidth / 2, kPlotHeight + 38,
           "operations per byte of packed weights", "text-anchor=\"middle\"");
  svg += Text(0, 0, "operations per second (10⁹)",
              "text-anchor=\"middle\" transform=\"translate(-48 " +
                  Number(kPlotHeight / 2) + ") rotate(-90)\"");
  return svg + "</g>\n";
}

std::string Legend() {
  std::string svg;
  const double y = kHeight - 32;
  double x = kLeft[0];
  const auto entry = [&](const std::string& marker, const std::string& text) {
    svg += marker;
    svg += Text(x + 12, y + 4, text);
    x += 34 + 6.6 * static_cast<double>(text.size());
  };
  for (size_t color = 0; color < kColors.size(); ++color) {
    entry(Line(x - 8, y, x + 8, y,
               std::string("stroke-width=\"4\" stroke=\"") + kColors[color] +
                   "\""),
          std::to_string(color + 1) + (color == 0 ? " bit" : " bits"));
  }
  x += 16;
  entry(Marker(Shape::kCold, x, y, kInk),
        "GEMV, weights from memory: % of bandwidth");
  entry(Marker(Shape::kWarm, x, y, kInk), "GEMV, from cache: % of peak");
  entry(Marker(Shape::kGemm, x, y, kInk), "GEMM: tokens");
  return svg;
}

double LimitOf(const BenchRun& run, const std::string& limit,
               const std::string& threads) {
  const BenchResult* result =
      run.Find("limit/" + limit + "/threads:" + threads);
  return result == nullptr ? 0 : result->Counter("G/s");
}

// A point for the results that are shown.
std::optional<Point> PointOf(const BenchResult& result,
                             const std::string& threads) {
  const std::string bits = result.Field("bits");
  if (bits.size() != 1 || bits[0] < '1' || bits[0] > '4') return std::nullopt;
  const std::string start = "/int8/";
  const std::string end = "/4096x4096/bits:" + bits +
                          "/group:64/m:" + result.Field("m") +
                          "/threads:" + threads;
  Point p;
  p.color = static_cast<size_t>(bits[0] - '1');
  p.y = result.Counter("GOPS");
  p.x = p.y / result.Counter("GB/s");
  p.label = Fixed(result.Counter("limit"), 0) + "%";
  if (result.name == "gemv/int8/cold" + end) {
    p.shape = Shape::kCold;
  } else if (result.name == "gemv/int8/warm" + end) {
    p.shape = Shape::kWarm;
  } else if (result.name == "gemm/int8/warm" + end) {
    p.shape = Shape::kGemm;
    p.label = result.Field("m");
  } else {
    return std::nullopt;
  }
  if (!(p.y > 0) || !std::isfinite(p.x)) return std::nullopt;
  return p;
}

}  // namespace

std::string RooflineSvg(const BenchRun& run) {
  std::vector<Panel> panels;
  for (const char* threads : {"1", "2"}) {
    Panel panel{threads,
                LimitOf(run, "read_bandwidth", threads),
                LimitOf(run, "int8_dot", threads),
                LimitOf(run, "float_multiply_add", threads),
                {}};
    for (const BenchResult& result : run.results) {
      if (const std::optional<Point> p = PointOf(result, threads)) {
        panel.points.push_back(*p);
      }
    }
    // Lines join points from left to right.
    std::stable_sort(panel.points.begin(), panel.points.end(),
                     [](const Point& a, const Point& b) { return a.x < b.x; });
    if (!panel.points.empty()) panels.push_back(std::move(panel));
  }
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " +
                    Fixed(kWidth, 0) + " " + Fixed(kHeight, 0) +
                    "\" font-family=\"Helvetica, Arial, sans-serif\" "
                    "font-size=\"12\" fill=\"" +
                    kInk +
                    "\">\n<style>.title{font-size:16px;font-weight:bold}"
                    ".label{font-size:11px}</style>\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  const Scale scale = FitScale(panels);
  for (size_t i = 0; i < panels.size(); ++i) {
    svg += DrawPanel(panels[i], scale, kLeft[i]);
  }
  return svg + Legend() + "</svg>\n";
}

}  // namespace lutra::tools
