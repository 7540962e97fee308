#include "lutra/runtime/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::std::string_literals::operator""s;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::byte> Bytes(size_t count, int start) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<std::byte>(start + static_cast<int>(i));
  }
  return bytes;
}

std::vector<std::string> FilesIn(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(SafetensorsTest, RoundTrip) {
  const TempDir dir;
  const auto path = dir / "a.safetensors";
  const std::vector<TensorInfo> tensors = {
      {"bytes", DType::kUInt8, {5}},   {"matrix", DType::kFloat32, {2, 3}},
      {"scalar", DType::kFloat64, {}}, {"empty", DType::kInt64, {4, 0}},
      {"half", DType::kBFloat16, {3}}, {"blob", DType::kUInt8, {128}},
  };
  const std::map<std::string, std::string> metadata = {
      {"plain", "text"}, {"quoted", "{\"a\": \"\\n\"}\n\t\x01"}};
  {
    SafetensorsWriter writer(path, metadata, tensors);
    // Not in the order of declaration.
    for (auto it = tensors.rbegin(); it != tensors.rend(); ++it) {
      writer.Write(it->name,
                   Bytes(it->ByteCount(), static_cast<int>(it->name.size())));
    }
    writer.Commit();
  }
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(file.path(), path.string());
  EXPECT_EQ(file.byte_size(), std::filesystem::file_size(path));
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const TensorInfo& tensor : tensors) {
    const TensorView& view = file.Get(tensor.name);
    EXPECT_EQ(view.name, tensor.name);
    EXPECT_EQ(view.dtype, tensor.dtype);
    EXPECT_EQ(view.shape, tensor.shape);
    const auto expected =
        Bytes(tensor.ByteCount(), static_cast<int>(tensor.name.size()));
    EXPECT_TRUE(std::equal(view.data.begin(), view.data.end(), expected.begin(),
                           expected.end()))
        << tensor.name;
  }
  EXPECT_EQ(file.Find("other"), nullptr);
  EXPECT_THAT(ErrorMessage([&] { file.Get("other"); }),
              AllOf(HasSubstr("a.safetensors"), HasSubstr("'other'"),
                    HasSubstr("missing")));
  EXPECT_THAT(FilesIn(dir.path()), ElementsAre("a.safetensors"));
}

TEST(SafetensorsTest, CopiesShareTheMapping) {
  const TempDir dir;
  const auto path = dir / "a.safetensors";
  SafetensorsWriter writer(path, {}, {{"x", DType::kUInt8, {3}}});
  writer.Write("x", Bytes(3, 7));
  writer.Commit();
  auto file = std::make_unique<SafetensorsFile>(SafetensorsFile::Open(path));
  const SafetensorsFile copy = *file;
  file.reset();
  EXPECT_EQ(copy.Get("x").data[2], std::byte{9});
}

TEST(SafetensorsTest, WriterAligns) {
  const TempDir dir;
  const auto path = dir / "a.safetensors";
  const std::vector<TensorInfo> tensors = {
      {"u8", DType::kUInt8, {3}},     {"f32", DType::kFloat32, {7}},
      {"f16", DType::kFloat16, {5}},  {"blob", DType::kUInt8, {192}},
      {"f64", DType::kFloat64, {3}},  {"blob2", DType::kUInt8, {64}},
      {"f32b", DType::kFloat32, {1}},
  };
  SafetensorsWriter writer(path, {{"k", "v"}}, tensors);
  for (const TensorInfo& t : tensors)
    writer.Write(t.name, Bytes(t.ByteCount(), 0));
  writer.Commit();
  const auto file = SafetensorsFile::Open(path);
  std::vector<std::string> order;
  for (const TensorView& view : file.tensors()) {
    order.push_back(view.name);
    const auto address = reinterpret_cast<uintptr_t>(view.data.data());
    EXPECT_EQ(address % ByteSize(view.dtype), 0u) << view.name;
    if (view.data.size() % 64 == 0) {
      EXPECT_EQ(address % 64, 0u) << view.name;
    }
  }
  EXPECT_THAT(order,
              ElementsAre("blob", "blob2", "f64", "f32", "f32b", "f16", "u8"));
  EXPECT_EQ(file.Get("f32").Floats("f").size(), 7u);
}

// As other programs write: any order of entries, no padding, no alignment,
// white space.
TEST(SafetensorsTest, ReadsOtherWriters) {
  const TempDir dir;
  const auto path = dir / "a.safetensors";
  const RawFile raw{
      R"({"b" : {"shape":[1],"dtype":"F32","data_offsets":[3,7]},
          "zero": {"dtype":"F32","shape":[0, 3],"data_offsets":[3,3]},
          "__metadata__":{"format":"pt"},
          "a":{"dtype":"U8","data_offsets":[0,3],"shape":[3]}}   )",
      "abc\x00\x00\x80\x3f"s};
  WriteBytes(path, raw.Bytes());
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[1].name, "zero");
  EXPECT_EQ(file.tensors()[2].name, "b");
  float value = 0;
  std::memcpy(&value, file.Get("b").data.data(), sizeof(value));
  EXPECT_EQ(value, 1.0f);
  if (reinterpret_cast<uintptr_t>(file.Get("b").data.data()) % 4 != 0) {
    EXPECT_THAT(ErrorMessage([&] { file.Get("b").Floats("file"); }),
                HasSubstr("not aligned"));
  }
  EXPECT_THAT(ErrorMessage([&] { file.Get("a").Floats("file"); }),
              HasSubstr("expected F32"));
}

TEST(SafetensorsTest, EmptyHeaderHasNoTensors) {
  const TempDir dir;
  WriteBytes(dir / "a", RawFile{"{}", ""}.Bytes());
  EXPECT_THAT(SafetensorsFile::Open(dir / "a").tensors(), IsEmpty());
}

TEST(SafetensorsTest, WriterRefusesWrongUse) {
  const TempDir dir;
  const auto path = dir / "a.safetensors";
  const TensorInfo x = {"x", DType::kFloat32, {2}};
  EXPECT_THAT(ErrorMessage([&] {
                SafetensorsWriter(path, {}, {x, x});
              }),
              AllOf(HasSubstr("'x'"), HasSubstr("already taken")));
  EXPECT_THAT(
      ErrorMessage([&] {
        SafetensorsWriter(path, {}, {{"__metadata__", DType::kInt8, {1}}});
      }),
      HasSubstr("already taken"));
  EXPECT_THAT(ErrorMessage([&] {
                SafetensorsWriter(path, {}, {{"x", DType::kInt8, {-1}}});
              }),
              HasSubstr("not possible"));
  EXPECT_THAT(
      ErrorMessage([&] {
        constexpr int64_t kHuge = int64_t{1} << 40;
        SafetensorsWriter(path, {}, {{"x", DType::kInt8, {kHuge, kHuge}}});
      }),
      HasSubstr("not possible"));
  EXPECT_THAT(ErrorMessage([&] {
                SafetensorsWriter(path, {}, {{"\xff", DType::kInt8, {1}}});
              }),
              HasSubstr("UTF-8"));
  EXPECT_THAT(
      ErrorMessage([&] { SafetensorsWriter(dir / "missing" / "a", {}, {x}); }),
      HasSubstr("No such file"));
  EXPECT_THAT(ErrorMessage([&] { SafetensorsWriter(dir.path(), {}, {x}); }),
              HasSubstr("folder"));
  EXPECT_THAT(ErrorMessage([&] { SafetensorsWriter("/dev/null", {}, {x}); }),
              HasSubstr("not a regular file"));

  SafetensorsWriter writer(path, {}, {x, {"y", DType::kInt8, {1}}});
  EXPECT_THAT(ErrorMessage([&] { writer.Write("z", Bytes(8, 0)); }),
              HasSubstr("not declared"));
  EXPECT_THAT(ErrorMessage([&] { writer.Write("x", Bytes(7, 0)); }),
              HasSubstr("7 bytes but was declared with 8"));
  writer.Write("x", Bytes(8, 0));
  EXPECT_THAT(ErrorMessage([&] { writer.Write("x", Bytes(8, 0)); }),
              HasSubstr("twice"));
  EXPECT_THAT(ErrorMessage([&] { writer.Commit(); }),
              AllOf(HasSubstr("'y'"), HasSubstr("not written")));
}

TEST(SafetensorsTest, NothingIsLeftWithoutCommit) {
  const TempDir dir;
  const auto path = dir / "a.safetensors";
  WriteBytes(path, "old");
  {
    SafetensorsWriter writer(path, {}, {{"x", DType::kInt8, {1}}});
    EXPECT_EQ(FilesIn(dir.path()).size(), 2u);
    writer.Write("x", Bytes(1, 0));
    EXPECT_EQ(ReadBytes(path), "old");
  }
  EXPECT_THAT(FilesIn(dir.path()), ElementsAre("a.safetensors"));
  EXPECT_EQ(ReadBytes(path), "old");
}

// A full disk is not at hand; a limit on file sizes fails in the same way.
// Returns whether the writer reported it and left nothing.
bool ReportsATooLargeFile(const TempDir& dir) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {4096, 4096};
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string message = ErrorMessage([&] {
    SafetensorsWriter writer(dir / "a", {}, {{"x", DType::kInt8, {8192}}});
    writer.Write("x", Bytes(8192, 0));
    writer.Commit();
  });
  return message.find("cannot write") != std::string::npos &&
         FilesIn(dir.path()).empty();
}

TEST(SafetensorsTest, ReportsAFullDisk) {
  const TempDir dir;
  EXPECT_EXIT(_exit(ReportsATooLargeFile(dir) ? 0 : 1),
              ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace lutra
