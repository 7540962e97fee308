#include "lutra/qat/affine.h"
#include "lutra/qat/quantizers.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

constexpr std::string_view NameOf(AffineMapping mapping) {
  switch (mapping) {
    case AffineMapping::kSymmetric:
      return "intx";
    case AffineMapping::kSymmetricNoClipping:
      return "intx-no-clipping";
    case AffineMapping::kAsymmetric:
      return "intx-asymmetric";
    case AffineMapping::kAsymmetricNoZero:
      return "intx-asymmetric-no-zero";
    case AffineMapping::kFloatZeroPoint:
      break;
  }
  return "int4";
}

class AffineQuantizer : public RunQuantizer {
 public:
  explicit AffineQuantizer(const AffineQuantizerOptions& options)
      : RunQuantizer(NameOf(options.mapping), /*center=*/false),
        options_(options) {}

  size_t GridSize(int bits) const override {
    if (float_zero_point()) {
      CheckBits(bits, 4, 4);
    } else if (options_.mapping == AffineMapping::kSymmetricNoClipping) {
      CheckBits(bits, 2, kMaxGridBits);
    } else {
      CheckBits(bits, 1, kMaxGridBits);
    }
    return size_t{1} << bits;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    if (options_.mapping != AffineMapping::kSymmetric &&
        options_.mapping != AffineMapping::kSymmetricNoClipping) {
      return std::nullopt;  // a zero point per group
    }
    return MakeTable(SignedBounds(bits).lo, 1, levels);
  }

 private:
  bool float_zero_point() const {
    return options_.mapping == AffineMapping::kFloatZeroPoint;
  }

  void QuantizeRun(const Run& run, int bits) const override {
    const AffineScheme scheme{
        options_.mapping,
        float_zero_point() ? UnsignedBounds(bits) : SignedBounds(bits),
        options_.eps};
    const Range range = MinMax(run.p, run.n);
    const AffineCode code(ChooseAffine(scheme, range.min, range.max), scheme);
    code.FakeQuantize(run.p, run.n, run.q);
    for (size_t i = 0; i < run.levels; ++i) {
      const int k = scheme.bounds.lo + static_cast<int>(i);
      run.grid[i] = code.Dequantize(static_cast<float>(k));
    }
  }

  AffineQuantizerOptions options_;
};

}  // namespace

std::unique_ptr<Quantizer> MakeAffineQuantizer(
    const AffineQuantizerOptions& options) {
  return std::make_unique<AffineQuantizer>(options);
}

}  // namespace lutra::qat
