#ifndef LUTRA_TESTS_KERNELS_RANDOM_MATRIX_H_
#define LUTRA_TESTS_KERNELS_RANDOM_MATRIX_H_

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "kernels/base/aligned_alloc.h"
#include "kernels/base/half.h"
#include "lutra/kernels/lut_matrix.h"

namespace lutra::kernels {

struct FreeDeleter {
  void operator()(void* p) const { AlignedFree(p); }
};

// Memory of exactly `size` bytes at a multiple of 64, so that a sanitizer sees
// every access past the end. `size` is a multiple of 64.
using AlignedBytes = std::unique_ptr<uint8_t[], FreeDeleter>;
inline AlignedBytes AllocateAligned(size_t size) {
  return AlignedBytes(static_cast<uint8_t*>(
      AlignedAlloc(kBlobAlignment, size == 0 ? kBlobAlignment : size)));
}

// How table entries are drawn.
enum class TableKind {
  kSmall,    // odd numbers, as of stretched grids
  kSpan128,  // largest span that a saturating byte multiply allows
  kSpan129,  // as above, but only with symmetric activations
  kExtreme,  // -128, 127 and anything between
  kCount
};

// What went into a blob, and the blob.
struct RandomMatrix {
  LutFormat format;
  std::vector<uint8_t> indices;
  std::vector<float> scales;
  std::vector<float> offsets;  // empty without an offset type
  std::vector<float> super_scales;
  std::vector<float> super_offsets;
  std::vector<int8_t> tables;
  AlignedBytes blob;
  size_t blob_bytes = 0;
  LutMatrix matrix;
};

inline int8_t RandomEntry(TableKind kind, std::mt19937& rng) {
  const auto draw = [&rng](int low, int high) {
    // Each end is as likely as everything between.
    switch (rng() % 3) {
      case 0:
        return low;
      case 1:
        return high;
      default:
        return std::uniform_int_distribution<int>(low, high)(rng);
    }
  };
  switch (kind) {
    case TableKind::kSpan128:
      return static_cast<int8_t>(draw(-64, 64));
    case TableKind::kSpan129:
      return static_cast<int8_t>(draw(-128, 1));
    case TableKind::kExtreme:
      return static_cast<int8_t>(draw(-128, 127));
    default:
      return static_cast<int8_t>(2 * draw(-8, 7) + 1);
  }
}

inline uint8_t RandomIndex(const LutFormat& format, std::mt19937& rng) {
  if (format.HasTable()) {
    return static_cast<uint8_t>(rng() % format.TableEntries());
  }
  return static_cast<uint8_t>(RandomEntry(TableKind::kExtreme, rng));
}

// Makes the blob from the rest.
inline void PackMatrix(RandomMatrix& r) {
  r.blob_bytes = BlobBytes(r.format);
  r.blob = AllocateAligned(r.blob_bytes);
  PackLutMatrix(r.format,
                {.indices = r.indices.data(),
                 .scales = r.scales.data(),
                 .offsets = r.offsets.data(),
                 .super_scales = r.super_scales.data(),
                 .super_offsets = r.super_offsets.data(),
                 .tables = r.tables.data()},
                r.blob.get());
  ParseLutMatrix(r.blob.get(), r.blob_bytes, &r.matrix);
}

// A number that `type` holds, of one that is held by the floating-point types.
inline float RandomCode(ScaleType type, float value, std::mt19937& rng) {
  switch (type) {
    case ScaleType::kInt8:
      return static_cast<float>(static_cast<int>(rng() % 256) - 128);
    case ScaleType::kUint4:
      return static_cast<float>(rng() % 16);
    case ScaleType::kE8M0:
      return std::ldexp(1.0f, static_cast<int>(rng() % 12) - 8);
    case ScaleType::kE4M3: {
      const int mantissa = static_cast<int>(rng() % 8);
      const int exponent = static_cast<int>(rng() % 15);
      const float size =
          exponent == 0
              ? std::ldexp(static_cast<float>(mantissa), -9)
              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
      return rng() % 2 == 0 ? size : -size;
    }
    default:
      return value;
  }
}

inline float RoundTo(ScaleType type, float value) {
  switch (type) {
    case ScaleType::kBFloat16:
      return FloatFromBFloat16(BFloat16FromFloat(value));
    case ScaleType::kFloat16:
      return FloatFromFloat16(Float16FromFloat(value));
    default:
      return value;
  }
}

inline RandomMatrix MakeRandomMatrix(const LutFormat& format, TableKind kind,
                                     std::mt19937& rng) {
  RandomMatrix r;
  r.format = format;
  r.indices.resize(size_t{format.n} * format.k);
  for (uint8_t& index : r.indices) {
    index = RandomIndex(format, rng);
  }
  r.scales.resize(size_t{format.n} * format.GroupsPerRow());
  std::normal_distribution<float> normal(0.0f, 0.1f);
  // Zeros and subnormal numbers are among them.
  const auto scale = [&] {
    const auto draw = rng() % 32;
    return draw == 0 ? 0.0f : draw == 16 ? 0x1.8p-128f : normal(rng);
  };
  const size_t groups = format.GroupsPerRow();
  const size_t spans = format.SupersPerRow();
  const auto draw = [&](ScaleType type, std::vector<float>& numbers,
                        std::vector<float>& supers) {
    supers.resize(format.n * spans);
    for (float& super : supers) super = scale();
    numbers.resize(r.scales.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = RandomCode(type, scale(), rng);
      if (spans == 0) continue;
      const size_t span =
          spans == 1 ? 0 : i % groups * format.group_size / kSuperColumns;
      numbers[i] =
          RoundTo(type, numbers[i]) *
          RoundTo(format.super_type, supers[i / groups * spans + span]);
    }
  };
  draw(format.scale_type, r.scales, r.super_scales);
  if (format.offset_type != OffsetType::kNone) {
    draw(StorageOf(format.offset_type), r.offsets, r.super_offsets);
  }
  const bool per_row = format.table_granularity == TableGranularity::kRow;
  r.tables.resize((per_row ? format.n : 1) * format.TableEntries());
  for (int8_t& entry : r.tables) entry = RandomEntry(kind, rng);
  PackMatrix(r);
  return r;
}

// Every combination of bits, table granularity, scale and offset type.
inline std::vector<LutFormat> EveryEncoding() {
  std::vector<LutFormat> formats;
  for (const uint32_t bits : {1u, 2u, 3u, 4u, 8u}) {
    for (uint8_t choice = 0; choice < 24; ++choice) {
      LutFormat format;
      format.n = format.k = format.group_size = 16;
      format.bits = bits;
      format.table_granularity = static_cast<TableGranularity>(choice / 12);
      format.scale_type = static_cast<ScaleType>(choice % 12 / 4);
      format.offset_type = static_cast<OffsetType>(choice % 4);
      if (CheckFormat(format) == nullptr) formats.push_back(format);
    }
    // Version 2.
    for (uint8_t choice = 0; choice < 36; ++choice) {
      static constexpr OffsetType kOffsets[] = {
          OffsetType::kNone, OffsetType::kInt8, OffsetType::kUint4};
      LutFormat format;
      format.n = format.k = format.group_size = 16;
      format.bits = bits;
      format.scale_type = static_cast<ScaleType>(3 + choice / 9);
      format.offset_type = kOffsets[choice / 3 % 3];
      format.super_span = static_cast<SuperSpan>(choice % 3);
      if (format.super_span != SuperSpan::kNone) {
        format.super_type = static_cast<ScaleType>(choice % 7 % 3);
      }
      formats.push_back(format);
    }
  }
  return formats;
}

// A format with n and k as given and everything else drawn.
inline LutFormat RandomFormat(uint32_t n, uint32_t k, std::mt19937& rng) {
  LutFormat format;
  format.n = n;
  format.k = k;
  static constexpr uint32_t kBits[] = {1, 2, 3, 4, 8};
  format.bits = kBits[rng() % 5];
  static constexpr uint32_t kGroupSizes[] = {16, 32, 48, 64, 96, 128, 256};
  format.group_size = kGroupSizes[rng() % 7];
  if (format.group_size > k || rng() % 4 == 0) format.group_size = k;
  if (format.HasTable()) {
    format.table_granularity = static_cast<TableGranularity>(rng() % 2);
  }
  // Half of them of version 1.
  const bool old = rng() % 2 == 0;
  format.scale_type = static_cast<ScaleType>(rng() % (old ? 3 : 7));
  if (rng() % 3 == 0) {
    format.offset_type = static_cast<OffsetType>(1 + rng() % (old ? 3 : 5));
  }
  if (!old) format.super_span = static_cast<SuperSpan>(rng() % 3);
  if (format.super_span == SuperSpan::kColumns256 &&
      kSuperColumns % format.group_size != 0) {
    format.super_span = SuperSpan::kRow;
  }
  if (format.super_span != SuperSpan::kNone) {
    format.super_type = static_cast<ScaleType>(rng() % 3);
  }
  return format;
}

}  // namespace lutra::kernels

#endif  // LUTRA_TESTS_KERNELS_RANDOM_MATRIX_H_
