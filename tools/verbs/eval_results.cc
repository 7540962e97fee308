#include "tools/verbs/eval_results.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <limits>
#include <utility>

#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

// No file has more bits for a weight.
constexpr double kMostBits = 64;

// NaN if there is none.
double NumberIn(const Json& object, const char* key) {
  const Json* found = object.Find(key);
  return found == nullptr ? std::numeric_limits<double>::quiet_NaN()
                          : found->AsNumber().value_or(
                                std::numeric_limits<double>::quiet_NaN());
}

std::string OrNone(double value, std::string text) {
  return std::isfinite(value) ? std::move(text) : "";
}

}  // namespace

EvalResults::Result EvalResults::ResultOf(const Json& model,
                                          const std::string& path) {
  Result result;
  if (model.IsObject()) {
    const Json* label = model.Find("label");
    const Json* bytes = model.Find("file_bytes");
    const std::string* text = label == nullptr ? nullptr : label->AsString();
    if (text != nullptr) result.label = *text;
    if (bytes != nullptr) result.file_bytes = bytes->AsInteger().value_or(0);
    result.bits = NumberIn(model, "bits_per_weight");
    result.perplexity = NumberIn(model, "perplexity");
    result.divergence = NumberIn(model, "kl_divergence");
    result.same_top = NumberIn(model, "same_top");
  }
  if (result.bits > 0 && result.bits <= kMostBits && result.perplexity > 0 &&
      result.file_bytes >= 0) {
    return result;
  }
  throw Error::InFile(path,
                      "is not what 'lutra eval --text ... --json' prints");
}

bool EvalResults::Add(const std::string& path, const std::string& text) {
  Json json;
  try {
    json = Json::Parse(text);
  } catch (const std::exception&) {
    return false;
  }
  const Json* models = json.IsObject() ? json.Find("models") : nullptr;
  if (models == nullptr || !models->IsArray()) return false;
  Way way{std::filesystem::path(path).stem().string(), {}};
  for (const Json& model : models->items()) {
    way.results.push_back(ResultOf(model, path));
  }
  if (way.results.empty()) throw Error::InFile(path, "has no models");
  std::stable_sort(
      way.results.begin(), way.results.end(),
      [](const Result& a, const Result& b) { return a.bits < b.bits; });
  ways_.push_back(std::move(way));
  return true;
}

std::vector<ChartPanel> EvalResults::Panels() const {
  std::vector<ChartPanel> panels = {{"divergence (nats)", {}, true},
                                    {"perplexity", {}, true}};
  for (const Way& way : ways_) {
    ChartSeries divergence{OneLine(way.name), {}, {}};
    ChartSeries perplexity = divergence;
    for (const Result& result : way.results) {
      divergence.x.push_back(result.bits);
      divergence.y.push_back(result.divergence);
      perplexity.x.push_back(result.bits);
      perplexity.y.push_back(result.perplexity);
    }
    panels[0].series.push_back(std::move(divergence));
    panels[1].series.push_back(std::move(perplexity));
  }
  return panels;
}

void EvalResults::Print(OutputFormat format) const {
  if (format == OutputFormat::kJson) {
    Json models = Json::Array();
    for (const Way& way : ways_) {
      for (const Result& r : way.results) {
        models.PushBack({{"way", way.name},
                         {"label", r.label},
                         {"bits_per_weight", r.bits},
                         {"file_bytes", r.file_bytes},
                         {"perplexity", r.perplexity},
                         {"kl_divergence", r.divergence},
                         {"same_top", r.same_top}});
      }
    }
    std::cout << Json{{"models", std::move(models)}}.Dump(2) << "\n";
    return;
  }
  Table table({{"", Table::Align::kLeft},
               {"model", Table::Align::kLeft},
               {"bits/weight"},
               {"file bytes"},
               {"divergence"},
               {"same top"},
               {"perplexity"}});
  for (const Way& way : ways_) {
    for (const Result& r : way.results) {
      table.AddRow({way.name, r.label, Fixed(r.bits, 2),
                    r.file_bytes == 0
                        ? ""
                        : WithCommas(static_cast<uint64_t>(r.file_bytes)),
                    OrNone(r.divergence, Fixed(r.divergence, 4)),
                    OrNone(r.same_top, Fixed(100 * r.same_top, 1) + " %"),
                    Fixed(r.perplexity, 3)});
    }
  }
  std::cout << (format == OutputFormat::kMarkdown ? table.Markdown()
                                                  : table.Text());
}

}  // namespace lutra::tools
