#ifndef LUTRA_TOOLS_CLI_LINE_CHART_H_
#define LUTRA_TOOLS_CLI_LINE_CHART_H_

#include <string>
#include <vector>

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
};

// An SVG picture of panels one below the other over one x axis, each with a y
// axis of its own. Series of the same place in all panels have one colour,
// which a legend names. A line of many points is that of the means of a few
// hundred.
std::string LineChartSvg(const std::string& x_name,
                         const std::vector<ChartPanel>& panels);

// Round numbers from `low` to `high`, about `count` of them.
std::vector<double> ChartTicks(double low, double high, size_t count);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_LINE_CHART_H_
