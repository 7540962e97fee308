#ifndef LUTRA_TESTS_TOOLS_TRAIN_TEXT_H_
#define LUTRA_TESTS_TOOLS_TRAIN_TEXT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"

namespace lutra::tools {

// A small language model, and a text for it to learn.
class TrainTextTest : public ::testing::Test {
 protected:
  TrainTextTest() {
    TinyLanguage{}.Build().Metadata("origin", "a test").Write(model_);
    std::string text;
    for (int i = 0; i < 60; ++i) {
      text += "the quick brown fox he said.\n<|endoftext|>\nthen he went.\n";
    }
    WriteBytes(text_, text);
  }

  // A call of 30 steps, with more options, or others in the place of its own.
  std::vector<std::string> Train(const std::vector<std::string>& more) const {
    std::vector<std::string> call = {"train", model_};
    for (const auto& [option, value] :
         std::map<std::string, std::string>{{"--data", text_},
                                            {"--steps", "30"},
                                            {"--batch", "4"},
                                            {"--lr", "0.01"},
                                            {"--length", "16"},
                                            {"-o", Path("out.safetensors")}}) {
      if (std::find(more.begin(), more.end(), option) != more.end()) continue;
      call.push_back(option);
      call.push_back(value);
    }
    call.insert(call.end(), more.begin(), more.end());
    return call;
  }
  std::string Path(const char* name) const { return (dir_ / name).string(); }

  double NatsPerToken(const std::string& model) const {
    const nlohmann::json report = nlohmann::json::parse(
        OutputOf({"eval", model, "--text", text_, "--json"}));
    return report["models"][0]["nats_per_token"];
  }
  // The lines of a log of JSON.
  std::vector<nlohmann::json> Log(const char* name) const {
    std::vector<nlohmann::json> lines;
    std::istringstream stream(ReadBytes(Path(name)));
    for (std::string line; std::getline(stream, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  TempDir dir_;
  const std::string model_ = Path("start.safetensors");
  const std::string text_ = Path("t.txt");
};

}  // namespace lutra::tools

#endif  // LUTRA_TESTS_TOOLS_TRAIN_TEXT_H_
