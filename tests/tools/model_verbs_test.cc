#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "lutra/runtime/model.h"
#include "tests/runtime/raw_file.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

// The verbs that make, check and compare model files: synth, verify, diff.

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PackedModelTest : public ::testing::Test {
 protected:
  PackedModelTest() {
    OutputOf({"pack", float_, "-o", packed_, "--bits", "4", "--group-size",
              "16", "--quantizer", "kmeans", "--scale-type", "float16"});
  }

  // Flips bits of an index: blobs are first, and have a header, a table, row
  // sums and scales first.
  void Damage() const {
    RawFile file = RawFile::Parse(ReadBytes(packed_));
    file.data[64 + 64 + 64 + 32 + 3] ^= 0x55;
    WriteBytes(packed_, file.Bytes());
  }

  const Workshop shop_;
  const std::string float_ = shop_ / "float.safetensors";
  const std::string packed_ = shop_ / "packed.safetensors";
};

TEST_F(PackedModelTest, EmbedNamesItsBytes) {
  EXPECT_THAT(OutputOf({"embed", packed_, "-o", shop_ / "2-bit net.c"}),
              EndsWith(" bytes, _2_bit_net and _2_bit_net_size\n"));
  EXPECT_THAT(
      ReadBytes(shop_ / "2-bit net.c"),
      HasSubstr("const size_t _2_bit_net_size = " +
                std::to_string(std::filesystem::file_size(packed_)) + ";\n"));
  const std::string out = shop_ / "net.c";
  EXPECT_THAT(OutputOf({"embed", packed_, "-o", out, "--name", "n1"}),
              EndsWith(" bytes, n1 and n1_size\n"));
  const Outcome bad_name =
      RunLutra({"embed", packed_, "-o", shop_ / "x.c", "--name", "1n"});
  EXPECT_EQ(bad_name.exit_code, 2);
  EXPECT_THAT(bad_name.err, HasSubstr("--name: '1n' is no name in C"));
  const Outcome no_model = RunLutra({"embed", out, "-o", shop_ / "x.c"});
  ExpectError(no_model);
  EXPECT_THAT(no_model.err, HasSubstr(out));
  EXPECT_FALSE(std::filesystem::exists(shop_ / "x.c"));
}

TEST_F(PackedModelTest, VerifySaysOk) {
  EXPECT_THAT(OutputOf({"verify", packed_}),
              EndsWith(packed_ + ": ok: 3 tensors, 2 packed\n"));
  EXPECT_THAT(
      OutputOf({"verify", packed_, "--against", float_, "--min-sqnr", "10"}),
      AllOf(HasSubstr("100 %"), HasSubstr("ok: 3 tensors, 2 packed; "
                                          "lowest SQNR ")));
  const json report =
      json::parse(OutputOf({"verify", packed_, "--against", float_, "--json"}));
  EXPECT_EQ(report["ok"], true);
  size_t packed = 0;
  for (const json& tensor : report["tensors"]) {
    if (!tensor["packed"].get<bool>()) continue;
    ++packed;
    EXPECT_GT(tensor["sqnr_db"], 15);
  }
  EXPECT_EQ(packed, 2u);
}

TEST_F(PackedModelTest, VerifyFailsWithOneLine) {
  const Outcome limit =
      RunLutra({"verify", packed_, "--against", float_, "--min-sqnr", "90"});
  EXPECT_EQ(limit.exit_code, 1);
  EXPECT_THAT(limit.err, AllOf(StartsWith("lutra: error: " + packed_),
                               HasSubstr("below the limit (2 problems)")));
  Damage();
  const Outcome outcome = RunLutra({"verify", packed_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
  EXPECT_THAT(outcome.err, AllOf(StartsWith("lutra: error: " + packed_),
                                 HasSubstr("the checksum is wrong")));
  const Outcome none = RunLutra({"verify", shop_ / "none.safetensors"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("cannot open"));
}

TEST_F(PackedModelTest, DiffHasTheExitCodesOfDiff) {
  const Outcome same = RunLutra({"diff", float_, float_});
  EXPECT_EQ(same.exit_code, 0);
  EXPECT_EQ(same.out, "3 tensors are the same, 0 differ\n");

  const Outcome different = RunLutra({"diff", float_, packed_});
  EXPECT_EQ(different.exit_code, 1);
  EXPECT_EQ(different.err, "");
  EXPECT_THAT(different.out,
              AllOf(HasSubstr("fc1.weight"), HasSubstr("4-bit LUT [24, 16]"),
                    HasSubstr("lutra.schemes: added"),
                    EndsWith("1 tensors are the same, 2 differ\n")));
  const Outcome as_json = RunLutra({"diff", float_, packed_, "--json"});
  EXPECT_EQ(as_json.exit_code, 1);
  const json report = json::parse(as_json.out);
  EXPECT_EQ(report["same"], false);
  EXPECT_EQ(report["tensors"].size(), 2u);

  const Outcome none = RunLutra({"diff", float_, shop_ / "none.safetensors"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, StartsWith("lutra: error: "));
  EXPECT_EQ(RunLutra({"diff", float_}).exit_code, 2);
}

TEST_F(PackedModelTest, InspectShowsErrorsAndOnRequestTheGraph) {
  const std::string text = OutputOf({"inspect", packed_});
  EXPECT_THAT(
      text, AllOf(HasSubstr("3 nodes: 2 linear, 1 relu"), HasSubstr("SQNR dB"),
                  HasSubstr("4-bit kmeans, groups of 16, float16")));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("operator")));
  EXPECT_THAT(OutputOf({"inspect", packed_, "--graph"}),
              AllOf(HasSubstr("operator"), HasSubstr("fc1.bias")));
  const json report = json::parse(OutputOf({"inspect", packed_, "--json"}));
  size_t packed = 0;
  for (const json& tensor : report["tensors"]) {
    if (!tensor["packed"].get<bool>()) continue;
    ++packed;
    EXPECT_GT(tensor["sqnr_db"], 15);
    EXPECT_EQ(tensor["method"], "post-training");
    EXPECT_EQ(tensor["table"].size(), 16u);
  }
  EXPECT_EQ(packed, 2u);
  EXPECT_EQ(report["nodes"][0]["shape"], json({24}));
}

TEST(SynthVerbTest, MakesAModelThatLoads) {
  const Workshop shop;
  const std::string path = shop / "synth.safetensors";
  EXPECT_THAT(OutputOf({"synth",
                        "--like",
                        "tinyllama-1.1b",
                        "--layers",
                        "2",
                        "--dim",
                        "64",
                        "--hidden",
                        "96",
                        "--heads",
                        "4",
                        "--kv-heads",
                        "2",
                        "--head-dim",
                        "16",
                        "--vocab",
                        "100",
                        "--bits",
                        "4",
                        "--group-size",
                        "32",
                        "--rule",
                        "lm_head=bits:8",
                        "--exclude",
                        "embed",
                        "-o",
                        path}),
              // Embedding, output, two layers of attention, MLP and norms,
              // and the last norm.
              StartsWith(path + ": 74,560 parameters in "));
  static_assert(2 * 100 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64) +
                    2 * 2 * 64 + 64 ==
                74560);
  const auto model = Model::Load(path);
  EXPECT_EQ(model->packed("lm_head.weight")->format.bits, 8u);
  EXPECT_EQ(model->packed("model.layers.1.mlp.up_proj.weight")->format.bits,
            4u);
  EXPECT_EQ(model->packed("model.embed_tokens.weight"), nullptr);
  EXPECT_EQ(model->context_length(), 2048u);
  EXPECT_THAT(OutputOf({"verify", path}), HasSubstr("ok: "));
}

TEST(SynthVerbTest, MistakesAreNamed) {
  const Workshop shop;
  const std::string path = shop / "synth.safetensors";
  const Outcome name = RunLutra({"synth", "--like", "lama-2-7b", "-o", path});
  EXPECT_EQ(name.exit_code, 2);
  EXPECT_THAT(name.err, HasSubstr("did you mean 'llama-2-7b'?"));
  const Outcome heads = RunLutra(
      {"synth", "--like", "stories260k", "--kv-heads", "3", "-o", path});
  EXPECT_EQ(heads.exit_code, 1);
  EXPECT_THAT(heads.err, HasSubstr("multiple of the key/value heads"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace lutra::tools
