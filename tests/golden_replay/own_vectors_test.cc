// The vectors in tests/data, which every clone has: none of these is skipped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

namespace fs = std::filesystem;

fs::path OwnVectors() { return fs::path(LUTRA_SOURCE_DIR) / "tests/data"; }

// At least as many cases of each kind as there were: a folder that lost its
// files would pass otherwise.
TEST(OwnVectorsTest, AllPass) {
  const auto json = ReplayAsJson(OwnVectors());
  std::map<std::string, size_t> cases;
  for (const auto& folder : json["folders"]) {
    for (const auto& c : folder["cases"]) {
      EXPECT_EQ(c["passed"], true) << folder["folder"] << c;
      EXPECT_GT(c["values"], 0) << folder["folder"] << c;
      // Nothing is left out, and no other result is as good.
      EXPECT_EQ(c["note"], "") << folder["folder"] << c;
      ++cases[folder["kind"]];
    }
  }
  EXPECT_EQ(json["passed"], true);
  EXPECT_GE(cases["parq"], 126u);
  EXPECT_GE(cases["train"], 39u);
  EXPECT_GE(cases["checkpoints"], 24u);
  EXPECT_GE(cases["onnx"], 20u);
}

// Plenty of files would make clones slow.
TEST(OwnVectorsTest, AreSmall) {
  uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(OwnVectors())) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LT(bytes, 400u * 1000);
}

struct Change {
  const char* folder;
  const char* file;
  const char* tensor;  // the end of its name
  size_t byte;         // of its first element: one that counts

  friend std::ostream& operator<<(std::ostream& stream, const Change& c) {
    return stream << c.folder << "/" << c.file << " " << c.tensor;
  }
};

class ChangedVectorTest : public ::testing::TestWithParam<Change> {};

TEST_P(ChangedVectorTest, IsNoticed) {
  const auto& [folder, file, tensor, byte] = GetParam();
  const TempDir temp;
  const auto copy = temp / "copy";
  CopyFiles(OwnVectors() / folder, copy);
  ASSERT_EQ(ReplayFolder(copy).exit_code, 0);
  AlterBytes(copy / file, tensor,
             [at = byte](std::span<char> bytes) { bytes[at] ^= 0x10; });
  EXPECT_EQ(ReplayFolder(copy).exit_code, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Files, ChangedVectorTest,
    ::testing::Values(
        Change{"parq", "quantizers.safetensors", "/q", 0},
        Change{"parq", "quantizers.safetensors", "/Q", 0},
        Change{"parq", "prox.safetensors", "/out", 0},
        Change{"parq", "prox.safetensors", "schedule/inv_slope", 5},
        Change{"parq", "runs.safetensors", "/param/w1", 0},
        Change{"parq", "runs.safetensors", "stretched2_parq/latent/w1", 0},
        Change{"parq", "runs.safetensors", "/group/lr", 5},
        Change{"parq", "training.safetensors", "/loss", 5},
        Change{"parq", "convert.safetensors", "/qdata", 0},
        Change{"parq", "convert.safetensors", "/scale", 0},
        Change{"parq", "convert.safetensors", "/y_module", 2},
        Change{"parq", "convert.safetensors", "/dequant", 0},
        Change{"train", "ops.safetensors", "linear/0/y", 5},
        Change{"train", "ops.safetensors", "attention/0/dv", 5},
        Change{"train", "ops.safetensors", "cross_entropy/0/dx", 5},
        Change{"train", "optim.safetensors", "adamw/param/w1", 2},
        Change{"train", "optim.safetensors",
               "schedule/torch_cosine_T20_min0.05", 5},
        Change{"gguf", "dequantized.safetensors", "rows/Q5_1", 0},
        Change{"torchao", "dequantized.safetensors", "rows/stretched2.weight",
               0},
        Change{"torchao", "model.safetensors", "_weight_scale", 1}));

// The last number of an array, and of the last block.
TEST(ChangedVectorTest, OfOtherFilesIsNoticed) {
  for (const auto& [folder, file, from_end] :
       {std::tuple("onnx/gemm", "out0_y.npy", size_t{2}),
        std::tuple("gguf", "model.gguf", size_t{1})}) {
    const TempDir temp;
    const auto copy = temp / "copy";
    CopyFiles(OwnVectors() / folder, copy);
    ASSERT_EQ(ReplayFolder(copy).exit_code, 0);
    std::string bytes = ReadBytes(copy / file);
    bytes[bytes.size() - from_end] ^= 1;
    WriteBytes(copy / file, bytes);
    EXPECT_EQ(ReplayFolder(copy).exit_code, 1) << folder;
  }
}

// Only a folder that says so has no model around its weights.
TEST(ChangedVectorTest, AMissingRecordIsNoticed) {
  const TempDir temp;
  const auto copy = temp / "copy";
  CopyFiles(OwnVectors() / "gguf", copy);
  RawFile file = RawFile::Parse(ReadBytes(copy / "dequantized.safetensors"));
  file.Replace("weights_only", "weights_also");
  WriteBytes(copy / "dequantized.safetensors", file.Bytes());
  const Outcome outcome = ReplayFolder(copy);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, ::testing::HasSubstr("golden.safetensors"));
}

}  // namespace
}  // namespace lutra::golden
