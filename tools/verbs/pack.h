#ifndef LUTRA_TOOLS_VERBS_PACK_H_
#define LUTRA_TOOLS_VERBS_PACK_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/verbs/rescale.h"
#include "tools/verbs/train_data.h"

namespace lutra::tools {

// The verb pack and its options.
struct PackVerb {
  std::string model;
  std::string output;
  std::string calibration;  // a statistics file; "": none
  std::string data;         // or what layers are run over one by one
  DataOptions data_options;
  packer::DataRounding rounding;
  RescaleChoice rescale;
  SchemeOptions schemes;
  double target_bits = 0;  // 0: none
  std::vector<std::string> candidates = {"2:64", "2:32", "3:64",
                                         "3:32", "4:64", "4:32"};
  std::string plan_file;
  std::string eval_text;  // measured before and after; "": not
  size_t eval_bytes = 65536;
  bool dry_run = false;
  bool merge = false;  // adapters
  size_t threads = 0;
  OutputFormat format = OutputFormat::kTable;

  void Run();
};

// The part about --target-bpw (pack_budget.cc). Throws UsageError.
void AddBudgetOptions(Verb& pack, PackVerb& verb);
void CheckBudgetUse(const PackVerb& verb);
// Adds a rule for each weight to those of `options`, and prints them if that
// is all that is wanted. Throws lutra::Error.
void AssignBits(const PackVerb& verb,
                const std::shared_ptr<const Model>& source,
                packer::PackOptions& options, Progress& progress);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_PACK_H_
