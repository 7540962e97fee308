#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lutra/qat/spec.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

// What specifications may just say, and what they just may not.

namespace lutra::qat {
namespace {

using ::testing::HasSubstr;

QuantizationSpec WithGroups(const std::string& size) {
  return QuantizationSpec::Parse(
      R"({"weights": {"dtype": "int4", "group_size": )" + size + "}}",
      "some.json");
}

TEST(SpecLimitsTest, GroupSizes) {
  EXPECT_EQ(WithGroups("1").DefaultScheme()->group_size, 1);
  EXPECT_EQ(WithGroups("1073741824").DefaultScheme()->group_size, 1 << 30);
  for (const char* size : {"-1", "0", "1073741825"}) {
    EXPECT_THAT(ErrorMessage([&] { WithGroups(size); }),
                HasSubstr("out of range"))
        << size;
  }
}

TEST(SpecLimitsTest, SizesOfFiles) {
  const TempDir dir;
  std::string text = "{}";
  text.resize(size_t{1} << 20, ' ');
  WriteBytes(dir / "spec.json", text);
  EXPECT_NO_THROW(QuantizationSpec::Load(dir / "spec.json"));
  WriteBytes(dir / "spec.json", text + " ");
  EXPECT_THAT(ErrorMessage([&] { QuantizationSpec::Load(dir / "spec.json"); }),
              HasSubstr("too large"));
}

TEST(SpecLimitsTest, Percentiles) {
  const auto parse = [](const std::string& percentile) {
    return QuantizationSpec::Parse(
        R"({"activations": {"dynamic": false, "observer": "percentile",
            "percentile": )" +
            percentile + "}}",
        "some.json");
  };
  EXPECT_EQ(parse("100").default_layer().activations->percentile, 100.0);
  EXPECT_EQ(parse("1e-3").default_layer().activations->percentile, 1e-3);
  for (const char* percentile : {"0", "100.5", "-1"}) {
    EXPECT_THAT(ErrorMessage([&] { parse(percentile); }),
                HasSubstr("above 0 and at most 100"))
        << percentile;
  }
}

}  // namespace
}  // namespace lutra::qat
