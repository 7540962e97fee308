#include "tools/verbs/inspect_lattice.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>
#include <vector>

#include "lutra/packer/lattice.h"
#include "runtime/base/threads.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

using packer::HiddenGrid;

// Where there is nothing to tell of.
constexpr std::string_view kNothing = "no grid";

double Share(const HiddenGrid& grid) {
  return grid.groups == 0 ? 0
                          : static_cast<double>(grid.exact_groups) /
                                static_cast<double>(grid.groups);
}

// "4 bits with an offset, groups of 32", or what there is in its place.
std::string Verdict(const HiddenGrid& grid) {
  if (grid.found) return grid.grid;
  return grid.folded ? "lost: columns were multiplied" : "none";
}

// "1e-34": a bound of the chance that it is none.
std::string Chance(const HiddenGrid& grid) {
  return "1e" + std::to_string(static_cast<int>(
                    std::ceil(std::max(grid.log10_chance, -9999.0))));
}

Json ToJson(const HiddenGrid& grid) {
  Json json = {{"name", grid.tensor},
               {"dtype", grid.dtype},
               {"rows", grid.rows},
               {"columns", grid.columns},
               {"found", grid.found}};
  if (!grid.found) {
    json["folded"] = grid.folded;
    json["miss"] = grid.miss;
    return json;
  }
  json["grid"] = grid.grid;
  json["bits"] = grid.bits;
  json["table"] = grid.table;
  if (grid.group_size < grid.columns) {
    json["group"] = grid.group_size;
  } else {
    json["group"] = grid.one_scale ? "tensor" : "row";
  }
  json["group_size"] = grid.group_size;
  json["scale_type"] = grid.scale_type;
  json["offset"] = grid.offset;
  json["groups"] = grid.groups;
  json["exact_groups"] = grid.exact_groups;
  json["exact_share"] = Share(grid);
  json["log10_chance"] = grid.log10_chance;
  return json;
}

void Print(const std::string& path, const std::vector<HiddenGrid>& grids,
           OutputFormat format) {
  Table table({{"tensor", Table::Align::kLeft},
               {"shape", Table::Align::kLeft},
               {"type", Table::Align::kLeft},
               {"grid", Table::Align::kLeft},
               {"scales", Table::Align::kLeft},
               {"exact groups"},
               {"by chance"}});
  size_t found = 0;
  size_t exact = 0;
  for (const HiddenGrid& grid : grids) {
    const std::string shape = '[' + std::to_string(grid.rows) + ", " +
                              std::to_string(grid.columns) + ']';
    if (!grid.found) {
      table.AddRow({grid.tensor, shape, grid.dtype, Verdict(grid), "", "", ""});
      continue;
    }
    ++found;
    exact += grid.exact_groups == grid.groups ? size_t{1} : size_t{0};
    table.AddRow({grid.tensor, shape, grid.dtype, Verdict(grid),
                  grid.scale_type, Fixed(100 * Share(grid), 2) + " %",
                  Chance(grid)});
  }
  std::cout << "source: " << OneLine(path) << "\n"
            << Rendered(table, format) << "\n"
            << found << " of " << grids.size()
            << " float tensors lie on a grid, " << exact
            << " of them with every group\n";
  for (const HiddenGrid& grid : grids) {
    if (grid.found || grid.folded || grid.miss == kNothing) continue;
    std::cout << "  " << OneLine(grid.tensor) << ": " << grid.miss << "\n";
  }
}

}  // namespace

void PrintLattices(const std::string& path, size_t threads,
                   OutputFormat format) {
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  const auto start = std::chrono::steady_clock::now();
  Progress progress;
  const std::vector<HiddenGrid> grids = packer::FindHiddenGrids(
      path, executor.get(),
      [&](std::string_view tensor, size_t index, size_t count) {
        progress.Show("looking at " + std::string(tensor), index, count);
      });
  progress.Clear();
  const std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - start;
  if (format != OutputFormat::kJson) return Print(path, grids, format);
  Json json;
  json["source"] = path;
  size_t bytes = 0;
  json["tensors"] = Json::Array();
  for (const HiddenGrid& grid : grids) {
    bytes += grid.bytes;
    json["tensors"].PushBack(ToJson(grid));
  }
  json["bytes"] = bytes;
  json["seconds"] = taken.count();
  std::cout << json.Dump(2) << "\n";
}

}  // namespace lutra::tools
