// Turns what kernels_bench wrote into a page and a picture, or compares two
// such files. Exit codes: 0; 1 if the work failed; 2 for a wrong command line.

#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "bench/report/bench_page.h"
#include "bench/report/bench_results.h"
#include "bench/report/roofline.h"
#include "lutra/runtime/output_file.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Examples:\n"
    "  kernels_bench --benchmark_out=run.json\n"
    "  bench_report run.json -o docs/kernels_bench.md --reasons reasons.txt\n"
    "      writes the page and, beside it, docs/kernels_bench.svg\n"
    "  kernels_bench --benchmark_repetitions=5 --benchmark_filter=gemm "
    "--benchmark_out=a.json\n"
    "  bench_report --compare a.json b.json\n"
    "      prints the speed of b as a multiple of that of a; a difference is\n"
    "      outside the noise if all repetitions of one are faster than those\n"
    "      of the other";

struct Options {
  std::string run;
  std::string page;
  std::string reasons;
  std::vector<std::string> compare;
};

void WriteFile(const std::filesystem::path& path, const std::string& text) {
  OutputFile file(path);
  file.Append(text);
  file.Commit();
}

void Report(const Options& options) {
  if (!options.compare.empty()) {
    std::cout << CompareBenchRuns(ReadBenchRun(options.compare[0]),
                                  ReadBenchRun(options.compare[1]))
                     .Text();
    return;
  }
  const BenchRun run = ReadBenchRun(options.run);
  const Reasons reasons =
      options.reasons.empty() ? Reasons() : ReadReasons(options.reasons);
  const std::filesystem::path page = options.page;
  std::filesystem::path picture = page;
  picture.replace_extension(".svg");
  WriteFile(picture, RooflineSvg(run));
  WriteFile(page, BenchPage(run, picture.filename().string(), reasons));
}

int Main(int argc, char** argv) {
  CLI::App app("Reports what kernels_bench measured.", "bench_report");
  app.footer(kExample);
  Options options;
  auto* run = app.add_option("run", options.run, "JSON of kernels_bench");
  auto* page =
      app.add_option("-o,--output", options.page, "Markdown page to write");
  app.add_option("--reasons", options.reasons,
                 "text file with lines 'id: why this row is missed'");
  app.add_option("--compare", options.compare, "two JSON files, A and B")
      ->expected(2)
      ->excludes(run)
      ->excludes(page);
  try {
    app.parse(argc, argv);
    if (options.compare.empty() &&
        (options.run.empty() || options.page.empty())) {
      throw CLI::RequiredError("RUN -o PAGE, or --compare A B");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    Report(options);
    std::cout.flush();
    return std::cout ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << "bench_report: error: " << OneLine(e.what()) << std::endl;
    return 1;
  }
}

}  // namespace
}  // namespace lutra::tools

int main(int argc, char** argv) { return lutra::tools::Main(argc, argv); }
