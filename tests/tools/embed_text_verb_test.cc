// The verb embed-text.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "lutra/runtime/text_encoder.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class EmbedTextVerbTest : public ::testing::Test {
 protected:
  EmbedTextVerbTest() { TinyLanguage{.encodes = true}.Build().Write(model_); }
  TempDir dir_;
  const std::string model_ = (dir_ / "m.safetensors").string();
};

TEST_F(EmbedTextVerbTest, VectorsOfTextsAndOfLines) {
  const auto model = Model::Load(model_);
  const auto tokenizer = Tokenizer::FromModel(*model);
  TextEncoder encoder(model, {});
  const auto file = dir_ / "lines.txt";
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += "he said the words\n";
  WriteBytes(file, lines);
  const json all = json::parse(OutputOf({"embed-text", model_, "the fox", "a",
                                         "--texts", file.string(), "--json"}));
  ASSERT_EQ(all.size(), 22u);
  EXPECT_EQ(all[0]["text"], "the fox");
  EXPECT_EQ(all[0]["embedding"].get<std::vector<float>>(),
            encoder.Encode(tokenizer->Encode("the fox", true)));
  EXPECT_EQ(all[21]["embedding"].get<std::vector<float>>(),
            encoder.Encode(tokenizer->Encode("he said the words", true)));
}

TEST_F(EmbedTextVerbTest, Similarities) {
  const json rows =
      json::parse(OutputOf({"embed-text", model_, "the fox", "the fox", "a",
                            "--similarity", "--json"}));
  EXPECT_NEAR(rows[0][1].get<double>(), 1, 1e-6);
  EXPECT_LT(rows[0][2].get<double>(), 0.999);
  EXPECT_EQ(rows[2][0], rows[0][2]);
  EXPECT_THAT(OutputOf({"embed-text", model_, "the fox", "a", "--similarity"}),
              HasSubstr("the fox"));
}

TEST_F(EmbedTextVerbTest, WhatIsRefused) {
  const Outcome none = RunLutra({"embed-text", model_});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("no text is given"));
  const std::string language = (dir_ / "language.safetensors").string();
  TinyLanguage{}.Build().Write(language);
  const Outcome wrong = RunLutra({"embed-text", language, "a"});
  ExpectError(wrong);
  EXPECT_THAT(wrong.err, HasSubstr("makes no vectors of texts"));
}

}  // namespace
}  // namespace lutra::tools
