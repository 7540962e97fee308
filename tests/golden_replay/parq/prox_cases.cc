#include <cmath>
#include <limits>

#include "lutra/qat/prox_maps.h"
#include "tests/golden_replay/parq/cases.h"
#include "tests/golden_replay/parq/upstream.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

constexpr double kSlopeTolerance = 1e-14;
constexpr const char* kScheduleSlopes = "schedule/inv_slope";

// A step number that is recorded as float64.
int64_t StepOf(double value) {
  constexpr double kMost = 9007199254740992.0;  // 2^53
  if (!(std::fabs(value) <= kMost)) throw Error("a step number is absurd");
  return static_cast<int64_t>(value);
}

void CompareSchedule(const golden::GoldenFile& file,
                     golden::Comparison& comparison) {
  constexpr size_t kColumns = 5;  // step, start, end, steepness, center
  const auto args = file.Load<double>("schedule/args_t_start_end_steep_center");
  std::vector<double> slopes;
  for (size_t i = 0; i + kColumns <= args.size(); i += kColumns) {
    const ParqSchedule schedule{StepOf(args[i + 1]), StepOf(args[i + 2]),
                                args[i + 3], args[i + 4]};
    slopes.push_back(InverseSlope(schedule, StepOf(args[i])));
  }
  comparison.Relative("inv_slope", slopes, file.Load<double>(kScheduleSlopes),
                      kSlopeTolerance);
}

}  // namespace

void ReplayProxMap(const golden::GoldenFile& file, const json& c,
                   golden::Comparison& comparison) {
  const auto prefix = c.at("prefix").get<std::string>();
  const auto grid_name = c.at("grid").get<std::string>();
  const auto map = MakeUpstreamProxMap(c.at("class").get<std::string>(),
                                       c.value("args", json::array()));
  const std::vector<float> grid = file.Load<float>(grid_name + "/Q");
  const std::vector<float> p = file.Load<float>(grid_name + "/p");
  const std::vector<float> q = file.Load<float>(grid_name + "/q");
  const size_t rows = file.Dimension(grid_name + "/p", 0);
  const size_t columns = file.Dimension(grid_name + "/p", 1);
  const bool per_row = c.at("per_channel").get<bool>();
  const size_t grids = per_row ? rows : 1;
  const auto steps = file.Load<int64_t>(prefix + "/steps");
  const std::vector<float> expected = file.Load<float>(prefix + "/out");
  if (q.size() != p.size() || grids == 0 || grid.size() % grids != 0 ||
      expected.size() != steps.size() * p.size()) {
    throw Error("the recorded tensors do not fit the input");
  }
  std::vector<float> got;
  std::vector<double> slopes;
  for (const int64_t step : steps) {
    std::vector<float> values = p;
    const bool given = c.at("q_given").get<bool>();
    const auto slope =
        map->Apply({values.data(), given ? q.data() : nullptr, grid.data(),
                    rows, columns, grid.size() / grids, per_row},
                   step);
    got.insert(got.end(), values.begin(), values.end());
    slopes.push_back(slope.value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  comparison.Exact("out", got, expected);
  comparison.Relative("inv_slope", slopes,
                      file.Load<double>(prefix + "/inv_slope"),
                      kSlopeTolerance);
}

void ReplaySchedule(const golden::GoldenFile& file, golden::Sink& sink) {
  if (!file.Has(kScheduleSlopes)) return;
  golden::RunCase(sink, "schedule", [&file](golden::Comparison& comparison) {
    CompareSchedule(file, comparison);
  });
}

}  // namespace lutra::qat
