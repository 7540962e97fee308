#include "lutra/qat/quantizers.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "lutra/runtime/error.h"
#include "qat/grids/float_quantizer.h"
#include "qat/grids/run_quantizer.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Quantizer> (*make)();
};

constexpr Entry kEntries[] = {
    {"stretched", [] { return MakeStretchedQuantizer(); }},
    {"uniform", [] { return MakeUniformQuantizer({}); }},
    {"max-uniform", [] { return MakeMaxUniformQuantizer(false); }},
    {"ternary", [] { return MakeTernaryQuantizer(false); }},
    {"asymmetric-uniform",
     [] { return MakeAsymmetricUniformQuantizer(false); }},
    {"lsbq", [] { return MakeLsbqQuantizer({}); }},
    {"lsbq-optimal",
     [] {
       LsbqOptions options;
       options.optimal = true;
       return MakeLsbqQuantizer(options);
     }},
    {"mse", [] { return MakeMseQuantizer(false); }},
    {"mse-stretched", [] { return MakeMseQuantizer(true); }},
    {"mse-asymmetric", [] { return MakeMseAsymmetricQuantizer(); }},
    {"fp4", [] { return MakeFloat4Quantizer(); }},
    {"intx", [] { return MakeAffineQuantizer({}); }},
    {"intx-no-clipping",
     [] { return MakeAffineQuantizer({AffineMapping::kSymmetricNoClipping}); }},
    {"intx-asymmetric",
     [] { return MakeAffineQuantizer({AffineMapping::kAsymmetric}); }},
    {"intx-asymmetric-no-zero",
     [] { return MakeAffineQuantizer({AffineMapping::kAsymmetricNoZero}); }},
    {"int4",
     [] {
       return MakeAffineQuantizer(
           {AffineMapping::kFloatZeroPoint, kTinygemmScale});
     }},
};

constexpr std::string_view kAsymmetric[] = {"asymmetric-uniform",
                                            "mse-asymmetric", "intx-asymmetric",
                                            "intx-asymmetric-no-zero", "int4"};

constexpr std::string_view kAbsmax = "absmax";

// In the order of LearnedTable.
constexpr std::string_view kLearnedTables[] = {"kmeans", "kmeans-row"};
constexpr int kMaxLearnedBits = 4;

}  // namespace

const std::vector<std::string_view>& QuantizerNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> result;
    for (const Entry& entry : kEntries) result.push_back(entry.name);
    for (const FloatGrid& grid : kFloatGrids) result.push_back(grid.name);
    return result;
  }();
  return names;
}

std::unique_ptr<Quantizer> MakeQuantizer(std::string_view name) {
  if (name == kAbsmax) return MakeMaxUniformQuantizer(false, kAbsmax);
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.make();
  }
  if (auto floats = MakeFloatQuantizer(name)) return floats;
  if (FindLearnedTable(name)) {
    throw Error("quantizer '" + std::string(name) +
                "' learns its table while packing; it cannot train");
  }
  std::vector<std::string_view> known = QuantizerNames();
  known.push_back(kAbsmax);
  known.insert(known.end(), std::begin(kLearnedTables),
               std::end(kLearnedTables));
  throw Error(UnknownWord("quantizer", name, known));
}

bool IsAsymmetric(std::string_view quantizer) {
  return std::find(std::begin(kAsymmetric), std::end(kAsymmetric), quantizer) !=
         std::end(kAsymmetric);
}

std::optional<LearnedTable> FindLearnedTable(std::string_view name) {
  const auto found =
      std::find(std::begin(kLearnedTables), std::end(kLearnedTables), name);
  if (found == std::end(kLearnedTables)) return std::nullopt;
  return static_cast<LearnedTable>(found - std::begin(kLearnedTables));
}

void CheckLearnedTableBits(std::string_view name, int bits) {
  CheckBitsOf(name, bits, 0, kMaxLearnedBits);
}

}  // namespace lutra::qat
