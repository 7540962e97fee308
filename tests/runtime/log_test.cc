#include "lutra/runtime/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "lutra.h"
#include "runtime/base/log.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override { SetLog({}); }

  void Listen(LogLevel most) {
    SetLog(
        [this](LogLevel, const std::string& line) { lines_.push_back(line); },
        most);
  }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, LevelsUpToTheGivenOne) {
  Log(LogLevel::kWarning, "file", "to nobody");
  Listen(LogLevel::kWarning);
  Log(LogLevel::kWarning, "file", "is odd");
  Log(LogLevel::kInfo, "file", "is slow");
  EXPECT_THAT(lines_, ElementsAre("file: is odd"));
  Listen(LogLevel::kInfo);
  Log(LogLevel::kInfo, "file", "is slow");
  EXPECT_THAT(lines_, ElementsAre("file: is odd", "file: is slow"));
  SetLog({});
  Log(LogLevel::kWarning, "file", "to nobody");
  EXPECT_EQ(lines_.size(), 2u);
}

TEST_F(LogTest, LinesAreLines) {
  Listen(LogLevel::kWarning);
  Log(LogLevel::kWarning, "two\nlines", "\x1b[31m");
  EXPECT_THAT(lines_, ElementsAre("two\\x0alines: \\x1b[31m"));
}

TEST_F(LogTest, WhatAListenerThrowsIsLost) {
  SetLog([](LogLevel, const std::string&) { throw std::runtime_error("x"); });
  EXPECT_NO_THROW(Log(LogLevel::kWarning, "file", "is odd"));
}

// From C: a context beyond the model's own, and an asset that must be copied.
TEST_F(LogTest, WhatIsSaid) {
  const TempDir dir;
  const auto path = dir / "m.safetensors";
  TinyLanguage{.context = 64}.Build().Write(path);
  const auto keep = [](void* context, lutra_log_level level,
                       const char* message) {
    EXPECT_EQ(level, LUTRA_LOG_WARNING);
    static_cast<std::vector<std::string>*>(context)->emplace_back(message);
  };
  lutra_set_log(keep, &lines_, LUTRA_LOG_WARNING);
  lutra_model* model = nullptr;
  ASSERT_EQ(lutra_model_load(path.c_str(), &model), LUTRA_OK);
  lutra_session_options options;
  lutra_session_options_init(&options);
  for (const size_t context : {size_t{0}, size_t{64}, size_t{65}}) {
    EXPECT_THAT(lines_, IsEmpty());
    options.context = context;
    lutra_session* session = nullptr;
    ASSERT_EQ(lutra_session_create(model, &options, &session), LUTRA_OK);
    lutra_session_free(session);
  }
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(
                          "is made for sequences of 64 tokens, but the context "
                          "is 65")));
  lutra_model_free(model);
  lines_.clear();
  alignas(64) const char bytes[100] = {};
  EXPECT_EQ(lutra_model_load_from_memory(bytes, 99, nullptr, &model),
            LUTRA_DAMAGED);
  EXPECT_THAT(lines_, IsEmpty());
  EXPECT_EQ(lutra_model_load_from_memory(bytes + 1, 99, nullptr, &model),
            LUTRA_DAMAGED);
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("model: is copied")));
  lutra_set_log(nullptr, nullptr, LUTRA_LOG_WARNING);
}

}  // namespace
}  // namespace lutra
