#include "lutra/packer/assign.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lutra/packer/calibrate.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/spec.h"
#include "lutra/runtime/error.h"
#include "packer/assign/plan.h"
#include "packer/budget/trials.h"
#include "packer/encode/roundings.h"
#include "packer/encode/weight_packer.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

// A weight's candidates that are worth taking, by rising size and falling cost.
struct Choices {
  struct Choice {
    qat::QuantScheme scheme;
    size_t bytes = 0;
    double cost = 0;
  };
  size_t weight = 0;  // of the report
  std::vector<Choice> choices;
  size_t taken = 0;

  // The lower convex hull: each step saves less per byte than the one before.
  void KeepHull() {
    std::sort(choices.begin(), choices.end(),
              [](const Choice& a, const Choice& b) {
                return a.bytes != b.bytes ? a.bytes < b.bytes : a.cost < b.cost;
              });
    std::vector<Choice> hull;
    for (const Choice& choice : choices) {
      if (!hull.empty() && choice.cost >= hull.back().cost) continue;
      while (hull.size() > 1 && Slope(hull.back(), choice) >=
                                    Slope(hull[hull.size() - 2], hull.back())) {
        hull.pop_back();
      }
      hull.push_back(choice);
    }
    choices = std::move(hull);
  }
  // What a byte saves.
  static double Slope(const Choice& a, const Choice& b) {
    return (a.cost - b.cost) / static_cast<double>(b.bytes - a.bytes);
  }
  bool HasNext() const { return taken + 1 < choices.size(); }
  double NextSlope() const { return Slope(choices[taken], choices[taken + 1]); }
  size_t NextBytes() const {
    return choices[taken + 1].bytes - choices[taken].bytes;
  }
};

std::string Text(double bits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", bits);
  return text;
}

class Assigner {
 public:
  Assigner(const std::shared_ptr<const Model>& model,
           const AssignOptions& options, const PackProgress& progress)
      : model_(*model),
        options_(options),
        progress_(progress),
        pack_(WithoutSamples(*options.pack)),
        plans_(MakePlan(*model, {}, pack_)),
        roundings_(*model, pack_, [] {}),
        trials_(model, *options.samples, options.which,
                options.pack->executor) {
    for (const WeightPlan& plan : plans_) {
      status_.total += plan.weight.ElementCount();
    }
  }

  AssignReport Run() {
    std::vector<Choices> all;
    size_t bytes = 0;
    for (const WeightPlan& plan : plans_) {
      status_.tensor = plan.weight.name;
      if (progress_) progress_(status_);
      status_.done += plan.weight.ElementCount();
      const qat::RuleTarget target(plan.weight.name, plan.weight.op);
      const qat::SchemeRules& rules = options_.pack->rules;
      if (plan.method == PackMethod::kKept) continue;
      elements_ += plan.weight.ElementCount();
      Assignment assignment;
      assignment.name = plan.weight.name;
      assignment.scheme = plan.scheme;
      assignment.is_fixed = rules.HasRule(target);
      assignment.bytes = kernels::BlobBytes(plan.format);
      report_.weights.push_back(assignment);
      if (!assignment.is_fixed) all.push_back(Measure(plan));
      bytes += all.empty() || all.back().weight + 1 != report_.weights.size()
                   ? assignment.bytes
                   : all.back().choices[0].bytes;
    }
    Spend(all, bytes);
    return std::move(report_);
  }

 private:
  static PackOptions WithoutSamples(PackOptions options) {
    options.samples = nullptr;
    return options;
  }

  // All candidates, and a trial with the smallest.
  Choices Measure(const WeightPlan& plan) {
    Choices choices;
    choices.weight = report_.weights.size() - 1;
    const MomentRounding* rounding = roundings_.For(plan);
    struct Candidate {
      WeightPlan plan;
      PackedWeight packed;
      double error = 0;  // as a share of the outputs
    };
    const RowSource w(model_.file().Get(plan.weight.name), model_.path());
    std::optional<Candidate> smallest;
    for (const qat::QuantScheme& scheme : options_.candidates) {
      Candidate candidate;
      candidate.plan = plan;
      candidate.plan.scheme = scheme;
      candidate.plan.format = {};
      candidate.plan.table.clear();
      try {
        PlanBlob(candidate.plan);
        candidate.packed = PackWeight(w, candidate.plan, rounding,
                                      options_.pack->executor, [](size_t) {});
      } catch (const Error& error) {
        throw Error::InTensor(model_.path(), plan.weight.name, error.what());
      }
      candidate.error = ErrorOf(candidate.packed);
      choices.choices.push_back(
          {scheme, kernels::BlobBytes(candidate.plan.format), candidate.error});
      if (!smallest || choices.choices.back().bytes <
                           kernels::BlobBytes(smallest->plan.format)) {
        smallest = std::move(candidate);
      }
    }
    const double divergence =
        trials_.Divergence(plan.weight.name, smallest->packed.Bytes());
    report_.weights.back().divergence = divergence;
    for (Choices::Choice& choice : choices.choices) {
      choice.cost =
          smallest->error > 0 ? divergence * choice.cost / smallest->error : 0;
    }
    choices.KeepHull();
    return choices;
  }

  // Of the outputs, or of the weights where nothing is known about the inputs.
  static double ErrorOf(const PackedWeight& packed) {
    if (packed.losses) return packed.losses->result / packed.losses->energy;
    return std::pow(10.0, -packed.sqnr_db / 10);
  }

  void Spend(std::vector<Choices>& all, size_t bytes) {
    const auto budget = static_cast<size_t>(options_.target_bits *
                                            static_cast<double>(elements_) / 8);
    if (bytes > budget) {
      throw Error::InFile(
          model_.path(),
          "cannot be packed in " + Text(options_.target_bits) +
              " bits per weight: the smallest candidates take " +
              Text(WeightTotals{elements_, bytes}.BitsPerWeight()));
    }
    while (true) {
      Choices* best = nullptr;
      for (Choices& choices : all) {
        if (!choices.HasNext() || bytes + choices.NextBytes() > budget) {
          continue;
        }
        if (best == nullptr || choices.NextSlope() > best->NextSlope()) {
          best = &choices;
        }
      }
      if (best == nullptr) break;
      bytes += best->NextBytes();
      ++best->taken;
    }
    for (const Choices& choices : all) {
      const Choices::Choice& choice = choices.choices[choices.taken];
      Assignment& assignment = report_.weights[choices.weight];
      assignment.scheme = choice.scheme;
      assignment.bytes = choice.bytes;
      assignment.cost = choice.cost;
      report_.cost += choice.cost;
    }
    report_.bits_per_weight = WeightTotals{elements_, bytes}.BitsPerWeight();
  }

  const Model& model_;
  const AssignOptions& options_;
  const PackProgress& progress_;
  const PackOptions pack_;
  std::vector<WeightPlan> plans_;
  Roundings roundings_;
  Trials trials_;
  PackStatus status_;
  size_t elements_ = 0;
  AssignReport report_;
};

// As a regular expression.
std::string Escaped(const std::string& name) {
  std::string regex = "^";
  for (const char c : name) {
    if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) {
      regex += '\\';
    }
    regex += c;
  }
  return regex + "$";
}

}  // namespace

std::vector<uint32_t> SamplesOfTrials(const Model& model,
                                      const qat::Samples& samples) {
  constexpr size_t kRows = 2048;
  constexpr size_t kMost = (size_t{256} << 20) / sizeof(float);
  const size_t width =
      std::max<size_t>(1, model.outputs().at(0).ElementCount());
  const size_t rows = std::min(kRows, kMost / width);
  return SpreadSamples(samples.Count(),
                       std::max<size_t>(1, rows / samples.RowsOfSample()));
}

AssignReport AssignSchemes(const std::shared_ptr<const Model>& model,
                           const AssignOptions& options,
                           const PackProgress& progress) {
  return Assigner(model, options, progress).Run();
}

qat::SchemeRules RulesOf(const AssignReport& report, qat::SchemeRules rules) {
  for (const Assignment& assignment : report.weights) {
    if (assignment.is_fixed) continue;
    qat::RulePattern pattern;
    pattern.regex = Escaped(assignment.name);
    rules.AddRule(assignment.name, pattern, assignment.scheme);
  }
  return rules;
}

std::string SpecOf(const AssignReport& report) {
  qat::QuantizationSpec spec;
  for (const Assignment& assignment : report.weights) {
    const qat::QuantScheme& scheme = assignment.scheme;
    qat::TensorSpec weights;
    weights.bits = scheme.bits;
    weights.quantizer = scheme.quantizer;
    weights.scale_type = scheme.scale_type;
    weights.group_size = scheme.group_size;
    if (scheme.group_size > 0) weights.granularity = qat::Granularity::kGroup;
    qat::RulePattern pattern;
    pattern.regex = Escaped(assignment.name);
    qat::LayerSpec layer;
    layer.weights = weights;
    spec.AddRule(pattern, layer);
  }
  return spec.ToJson();
}

}  // namespace lutra::packer
