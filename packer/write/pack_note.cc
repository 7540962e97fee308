#include "packer/write/pack_note.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/error.h"
#include "runtime/base/json.h"

namespace lutra::packer {
namespace {

// Rounded, so that no number takes more than kWidest characters.
double Rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5g", value);
  return std::strtod(text, nullptr);
}
constexpr double kWidest = -1.2345e-300;

nlohmann::ordered_json ToJson(double value) {
  // JSON has no infinity.
  if (!std::isfinite(value)) return nullptr;
  return Rounded(value);
}

}  // namespace

std::string PackNote(const std::vector<TensorReport>& weights) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::object();
  for (const TensorReport& weight : weights) {
    if (weight.method == PackMethod::kKept) continue;
    tensors[weight.name] = {{"method", Name(weight.method)},
                            {"sqnr_db", ToJson(weight.sqnr_db)},
                            {"max_error", ToJson(weight.max_error)}};
  }
  return nlohmann::ordered_json(
             {{"tool", std::string("lutra ") + lutra_version()},
              {"tensors", tensors}})
      .dump();
}

std::string PackNoteSpace(const std::vector<TensorReport>& weights) {
  std::vector<TensorReport> widest = weights;
  for (TensorReport& weight : widest) {
    weight.sqnr_db = kWidest;
    weight.max_error = kWidest;
  }
  return PackNote(widest);
}

std::map<std::string, PackRecord> ReadPackNote(std::string_view text,
                                               std::string_view file) {
  const JsonDocument document = ParseJson(text, file, "'lutra.pack'");
  const nlohmann::json& note = document.root();
  std::map<std::string, PackRecord> records;
  if (!note.is_object() || !note.contains("tensors") ||
      !note["tensors"].is_object()) {
    throw Error::InFile(file, "'lutra.pack' has no object 'tensors'");
  }
  const auto number = [](const nlohmann::json& entry, const char* key) {
    const auto found = entry.find(key);
    return found != entry.end() && found->is_number() ? found->get<double>()
                                                      : HUGE_VAL;
  };
  for (const auto& [name, entry] : note["tensors"].items()) {
    if (!entry.is_object()) {
      throw Error::InTensor(file, name, "'lutra.pack': is not an object");
    }
    PackRecord& record = records[name];
    const auto method = entry.find("method");
    if (method != entry.end() && method->is_string()) {
      record.method = method->get<std::string>();
    }
    record.sqnr_db = number(entry, "sqnr_db");
    record.max_error = number(entry, "max_error");
  }
  return records;
}

}  // namespace lutra::packer
