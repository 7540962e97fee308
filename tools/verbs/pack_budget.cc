#include <charconv>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

#include "lutra/packer/assign.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/pack.h"

namespace lutra::tools {
namespace {

// Of rounding: enough to tell candidates apart.
constexpr int kTurnsOfTrials = 1;

Json ToJson(const packer::AssignReport& report) {
  Json json = {{"bits_per_weight", report.bits_per_weight},
               {"expected_divergence", report.cost},
               {"weights", Json::Array()}};
  for (const packer::Assignment& weight : report.weights) {
    json["weights"].PushBack(Json{{"name", weight.name},
                                  {"bits", weight.scheme.bits},
                                  {"group_size", weight.scheme.group_size},
                                  {"quantizer", weight.scheme.quantizer},
                                  {"fixed", weight.is_fixed},
                                  {"bytes", weight.bytes},
                                  {"trial_divergence", weight.divergence},
                                  {"expected_divergence", weight.cost}});
  }
  return json;
}

Table ToTable(const packer::AssignReport& report) {
  Table table({{"tensor", Table::Align::kLeft},
               {"scheme", Table::Align::kLeft},
               {"bytes"},
               {"trial"},
               {"expected"}});
  for (const packer::Assignment& weight : report.weights) {
    table.AddRow({weight.name, qat::ToString(weight.scheme),
                  WithCommas(weight.bytes),
                  weight.is_fixed ? "by rule" : Short(weight.divergence),
                  weight.is_fixed ? "" : Short(weight.cost)});
  }
  return table;
}

std::vector<qat::QuantScheme> Candidates(const PackVerb& verb) {
  std::vector<qat::QuantScheme> result;
  for (const std::string& text : verb.candidates) {
    AsUsage("--candidates", [&] {
      const size_t colon = text.find(':');
      qat::QuantScheme scheme = verb.schemes.scheme;
      const std::from_chars_result end =
          std::from_chars(text.data(), text.data() + text.size(), scheme.bits);
      if (colon == std::string::npos || end.ec != std::errc() ||
          end.ptr != text.data() + colon) {
        throw Error("'" + OneLine(text) +
                    "' is not BITS:GROUP or BITS:GROUP:QUANTIZER, e.g. 4:32");
      }
      const size_t second = text.find(':', colon + 1);
      qat::SetGroupSize(
          std::string_view(text).substr(colon + 1, second - colon - 1), scheme);
      if (second != std::string::npos) {
        scheme.quantizer = text.substr(second + 1);
      } else if (!verb.schemes.quantizer_option.Given()) {
        scheme.quantizer = qat::DefaultQuantizer(scheme.bits);
      }
      qat::CheckScheme(scheme);
      result.push_back(scheme);
    });
  }
  return result;
}

}  // namespace

void AddBudgetOptions(Verb& pack, PackVerb& verb) {
  pack.Add("--target-bpw", verb.target_bits,
           "Choose bits and groups of each weight by trials, so that all "
           "together take no more bits per weight; those of rules stay. Needs "
           "--calibration and --data")
      .TypeName("BITS")
      .Positive();
  pack.Add("--candidates", verb.candidates, "What --target-bpw chooses from")
      .TypeName("BITS:GROUP[:QUANTIZER],...")
      .CommaList()
      .ShowDefault("2:64,2:32,3:64,3:32,4:64,4:32");
  pack.Add("--plan", verb.plan_file,
           "Write what --target-bpw has chosen as a specification (--spec)")
      .TypeName("FILE.json");
  pack.AddFlag("--dry-run", verb.dry_run,
               "Print what --target-bpw chooses, and stop");
}

void CheckBudgetUse(const PackVerb& verb) {
  const bool has_target = verb.target_bits > 0;
  if (has_target && (verb.data.empty() || verb.calibration.empty())) {
    throw UsageError("--target-bpw",
                     "needs --calibration, for errors, and --data, for trials");
  }
  const bool rescales = !verb.rescale.method.empty();
  if (rescales && verb.calibration.empty()) {
    throw UsageError("--rescale", "needs --calibration");
  }
  if (!has_target && !rescales && !verb.data.empty() &&
      !verb.calibration.empty()) {
    throw UsageError("--data",
                     "takes the place of --calibration (both are for "
                     "--target-bpw and --rescale only)");
  }
  if (!has_target && (verb.dry_run || !verb.plan_file.empty())) {
    throw UsageError("--dry-run, --plan", "are about --target-bpw");
  }
}

void AssignBits(const PackVerb& verb,
                const std::shared_ptr<const Model>& source,
                packer::PackOptions& options, Progress& progress) {
  packer::PackOptions trial = options;
  trial.rounding.turns = kTurnsOfTrials;
  packer::AssignOptions assign;
  assign.target_bits = verb.target_bits;
  assign.candidates = Candidates(verb);
  assign.pack = &trial;
  assign.samples = options.samples;
  assign.which = packer::SamplesOfTrials(*source, *options.samples);
  const EndOnInterrupt interrupt;
  const packer::AssignReport report = packer::AssignSchemes(
      source, assign, [&](const packer::PackStatus& status) {
        interrupt.Check();
        progress.ShowRate("trying " + std::string(status.tensor), status.done,
                          status.total, "weights");
      });
  progress.Clear();
  if (!verb.plan_file.empty()) {
    OutputFile file(verb.plan_file);
    file.Append(packer::SpecOf(report) + "\n");
    file.Commit();
  }
  options.rules = packer::RulesOf(report, options.rules);
  options.use_trained = false;
  options.statistics = nullptr;
  if (!verb.dry_run) return;
  if (verb.format == OutputFormat::kJson) {
    std::cout << ToJson(report).Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(report);
  std::cout << Rendered(table, verb.format) << "\n"
            << Fixed(report.bits_per_weight, 3)
            << " bits per weight, expected divergence " << Short(report.cost)
            << "\n";
}

}  // namespace lutra::tools
