#include "tests/golden_replay/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "tests/golden_replay/folders.h"
#include "tests/golden_replay/report.h"
#include "tools/cli/table.h"

namespace lutra::golden {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

constexpr const char* kExamples =
    "A folder is recognised by what it holds; one of no known kind stands for\n"
    "its subfolders. A case, a file or a folder that cannot be replayed "
    "fails.\n"
    "Exit codes: 0, all cases pass; 1, one fails or there is none; 2, the\n"
    "command line is wrong.\n"
    "\n"
    "Examples:\n"
    "  golden_replay ../shared/golden/parq ../shared/golden/hf\n"
    "  golden_replay ../shared/golden/parq --filter trajectories\n"
    "  golden_replay ../shared/golden/hf --failures\n"
    "  golden_replay ../shared/golden/parq --json > report.json";

struct Options {
  std::vector<std::string> folders;
  std::string filter;
  bool json = false;
  bool failures = false;
};

// Prints results as they come, for a replay may take long.
class Printer : public Observer {
 public:
  Printer(const Options& options, std::ostream& out)
      : options_(options), out_(out) {}

  void Start(const FolderResult& folder) override {
    heading_ = tools::OneLine(folder.folder.string()) + " (" +
               (folder.kind.empty() ? "unknown" : folder.kind) + ")\n";
  }
  void Done(const CaseResult& result) override {
    if (!options_.failures || !result.passed) Print(Line(result));
  }
  void End(const FolderResult& folder) override {
    Summary summary;
    summary.Add(folder);
    if (summary.cases > 0) Print(Line(summary));
  }

 private:
  void Print(const std::string& line) {
    if (options_.json) return;
    out_ << heading_ << "  " << line << std::endl;
    heading_.clear();
  }

  const Options& options_;
  std::ostream& out_;
  std::string heading_;  // waits for a line to stand above
};

int Run(const Options& options, std::ostream& out) {
  Printer printer(options, out);
  std::vector<FolderResult> results;
  for (const std::string& folder : options.folders) {
    std::ranges::move(ReplayFolders(folder, options.filter, printer),
                      std::back_inserter(results));
  }
  Summary total;
  for (const FolderResult& result : results) total.Add(result);
  if (options.json) {
    out << Json(results) << std::endl;
  } else if (total.cases == 0) {
    out << "no case is named like '" << tools::OneLine(options.filter) << "'"
        << std::endl;
  } else {
    out << "total: " << Line(total) << std::endl;
  }
  return total.cases > 0 && total.failed() == 0 && out ? 0 : kFailure;
}

}  // namespace

int RunGoldenReplay(int argc, const char* const* argv, std::ostream& out,
                    std::ostream& err) {
  CLI::App app("Replays vectors that the original programs recorded.",
               "golden_replay");
  Options options;
  app.footer(kExamples);
  app.add_option("FOLDER", options.folders, "Folders with recorded vectors")
      ->required();
  app.add_option("--filter", options.filter,
                 "Replay only cases whose folder or name contains TEXT")
      ->type_name("TEXT");
  app.add_flag("--failures", options.failures, "Print only cases that fail");
  app.add_flag("--json", options.json, "Print all results as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help, out, err);
  } catch (const CLI::ParseError& error) {
    err << "golden_replay: error: " << tools::OneLine(error.what())
        << " (see --help)" << std::endl;
    return kUsage;
  }
  return Run(options, out);
}

}  // namespace lutra::golden
