// Chat templates with recorded texts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/golden_replay/replay_command.h"
#include "tests/packer/import_data.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

TEST(ChatReplayTest, AllFoldersPass) {
  LUTRA_REQUIRE_DATA(folder, "golden/chat");
  const Outcome outcome = ReplayFolder(folder);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

// A folder of one template.
Outcome ReplayCase(const std::string& source, const Json& c) {
  const TempDir dir;
  WriteText(dir / "template.jinja", source);
  const Json cases = {{"now", "2025-07-04T09:05:07"},
                      {"special_tokens", {{"bos_token", "<s>"}}},
                      {"cases", Json::array({c})}};
  WriteText(dir / "cases.json", cases.dump());
  return ReplayFolder(dir.path());
}

TEST(ChatReplayTest, TextsAreExact) {
  const char* source = "{{ bos_token }}{{ messages[0]|tojson }}";
  Json c = {{"name", "one"},
            {"messages", Json::array({{{"role", "user"}, {"content", 2.0}}})},
            {"expected", R"(<s>{"role": "user", "content": 2.0})"}};
  EXPECT_EQ(ReplayCase(source, c).exit_code, 0);
  c["expected"] = R"(<s>{"content": 2.0, "role": "user"})";
  const Outcome outcome = ReplayCase(source, c);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL  one: "));
}

TEST(ChatReplayTest, RefusalsAreExact) {
  const char* source = "{{ raise_exception('no') }}";
  Json c = {{"name", "one"},
            {"messages", Json::array({{{"role", "user"}}})},
            {"error", {{"kind", "raise_exception"}, {"message", "no"}}}};
  EXPECT_EQ(ReplayCase(source, c).exit_code, 0);
  c["error"]["message"] = "other";
  EXPECT_EQ(ReplayCase(source, c).exit_code, 1);
  c["error"] = {{"kind", "runtime"}};
  EXPECT_EQ(ReplayCase(source, c).exit_code, 0);
  EXPECT_EQ(ReplayCase("text", c).exit_code, 1);
}

}  // namespace
}  // namespace lutra::golden
