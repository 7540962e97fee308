// Results with int8 activations are defined to the bit. Their digests here are
// the same on every CPU: builds for other instruction sets run this, too.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <iterator>
#include <vector>

#include "hwy/highway.h"
#include "lutra/kernels/gemm.h"
#include "tests/kernels/digest.h"
#include "tests/kernels/random_matrix.h"

namespace lutra::kernels {
namespace {

constexpr auto kTensor = TableGranularity::kTensor;
constexpr auto kRow = TableGranularity::kRow;
constexpr auto kFloat32 = ScaleType::kFloat32;
constexpr auto kBFloat16 = ScaleType::kBFloat16;
constexpr auto kFloat16 = ScaleType::kFloat16;
constexpr auto k256 = SuperSpan::kColumns256;
constexpr auto kSymmetric = ActivationType::kInt8Symmetric;
constexpr auto kAsymmetric = ActivationType::kInt8Asymmetric;
constexpr auto kPerGroup = ActivationType::kInt8PerGroup;

struct DigestCase {
  // n, k, bits, group_size, granularity, scales, offsets, super scales
  LutFormat format;
  ActivationType type;
  Fusion fusion;
  uint64_t digest;
};

// To add a format, add a line; the test says what its digest is.
const DigestCase kCases[] = {
    {{33, 203, 1, 16, kTensor, kFloat32},
     kAsymmetric,
     Fusion::kNone,
     0x8eb00c83497611a6},
    {{48, 288, 1, 96, kRow, kFloat16},
     kSymmetric,
     Fusion::kNone,
     0xc2d16ee76cc07fe6},
    {{100, 330, 2, 64, kTensor, kFloat32},
     kAsymmetric,
     Fusion::kNone,
     0x4d543ac430af5924},
    {{35, 256, 2, 128, kTensor, kBFloat16},
     kSymmetric,
     Fusion::kRelu,
     0x8b116877e153fd07},
    {{17, 70, 2, 32, kRow, kFloat16},
     kAsymmetric,
     Fusion::kRelu6,
     0x7e0c8842bf523e71},
    {{64, 1100, 2, 1100, kTensor, kFloat32},
     kSymmetric,
     Fusion::kNone,
     0xfc74bc1b8ad291db},
    {{50, 129, 3, 32, kTensor, kFloat16},
     kAsymmetric,
     Fusion::kGelu,
     0x42911bcdfdaa5f91},
    {{31, 512, 3, 256, kRow, kFloat32},
     kSymmetric,
     Fusion::kNone,
     0x8fe189fd4f256b3d},
    {{40, 300, 4, 64, kTensor, kBFloat16},
     kAsymmetric,
     Fusion::kNone,
     0xe78a8c695c91d570},
    {{20, 96, 4, 32, kRow, kFloat32},
     kSymmetric,
     Fusion::kSilu,
     0x08b2d4bab37034b0},
    {{37, 200, 8, 32, kTensor, kFloat32},
     kAsymmetric,
     Fusion::kNone,
     0xdfa05a4b49514464},
    {{16, 77, 8, 77, kTensor, kFloat16},
     kPerGroup,
     Fusion::kNone,
     0x26778c8bbc49fac6},
    {{33, 203, 2, 32, kTensor, kFloat32, OffsetType::kFloat32},
     kAsymmetric,
     Fusion::kNone,
     0x4097959b79f5ddfe},
    {{19, 160, 4, 64, kTensor, kFloat16, OffsetType::kFloat16},
     kPerGroup,
     Fusion::kNone,
     0xfa80b40d20f01b65},
    {{32, 128, 3, 32, kRow, kBFloat16, OffsetType::kBFloat16},
     kSymmetric,
     Fusion::kNone,
     0x2a45885749fa4bf4},
    {{65, 333, 2, 64, kTensor, kFloat32},
     kPerGroup,
     Fusion::kNone,
     0x306c7a9f78d723b8},
    {{33, 600, 2, 16, kTensor, ScaleType::kUint4, OffsetType::kUint4, k256,
      kFloat16},
     kAsymmetric,
     Fusion::kNone,
     0x1e6c94e13c61e2de},
    {{48, 520, 4, 32, kRow, ScaleType::kInt8, OffsetType::kInt8, k256,
      kFloat32},
     kPerGroup,
     Fusion::kNone,
     0xf558656a63b16fde},
    {{20, 96, 4, 16, kTensor, ScaleType::kE4M3, OffsetType::kNone,
      SuperSpan::kRow, kFloat32},
     kAsymmetric,
     Fusion::kNone,
     0xa9a56b3524a06392},
    {{31, 160, 4, 32, kTensor, ScaleType::kE8M0},
     kSymmetric,
     Fusion::kNone,
     0x352faa67bd91c3c9},
};

RandomMatrix MakeMatrix(const LutFormat& format, PortableNumbers& numbers) {
  RandomMatrix r;
  r.format = format;
  r.indices.resize(size_t{format.n} * format.k);
  const uint32_t mask = (1u << format.bits) - 1;
  for (uint8_t& index : r.indices) {
    index = static_cast<uint8_t>(numbers.Bits() & mask);
  }
  r.scales.resize(size_t{format.n} * format.GroupsPerRow());
  for (float& scale : r.scales) scale = numbers.Real();
  r.offsets.resize(r.scales.size());
  for (float& offset : r.offsets) offset = numbers.Real();
  r.super_scales.resize(format.n * size_t{format.SupersPerRow()});
  for (float& super : r.super_scales) super = numbers.Real() / 64;
  r.super_offsets = r.super_scales;
  r.tables.resize(format.n * size_t{format.TableEntries()});
  for (int8_t& entry : r.tables) {
    entry = static_cast<int8_t>(numbers.Bits() & 0xFF);
  }
  PackMatrix(r);
  return r;
}

uint64_t DigestOf(const DigestCase& c) {
  PortableNumbers numbers;
  const RandomMatrix w = MakeMatrix(c.format, numbers);
  Digest digest;
  for (const size_t m : {1u, 2u, 5u, 19u}) {
    std::vector<float> x(m * c.format.k);
    for (float& value : x) value = 4 * numbers.Real();
    std::vector<float> bias(c.format.n);
    for (float& value : bias) value = numbers.Real();
    std::vector<float> y(m * c.format.n);
    GemmArguments arguments;
    arguments.x = x.data();
    arguments.x_stride = c.format.k;
    arguments.m = m;
    arguments.bias = bias.data();
    arguments.y = y.data();
    arguments.y_stride = c.format.n;
    arguments.fusion = c.fusion;
    const AlignedBytes scratch =
        AllocateAligned(GemmScratchBytes(w.matrix, c.type, m));
    Gemm(w.matrix, c.type, arguments, scratch.get(), nullptr);
    digest.AddFloats(y);
  }
  return digest.value();
}

uint64_t RecordedOfAll() {
  Digest all;
  for (const DigestCase& c : kCases) all.Add(c.digest);
  return all.value();
}

TEST(DigestTest, EveryVariantGivesTheRecordedBits) {
  std::printf("highway: %d.%d.%d\n", HWY_MAJOR, HWY_MINOR, HWY_PATCH);
  ExpectDigest("kernels", RecordedOfAll(), [] {
    Digest all;
    for (size_t i = 0; i < std::size(kCases); ++i) {
      const uint64_t digest = DigestOf(kCases[i]);
      EXPECT_EQ(digest, kCases[i].digest) << "case " << i;
      all.Add(digest);
    }
    return all.value();
  });
}

}  // namespace
}  // namespace lutra::kernels
