#include "tools/verbs/eval_results.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <limits>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

double NumberIn(const Json& object, const char* key) {
  const Json* found = object.IsObject() ? object.Find(key) : nullptr;
  const std::string text = found == nullptr ? "" : found->Dump();
  double value = 0;
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end
             ? value
             : std::numeric_limits<double>::quiet_NaN();
}

// 0: none.
uint64_t CountIn(const Json& object, const char* key) {
  const Json* found = object.IsObject() ? object.Find(key) : nullptr;
  const auto count = found == nullptr ? std::nullopt : found->AsInteger();
  return static_cast<uint64_t>(std::max<int64_t>(count.value_or(0), 0));
}

std::string OrNone(double value, std::string text) {
  return std::isfinite(value) ? std::move(text) : "";
}

}  // namespace

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
    const Json* label = model.IsObject() ? model.Find("label") : nullptr;
    const Result result{.label = label != nullptr && label->AsString()
                                     ? *label->AsString()
                                     : "",
                        .bits = NumberIn(model, "bits_per_weight"),
                        .file_bytes = CountIn(model, "file_bytes"),
                        .perplexity = NumberIn(model, "perplexity"),
                        .divergence = NumberIn(model, "kl_divergence"),
                        .same_top = NumberIn(model, "same_top")};
    if (!std::isfinite(result.bits) || !std::isfinite(result.perplexity)) {
      throw Error::InFile(path,
                          "is not what 'lutra eval --text ... --json' prints");
    }
    way.results.push_back(result);
  }
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
                    r.file_bytes == 0 ? "" : WithCommas(r.file_bytes),
                    OrNone(r.divergence, Fixed(r.divergence, 4)),
                    OrNone(r.same_top, Fixed(100 * r.same_top, 1) + " %"),
                    Fixed(r.perplexity, 3)});
    }
  }
  std::cout << (format == OutputFormat::kMarkdown ? table.Markdown()
                                                  : table.Text());
}

}  // namespace lutra::tools
