// The recorded numerics of training.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

using ::testing::HasSubstr;

class ParqTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData("golden/parq");
    if (!folder) GTEST_SKIP() << "golden/parq absent (LUTRA_TEST_DATA)";
    folder_ = *folder;
  }

  std::filesystem::path folder_;
};

TEST_F(ParqTest, AllCasesPass) {
  const Outcome outcome = Replay({folder_.string(), "--failures"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

// What the files list is what is replayed, under the same names.
TEST_F(ParqTest, NoCaseIsLeftOut) {
  std::set<std::string> replayed;
  const auto json = ReplayAsJson(folder_);
  for (const auto& c : json["folders"][0]["cases"]) {
    EXPECT_GT(c["values"], 0) << c;
    EXPECT_TRUE(replayed.insert(c["case"].get<std::string>()).second) << c;
  }
  size_t listed = 0;
  for (const auto& path : SafetensorsIn(folder_)) {
    const GoldenFile file = GoldenFile::Open(path);
    if (!file.description().contains("cases")) continue;
    for (const auto& c : file.description()["cases"]) {
      const std::string name = c.contains("prefix") ? c["prefix"] : c["name"];
      EXPECT_EQ(replayed.count(file.name() + " " + name), 1u) << name;
      ++listed;
    }
  }
  EXPECT_GE(replayed.size(), listed);
}

// Quantizers have no tolerance to hide behind.
TEST_F(ParqTest, QuantizersAreExact) {
  const Outcome outcome =
      Replay({folder_.string(), "--filter", "quant_", "--json"});
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["passed"], true);
  for (const auto& c : json["folders"][0]["cases"]) {
    EXPECT_EQ(c["worst"], 0.0) << c;
    EXPECT_EQ(c["tolerance"], "exact") << c;
    EXPECT_EQ(c["note"], "") << c;
  }
}

struct Alteration {
  const char* file;
  const char* tensor;  // the end of its name
  const char* what;    // what the note says differs

  friend std::ostream& operator<<(std::ostream& stream, const Alteration& a) {
    return stream << a.file << " " << a.tensor;
  }
};

class AlteredParqTest : public ParqTest,
                        public ::testing::WithParamInterface<Alteration> {};

// The exponent of the first number, or the first integer.
TEST_P(AlteredParqTest, OneChangedValueFails) {
  const auto& [file, tensor, what] = GetParam();
  const TempDir temp;
  const auto copy = temp / "copy";
  CopyFiles(folder_, copy);
  const std::string path = (copy / file).string();
  ASSERT_EQ(Replay({copy.string(), "--filter", path}).exit_code, 0);
  const bool is_double = std::string(tensor).ends_with("loss");
  AlterBytes(copy / file, tensor, [&](std::span<char> bytes) {
    bytes[is_double ? 6 : 2] ^= 0x40;
    bytes[0] ^= 1;
  });
  const Outcome outcome = Replay({copy.string(), "--filter", path});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out,
              HasSubstr(std::string(what) + " differs first at element 0"));
}

INSTANTIATE_TEST_SUITE_P(
    Files, AlteredParqTest,
    ::testing::Values(
        Alteration{"quant_unif.safetensors", "/q", "q of input 0"},
        Alteration{"quant_unif.safetensors", "/Q", "Q of input 0"},
        Alteration{"prox.safetensors", "/out", "out"},
        Alteration{"prox.safetensors", "schedule/inv_slope", "inv_slope"},
        Alteration{"trajectories.safetensors", "/param/w1", "w1 after step 0"},
        Alteration{"trajectories.safetensors", "/group/lr", "lr after step 0"},
        Alteration{"mlp.safetensors", "/loss", "early loss"},
        Alteration{"convert.safetensors", "act/asym/q", "q"},
        Alteration{"convert.safetensors", "/qdata", "qdata"},
        Alteration{"convert.safetensors", "/y_module", "y_module"},
        Alteration{"convert.safetensors", "/param_after_step",
                   "param_after_step"},
        Alteration{"fakequant.safetensors", "/out", "out"},
        Alteration{"fakequant.safetensors", "linear/w_only/y", "y"},
        Alteration{"fakequant.safetensors", "sym/grad_scale", "grad_scale"}));

// One whose keys say nothing.
TEST_F(ParqTest, AnUnknownCaseFails) {
  const TempDir temp;
  const std::string name = "prox.safetensors";
  std::filesystem::copy_file(folder_ / name, temp / name);
  std::filesystem::permissions(temp / name, std::filesystem::perms::owner_all);
  RawFile file = RawFile::Parse(ReadBytes(temp / name));
  file.header.replace(file.header.find(R"(\"q_given\")"), 11, R"(\"q_givem\")");
  WriteBytes(temp / name, file.Bytes());
  const Outcome outcome = ReplayFolder(temp.path());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("no replay is known for such a case"));
}

TEST_F(ParqTest, QuantizersWithoutInputsFail) {
  const TempDir temp;
  const std::string name = "quant_ternunif.safetensors";
  std::filesystem::copy_file(folder_ / name, temp / name);
  const auto json = ReplayAsJson(temp.path());
  EXPECT_EQ(json["total"]["passed"], 0);
  for (const auto& c : json["folders"][0]["cases"]) {
    EXPECT_THAT(c["note"].get<std::string>(), HasSubstr("inputs.safetensors"));
  }
}

}  // namespace
}  // namespace lutra::golden
