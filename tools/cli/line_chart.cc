#include "tools/cli/line_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>

#include "tools/cli/svg.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

// Colours that also colour-blind eyes tell apart.
constexpr std::array<const char*, 6> kColors = {
    "#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#333333"};
// Between which more lines than that have their colours, in order.
struct Rgb {
  double r, g, b;
};
constexpr std::array<Rgb, 4> kScale = {
    {{20, 40, 120}, {0, 158, 115}, {214, 160, 0}, {200, 50, 30}}};
constexpr const char* kFaint = "#e4e4e4";

constexpr double kWidth = 860;
constexpr double kLeft = 90;
constexpr double kPlotWidth = 730;
constexpr double kTop = 20;
constexpr double kPlotHeight = 170;
constexpr double kPanelHeight = 200;
constexpr double kLegendLine = 18;
constexpr double kLegendMark = 30;
constexpr double kChartLetter = 7;  // the width of most

constexpr size_t kMostPoints = 400;
constexpr size_t kMostDots = 30;
// Of a logarithmic axis with more than its powers.
constexpr double kMostDecades = 2.5;
constexpr double kLargestPower = std::numeric_limits<double>::max_exponent10;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // Never empty.
  void Widen() {
    if (!(low <= high)) low = high = 0;
    if (low == high) {
      low -= 0.5;
      high += 0.5;
    }
  }
  double Share(double value) const { return (value - low) / (high - low); }
};

// Of one of `count` lines.
std::string ColorOf(size_t i, size_t count) {
  if (count <= kColors.size()) return kColors[i];
  const double at = static_cast<double>(i) / static_cast<double>(count - 1) *
                    static_cast<double>(kScale.size() - 1);
  const size_t left = std::min(static_cast<size_t>(at), kScale.size() - 2);
  const double share = at - static_cast<double>(left);
  const auto mixed = [&](double Rgb::*part) {
    return static_cast<unsigned>(kScale[left].*part * (1 - share) +
                                 kScale[left + 1].*part * share);
  };
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "#%02x%02x%02x", mixed(&Rgb::r) & 255,
                mixed(&Rgb::g) & 255, mixed(&Rgb::b) & 255);
  return text.data();
}

Drawing::Line Straight(Drawing::Point from, Drawing::Point to,
                       const char* color) {
  return {{from, to}, color};
}

// As many digits as tell the ticks apart.
std::string TickText(double tick, double step) {
  if (std::fabs(tick) < step / 2) return "0";
  if (std::fabs(tick) >= 1e6 || step < 1e-6) return Short(tick);
  const int digits =
      std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  return Fixed(tick, digits);
}

// Means of equal parts, if there are too many points.
ChartSeries Thinned(const ChartSeries& all, bool logarithmic) {
  ChartSeries finite;
  for (size_t i = 0; i < std::min(all.x.size(), all.y.size()); ++i) {
    const double y = logarithmic ? std::log10(all.y[i]) : all.y[i];
    if (!std::isfinite(y)) continue;
    finite.x.push_back(all.x[i]);
    finite.y.push_back(y);
  }
  const size_t part = (finite.x.size() + kMostPoints - 1) / kMostPoints;
  if (part <= 1) return finite;
  ChartSeries means;
  for (size_t begin = 0; begin < finite.x.size(); begin += part) {
    const size_t end = std::min(begin + part, finite.x.size());
    double x = 0;
    double y = 0;
    for (size_t i = begin; i < end; ++i) {
      x += finite.x[i];
      y += finite.y[i];
    }
    means.x.push_back(x / static_cast<double>(end - begin));
    means.y.push_back(y / static_cast<double>(end - begin));
  }
  return means;
}

void DrawPanel(const ChartPanel& panel, const Range& x, double top,
               size_t colors, Drawing& drawing) {
  std::vector<ChartSeries> lines;
  Range y;
  for (const ChartSeries& series : panel.series) {
    lines.push_back(Thinned(series, panel.logarithmic));
    for (const double value : lines.back().y) y.Take(value);
  }
  y.Widen();
  const bool has_dots = std::all_of(
      lines.begin(), lines.end(),
      [](const ChartSeries& line) { return line.x.size() <= kMostDots; });
  const double bottom = top + kPlotHeight;
  const auto place_x = [&](double v) {
    return kLeft + kPlotWidth * x.Share(v);
  };
  const auto place_y = [&](double v) {
    return bottom - kPlotHeight * y.Share(v);
  };
  const std::vector<double> ticks =
      panel.logarithmic
          ? LogarithmicTicks(std::pow(10, y.low), std::pow(10, y.high))
          : ChartTicks(y.low, y.high, 5);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
  auto& shapes = drawing.shapes;
  for (const double tick : ticks) {
    const double at = place_y(panel.logarithmic ? std::log10(tick) : tick);
    shapes.push_back(Straight({kLeft, at}, {kLeft + kPlotWidth, at}, kFaint));
    shapes.push_back(
        Drawing::Words{{kLeft - 8, at + 4},
                       panel.logarithmic ? Short(tick) : TickText(tick, step),
                       Drawing::Words::Anchor::kEnd});
  }
  shapes.push_back(Straight({kLeft, top}, {kLeft, bottom}, kSvgInk));
  shapes.push_back(
      Straight({kLeft, bottom}, {kLeft + kPlotWidth, bottom}, kSvgInk));
  shapes.push_back(Drawing::Words{{18, top + kPlotHeight / 2},
                                  panel.y_name,
                                  Drawing::Words::Anchor::kMiddle,
                                  /*upwards=*/true});
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].x.empty()) continue;
    Drawing::Line line = {{}, ColorOf(i, colors), 1.5};
    for (size_t j = 0; j < lines[i].x.size(); ++j) {
      line.points.push_back({place_x(lines[i].x[j]), place_y(lines[i].y[j])});
    }
    shapes.push_back(line);
    for (size_t j = 0; j < line.points.size() && has_dots; ++j) {
      shapes.push_back(Drawing::Dot{line.points[j], 3, line.color});
    }
  }
}

}  // namespace

std::vector<double> ChartTicks(double low, double high, size_t count) {
  const double wanted = (high - low) / static_cast<double>(count);
  const double power = std::pow(10.0, std::floor(std::log10(wanted)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= wanted) step = factor * power;
  }
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9;
       ++i) {
    ticks.push_back(i * step);
  }
  return ticks;
}

std::vector<double> LogarithmicTicks(double low, double high) {
  const bool few = std::log10(high / low) <= kMostDecades;
  std::vector<double> ticks;
  const double last = std::min(std::log10(high), kLargestPower);
  for (double i = std::floor(std::log10(low)); i <= last; ++i) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10, i);
      if (tick < low * (1 - 1e-9) || tick > high * (1 + 1e-9)) continue;
      if (few || factor == 1) ticks.push_back(tick);
    }
  }
  return ticks;
}

Drawing LineChart(const std::string& x_name,
                  const std::vector<ChartPanel>& panels) {
  Range x;
  std::vector<std::string> names;
  for (const ChartPanel& panel : panels) {
    for (size_t i = 0; i < panel.series.size(); ++i) {
      for (const double value : panel.series[i].x) x.Take(value);
      if (i == names.size()) names.push_back(panel.series[i].name);
    }
  }
  x.Widen();
  // The legend's names stand in columns.
  size_t letters = 1;
  for (const std::string& name : names) {
    letters = std::max(letters, name.size());
  }
  const double column =
      kLegendMark + kChartLetter * static_cast<double>(letters + 2);
  const size_t columns =
      std::max<size_t>(1, static_cast<size_t>(kPlotWidth / column));
  const size_t legend_lines = (names.size() + columns - 1) / columns;
  const double plots = kTop + kPanelHeight * static_cast<double>(panels.size());
  Drawing drawing;
  drawing.width = kWidth;
  drawing.height = plots + 45 + kLegendLine * static_cast<double>(legend_lines);
  auto& shapes = drawing.shapes;
  const std::vector<double> ticks = ChartTicks(x.low, x.high, 8);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
  for (const double tick : ticks) {
    const double at = kLeft + kPlotWidth * x.Share(tick);
    shapes.push_back(
        Straight({at, kTop}, {at, plots - kPanelHeight + kPlotHeight}, kFaint));
    shapes.push_back(Drawing::Words{{at, plots - 12},
                                    TickText(tick, step),
                                    Drawing::Words::Anchor::kMiddle});
  }
  double top = kTop;
  for (const ChartPanel& panel : panels) {
    DrawPanel(panel, x, top, names.size(), drawing);
    top += kPanelHeight;
  }
  shapes.push_back(Drawing::Words{{kLeft + kPlotWidth / 2, plots + 8},
                                  x_name,
                                  Drawing::Words::Anchor::kMiddle});
  for (size_t i = 0; i < names.size(); ++i) {
    const double left = kLeft + column * static_cast<double>(i % columns);
    const double y =
        plots + 32 + kLegendLine * static_cast<double>(i / columns);
    shapes.push_back(
        Drawing::Box{{left, y - 7}, 22, 3, ColorOf(i, names.size())});
    shapes.push_back(Drawing::Words{{left + kLegendMark, y}, names[i]});
  }
  return drawing;
}

}  // namespace lutra::tools
