// Files of torch.save: the archive, the pickle that is data and nothing more,
// and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "packer/import/torch_file/torch_file.h"
#include "packer/import/torch_file/zip_file.h"
#include "tests/packer/import_data.h"
#include "tests/packer/torch_writer.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using namespace std::string_literals;
using namespace torch_save;
using ::testing::HasSubstr;

class TorchFileTest : public ::testing::Test {
 protected:
  RawTensors Read(const std::string& bytes) {
    WriteText(dir_ / "pytorch_model.bin", bytes);
    RawTensors result;
    AddTorchFile(dir_ / "pytorch_model.bin", result);
    return result;
  }
  RawTensors ReadPickle(const std::string& pickle) {
    return Read(Zip({{"m/data.pkl", pickle}, {"m/data/0", storage_}}));
  }
  std::string Refusal(const std::string& pickle) {
    return ErrorMessage([&] { (void)ReadPickle(pickle); });
  }

  TempDir dir_;
  std::string storage_ = std::string(32, '\0');
};

TEST_F(TorchFileTest, TensorsWhereTheyLie) {
  storage_ = Raw(1.0f) + Raw(2.0f) + Raw(3.0f) + Raw(4.0f) + Raw(5.0f) +
             Raw(6.0f) + Raw(7.0f) + Raw(8.0f);
  const RawTensors raw = ReadPickle(
      PickleOf(Text("a") + Tensor(2, 2, 2, 1) + Text("b") + Tensor(1, 8, 8)));
  const RawTensor* a = raw.Find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_THAT(a->view.shape, ::testing::ElementsAre(2, 2));
  float first;
  std::memcpy(&first, a->view.data.data(), sizeof(first));
  EXPECT_EQ(first, 2.0f);
  EXPECT_EQ(raw.Find("b")->view.data.size(), 32u);
  EXPECT_EQ(raw.metadata.size(), 0u);
}

// Of a tensor without elements the product of the others may be any.
TEST_F(TorchFileTest, TensorsWithoutElements) {
  const std::string huge = "\x8a\x08" + Raw(int64_t{1} << 62);
  const RawTensors raw = ReadPickle(
      PickleOf(Text("a") + Global("torch._utils", "_rebuild_tensor_v2") + "((" +
               Text("storage") + Global("torch", "FloatStorage") + Text("0") +
               Text("cpu") + "K\x08tQK" + std::string(1, '\0') + "(K" +
               std::string(1, '\0') + huge + huge + "t(" + huge + huge + huge +
               "t\x89}tR"));
  EXPECT_EQ(raw.Find("a")->view.data.size(), 0u);
}

TEST_F(TorchFileTest, ClassesOfTorchaoComeAsParts) {
  const RawTensors raw = ReadPickle(
      PickleOf(Text("w") + Global("torch._tensor", "_rebuild_from_type_v2") +
               "(" + Global("torch._utils", "_rebuild_wrapper_subclass") +
               Global("torchao.quantization", "IntxUnpackedToInt8Tensor") +
               ")}(" + Text("qdata") + Tensor(2, 4, 4) + Text("target_dtype") +
               Global("torch", "int4") + Text("block_size") + "]J" +
               Raw<int32_t>(1) + "aJ" + Raw<int32_t>(4) + "autR"));
  EXPECT_NE(raw.Find("w:qdata"), nullptr);
  EXPECT_EQ(raw.metadata.find("tensor_names")->second, R"(["w"])");
  EXPECT_EQ(raw.metadata.find("w")->second,
            R"({"_data":{"block_size":[1,4],"target_dtype":)"
            R"({"_data":"int4","_type":"torch.dtype"}},)"
            R"("_type":"IntxUnpackedToInt8Tensor"})");
}

// A list, a dict that has it often, and tensors that have the dict often: a
// number of bytes that is the cube of the file's.
TEST_F(TorchFileTest, WhatIsSharedIsCountedEachTime) {
  constexpr int kTimes = 400;
  const auto recall = [](int id) {
    return "h" + Raw(static_cast<uint8_t>(id));
  };
  std::string list = "](";
  std::string state = "}(";
  std::string tensors;
  for (int i = 0; i < kTimes; ++i) {
    list += "K" + Raw<uint8_t>(1);
    state += Text("m" + std::to_string(i)) + recall(1);
    tensors += Text("t" + std::to_string(i)) + recall(2);
  }
  const std::string call =
      Global("torch._tensor", "_rebuild_from_type_v2") + "(" +
      Global("torch._utils", "_rebuild_wrapper_subclass") +
      Global("torchao.quantization", "IntxUnpackedToInt8Tensor") + ")" + state +
      "utRq" + Raw<uint8_t>(2) + "0";
  EXPECT_THAT(Refusal("\x80\x02" + list + "eq" + Raw<uint8_t>(1) + "0" + call +
                      "}(" + tensors + "u."),
              HasSubstr("tensor 't0': has parts that are shared too often"));
}

TEST_F(TorchFileTest, NothingIsCalledThatIsNotListed) {
  EXPECT_THAT(Refusal(PickleOf(Text("a") + Global("os", "system") + "(" +
                               Text("true") + "tR")),
              HasSubstr("names 'os.system', which is not on the list"));
  EXPECT_THAT(Refusal(PickleOf(Text("a") + Global("builtins", "eval") + ")R")),
              HasSubstr("names 'builtins.eval'"));
  // What may be named may not be called for that.
  EXPECT_THAT(Refusal(PickleOf(Text("a") + Global("torch", "load") + ")R")),
              HasSubstr("calls 'torch load'"));
  EXPECT_THAT(
      Refusal(PickleOf(Text("a") + Global("torchao.quantization", "X") + ")R")),
      HasSubstr("calls 'torchao.quantization X'"));
  EXPECT_THAT(
      Refusal(PickleOf(Text("a") + Text("os") + Text("system") + "\x93")),
      HasSubstr("names 'os.system'"));
}

TEST_F(TorchFileTest, DamagedPicklesAreRefused) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "ends within an opcode"},
      {"\x80\x02", "ends within an opcode"},
      {"\x80\x02.", "takes from an empty stack"},
      {"\x80\x02X\xff\xff\xff\xff", "ends within an opcode"},
      {"\x80\x02ut.", "has no mark"},
      {"\x80\x02h\x07.", "recalls what it has not stored"},
      {"\x80\x02N.", "is not a dict of tensors"},
      {"\x80\x02Nq\0(R."s, "takes from an empty stack"},
      {"\x80\x02i", "has the opcode 105"},
      {"\x80\x02\x8a\x09"s + std::string(9, '\1'), "has too large a number"},
      {"\x80\x02" + Global("torch", std::string(300, 'x')), "too long a name"},
      {PickleOf(Text("a") + "N"), "'a': is not a tensor of a known kind"},
      {PickleOf(Text("a") + Tensor(2, 4, 3)), "stored in another order"},
      {PickleOf(Text("a") + Tensor(2, 4, 4, 1)), "runs past the end of its"},
      {PickleOf(Text("a") + Tensor(2, 4, 4, -1)),
       "a shape that is not possible"},
      {PickleOf(Text("a") + Tensor(-2, 4, 4)), "a shape that is not possible"},
      {PickleOf(Text("a") + Tensor(2, 4, 4, 0, "ComplexFloatStorage")),
       "of the storage 'torch ComplexFloatStorage', which is not supported"},
  };
  for (const auto& [pickle, expected] : cases) {
    EXPECT_THAT(Refusal(pickle), HasSubstr(expected));
  }
}

TEST_F(TorchFileTest, DamagedArchivesAreRefused) {
  const auto refusal = [&](const std::string& bytes) {
    return ErrorMessage([&] { (void)Read(bytes); });
  };
  const Entries entries = {{"m/data.pkl", PickleOf("")}, {"m/data/0", "abcd"}};
  const std::string good = Zip(entries);
  EXPECT_EQ(Read(good).tensors.size(), 0u);
  EXPECT_THAT(refusal("PK"), HasSubstr("is too short"));
  EXPECT_THAT(refusal(std::string(64, 'x')), HasSubstr("has no directory"));
  EXPECT_THAT(refusal(Zip(entries, 8)), HasSubstr("is compressed"));
  EXPECT_THAT(refusal(Zip({{"a", ""}, {"a", ""}})),
              HasSubstr("has the entry 'a' twice"));
  EXPECT_THAT(refusal(Zip({{"a", ""}})), HasSubstr("not a file of torch.save"));
  // Each of these fields is wrong in turn: none may lead out of the file.
  const size_t end = good.size() - 22;
  const size_t directory = good.find("PK\1\2");
  for (const size_t at : {end + 16, end + 10, directory + 24, directory + 28,
                          directory + 30, directory + 42}) {
    std::string bad = good;
    bad[at] = '\xff';
    bad[at + 1] = '\xff';
    EXPECT_THAT(refusal(bad), HasSubstr("zip archive")) << at - directory;
  }
}

}  // namespace
}  // namespace lutra::packer
