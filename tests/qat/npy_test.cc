#include "lutra/qat/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/npy_bytes.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kHeader =
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";

std::string Npy(const std::string& header, size_t data_bytes,
                char version = 1) {
  return NpyWithHeader(header, std::string(data_bytes, '\x01'), version);
}

NpyArray Read(const std::string& bytes) {
  const TempDir dir;
  WriteBytes(dir / "a.npy", bytes);
  return ReadNpy(dir / "a.npy");
}

TEST(NpyTest, ReadsBothVersions) {
  for (const char version : {char{1}, char{2}}) {
    const NpyArray array = Read(Npy(kHeader, 24, version));
    EXPECT_EQ(array.type, NpyType::kFloat32);
    EXPECT_THAT(array.shape, ElementsAre(2, 3));
    EXPECT_EQ(array.data, std::vector<std::byte>(24, std::byte{1}));
  }
}

TEST(NpyTest, ReadsOtherTypesAndShapes) {
  const NpyArray ids =
      Read(Npy("{'shape': (5,), 'fortran_order': False, 'descr': '<i4'}", 20));
  EXPECT_EQ(ids.type, NpyType::kInt32);
  EXPECT_THAT(ids.shape, ElementsAre(5));
  const NpyArray wide =
      Read(Npy("{'shape': (2,), 'fortran_order': False, 'descr': '<i8'}", 16));
  EXPECT_EQ(wide.type, NpyType::kInt64);
  const NpyArray scalar =
      Read(Npy("{\"descr\": \"|u1\", 'fortran_order': False, 'shape': ()}", 1));
  EXPECT_EQ(scalar.type, NpyType::kUInt8);
  EXPECT_TRUE(scalar.shape.empty());
  const NpyArray empty =
      Read(Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 7)}", 0));
  EXPECT_THAT(empty.shape, ElementsAre(0, 7));
}

TEST(NpyTest, WhatIsWrittenIsReadBack) {
  const TempDir dir;
  const std::vector<float> values = {1.5f, -2.0f, 0.0f, 3.25f, 1e30f, -1e-30f};
  const std::vector<size_t> shape = {3, 1, 2};
  WriteNpy(dir / "a.npy", shape, values);
  const NpyArray array = ReadNpy(dir / "a.npy");
  EXPECT_EQ(array.shape, shape);
  ASSERT_EQ(array.data.size(), values.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(array.data.data(), values.data(), array.data.size()),
            0);
  // NumPy maps such a file only if the data is aligned.
  EXPECT_EQ(std::filesystem::file_size(dir / "a.npy") % 64,
            values.size() * sizeof(float) % 64);
}

struct Damage {
  const char* name;
  std::string bytes;
  const char* cause;
};

class NpyDamageTest : public ::testing::TestWithParam<Damage> {};

TEST_P(NpyDamageTest, IsNamed) {
  EXPECT_THAT(ErrorMessage([] { Read(GetParam().bytes); }),
              AllOf(HasSubstr("a.npy: "), HasSubstr(GetParam().cause)));
}

// Not a lambda: the macro has a parameter that its argument would shadow.
std::string CaseName(const ::testing::TestParamInfo<Damage>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, NpyDamageTest,
    ::testing::Values(
        Damage{"Magic", "NUMPY is not here", "magic"},
        Damage{"Version", Npy(kHeader, 24, 3), "version"},
        Damage{"CutInVersion", std::string("\x93NUMPY\x01"), "version"},
        Damage{"CutInLength", std::string("\x93NUMPY\x01\x00\x10", 9),
               "truncated"},
        Damage{"CutInHeader", Npy(kHeader, 0).substr(0, 40), "truncated"},
        Damage{"CutInData", Npy(kHeader, 23), "23 bytes of data"},
        Damage{"TooMuchData", Npy(kHeader, 25), "25 bytes of data"},
        Damage{"HugeHeader",
               std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12),
               "too long"},
        Damage{
            "Double",
            Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", 8),
            "'<f8' is not supported"},
        Damage{
            "BigEndian",
            Npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4),
            "'>f4' is not supported"},
        Damage{"Fortran",
               Npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", 4),
               "Fortran"},
        Damage{"Overflow",
               Npy("{'descr': '<f4', 'fortran_order': False, 'shape': "
                   "(4294967296, 4294967296)}",
                   0),
               "overflows"},
        Damage{"SizeTooLong",
               Npy("{'descr': '<f4', 'fortran_order': False, 'shape': "
                   "(99999999999999999999,)}",
                   0),
               "damaged"},
        Damage{
            "Negative",
            Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4),
            "damaged"},
        Damage{"NoShape", Npy("{'descr': '<f4', 'fortran_order': False}", 4),
               "damaged"},
        Damage{"TwoShapes",
               Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), "
                   "'shape': (1,)}",
                   4),
               "damaged"},
        Damage{"UnknownKey",
               Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), "
                   "'x': (1,)}",
                   4),
               "damaged"},
        Damage{"Garbage", Npy("garbage", 4), "damaged"},
        Damage{"Unclosed", Npy("{'descr': '<f4", 4), "damaged"},
        Damage{
            "Trailing",
            Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4),
            "damaged"}),
    CaseName);

TEST(NpyTest, MissingFile) {
  const TempDir dir;
  EXPECT_THAT(ErrorMessage([&] { ReadNpy(dir / "none.npy"); }),
              HasSubstr("none.npy"));
}

}  // namespace
}  // namespace lutra::qat
