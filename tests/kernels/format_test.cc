#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/base/half.h"
#include "kernels/format/scale_types.h"
#include "lutra/kernels/lut_matrix.h"
#include "tests/kernels/random_matrix.h"
#include "tests/rounds.h"

namespace lutra::kernels {
namespace {

uint64_t Fnv(const uint8_t* blob, size_t size) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < size; i += 8) {
    uint64_t word = 0;
    for (size_t b = 0; b < 8 && i != 40; ++b) {
      word |= uint64_t{blob[i + b]} << (8 * b);
    }
    hash = (hash ^ word) * 1099511628211u;
  }
  return hash;
}

// The blob that an example of docs/format.md spells out.
std::vector<uint8_t> DocumentedBlob(const std::string& heading, size_t size) {
  std::vector<uint8_t> blob(size);
  std::ifstream document(LUTRA_DOCS "/format.md");
  bool found = false;
  for (std::string line; std::getline(document, line);) {
    if (line.rfind("## ", 0) == 0) found = line == heading;
    if (!found || line.rfind("    0x", 0) != 0) continue;
    size_t at = std::stoul(line.substr(4, 5), nullptr, 16);
    std::istringstream bytes(line.substr(line.find(':') + 1));
    for (std::string byte; bytes >> byte;) {
      if (byte == "CHECKSUM") break;
      blob.at(at++) = static_cast<uint8_t>(std::stoul(byte, nullptr, 16));
    }
  }
  const uint64_t checksum = Fnv(blob.data(), blob.size());
  std::memcpy(blob.data() + 40, &checksum, 8);
  return blob;
}

TEST(LutFormatTest, ExampleOfTheDocument) {
  const LutFormat format{.n = 2, .k = 5, .bits = 2, .group_size = 5};
  const std::vector<uint8_t> indices = {0, 1, 2, 3, 0, 3, 2, 1, 0, 3};
  const std::vector<float> scales = {0.5f, 2.0f};
  const std::vector<int8_t> table = {-3, -1, 1, 3};
  ASSERT_EQ(CheckFormat(format), nullptr);
  ASSERT_EQ(BlobBytes(format), 320u);
  const AlignedBytes blob = AllocateAligned(320);
  PackLutMatrix(format,
                {.indices = indices.data(),
                 .scales = scales.data(),
                 .tables = table.data()},
                blob.get());
  const std::vector<uint8_t> expected = DocumentedBlob("## Example", 320);
  for (size_t i = 0; i < 320; ++i) EXPECT_EQ(blob[i], expected[i]) << i;
}

TEST(LutFormatTest, ExampleOfVersion2OfTheDocument) {
  const LutFormat format{.n = 2,
                         .k = 32,
                         .bits = 2,
                         .group_size = 16,
                         .scale_type = ScaleType::kInt8,
                         .super_span = SuperSpan::kRow,
                         .super_type = ScaleType::kFloat16};
  std::vector<uint8_t> indices(64);
  for (uint8_t c = 0; c < 4; ++c) indices[c] = c;
  for (size_t c = 16; c < 32; ++c) indices[c] = 3;
  indices[32 + 17] = 1;
  const std::vector<float> scales = {1.25f, -0.5f, 254.0f, 0.0f};
  const std::vector<float> super_scales = {0.25f, 2.0f};
  const std::vector<int8_t> table = {-3, -1, 1, 3};
  ASSERT_EQ(BlobBytes(format), 448u);
  const AlignedBytes blob = AllocateAligned(448);
  PackLutMatrix(format,
                {.indices = indices.data(),
                 .scales = scales.data(),
                 .super_scales = super_scales.data(),
                 .tables = table.data()},
                blob.get());
  const std::vector<uint8_t> expected =
      DocumentedBlob("## Example of version 2", 448);
  for (size_t i = 0; i < 448; ++i) EXPECT_EQ(blob[i], expected[i]) << i;
}

TEST(LutFormatTest, ThreeBitUnitAsDocumented) {
  const LutFormat format{.n = 16, .k = 32, .bits = 3, .group_size = 32};
  const std::vector<float> scales(16, 1.0f);
  const std::vector<int8_t> table(8, 1);
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  ASSERT_EQ(BlobBytes(format), 64u + 64 + 64 + 64 + 192);
  const uint8_t* unit = blob.get() + 256;
  for (size_t row = 0; row < 16; ++row) {
    for (size_t k = 0; k < 32; ++k) {
      std::vector<uint8_t> indices(16 * 32);
      indices[row * 32 + k] = 7;
      PackLutMatrix(format,
                    {.indices = indices.data(),
                     .scales = scales.data(),
                     .tables = table.data()},
                    blob.get());
      std::vector<uint8_t> expected(192);
      const size_t tile = k / 4;
      const size_t byte = 4 * row + k % 4;
      expected[tile / 4 * 64 + byte] =
          static_cast<uint8_t>(3 << (2 * (tile % 4)));
      static constexpr int kBit[] = {2, 0, 3, 1, 6, 4, 7, 5};
      expected[128 + byte] = static_cast<uint8_t>(1 << kBit[tile]);
      ASSERT_EQ(std::memcmp(unit, expected.data(), 192), 0) << row << " " << k;
    }
  }
}

std::vector<float> Rounded(std::vector<float> values, ScaleType type) {
  for (float& v : values) v = RoundTo(type, v);
  return values;
}

TEST(LutFormatTest, EightBitUnitAndOffsetsAsDocumented) {
  const LutFormat format{.n = 2,
                         .k = 18,
                         .bits = 8,
                         .group_size = 16,
                         .scale_type = ScaleType::kFloat16,
                         .offset_type = OffsetType::kFloat32};
  std::vector<uint8_t> indices(2 * 18);
  indices[18 + 5] = 0xFD;   // row 1, column 5: -3
  indices[18 + 17] = 0x07;  // row 1, column 17, in the second group
  const std::vector<float> scales = {1.0f, 1.0f, 0.5f, 2.0f};
  const std::vector<float> offsets = {0.0f, 0.0f, -1.0f, 0.25f};
  // Two groups of 32 + 64 + 256 bytes after the row sums.
  ASSERT_EQ(BlobBytes(format), 64u + 64 + 2 * 352);
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  PackLutMatrix(format,
                {.indices = indices.data(),
                 .scales = scales.data(),
                 .offsets = offsets.data()},
                blob.get());
  std::vector<uint8_t> expected(64 + 2 * 352);
  const auto put = [&expected](size_t at, auto value) {
    std::memcpy(&expected[at], &value, sizeof(value));
  };
  put(4, -3 * 0.5f - 16.0f + 7 * 2.0f + 2 * 0.25f);  // row sum of row 1
  const size_t group0 = 64;
  const size_t group1 = 64 + 352;
  put(group0, uint16_t{0x3C00});      // 1
  put(group0 + 2, uint16_t{0x3800});  // 0.5
  put(group1, uint16_t{0x3C00});
  put(group1 + 2, uint16_t{0x4000});  // 2
  put(group0 + 32 + 4, -1.0f);
  put(group1 + 32 + 4, 0.25f);
  expected[group0 + 96 + 64 + 4 * 1 + 1] = 0xFD;  // tile 1
  expected[group1 + 96 + 4 * 1 + 1] = 0x07;       // tile 0
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(blob[64 + i], expected[i]) << i;
  }
  EXPECT_EQ(blob[10], 8);
  EXPECT_EQ(blob[13], 1);
}

TEST(LutFormatTest, RoundTripsEveryFormat) {
  std::mt19937 rng(1);
  for (int i = 0; i < Rounds(400); ++i) {
    const LutFormat format =
        RandomFormat(1 + static_cast<uint32_t>(rng() % 70),
                     1 + static_cast<uint32_t>(rng() % 300), rng);
    const RandomMatrix r = MakeRandomMatrix(format, TableKind::kExtreme, rng);
    ASSERT_EQ(CheckFormat(format), nullptr);
    EXPECT_EQ(r.blob_bytes % kBlobAlignment, 0u);
    LutMatrix parsed;
    ASSERT_EQ(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);
    EXPECT_TRUE(ChecksumMatches(parsed));
    EXPECT_EQ(parsed.format.k, format.k);
    std::vector<uint8_t> indices(r.indices.size());
    std::vector<float> scales(r.scales.size());
    std::vector<float> offsets(r.scales.size());
    std::vector<int8_t> tables(r.tables.size());
    UnpackLutMatrix(parsed, indices.data(), scales.data(), offsets.data(),
                    tables.data());
    EXPECT_EQ(indices, r.indices);
    EXPECT_EQ(tables, r.tables);
    const bool has_offset = format.offset_type != OffsetType::kNone;
    if (format.super_span == SuperSpan::kNone) {
      EXPECT_EQ(scales, Rounded(r.scales, format.scale_type));
      EXPECT_EQ(offsets, has_offset
                             ? Rounded(r.offsets, StorageOf(format.offset_type))
                             : std::vector<float>(offsets.size()));
    } else {
      EXPECT_EQ(scales, r.scales);
      EXPECT_EQ(offsets,
                has_offset ? r.offsets : std::vector<float>(offsets.size()));
      std::vector<float> supers(r.super_scales.size());
      std::vector<float> of_offsets(r.super_scales.size());
      UnpackSuperScales(parsed, supers.data(), of_offsets.data());
      EXPECT_EQ(supers, Rounded(r.super_scales, format.super_type));
      EXPECT_EQ(of_offsets, has_offset
                                ? Rounded(r.super_offsets, format.super_type)
                                : std::vector<float>(supers.size()));
    }

    std::vector<float> row(format.k);
    const bool per_row = format.table_granularity == TableGranularity::kRow;
    for (uint32_t n = 0; n < format.n; ++n) {
      DequantizeRow(parsed, n, row.data());
      for (uint32_t k = 0; k < format.k; ++k) {
        const size_t at = size_t{n} * format.k + k;
        const size_t group = n * format.GroupsPerRow() + k / format.group_size;
        const size_t table = per_row ? n * format.TableEntries() : 0;
        const int entry = format.HasTable()
                              ? r.tables[table + r.indices[at]]
                              : static_cast<int8_t>(r.indices[at]);
        const float product = scales[group] * static_cast<float>(entry);
        ASSERT_EQ(row[k], product + offsets[group]);
      }
    }
  }
}

TEST(LutFormatTest, RefusesImpossibleFormats) {
  const LutFormat good{.n = 4, .k = 128, .bits = 2, .group_size = 32};
  ASSERT_EQ(CheckFormat(good), nullptr);
  const auto refused = [&good](auto change) {
    LutFormat format = good;
    change(format);
    return CheckFormat(format) != nullptr;
  };
  EXPECT_TRUE(refused([](LutFormat& f) { f.n = 0; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.k = 0; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.n = kMaxDimension + 1; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.k = kMaxDimension + 1; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.bits = 0; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.bits = 5; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.bits = 7; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.bits = 9; }));
  EXPECT_FALSE(refused([](LutFormat& f) { f.bits = 8; }));
  EXPECT_TRUE(refused([](LutFormat& f) {
    f.bits = 8;
    f.table_granularity = TableGranularity::kRow;
  }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.group_size = 0; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.group_size = 24; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.group_size = 8; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.group_size = 144; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.group_size = f.k = 65537; }));
  EXPECT_TRUE(
      refused([](LutFormat& f) { f.table_granularity = TableGranularity{2}; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.scale_type = ScaleType{7}; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.offset_type = OffsetType{6}; }));
  EXPECT_TRUE(refused([](LutFormat& f) { f.super_span = SuperSpan{3}; }));
  EXPECT_TRUE(
      refused([](LutFormat& f) { f.super_type = ScaleType::kFloat16; }));
  EXPECT_TRUE(refused([](LutFormat& f) {
    f.super_span = SuperSpan::kRow;
    f.super_type = ScaleType::kInt8;
  }));
  EXPECT_TRUE(refused([](LutFormat& f) {
    f.super_span = SuperSpan::kColumns256;
    f.group_size = 48;
  }));
  EXPECT_FALSE(
      refused([](LutFormat& f) { f.super_span = SuperSpan::kColumns256; }));
  EXPECT_FALSE(refused([](LutFormat& f) { f.group_size = f.k = 65535; }));
}

TEST(LutFormatTest, ParseRefusesDamage) {
  const LutFormat format{.n = 20, .k = 100, .bits = 3, .group_size = 32};
  std::mt19937 rng(2);
  const RandomMatrix r = MakeRandomMatrix(format, TableKind::kSmall, rng);
  LutMatrix parsed;
  ASSERT_EQ(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);

  // Any other value of any header byte, the checksum's apart. Other shapes with
  // as many row blocks and units have the same size; the checksum sees them.
  for (size_t at = 0; at < 64; ++at) {
    if (at >= 40 && at < 48) continue;
    const uint8_t kept = r.blob[at];
    for (int value = 0; value < 256; ++value) {
      if (value == kept) continue;
      r.blob[at] = static_cast<uint8_t>(value);
      const bool equal_n = at == 16 && value > 16 && value <= 32;
      const bool equal_k = at == 20 && value > 96 && value <= 128;
      const char* reason = ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed);
      EXPECT_EQ(reason == nullptr, equal_n || equal_k) << at << " " << value;
      if (reason == nullptr) {
        EXPECT_FALSE(ChecksumMatches(parsed));
      }
    }
    r.blob[at] = kept;
  }
  // Padding of the table.
  for (size_t at = 64 + 8; at < 128; ++at) {
    r.blob[at] = 1;
    EXPECT_NE(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);
    r.blob[at] = 0;
  }
  // A table entry out of the stated range.
  std::swap(r.blob[64], r.blob[65]);
  ASSERT_EQ(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);
  r.blob[64] = 127;
  EXPECT_NE(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);
}

TEST(LutFormatTest, ParseRefusesARangeThatEightBitsDoNotHave) {
  std::mt19937 rng(5);
  const RandomMatrix r = MakeRandomMatrix(
      {.n = 3, .k = 40, .bits = 8, .group_size = 16}, TableKind::kSmall, rng);
  LutMatrix parsed;
  ASSERT_EQ(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);
  EXPECT_EQ(parsed.table, nullptr);
  for (const size_t at : {size_t{28}, size_t{29}}) {
    r.blob[at] ^= 1;
    EXPECT_NE(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed), nullptr);
    r.blob[at] ^= 1;
  }
}

TEST(LutFormatTest, ParseRefusesWrongSizesAndAddresses) {
  std::mt19937 rng(3);
  const RandomMatrix r = MakeRandomMatrix(
      {.n = 3, .k = 40, .bits = 4, .group_size = 16}, TableKind::kSmall, rng);
  LutMatrix parsed;
  for (size_t size = 0; size < r.blob_bytes; ++size) {
    EXPECT_NE(ParseLutMatrix(r.blob.get(), size, &parsed), nullptr);
  }
  const AlignedBytes longer = AllocateAligned(r.blob_bytes + 64);
  std::memset(longer.get(), 0, r.blob_bytes + 64);
  std::memcpy(longer.get(), r.blob.get(), r.blob_bytes);
  EXPECT_EQ(ParseLutMatrix(longer.get(), r.blob_bytes, &parsed), nullptr);
  EXPECT_NE(ParseLutMatrix(longer.get(), r.blob_bytes + 64, &parsed), nullptr);
  std::memmove(longer.get() + 1, r.blob.get(), r.blob_bytes);
  EXPECT_NE(ParseLutMatrix(longer.get() + 1, r.blob_bytes, &parsed), nullptr);
}

TEST(LutFormatTest, ChecksumSeesEveryByte) {
  std::mt19937 rng(4);
  const RandomMatrix r = MakeRandomMatrix(
      {.n = 3, .k = 40, .bits = 2, .group_size = 16}, TableKind::kSmall, rng);
  for (size_t at = 0; at < r.blob_bytes; ++at) {
    r.blob[at] = static_cast<uint8_t>(r.blob[at] ^ 0x10);
    EXPECT_FALSE(ChecksumMatches(r.matrix)) << at;
    r.blob[at] = static_cast<uint8_t>(r.blob[at] ^ 0x10);
  }
  EXPECT_TRUE(ChecksumMatches(r.matrix));
}

// Version 1 says so, and nothing of it may use what came with version 2.
TEST(LutFormatTest, TheFirstVersionThatHasTheFormat) {
  std::mt19937 rng(6);
  for (const LutFormat& format : EveryEncoding()) {
    const RandomMatrix r = MakeRandomMatrix(format, TableKind::kSmall, rng);
    const bool old = format.super_span == SuperSpan::kNone &&
                     format.scale_type <= ScaleType::kFloat16 &&
                     format.offset_type <= OffsetType::kFloat16;
    EXPECT_EQ(FormatVersion(format), old ? 1 : 2);
    EXPECT_EQ(r.blob[8], old ? 1 : 2);
    r.blob[8] ^= 3;
    LutMatrix parsed;
    EXPECT_STREQ(ParseLutMatrix(r.blob.get(), r.blob_bytes, &parsed),
                 "LUT matrix is not of the first version that has its format");
  }
}

// The numbers of a row lie as docs/format.md says.
TEST(LutFormatTest, TwoLevelsAsDocumented) {
  const LutFormat format{.n = 16,
                         .k = 512,
                         .bits = 2,
                         .group_size = 256,
                         .scale_type = ScaleType::kInt8,
                         .offset_type = OffsetType::kUint4,
                         .super_span = SuperSpan::kColumns256,
                         .super_type = ScaleType::kFloat16};
  const std::vector<uint8_t> indices(16 * 512);
  const std::vector<int8_t> table = {1, 2, 3, 4};
  std::vector<float> scales(32);
  std::vector<float> offsets(32);
  std::vector<float> super_scales(32, 1.0f);
  std::vector<float> super_offsets(32, 1.0f);
  scales[3 * 2 + 1] = -12.0f;   // row 3, group 1
  super_scales[3 * 2 + 1] = 2;  // so that the number is -6
  offsets[11 * 2 + 1] = 3.5f;
  super_offsets[11 * 2 + 1] = 0.5f;  // 7
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  PackLutMatrix(format,
                {.indices = indices.data(),
                 .scales = scales.data(),
                 .offsets = offsets.data(),
                 .super_scales = super_scales.data(),
                 .super_offsets = super_offsets.data(),
                 .tables = table.data()},
                blob.get());
  EXPECT_EQ(blob[15], 2);
  EXPECT_EQ(blob[30], 2);
  // Two spans of 32 + 32 bytes follow the row sums, two groups of 16 + 8 + 1024
  // bytes follow these.
  ASSERT_EQ(BlobBytes(format), 64u + 64 + 64 + 2 * 64 + 2 * 1048 + 16);
  const uint8_t* const block = blob.get() + 128;
  const auto half = [&](size_t at) { return block[at] | block[at + 1] << 8; };
  EXPECT_EQ(half(64 + 64 + 2 * 3), 0x4000);        // 2
  EXPECT_EQ(half(64 + 64 + 2 * 4), 0x3C00);        // 1
  EXPECT_EQ(half(64 + 64 + 32 + 2 * 11), 0x3800);  // 0.5
  const uint8_t* const group = block + 64 + 128 + 1048;
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(group[i], i == 3 ? 0xFA : 0) << i;
  // Row 11 is in the high half of the fourth byte.
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(group[16 + i], i == 3 ? 0x70 : 0) << i;
  }
  float row_sum;
  std::memcpy(&row_sum, block + 4 * 3, 4);
  EXPECT_EQ(row_sum, 256 * -12.0f);
  std::memcpy(&row_sum, block + 4 * 11, 4);
  EXPECT_EQ(row_sum, 256 * 3.5f);
}

TEST(LutFormatTest, EightBitFloats) {
  EXPECT_EQ(FloatFromE4M3(0x00), 0.0f);
  EXPECT_EQ(FloatFromE4M3(0x01), 0x1p-9f);
  EXPECT_EQ(FloatFromE4M3(0x07), 0x7p-9f);
  EXPECT_EQ(FloatFromE4M3(0x08), 0x1p-6f);
  EXPECT_EQ(FloatFromE4M3(0x38), 1.0f);
  EXPECT_EQ(FloatFromE4M3(0x7E), 448.0f);
  EXPECT_EQ(FloatFromE4M3(0xB9), -1.125f);
  for (int stored = 0; stored < 256; ++stored) {
    if ((stored & 0x7F) == 0x7F) continue;
    const float value = FloatFromE4M3(static_cast<uint8_t>(stored));
    EXPECT_EQ(E4M3FromFloat(value), stored);
    if ((stored & 0x7F) == 0x7E) continue;
    // Between neighbours the even one wins.
    const float next = FloatFromE4M3(static_cast<uint8_t>(stored + 1));
    EXPECT_EQ(E4M3FromFloat((value + next) / 2), (stored + 1) & ~1);
    EXPECT_EQ(E4M3FromFloat(value + (next - value) * 0.49f), stored);
    EXPECT_EQ(E4M3FromFloat(value + (next - value) * 0.51f), stored + 1);
  }
  EXPECT_EQ(E4M3FromFloat(1e9f), 0x7E);
  EXPECT_EQ(FloatFromE8M0(0), 0x1p-127f);
  EXPECT_EQ(FloatFromE8M0(127), 1.0f);
  for (int stored = 0; stored < 255; ++stored) {
    const float value = FloatFromE8M0(static_cast<uint8_t>(stored));
    EXPECT_EQ(E8M0FromFloat(value), stored);
    EXPECT_EQ(E8M0FromFloat(value * 1.4375f), stored);
    if (stored == 254) continue;
    EXPECT_EQ(E8M0FromFloat(value * 1.5625f), stored + 1);
  }
  EXPECT_EQ(E8M0FromFloat(0.0f), 0);
  EXPECT_EQ(E8M0FromFloat(-1.0f), 0);
  EXPECT_EQ(E8M0FromFloat(std::numeric_limits<float>::max()), 254);
}

TEST(LutFormatTest, HalfPrecisionConversions) {
  for (uint32_t half = 0; half < 65536; ++half) {
    const float value = FloatFromFloat16(static_cast<uint16_t>(half));
    if (!std::isnan(value)) {
      EXPECT_EQ(Float16FromFloat(value), half);
    }
    const float brain = FloatFromBFloat16(static_cast<uint16_t>(half));
    if (!std::isnan(brain)) {
      EXPECT_EQ(BFloat16FromFloat(brain), half);
    }
  }
  // Between neighbours the even one wins.
  EXPECT_EQ(Float16FromFloat(1.0f + 0x1p-11f), 0x3C00);
  EXPECT_EQ(Float16FromFloat(1.0f + 0x3p-11f), 0x3C02);
  EXPECT_EQ(Float16FromFloat(0x1p-25f), 0x0000);
  EXPECT_EQ(Float16FromFloat(0x1.8p-24f), 0x0002);
  EXPECT_EQ(Float16FromFloat(65519.0f), 0x7BFF);
  EXPECT_EQ(Float16FromFloat(65520.0f), 0x7C00);
  EXPECT_EQ(BFloat16FromFloat(1.0f + 0x1p-8f), 0x3F80);
  EXPECT_EQ(BFloat16FromFloat(1.0f + 0x3p-8f), 0x3F82);
}

}  // namespace
}  // namespace lutra::kernels
