#include "tools/verbs/train_plan.h"

#include <optional>
#include <set>

#include "lutra/qat/activations.h"
#include "lutra/qat/trainable_model.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

// "int8, 4 bits, fixed range".
std::string InputWords(const Node& node, const std::set<std::string>& ranged) {
  if (!QuantizesInput(node.op)) return "";
  const InputQuantization input = InputQuantizationOf(node);
  if (!input.type) return "left to the session";
  const kernels::ActivationTraits& traits = kernels::Traits(*input.type);
  std::string words = traits.name;
  if (traits.is_float) return words;
  if (input.bits != 8) words += ", " + std::to_string(input.bits) + " bits";
  if (input.group_size > 0) {
    words += ", groups of " + std::to_string(input.group_size);
  }
  const std::string* const value = QuantizedValue(node);
  const bool fixed = input.range_min != input.range_max ||
                     (value != nullptr && ranged.contains(*value));
  return fixed ? words + ", fixed range" : words;
}

}  // namespace

std::string TrainingPlan(const Graph& graph, const qat::SchemeRules& rules,
                         const qat::QuantizationSpec& activations) {
  Graph planned = graph;
  std::set<std::string> ranged;
  for (const qat::StaticInput& input :
       qat::QuantizeInputs(activations, planned)) {
    ranged.insert(input.value);
  }
  std::set<std::string> rounded;
  for (const qat::StaticInput& output :
       qat::OutputsToRound(activations, planned)) {
    rounded.insert(output.value);
  }
  std::vector<Table::Column> columns = {{"weight", Table::Align::kLeft},
                                        {"operator", Table::Align::kLeft},
                                        {"decided by", Table::Align::kLeft},
                                        {"becomes", Table::Align::kLeft},
                                        {"input", Table::Align::kLeft}};
  if (!rounded.empty()) columns.push_back({"output", Table::Align::kLeft});
  Table table(columns);
  std::set<std::string_view> seen;
  for (const Node& node : planned.nodes) {
    if (!IsPackable(node.op) || !seen.insert(node.weight).second) continue;
    const qat::RuleTarget target(node.weight, node.op);
    const std::optional<qat::QuantScheme> scheme = rules.Match(target);
    std::vector<std::string> row = {
        node.weight, std::string(Name(node.op)), rules.Reason(target),
        scheme ? qat::ToString(*scheme) : "float32", InputWords(node, ranged)};
    if (!rounded.empty()) {
      row.emplace_back(rounded.contains(node.output) ? "rounded, fixed range"
                                                     : "float32");
    }
    table.AddRow(row);
  }
  return table.Text();
}

std::string SettingsTable(const qat::ParamSettingsMap& settings) {
  Table table({{"parameter", Table::Align::kLeft},
               {"learning rate", Table::Align::kRight},
               {"weight decay", Table::Align::kRight}});
  for (const auto& [name, own] : settings) {
    table.AddRow({name, "x " + Short(own.rate),
                  own.weight_decay ? Short(*own.weight_decay) : "as usual"});
  }
  return table.Text();
}

}  // namespace lutra::tools
