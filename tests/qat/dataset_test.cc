#include "lutra/qat/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/npy_bytes.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> shift & 0xFF);
  }
  return bytes;
}

std::string Idx(const std::vector<uint32_t>& shape, const std::string& data,
                uint8_t type = 0x08) {
  std::string bytes = {0, 0, static_cast<char>(type),
                       static_cast<char>(shape.size())};
  for (const uint32_t size : shape) bytes += BigEndian(size);
  return bytes + data;
}

std::filesystem::path Write(const std::filesystem::path& path,
                            const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string Gzip(const std::filesystem::path& scratch,
                 const std::string& bytes) {
  const gzFile file = gzopen(scratch.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  std::ifstream stream(scratch, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Bytes that do not compress, so that cutting a gzip stream cuts data.
std::string Noise(size_t size) {
  std::string bytes;
  uint32_t state = 1;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525 + 1013904223;
    bytes += static_cast<char>(state >> 24);
  }
  return bytes;
}

TEST(IdxTest, ReadsPlainAndCompressedFiles) {
  const TempDir dir;
  const std::string bytes = Idx({2, 3}, "abcdef");
  const std::string packed = Gzip(dir / "scratch", bytes);
  ASSERT_NE(packed, bytes);
  for (const auto& content : {bytes, packed}) {
    const IdxArray array = ReadIdx(Write(dir / "file", content));
    EXPECT_THAT(array.shape, ElementsAre(2u, 3u));
    EXPECT_THAT(array.data, ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
  }
}

TEST(IdxTest, ReadsMoreThanOnePart) {
  const TempDir dir;
  const std::string data = Noise((size_t{1} << 24) + 5);
  const IdxArray array = ReadIdx(
      Write(dir / "file", Idx({static_cast<uint32_t>(data.size())}, data)));
  EXPECT_TRUE(std::equal(
      data.begin(), data.end(), array.data.begin(), array.data.end(),
      [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }));
}

struct BadIdx {
  const char* name;
  std::string bytes;
  std::string cause;
};

class BadIdxTest : public ::testing::TestWithParam<BadIdx> {};

TEST_P(BadIdxTest, IsRefusedWithFileAndCause) {
  const TempDir dir;
  // What is wrong is found the same way inside a gzip stream.
  for (const std::string& content :
       {GetParam().bytes, Gzip(dir / "scratch", GetParam().bytes)}) {
    const auto path = Write(dir / "bad-idx", content);
    EXPECT_EQ(ErrorMessage([&] { ReadIdx(path); }),
              path.string() + ": " + GetParam().cause);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadIdxTest,
    ::testing::Values(
        BadIdx{"Empty", "", "truncated: no room for the magic number of idx"},
        BadIdx{"Magic", "PK\x03\x04 and more",
               "not an idx file: magic number is 504b0304"},
        BadIdx{"UnknownType", Idx({1}, "a", 0x07),
               "not an idx file: magic number is 00000701"},
        BadIdx{"Floats", Idx({1}, "abcd", 0x0D),
               "holds 32-bit floats, only unsigned bytes are read"},
        BadIdx{"NoDimension", Idx({}, "a"),
               "has 0 dimensions, 1 to 4 are read"},
        BadIdx{"FiveDimensions", Idx({1, 1, 1, 1, 1}, "a"),
               "has 5 dimensions, 1 to 4 are read"},
        BadIdx{"CutHeader", Idx({1, 2, 3}, "").substr(0, 13),
               "truncated within its header"},
        BadIdx{"NothingInIt", Idx({0, 28}, ""), "is empty: its shape is 0x28"},
        BadIdx{"SizesOverflow",
               Idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "a"),
               "declares too much data: its shape is "
               "4294967295x4294967295x4294967295x4294967295"},
        BadIdx{"HugeButPossible", Idx({0xFFFFFFFF}, "abc"),
               "truncated: its shape 4294967295 needs 4294967295 bytes of "
               "data, it has 3"},
        BadIdx{"CutData", Idx({2, 3}, "abcde"),
               "truncated: its shape 2x3 needs 6 bytes of data, it has 5"},
        BadIdx{"TrailingByte", Idx({2, 3}, "abcdefg"),
               "has bytes after the data of its shape 2x3"}),
    [](const auto& test) { return test.param.name; });

TEST(IdxTest, RefusesDamagedCompression) {
  const TempDir dir;
  const std::string good = Gzip(dir / "scratch", Idx({1000}, Noise(1000)));
  const auto path = dir / "bad.gz";

  Write(path, good.substr(0, 500));
  EXPECT_THAT(ErrorMessage([&] { ReadIdx(path); }),
              HasSubstr("bad.gz: truncated: its shape 1000 needs 1000 bytes"));
  Write(path, good.substr(0, good.size() - 8));  // no checksum
  EXPECT_THAT(ErrorMessage([&] { ReadIdx(path); }),
              HasSubstr("bad.gz: truncated: its gzip stream has no end"));
  std::string flipped = good;
  flipped[500] = static_cast<char>(flipped[500] ^ 1);
  Write(path, flipped);
  EXPECT_THAT(ErrorMessage([&] { ReadIdx(path); }),
              HasSubstr("bad.gz: damaged gzip data: incorrect data check"));
}

TEST(IdxTest, RefusesWhatIsNoFile) {
  const TempDir dir;
  EXPECT_EQ(ErrorMessage([&] { ReadIdx(dir / "none"); }),
            (dir / "none").string() + ": No such file or directory");
  EXPECT_EQ(ErrorMessage([&] { ReadIdx(dir.path()); }),
            dir.path().string() + ": Is a directory");
}

TEST(ImageFolderTest, LoadsBothParts) {
  const TempDir dir;
  const std::string images("\x00\x33\x66\xFF", 4);
  Write(dir / "train-images-idx3-ubyte", Idx({2, 1, 2}, images));
  Write(dir / "train-labels-idx1-ubyte", Idx({2}, "\x07\x02"));
  Write(dir / "t10k-images-idx3-ubyte.gz",
        Gzip(dir / "scratch", Idx({1, 2, 2}, images)));
  Write(dir / "t10k-labels-idx1-ubyte.gz",
        Gzip(dir / "scratch", Idx({1}, "\x01")));

  const LabelledImages train = LoadImageFolder(dir.path(), DatasetPart::kTrain);
  EXPECT_EQ(train.count, 2u);
  EXPECT_EQ(train.Features(), 2u);
  EXPECT_EQ(train.Classes(), 8u);
  EXPECT_THAT(train.image_shape, ElementsAre(1u, 2u));
  EXPECT_THAT(train.images, ElementsAre(0.0f, 0.2f, 0.4f, 1.0f));
  EXPECT_THAT(train.labels, ElementsAre(7, 2));
  EXPECT_THAT(train.Image(1), ElementsAre(0.4f, 1.0f));
  const LabelledImages test = LoadImageFolder(dir.path(), DatasetPart::kTest);
  EXPECT_EQ(test.count, 1u);
  EXPECT_EQ(test.Features(), 4u);
}

TEST(ImageFolderTest, NamesThePackageWhenDataIsMissing) {
  const TempDir dir;
  const auto load = [](const std::filesystem::path& folder) {
    return ErrorMessage([&] { LoadImageFolder(folder, DatasetPart::kTest); });
  };
  const std::string none = load(dir / "none");
  EXPECT_THAT(none, StartsWith((dir / "none").string() + ": no such folder"));
  EXPECT_THAT(none, HasSubstr("package dataset-fashion-mnist"));

  Write(dir / "t10k-images-idx3-ubyte", Idx({1, 1, 1}, "a"));
  const std::string incomplete = load(dir.path());
  EXPECT_THAT(incomplete, StartsWith(dir.path().string() +
                                     ": holds neither t10k-labels-idx1-ubyte "
                                     "nor t10k-labels-idx1-ubyte.gz"));
  EXPECT_THAT(incomplete, HasSubstr("package dataset-fashion-mnist"));
}

TEST(ImageFolderTest, RefusesFilesThatDoNotBelongTogether) {
  const TempDir dir;
  const auto load = [&](const std::string& images, const std::string& labels) {
    Write(dir / "train-images-idx3-ubyte", images);
    Write(dir / "train-labels-idx1-ubyte", labels);
    return ErrorMessage(
        [&] { LoadImageFolder(dir.path(), DatasetPart::kTrain); });
  };
  EXPECT_THAT(load(Idx({2, 1, 1}, "ab"), Idx({3}, "abc")),
              HasSubstr("train-*: 2 images but 3 labels"));
  EXPECT_THAT(load(Idx({2}, "ab"), Idx({2}, "ab")),
              HasSubstr("images of shape 2 and labels of shape 2 are not"));
  EXPECT_THAT(load(Idx({2, 1}, "ab"), Idx({2, 1}, "ab")),
              HasSubstr("images of shape 2x1 and labels of shape 2x1 are not"));
}

TEST(ImageFolderTest, LoadsArraysOfNumpy) {
  const TempDir dir;
  Write(dir / "train-images.npy",
        NpyBytes("|u1", "(2, 1, 2)", {0, 51, '\xff', 102}));
  Write(dir / "train-labels.npy",
        NpyBytes("<i4", "(2,)", {3, 0, 0, 0, 1, 0, 0, 0}));
  const LabelledImages train = LoadImageFolder(dir.path(), DatasetPart::kTrain);
  EXPECT_EQ(train.count, 2u);
  EXPECT_THAT(train.image_shape, ElementsAre(1, 2));
  EXPECT_THAT(train.images, ElementsAre(0.0f, 0.2f, 1.0f, 0.4f));
  EXPECT_THAT(train.labels, ElementsAre(3, 1));
  // Floats are as they are.
  const std::string half("\0\0\0\x3f", 4);
  Write(dir / "test-images.npy", NpyBytes("<f4", "(1, 2)", half + half));
  Write(dir / "test-labels.npy", NpyBytes("|u1", "(1,)", {7}));
  const LabelledImages test = LoadImageFolder(dir.path(), DatasetPart::kTest);
  EXPECT_THAT(test.images, ElementsAre(0.5f, 0.5f));
  EXPECT_THAT(test.labels, ElementsAre(7));
}

TEST(ImageFolderTest, RefusesArraysOfNumpyThatAreNoSamples) {
  const std::string pixels = NpyBytes("|u1", "(2, 1)", {0, 1});
  const std::string labels = NpyBytes("|u1", "(2,)", {0, 1});
  const std::string nan("\0\0\xc0\x7f", 4);
  const std::tuple<std::string, std::string, const char*> cases[] = {
      {NpyBytes("<i4", "(1, 1)", {0, 0, 0, 0}), labels,
       "train-images.npy: holds int32; images are float32, or uint8"},
      {NpyBytes("|u1", "(2,)", {0, 1}), labels,
       "images have the shape [count, ...]"},
      {NpyBytes("|u1", "(0, 1)", ""), labels, "is empty"},
      {NpyBytes("<f4", "(1, 1)", nan), NpyBytes("|u1", "(1,)", {0}),
       "that is not finite"},
      {pixels, NpyBytes("<f4", "(2,)", nan + nan),
       "train-labels.npy: holds float32; labels are whole numbers"},
      {pixels, NpyBytes("|u1", "(3,)", {0, 1, 2}),
       "is not an array of 2 labels"},
      {pixels, NpyBytes("|u1", "(2, 1)", {0, 1}),
       "is not an array of 2 labels"},
      {pixels, NpyBytes("|i1", "(2,)", {0, -1}), "holds the label -1"},
      {pixels, NpyBytes("<i4", "(2,)", {0, 0, 0, 0, 0, 1, 0, 0}),
       "holds the label 256"}};
  for (const auto& [images, classes, cause] : cases) {
    const TempDir dir;
    Write(dir / "train-images.npy", images);
    Write(dir / "train-labels.npy", classes);
    EXPECT_THAT(
        ErrorMessage([&] { LoadImageFolder(dir.path(), DatasetPart::kTrain); }),
        HasSubstr(cause));
  }
  const TempDir dir;
  Write(dir / "train-images.npy", pixels);
  EXPECT_THAT(
      ErrorMessage([&] { LoadImageFolder(dir.path(), DatasetPart::kTrain); }),
      HasSubstr("train-labels.npy"));
}

}  // namespace
}  // namespace lutra::qat
