#ifndef LUTRA_TOOLS_CLI_LINE_CHART_H_
#define LUTRA_TOOLS_CLI_LINE_CHART_H_

#include <string>
#include <vector>

#include "tools/cli/drawing.h"

namespace lutra::tools {

// What is drawn as one line: y against x, which rises. Points whose y is not
// finite are left out.
struct ChartSeries {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
};

struct ChartPanel {
  std::string y_name;
  std::vector<ChartSeries> series;
  // The y axis is logarithmic; points that are not above 0 are left out.
  bool logarithmic = false;
};

// A picture of panels one below the other over one x axis, each with a y
// axis of its own. Series of the same place in all panels have one colour,
// which a legend names; many have colours that go from dark blue to red. A line
// of many points is that of the means of a few hundred; where lines have few,
// each point has a dot.
Drawing LineChart(const std::string& x_name,
                  const std::vector<ChartPanel>& panels);

// Round numbers from `low` to `high`, about `count` of them.
std::vector<double> ChartTicks(double low, double high, size_t count);
// Of a logarithmic axis: 1, 2 and 5 times the powers of ten, powers alone where
// these are many.
std::vector<double> LogarithmicTicks(double low, double high);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_LINE_CHART_H_
