#ifndef LUTRA_QAT_GRIDS_RUN_QUANTIZER_H_
#define LUTRA_QAT_GRIDS_RUN_QUANTIZER_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "lutra/qat/quantizer.h"

namespace lutra::qat {

// Throws lutra::Error naming the quantizer unless min <= bits <= max.
void CheckBitsOf(std::string_view quantizer, int bits, int min, int max);

// A quantizer whose grids depend on nothing but the values that share them:
// it deals with one run of values at a time.
class RunQuantizer : public Quantizer {
 public:
  std::string_view name() const override { return name_; }
  void Quantize(const GridView& p, int bits, float* q,
                float* grid) const override;

 protected:
  struct Run {
    const float* p = nullptr;  // [n]
    size_t n = 0;
    float* q = nullptr;     // [n], may be p
    float* grid = nullptr;  // [levels]
    size_t levels = 0;
    float* scratch = nullptr;  // [n] if NeedsScratch()
  };

  RunQuantizer(std::string_view name, bool center)
      : name_(name), center_(center) {}

  virtual void QuantizeRun(const Run& run, int bits) const = 0;
  virtual bool NeedsScratch() const { return false; }
  bool center() const { return center_; }

  // Throws lutra::Error unless min <= bits <= max.
  void CheckBits(int bits, int min, int max) const {
    CheckBitsOf(name_, bits, min, max);
  }

 private:
  void QuantizeCentered(const Run& run, int bits) const;

  std::string_view name_;  // static
  bool center_;
};

// More than any use of grids needs, and enough to keep them small.
inline constexpr int kMaxGridBits = 8;
// Tables per row have at most 16 entries.
inline constexpr int kMaxTableBits = 4;
// All values of an int8.
inline constexpr size_t kMaxTableEntries = 256;

// The table of `count` levels first, first + step, ..., padded to a power of
// two with its last entry; nullopt if they do not fit int8.
std::optional<std::vector<int8_t>> MakeTable(int first, int step, size_t count);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_RUN_QUANTIZER_H_
