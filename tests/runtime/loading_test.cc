// Models from paths, descriptors and memory, used in place and copied.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/model.h"
#include "runtime/base/aligned_memory.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

constexpr Storage kStorages[] = {Storage::kInPlace, Storage::kCopy,
                                 Storage::kHugePages};

std::vector<float> Logits(std::shared_ptr<const Model> model) {
  LanguageModelOptions options;
  options.session.threads = 1;
  LanguageModel language(std::move(model), options);
  const std::vector<int32_t> ids = {1, 2, 3, 4, 5};
  const auto logits = language.Feed(ids);
  return {logits.begin(), logits.end()};
}

class LoadingTest : public ::testing::Test {
 protected:
  LoadingTest() {
    TinyLanguage{.packed = true}.Build().Write(path_);
    bytes_ = ReadBytes(path_);
    expected_ = Logits(Model::Load(path_));
  }

  // A file with the model after `offset` bytes, and something after it.
  int OpenAsset(size_t offset) {
    WriteBytes(dir_ / "assets",
               std::string(offset, 'x') + bytes_ + std::string(100, 'y'));
    const int descriptor = ::open((dir_ / "assets").c_str(), O_RDONLY);
    EXPECT_GE(descriptor, 0);
    return descriptor;
  }

  // The model's bytes at a multiple of 64 bytes, and `offset` more.
  const std::byte* InMemory(size_t offset) {
    memory_ = AllocateAligned(bytes_.size() + offset, "a test");
    std::memcpy(memory_.get() + offset, bytes_.data(), bytes_.size());
    return memory_.get() + offset;
  }

  bool IsIn(const Model& model, const std::byte* begin, size_t size) const {
    const std::byte* data = model.file().tensors()[0].data.data();
    return data >= begin && data < begin + size;
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
  std::string bytes_;
  std::vector<float> expected_;
  AlignedMemory memory_;
};

TEST_F(LoadingTest, PathsWithEveryStorage) {
  for (const Storage storage : kStorages) {
    const auto model = Model::Load(path_, {.storage = storage});
    EXPECT_EQ(Logits(model), expected_);
    EXPECT_EQ(model->path(), path_.string());
    EXPECT_EQ(model->file().byte_size(), bytes_.size());
  }
}

TEST_F(LoadingTest, ACopyIsImmuneToWhatBecomesOfTheFile) {
  for (const Storage storage : {Storage::kCopy, Storage::kHugePages}) {
    WriteBytes(path_, bytes_);
    const auto model = Model::Load(path_, {.storage = storage});
    WriteBytes(path_, std::string(bytes_.size(), '\0'));
    std::filesystem::resize_file(path_, 0);
    EXPECT_EQ(Logits(model), expected_);
  }
}

TEST_F(LoadingTest, DescriptorsFromAnyOffset) {
  // On a page, on a multiple of 64, and neither.
  for (const size_t offset :
       {size_t{0}, size_t{4096}, size_t{192}, size_t{4481}, size_t{7}}) {
    SCOPED_TRACE(offset);
    const int descriptor = OpenAsset(offset);
    for (const Storage storage : kStorages) {
      const auto model = Model::LoadDescriptor(
          descriptor, offset, bytes_.size(), "asset", {.storage = storage});
      EXPECT_EQ(model->path(), "asset");
      EXPECT_EQ(Logits(model), expected_);
    }
    const auto model =
        Model::LoadDescriptor(descriptor, offset, bytes_.size(), "asset");
    EXPECT_EQ(::lseek(descriptor, 0, SEEK_CUR), 0);  // as it was
    EXPECT_EQ(::close(descriptor), 0);
    EXPECT_EQ(Logits(model), expected_);
  }
}

TEST_F(LoadingTest, DescriptorsOfWhatIsNotThere) {
  const int descriptor = OpenAsset(64);
  const auto message = [&](uint64_t offset, uint64_t size) {
    return ErrorMessage(
        [&] { Model::LoadDescriptor(descriptor, offset, size, "asset"); });
  };
  const uint64_t size = bytes_.size();
  for (const auto& [offset, count] : {std::pair{uint64_t{64}, size + 101},
                                      {size + 165, uint64_t{0}},
                                      {UINT64_MAX, uint64_t{2}},
                                      {uint64_t{2}, UINT64_MAX},
                                      {UINT64_MAX, UINT64_MAX}}) {
    EXPECT_THAT(message(offset, count), HasSubstr("asset: "));
    EXPECT_THAT(message(offset, count), HasSubstr("past the end of a file"));
  }
  EXPECT_THAT(message(64, size - 1), HasSubstr("truncated"));
  EXPECT_THAT(message(64, 0), HasSubstr("is too short"));
  EXPECT_THAT(message(0, size), HasSubstr("header length"));
  ::close(descriptor);
  EXPECT_THAT(message(64, size), HasSubstr("Bad file descriptor"));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_THAT(
      ErrorMessage([&] { Model::LoadDescriptor(ends[0], 0, 8, "pipe"); }),
      HasSubstr("is not a regular file"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LoadingTest, MemoryIsBorrowedOrCopied) {
  for (const size_t offset : {size_t{0}, size_t{64}, size_t{8}}) {
    for (const Storage storage : kStorages) {
      const std::byte* bytes = InMemory(offset);
      const auto model = Model::LoadMemory({bytes, bytes_.size()}, "memory",
                                           {.storage = storage});
      const bool borrowed = IsIn(*model, bytes, bytes_.size());
      EXPECT_EQ(borrowed,
                storage == Storage::kInPlace && offset % kMemoryAlignment == 0);
      if (!borrowed) memory_ = nullptr;
      EXPECT_EQ(Logits(model), expected_);
    }
  }
  EXPECT_THAT(ErrorMessage([] { Model::LoadMemory({}, "nothing"); }),
              HasSubstr("nothing: is too short"));
}

TEST_F(LoadingTest, ChecksumsAreVerifiedOnDemand) {
  const LoadOptions verify = {.verify_checksums = true};
  EXPECT_EQ(Logits(Model::Load(path_, verify)), expected_);
  const auto model = Model::Load(path_);
  ASSERT_EQ(model->file().tensors()[0].dtype, DType::kUInt8);
  std::string damaged = bytes_;
  damaged[damaged.find("LUTRAMAT") + 200] ^= 1;  // an index or a scale
  WriteBytes(path_, damaged);
  EXPECT_NO_THROW(Model::Load(path_));
  for (const Storage storage : kStorages) {
    EXPECT_THAT(ErrorMessage([&] {
                  Model::Load(path_,
                              {.storage = storage, .verify_checksums = true});
                }),
                HasSubstr("its checksum does not match"));
  }
}

// The same from C.
class CApiLoadingTest : public LoadingTest {
 protected:
  CApiLoadingTest() { lutra_load_options_init(&options_); }
  ~CApiLoadingTest() override { lutra_model_free(model_); }

  // The status of loading; what was loaded gives the expected logits.
  lutra_status Expect(lutra_status status) {
    EXPECT_EQ(model_ != nullptr, status == LUTRA_OK);
    if (model_ == nullptr) return status;
    lutra_session* session = nullptr;
    EXPECT_EQ(lutra_session_create(model_, nullptr, &session), LUTRA_OK);
    const std::vector<int32_t> ids = {1, 2, 3, 4, 5};
    const float* logits = nullptr;
    EXPECT_EQ(lutra_session_feed(session, ids.data(), ids.size(), &logits),
              LUTRA_OK);
    EXPECT_EQ(std::vector<float>(logits, logits + expected_.size()), expected_);
    lutra_session_free(session);
    lutra_model_free(model_);
    model_ = nullptr;
    return status;
  }

  lutra_load_options options_;
  lutra_model* model_ = nullptr;
};

TEST_F(CApiLoadingTest, FromEverywhere) {
  const int descriptor = OpenAsset(7);
  const std::byte* bytes = InMemory(0);
  for (const lutra_storage storage :
       {LUTRA_STORAGE_IN_PLACE, LUTRA_STORAGE_COPY, LUTRA_STORAGE_HUGE_PAGES}) {
    options_.storage = storage;
    options_.verify_checksums = 1;
    EXPECT_EQ(Expect(lutra_model_load_with(path_.c_str(), &options_, &model_)),
              LUTRA_OK);
    EXPECT_EQ(Expect(lutra_model_load_from_memory(bytes, bytes_.size(),
                                                  &options_, &model_)),
              LUTRA_OK);
    EXPECT_EQ(Expect(lutra_model_load_from_descriptor(
                  descriptor, 7, bytes_.size(), &options_, &model_)),
              LUTRA_OK);
  }
  EXPECT_EQ(Expect(lutra_model_load_with(path_.c_str(), nullptr, &model_)),
            LUTRA_OK);
  ::close(descriptor);
}

TEST_F(CApiLoadingTest, WrongUse) {
  options_.name = "assets/model";
  EXPECT_EQ(Expect(lutra_model_load_from_memory("few", 3, &options_, &model_)),
            LUTRA_DAMAGED);
  EXPECT_THAT(lutra_last_error(), HasSubstr("assets/model: is too short"));
  options_.name = nullptr;
  EXPECT_EQ(Expect(lutra_model_load_from_memory("few", 3, &options_, &model_)),
            LUTRA_DAMAGED);
  EXPECT_THAT(lutra_last_error(), HasSubstr("model: is too short"));
  EXPECT_EQ(Expect(lutra_model_load_from_memory(nullptr, 3, nullptr, &model_)),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(
      Expect(lutra_model_load_from_descriptor(-1, 0, 8, nullptr, &model_)),
      LUTRA_IO);
  const int descriptor = OpenAsset(0);
  EXPECT_EQ(Expect(lutra_model_load_from_descriptor(
                descriptor, UINT64_MAX, UINT64_MAX, nullptr, &model_)),
            LUTRA_INVALID_ARGUMENT);
  ::close(descriptor);
  EXPECT_EQ(lutra_model_load_with(path_.c_str(), nullptr, nullptr),
            LUTRA_INVALID_ARGUMENT);
  std::memset(&options_.storage, 0x7f, 1);
  EXPECT_EQ(Expect(lutra_model_load_with(path_.c_str(), &options_, &model_)),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("unknown storage"));
}

}  // namespace
}  // namespace lutra
