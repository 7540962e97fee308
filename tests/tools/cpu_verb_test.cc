#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "lutra/kernels/variants.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Sets LUTRA_KERNEL for the commands of a test.
class KernelRequest {
 public:
  explicit KernelRequest(const std::string& name) {
    setenv("LUTRA_KERNEL", name.c_str(), 1);
  }
  ~KernelRequest() { unsetenv("LUTRA_KERNEL"); }
};

json Cpu() { return json::parse(OutputOf({"cpu", "--json"})); }

TEST(CpuVerbTest, ListsVariantsAndChoosesTheFirstSupported) {
  const json cpu = Cpu();
  EXPECT_GE(cpu["cores"], 1);
  EXPECT_LE(cpu["cores"], cpu["hardware_threads"]);
  EXPECT_GE(cpu["threads"], 1);
  EXPECT_LE(cpu["threads"], cpu["most_threads"]);
  EXPECT_FALSE(cpu["threads_reason"].get<std::string>().empty());
  size_t count = 0;
  const kernels::Variant* const variants = kernels::Variants(&count);
  ASSERT_EQ(cpu["variants"].size(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(cpu["variants"][i]["name"], variants[i].name);
    EXPECT_EQ(cpu["variants"][i]["supported"], variants[i].supported);
  }
  size_t chosen = 0;
  bool better = true;  // than the chosen one
  for (const json& variant : cpu["variants"]) {
    if (variant["chosen"].get<bool>()) {
      ++chosen;
      better = false;
      EXPECT_EQ(variant["name"], cpu["chosen"]);
      EXPECT_TRUE(variant["supported"].get<bool>());
    }
    if (better) {
      EXPECT_FALSE(variant["supported"].get<bool>());
    }
  }
  EXPECT_EQ(chosen, 1u);
  EXPECT_THAT(OutputOf({"cpu"}),
              AllOf(StartsWith("cpu: "), HasSubstr("kernels: "),
                    HasSubstr("\nthreads: "),
                    HasSubstr(cpu["chosen"].get<std::string>())));
}

TEST(CpuVerbTest, EnvironmentChoosesAVariant) {
  const json cpu = Cpu();
  ASSERT_FALSE(cpu["variants"].empty());
  for (const json& variant : cpu["variants"]) {
    const KernelRequest request(variant["name"]);
    if (variant["supported"].get<bool>()) {
      EXPECT_EQ(Cpu()["chosen"], variant["name"]);
    } else {
      EXPECT_EQ(RunLutra({"cpu"}).exit_code, 1);
    }
  }
}

TEST(CpuVerbTest, UnknownVariantIsAnError) {
  const std::string known = Cpu()["chosen"];
  const KernelRequest request("AVX9");
  const Outcome outcome = RunLutra({"cpu"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(StartsWith("lutra: error: LUTRA_KERNEL: "),
                                 HasSubstr("'AVX9'"), HasSubstr(known)));
}

}  // namespace
}  // namespace lutra::tools
