// GGUF files as containers: what they hold, their limits, and what hostile ones
// are refused for. Blocks and networks are replayed by tests/golden_replay.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "packer/import/gguf/block_types.h"
#include "packer/import/gguf/gguf_file.h"
#include "tests/packer/gguf_bytes.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

struct BadFile {
  const char* name;
  std::function<void(GgufBytes&)> write;
  const char* expected;
};

constexpr uint64_t kHuge = UINT64_MAX;

TEST_F(GgufTest, HostileFilesAreRefused) {
  const BadFile cases[] = {
      {"empty", [](GgufBytes&) {}, "runs past the end"},
      {"another magic",
       [](GgufBytes& f) { f.Put<uint32_t>(1).Put<uint32_t>(3); },
       "is not a GGUF file"},
      {"version 1", [](GgufBytes& f) { f.Head(0, 0, 1); }, "GGUF version 1"},
      {"big endian", [](GgufBytes& f) { f.Head(0, 0, 3u << 24); },
       "big endian"},
      {"cut header",
       [](GgufBytes& f) { f.Put<uint32_t>(0x46554747).Put<uint32_t>(3); },
       "the number of tensors runs past"},
      {"number of tensors", [](GgufBytes& f) { f.Head(kHuge, 0); },
       "the number of tensors 18446744073709551615 is more"},
      {"number of values", [](GgufBytes& f) { f.Head(0, kHuge / 2); },
       "the number of values"},
      {"length of a key",
       [](GgufBytes& f) { f.Head(0, 1).Put(kHuge).Data(64); },
       "the name of a value runs past the end"},
      {"length of a text",
       [](GgufBytes& f) {
         f.Head(0, 1).Text("a").Put<uint32_t>(8).Put(kHuge - 7).Data(64);
       },
       "value 'a' runs past the end"},
      {"elements of an array",
       [](GgufBytes& f) {
         f.Head(0, 1).Text("a").Put<uint32_t>(9).Put<uint32_t>(10);
         f.Put(uint64_t{1} << 61).Data(64);
       },
       "the number of elements"},
      {"texts of an array",
       [](GgufBytes& f) {
         f.Head(0, 1).Text("a").Put<uint32_t>(9).Put<uint32_t>(8);
         f.Put(uint64_t{1} << 32).Data(64);
       },
       "the number of elements"},
      {"an array of arrays",
       [](GgufBytes& f) {
         f.Head(0, 1).Text("a").Put<uint32_t>(9).Put<uint32_t>(9);
         f.Put<uint64_t>(1).Data(64);
       },
       "of a type that is not known"},
      {"type of a value",
       [](GgufBytes& f) { f.Head(0, 1).Text("a").Put<uint32_t>(13).Data(64); },
       "of a type that is not known"},
      {"a key twice",
       [](GgufBytes& f) { f.Head(0, 2).Value("a", 1u).Value("a", 1u); },
       "value 'a' is there twice"},
      {"alignment of 0",
       [](GgufBytes& f) { f.Head(0, 1).Value("general.alignment", 0u); },
       "no power of two"},
      {"alignment of 48",
       [](GgufBytes& f) { f.Head(0, 1).Value("general.alignment", 48u); },
       "no power of two"},
      {"alignment of 2^31",
       [](GgufBytes& f) {
         f.Head(0, 1).Value("general.alignment", 0x80000000u);
       },
       "no power of two"},
      {"alignment as a text",
       [](GgufBytes& f) {
         f.Head(0, 1).Value("general.alignment", std::string("32"));
       },
       "is not a number"},
      {"no dimensions",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {}, 0, 0).Data(64); },
       "has 0 dimensions"},
      {"too many dimensions",
       [](GgufBytes& f) {
         f.Head(1, 0).Text("t").Put<uint32_t>(0xFFFFFFFF).Data(64);
       },
       "has 4294967295 dimensions"},
      {"a dimension of 0",
       [](GgufBytes& f) {
         f.Head(1, 0).Tensor("t", {4, 0}, 0, 0).Data(64);
       },
       "a shape that is not possible"},
      {"a product that overflows",
       [](GgufBytes& f) {
         f.Head(1, 0)
             .Tensor("t", {uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0)
             .Data(64);
       },
       "a shape that is not possible"},
      {"bytes that overflow",
       [](GgufBytes& f) {
         f.Head(1, 0)
             .Tensor("t", {uint64_t{1} << 31, uint64_t{1} << 31}, 28, 0)
             .Data(64);
       },
       "runs past its end"},
      {"blocks whose bytes overflow",
       [](GgufBytes& f) {
         f.Head(1, 0)
             .Tensor("t", {uint64_t{1} << 40, uint64_t{1} << 22}, 8, 0)
             .Data(64);
       },
       "runs past its end"},
      {"an offset that is not aligned",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {4}, 0, 4).Data(64); },
       "is not aligned to 32 bytes"},
      {"an offset past the end",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {4}, 0, 64).Data(64); },
       "begins past the end"},
      {"an offset that overflows",
       [](GgufBytes& f) {
         f.Head(1, 0).Tensor("t", {4}, 0, kHuge - 31).Data(64);
       },
       "begins past the end"},
      {"no data at all",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {4}, 0, 0); },
       "begins past the end"},
      {"too little data",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {17}, 0, 0).Data(64); },
       "runs past its end: there are 64 bytes"},
      {"data that another tensor has",
       [](GgufBytes& f) {
         f.Head(2, 0).Tensor("t", {9}, 0, 0).Tensor("u", {8}, 0, 32).Data(64);
       },
       "'t': runs past its end: there are 32 bytes"},
      {"one place for two",
       [](GgufBytes& f) {
         f.Head(2, 0).Tensor("t", {4}, 0, 0).Tensor("u", {4}, 0, 0).Data(64);
       },
       "begins where another does"},
      {"one name for two",
       [](GgufBytes& f) {
         f.Head(2, 0).Tensor("t", {4}, 0, 0).Tensor("t", {4}, 0, 32).Data(64);
       },
       "tensor 't' is there twice"},
      {"a type that is not known",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {32}, 99, 0).Data(64); },
       "is of type number 99, which is not known"},
      {"codes of vectors",
       [](GgufBytes& f) { f.Head(1, 0).Tensor("t", {256}, 16, 0).Data(256); },
       "is of type IQ2_XXS, whose codes stand for vectors"},
      {"rows that cut a block",
       [](GgufBytes& f) {
         f.Head(1, 0).Tensor("t", {48, 2}, 2, 0).Data(64);
       },
       "has rows of 48, no multiple of the block's 32"},
      {"a part of several files",
       [](GgufBytes& f) { f.Head(0, 1).Value("split.count", 2u); },
       "says that it is one of several files"},
  };
  for (const BadFile& c : cases) {
    GgufBytes file;
    c.write(file);
    EXPECT_THAT(Refusal(file), HasSubstr(c.expected)) << c.name;
  }
}

// What is just allowed, and what just is not.
TEST_F(GgufTest, LimitsOfFiles) {
  const auto tensor = [&](const std::string& name, size_t dimensions) {
    GgufBytes f;
    std::vector<uint64_t> shape(dimensions, 1);
    f.Head(1, 0, 2).Tensor(name, shape, 0, 0).Data(64);
    return Opening(f);
  };
  EXPECT_EQ(tensor("t", 8), "");
  EXPECT_THAT(tensor("t", 9), HasSubstr("has 9 dimensions"));
  EXPECT_EQ(tensor(std::string(4096, 't'), 1), "");
  EXPECT_THAT(tensor(std::string(4097, 't'), 1),
              HasSubstr("the name of a tensor is empty or too long"));
  const auto value = [&](const std::string& key, uint32_t number) {
    GgufBytes f;
    f.Head(0, 1).Value(key, number);
    return Opening(f);
  };
  EXPECT_EQ(value(std::string(4096, 'k'), 1), "");
  EXPECT_THAT(value(std::string(4097, 'k'), 1),
              HasSubstr("the name of a value is empty or too long"));
  EXPECT_EQ(value("general.alignment", 1), "");
  EXPECT_EQ(value("general.alignment", 1u << 20), "");
  EXPECT_THAT(value("general.alignment", 1u << 21),
              HasSubstr("no power of two"));
  const auto version = [&](uint32_t number) {
    GgufBytes f;
    f.Head(0, 0, number);
    return Opening(f);
  };
  EXPECT_EQ(version(2), "");
  EXPECT_THAT(version(4), HasSubstr("GGUF version 4"));
  // A file that could hold them.
  const auto counts = [&](uint64_t tensors, uint64_t values) {
    GgufBytes f;
    f.Head(tensors, values).Data(size_t{27} << 20);
    return Opening(f);
  };
  constexpr uint64_t kMost = uint64_t{1} << 20;
  EXPECT_THAT(counts(kMost, 0), HasSubstr("the name of a tensor is empty"));
  EXPECT_THAT(counts(kMost + 1, 0), HasSubstr("the number of tensors 1048577"));
  EXPECT_THAT(counts(0, kMost), HasSubstr("the name of a value is empty"));
  EXPECT_THAT(counts(0, kMost + 1), HasSubstr("the number of values 1048577"));
}

// More parts than there may be are no parts: the file is taken alone.
TEST_F(GgufTest, LimitOfParts) {
  GgufBytes bytes;
  bytes.Head(0, 0);
  WriteText(dir_ / "m-00001-of-04096.gguf", bytes.bytes());
  EXPECT_THAT(ErrorMessage([&] { OpenGguf(dir_ / "m-00001-of-04096.gguf"); }),
              HasSubstr("m-00002-of-04096.gguf"));
  WriteText(dir_ / "m-00001-of-04097.gguf", bytes.bytes());
  EXPECT_EQ(OpenGguf(dir_ / "m-00001-of-04097.gguf").size(), 1u);
}

TEST_F(GgufTest, WhatASoundFileHas) {
  GgufBytes bytes;
  bytes.Head(2, 4).Value("general.name", std::string("x")).Value("n", 7u);
  bytes.Value("general.alignment", 64u);
  bytes.Text("list").Put<uint32_t>(9).Put<uint32_t>(8).Put<uint64_t>(2);
  bytes.Text("a").Text("");
  bytes.Tensor("t", {32, 3}, 2, 64).Tensor("u", {4}, 0, 0).Data(64 + 54, 64);
  const GgufFile file(Write(bytes));
  EXPECT_EQ(file.Text("general.name"), "x");
  EXPECT_EQ(file.Integer("n"), 7);
  EXPECT_EQ(file.Integer("m"), std::nullopt);
  EXPECT_THAT(file.Texts("list"), ::testing::ElementsAre("a", ""));
  EXPECT_THAT(ErrorMessage([&] { (void)file.Text("n"); }),
              HasSubstr("value 'n' is not a text"));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_THAT(file.tensors()[0].shape, ::testing::ElementsAre(3u, 32u));
  EXPECT_EQ(file.tensors()[0].room.size(), 54u);
  EXPECT_EQ(file.tensors()[1].room.size(), 64u);
}

TEST_F(GgufTest, TwoLengthsOfBlocksGoByOneNumber) {
  for (const auto& [data, elements] : {std::pair(size_t{2 * 18}, size_t{64}),
                                       std::pair(size_t{34}, size_t{128})}) {
    GgufBytes bytes;
    bytes.Head(1, 0).Tensor("t", {128}, 42, 0).Data(data);
    const GgufFile file(Write(bytes));
    EXPECT_EQ(FindBlockType(file.tensors()[0])->elements, elements);
  }
}

TEST_F(GgufTest, AllPartsOfASplitFile) {
  const auto part = [&](int number, uint32_t named) {
    GgufBytes bytes;
    bytes.Head(1, 2).Value("split.count", 2u).Value("split.no", named);
    bytes.Tensor("t" + std::to_string(number), {4}, 0, 0).Data(64);
    const auto path =
        dir_ / ("m-0000" + std::to_string(number) + "-of-00002.gguf");
    WriteText(path, bytes.bytes());
    return path;
  };
  part(1, 0);
  const auto second = part(2, 1);
  EXPECT_EQ(OpenGguf(second).size(), 2u);
  part(1, 1);
  EXPECT_THAT(ErrorMessage([&] { (void)OpenGguf(second); }),
              HasSubstr("are not what the name says"));
  std::filesystem::remove(dir_ / "m-00001-of-00002.gguf");
  EXPECT_THAT(ErrorMessage([&] { (void)OpenGguf(second); }),
              HasSubstr("m-00001-of-00002.gguf"));
}

}  // namespace
}  // namespace lutra::packer
