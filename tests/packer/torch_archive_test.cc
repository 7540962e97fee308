// Archives with the 64-bit extension, which those of 4 GiB and more have, and
// with what else may stand in them; and every opcode of pickles.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "packer/import/torch_file/pickle.h"
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

// Which numbers of an entry stand in its extension.
struct Extended {
  bool size = true;
  bool stored = true;
  bool at = true;
};

template <typename T>
std::string Block(uint16_t id, const T& data) {
  return Raw(id) + Raw(static_cast<uint16_t>(data.size())) + data;
}

// As Zip, with the extension, the extra blocks of another program and comments.
std::string Zip64(const Entries& entries, Extended extended = {}) {
  constexpr uint32_t kIn64 = 0xFFFFFFFF;
  const std::string other = Block(0xCAFE, "abc"s);
  const std::string comment = "comment";
  std::string bytes;
  std::string directory;
  for (const auto& [name, data] : entries) {
    const uint64_t size = data.size();
    const uint64_t at = bytes.size();
    const auto number = [&](bool is64, uint64_t value) {
      return Raw(is64 ? kIn64 : static_cast<uint32_t>(value));
    };
    const std::string common =
        Raw<uint16_t>(0) + Raw<uint16_t>(0) + Raw<uint32_t>(0) +
        Raw<uint32_t>(0) + number(extended.stored, size) +
        number(extended.size, size) + Raw(static_cast<uint16_t>(name.size()));
    const std::string extension =
        Block(1, (extended.size ? Raw(size) : "") +
                     (extended.stored ? Raw(size) : "") +
                     (extended.at ? Raw(at) : ""));
    const std::string extra = other + extension + other;
    directory += "PK\1\2" + Raw<uint16_t>(45) + Raw<uint16_t>(45) + common +
                 Raw(static_cast<uint16_t>(extra.size())) +
                 Raw(static_cast<uint16_t>(comment.size())) +
                 std::string(8, '\0') + number(extended.at, at) + name + extra +
                 comment;
    bytes += "PK\3\4" + Raw<uint16_t>(45) + common +
             Raw(static_cast<uint16_t>(other.size())) + name + other + data;
  }
  const uint64_t at = bytes.size();
  const uint64_t count = entries.size();
  bytes += directory;
  const uint64_t end = bytes.size();
  return bytes + "PK\6\6" + Raw<uint64_t>(44) + Raw<uint16_t>(45) +
         Raw<uint16_t>(45) + Raw<uint64_t>(0) + Raw(count) + Raw(count) +
         Raw<uint64_t>(directory.size()) + Raw(at) + "PK\6\7" +
         Raw<uint32_t>(0) + Raw(end) + Raw<uint32_t>(1) + "PK\5\6" +
         Raw<uint32_t>(0) + Raw<uint32_t>(kIn64) + Raw<uint64_t>(~uint64_t{0}) +
         Raw(static_cast<uint16_t>(comment.size())) + comment;
}

class TorchArchiveTest : public ::testing::Test {
 protected:
  Entries Read(const std::string& bytes) {
    WriteText(dir_ / "a.bin", bytes);
    const ZipFile file(dir_ / "a.bin");
    Entries entries;
    for (const auto& [name, data] : file.entries()) {
      entries.emplace_back(
          name,
          std::string(reinterpret_cast<const char*>(data.data()), data.size()));
    }
    return entries;
  }
  std::string Refusal(const std::string& bytes) {
    return ErrorMessage([&] { Read(bytes); });
  }

  TempDir dir_;
  const Entries entries_ = {
      {"m/a", "first"}, {"m/b", ""}, {"m/c", "third one"}};
};

TEST_F(TorchArchiveTest, NumbersOfTheExtension) {
  for (int which = 0; which < 8; ++which) {
    const Extended extended{(which & 1) != 0, (which & 2) != 0,
                            (which & 4) != 0};
    EXPECT_EQ(Read(Zip64(entries_, extended)), entries_) << which;
  }
}

TEST_F(TorchArchiveTest, DamagedExtensionsAreRefused) {
  const std::string good = Zip64(entries_);
  const auto with = [&](const std::string& part, size_t skip,
                        const std::string& put) {
    const size_t at = good.find(part) + skip;
    return good.substr(0, at) + put + good.substr(at + put.size());
  };
  const std::string end = "PK\6\6";
  const std::string locator = "PK\6\7";
  const std::string extension = Block(0xCAFE, "abc"s) + Raw<uint16_t>(1);
  const size_t inside = good.find(extension, good.find("PK\1\2"));
  ASSERT_NE(inside, std::string::npos);
  const uint64_t at_end = good.find(end);
  const auto extended = [&](uint16_t size) {
    std::string bad = good;
    bad.replace(inside + extension.size(), 2, Raw(size));
    return bad;
  };
  EXPECT_EQ(Read(extended(24)), entries_);
  // Shorter than its numbers, longer than all there is.
  for (const int size : {0, 7, 15, 23, 24 + 7 + 1, 4000}) {
    EXPECT_THAT(Refusal(extended(static_cast<uint16_t>(size))),
                HasSubstr("is damaged"))
        << size;
  }
  EXPECT_THAT(Refusal(with(end, 0, "PK\6\5")), HasSubstr("is damaged"));
  EXPECT_THAT(Refusal(with(locator, 8, Raw<uint64_t>(at_end - 1))),
              HasSubstr("is damaged"));
  for (const uint64_t at : {~uint64_t{0}, uint64_t{good.size() - 55}}) {
    EXPECT_THAT(Refusal(with(locator, 8, Raw(at))),
                HasSubstr("runs past the end"));
  }
  EXPECT_THAT(Refusal(with(end, 32, Raw(uint64_t{1} << 20))),
              HasSubstr("zip archive"));
  EXPECT_THAT(Refusal(with(end, 32, Raw((uint64_t{1} << 20) + 1))),
              HasSubstr("has too many entries"));
}

// A node as Python would print it, tuples as lists.
std::string Shown(const PickleNode& node) {
  using Kind = PickleNode::Kind;
  std::string text;
  switch (node.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return node.integer != 0 ? "True" : "False";
    case Kind::kInteger:
      return std::to_string(node.integer);
    case Kind::kFloat:
      return std::to_string(node.number);
    case Kind::kText:
      return "'" + std::string(node.text) + "'";
    case Kind::kDict:
      for (const auto& [key, value] : node.members) {
        text += Shown(*key) + ":" + Shown(*value) + " ";
      }
      return "{" + text + "}";
    default:
      for (const auto& item : node.items) text += Shown(*item) + " ";
      return "[" + text + "]";
  }
}

TEST(PickleTest, EveryOpcode) {
  const std::pair<std::string, std::string> cases[] = {
      {"N", "None"},
      {"\x88", "True"},
      {"\x89", "False"},
      {"J" + Raw<int32_t>(-70000), "-70000"},
      {"K\xff", "255"},
      {"M" + Raw<uint16_t>(65535), "65535"},
      {"\x8a\0"s, "0"},
      {"\x8a\1\x7f", "127"},
      {"\x8a\1\x80", "-128"},
      {"\x8a\2\xff\0"s, "255"},
      {"\x8a\x08" + Raw(INT64_MIN), std::to_string(INT64_MIN)},
      {"G\x3f\xf8\0\0\0\0\0\0"s, "1.500000"},
      {"G\xc0\x09\x21\xfb\x54\x44\x2d\x18", "-3.141593"},
      {Text("ab"), "'ab'"},
      {"\x8c\2ab", "'ab'"},
      {"\x95" + Raw<uint64_t>(1) + "N", "None"},
      {"]", "[]"},
      {")", "[]"},
      {"}", "{}"},
      {"NK\1\x85", "[1 ]"},
      {"NK\1K\2\x86", "[1 2 ]"},
      {"NK\1K\2K\3\x87", "[1 2 3 ]"},
      {"N(K\1K\2K\3K\4t", "[1 2 3 4 ]"},
      {"N((K\1tK\2t", "[[1 ] 2 ]"},
      {"]K\1a", "[1 ]"},
      {"]K\1a(K\2K\3e", "[1 2 3 ]"},
      {"}K\1K\2s", "{1:2 }"},
      {"}(K\1K\2K\3K\4u", "{1:2 3:4 }"},
      {"NK\1"
       "0",
       "None"},
      {"K\1q\5"
       "0h\5",
       "1"},
      {"K\1r" + Raw(70000) + "0j" + Raw(70000), "1"},
      {"K\1\x94"
       "0K\2\x94"
       "0h\1",
       "2"},
      {Global("collections", "OrderedDict") + ")R", "{}"},
      {Global("collections", "OrderedDict") + ")R}b", "{}"},
      {"K\1K\2\x86Q", "[1 2 ]"},
  };
  for (const auto& [opcodes, expected] : cases) {
    const std::string bytes = "\x80\x02" + opcodes + ".";
    const Pickle pickle(std::as_bytes(std::span(bytes)), "a.bin");
    EXPECT_EQ(Shown(pickle.root()), expected) << opcodes;
  }
}

// What is just allowed, and what just is not.
TEST(PickleTest, Limits) {
  const auto read = [](const std::string& opcodes) {
    const std::string bytes = "\x80\x02" + opcodes + ".";
    const Pickle pickle(std::as_bytes(std::span(bytes)), "a.bin");
    return Shown(pickle.root());
  };
  const auto refusal = [&](const std::string& opcodes) {
    return ErrorMessage([&] { read(opcodes); });
  };
  const auto arguments = [](int count) {
    std::string all = "(";
    for (int i = 0; i < count; ++i) all += 'N';
    return all + "t";
  };
  const std::string call = Global("torch", "Size");
  EXPECT_NE(read(call + arguments(64) + "R"), "");
  EXPECT_THAT(refusal(call + arguments(65) + "R"), HasSubstr("calls"));
  EXPECT_NE(read(arguments(64) + "Q"), "");
  EXPECT_THAT(refusal(arguments(65) + "Q"), HasSubstr("storage that is none"));
  EXPECT_NE(read(Global("torch", std::string(251, 'x'))), "");
  EXPECT_THAT(refusal(Global("torch", std::string(252, 'x'))),
              HasSubstr("too long a name"));
  // With the four other bytes, four MiB.
  constexpr size_t kRest = (size_t{4} << 20) - 3 - 5;
  EXPECT_NE(read(Text(std::string(kRest, 'x'))), "");
  EXPECT_THAT(refusal(Text(std::string(kRest + 1, 'x'))),
              HasSubstr("is too large"));
}

TEST(PickleTest, WhatDoesNotFitIsRefused) {
  const std::pair<std::string, const char*> cases[] = {
      {"NNs", "takes from an empty stack"},
      {"]NNs", "sets items of what is no dict"},
      {"}(Nu", "sets items of what is no dict"},
      {"}Na", "appends to what is no list"},
      {"}(Ne", "appends to what is no list"},
      {"]Nb", "sets a state of what is no dict"},
      {"NQ", "has a storage that is none"},
      {Global("torch", "Size") + "NR", "calls"},
      {"N(0", "takes from an empty stack"},
      {"\x85", "takes from an empty stack"},
      {"q\1", "takes from an empty stack"},
  };
  for (const auto& [opcodes, expected] : cases) {
    const std::string bytes = "\x80\x02" + opcodes + ".";
    EXPECT_THAT(ErrorMessage([&bytes] {
                  const Pickle pickle(std::as_bytes(std::span(bytes)), "a.bin");
                }),
                HasSubstr(expected))
        << opcodes;
  }
}

}  // namespace
}  // namespace lutra::packer
