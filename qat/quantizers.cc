#include "lutra/qat/quantizers.h"

#include <array>
#include <string>

#include "lutra/runtime/error.h"
#include "qat/suggest.h"

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

}  // namespace

const std::vector<std::string_view>& QuantizerNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> result;
    for (const Entry& entry : kEntries) result.push_back(entry.name);
    return result;
  }();
  return names;
}

std::unique_ptr<Quantizer> MakeQuantizer(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.make();
  }
  throw Error(UnknownWord("quantizer", name, QuantizerNames()));
}

}  // namespace lutra::qat
