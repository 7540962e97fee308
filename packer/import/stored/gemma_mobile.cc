// Gemma's checkpoints for phones (quant_method "gemma"): whole numbers of 2, 4
// and 8 bits with a scale per row, bits by regular expressions.

#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kMaxRules = 4096;
constexpr size_t kMaxName = 512;  // std::regex recurses once per character

// Time that grows with the length of the name, whatever the pattern.
#ifdef __GLIBCXX__
constexpr auto kSyntax =
    std::regex_constants::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto kSyntax = std::regex_constants::ECMAScript;
#endif

class Bits {
 public:
  explicit Bits(const JsonObject& config) : default_(Number(config, 4)) {
    if (!config.Has("module_quant_configs")) return;
    const JsonObject rules = config.Object("module_quant_configs");
    const nlohmann::json& all = config.Get("module_quant_configs");
    if (all.size() > kMaxRules) rules.Fail("has too many rules");
    for (const auto& [pattern, entry] : all.items()) {
      if (pattern.size() > kMaxName) rules.Fail("has too long a pattern");
      try {
        rules_.emplace_back(std::regex(pattern, kSyntax),
                            Number(rules.Object(pattern), default_));
      } catch (const std::regex_error& error) {
        rules.Fail("'" + pattern +
                   "' is not a regular expression: " + error.what());
      }
    }
  }

  // The library joins all patterns into one alternation, so that the match that
  // starts leftmost counts, and of those at one place the first in the list.
  size_t Of(const std::string& module, const Part& part) const {
    if (module.size() > kMaxName) part.Fail("has too long a name");
    size_t bits = default_;
    auto leftmost = static_cast<std::ptrdiff_t>(kMaxName + 1);
    for (const auto& [pattern, own] : rules_) {
      std::smatch match;
      if (!std::regex_search(module, match, pattern)) continue;
      if (match.position() >= leftmost) continue;
      leftmost = match.position();
      bits = own;
    }
    return bits;
  }

 private:
  static size_t Number(const JsonObject& config, size_t fallback) {
    const int64_t bits =
        config.Integer("num_bits", 1, 64, static_cast<int64_t>(fallback));
    if (bits != 2 && bits != 4 && bits != 8) {
      config.Fail("num_bits " + std::to_string(bits) +
                  " is not supported; supported: 2, 4, 8");
    }
    return static_cast<size_t>(bits);
  }

  size_t default_;
  std::vector<std::pair<std::regex, size_t>> rules_;
};

// Of activations; 0 if there is none, which is how files say so, too.
float TakeScale(const FormatInput& in, const std::string& name) {
  const RawTensor tensor = in.raw.TakeIfPresent(name);
  if (tensor.owner == nullptr) return 0;
  const Part part(tensor, kFloatTypes);
  part.CheckMatrix(1, 1);
  const float scale = part.Float(0);
  // The graph's attributes have these limits.
  if (scale != 0 && !(scale >= 1e-30f && scale <= 1e12f)) {
    part.Fail("is no scale of activations");
  }
  return scale;
}

void AddWeight(const FormatInput& in, const Bits& rules,
               const std::string& module, const std::string& name,
               const std::string& scale_name) {
  const Part codes(in.raw.Take(name), kByteTypes);
  const size_t bits = rules.Of(module, codes);
  if ((bits == 8) != (codes.dtype() == DType::kInt8)) {
    codes.Fail("is of type " + std::string(Name(codes.dtype())) + " with " +
               std::to_string(bits) + " bits");
  }
  const size_t per_byte = 8 / bits;
  StoredWeight weight;
  const size_t bytes = codes.Dim(1);
  weight.rows = codes.Dim(0);
  weight.columns = bytes * per_byte;
  codes.CheckMatrix(weight.rows, bytes);
  const Part scale(in.raw.Take(scale_name), kFloatTypes);
  const size_t groups = scale.Dim(1);
  scale.CheckMatrix(weight.rows, groups);
  if (groups == 0 || weight.columns % groups != 0) {
    scale.Fail("has " + std::to_string(groups) + " groups for " +
               std::to_string(weight.columns) + " columns");
  }
  weight.group_size = weight.columns / groups;
  const int minimum = -(1 << (bits - 1));
  weight.levels = IntegerLevels(minimum, size_t{1} << bits);
  weight.format = "Gemma mobile, " + std::to_string(bits) + " bits";
  weight.input_scale = TakeScale(in, module + ".input_activation_scale");
  weight.output_scale = TakeScale(in, module + ".output_activation_scale");
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadRows(scale, groups, first, count, out.scales);
    if (!out.want_codes) return;
    if (bits == 8) {
      LoadSignedCodes(codes, columns, minimum, first, count, out.codes);
      return;
    }
    out.codes.resize(count * columns);
    for (size_t i = 0; i < out.codes.size(); ++i) {
      const size_t element = first * columns + i;
      const uint8_t byte = codes.Byte(element / per_byte);
      out.codes[i] = static_cast<uint8_t>(
          (byte >> (element % per_byte * bits)) & ((1u << bits) - 1));
    }
  };
  in.Add(module + ".weight", codes, std::move(weight));
}

}  // namespace

void ReadGemmaMobile(const FormatInput& in) {
  const Bits bits(in.quantization);
  for (const std::string& module : in.Stems(".weight_scale")) {
    AddWeight(in, bits, module, module + ".weight", module + ".weight_scale");
  }
  for (const std::string& module : in.Stems(".embedding_quantized")) {
    AddWeight(in, bits, module, module + ".embedding_quantized",
              module + ".embedding_scale");
  }
  // Those of modules that are not quantized after all.
  for (const char* ending :
       {".input_activation_scale", ".output_activation_scale"}) {
    for (const std::string& stem : in.Stems(ending)) {
      in.raw.TakeIfPresent(stem + ending);
    }
  }
  size_t caches = 0;
  for (const char* ending : {".k_cache_scale", ".v_cache_scale"}) {
    for (const std::string& stem : in.Stems(ending)) {
      if (TakeScale(in, stem + ending) != 0) ++caches;
    }
  }
  if (caches == 0) return;
  in.notes.push_back(
      std::to_string(caches) +
      " scales of caches (k_cache_scale, v_cache_scale) are left out: an int8 "
      "cache has a scale of its own for each token and head here; transformers "
      "does not use them either");
}

}  // namespace lutra::packer
