// lutra train on texts; what it does with images is in other files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "lutra/qat/npy.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/npy_bytes.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tests/tools/train_text.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(TrainTextTest, LearnsTheTextAndKeepsWhatTheModelHas) {
  const std::string out =
      OutputOf(Train({"--validate", text_, "--log", Path("log.jsonl")}));
  EXPECT_THAT(out, HasSubstr("nats per token (perplexity "));
  const std::string trained = Path("out.safetensors");
  EXPECT_LT(NatsPerToken(trained), 0.7 * NatsPerToken(model_));
  const auto model = Model::Load(trained);
  EXPECT_NE(Tokenizer::FromModel(*model), nullptr);
  EXPECT_EQ(model->context_length(), TinyLanguage{}.context);
  EXPECT_EQ(model->file().metadata().at("origin"), "a test");
  // What the log says is what happened.
  const auto log = Log("log.jsonl");
  ASSERT_EQ(log.size(), 30u);
  EXPECT_EQ(log[0]["step"], 1);
  EXPECT_LT(log[29]["loss"], 0.7 * log[0]["loss"].get<double>());
  EXPECT_GT(log[3]["gradient_norm"], 0.0);
  EXPECT_GT(log[3]["learning_rate"], log[29]["learning_rate"]);
  EXPECT_TRUE(log[3]["inverse_slope"].is_null());
}

TEST_F(TrainTextTest, AdaptersBesidePackedWeights) {
  const std::string packed = Path("packed.safetensors");
  const std::string out = Path("out.safetensors");
  OutputOf({"pack", model_, "--bits", "4", "--group-size", "16", "-o", packed});
  std::vector<std::string> call = Train(
      {"--lora", "4", "--activations", "int8", "--lora-target", "^[qv]$"});
  call[1] = packed;
  OutputOf(call);
  EXPECT_LT(NatsPerToken(out), 0.9 * NatsPerToken(packed));
  EXPECT_NE(Model::Load(out)->packed("q"), nullptr);
  // They run beside the packed file, too.
  const std::string folder = Path("adapter");
  EXPECT_THAT(OutputOf({"export", out, "--format", "peft", "-o", folder}),
              HasSubstr("2 adapters of rank 4, alpha 8; 1,792 bytes"));
  const json report =
      json::parse(OutputOf({"eval", packed, "--adapter", folder, "--text",
                            text_, "--activations", "int8", "--json"}));
  EXPECT_NEAR(report["models"][0]["nats_per_token"], NatsPerToken(out), 1e-3);
  EXPECT_THAT(
      RunLutra({"export", packed, "--format", "peft", "-o", folder}).err,
      HasSubstr("has no adapters"));
  EXPECT_THAT(RunLutra({"pack", out, "--merge", "-o", packed}).err,
              HasSubstr("cannot be merged"));
  // Float weights take them in. Adapters of the file are trained on.
  OutputOf(Train({"--lora", "4", "--lora-alpha", "12"}));
  const std::string merged = Path("merged.safetensors");
  OutputOf({"pack", out, "--merge", "--bits", "8", "--quantizer", "absmax",
            "--group-size", "16", "-o", merged});
  EXPECT_NEAR(NatsPerToken(merged), NatsPerToken(out), 0.02);
  EXPECT_FALSE(std::filesystem::exists(merged + ".merged"));
  std::filesystem::copy_file(out, Path("before.safetensors"));
  call = Train({"--lora", "4"});
  call[1] = Path("before.safetensors");
  OutputOf(call);
  EXPECT_LT(NatsPerToken(out), NatsPerToken(Path("before.safetensors")));
  call.back() = "5";
  EXPECT_THAT(RunLutra(call).err, HasSubstr("adapters of rank 4"));
}

TEST_F(TrainTextTest, TokensAreKept) {
  const std::string cache = Path("tokens");
  const auto train = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--token-cache", cache};
    all.insert(all.end(), more.begin(), more.end());
    OutputOf(Train(all));
    return ReadBytes(Path("out.safetensors"));
  };
  OutputOf(Train({}));
  const std::string plain = ReadBytes(Path("out.safetensors"));
  EXPECT_TRUE(train({}) == plain);
  const std::string kept = ReadBytes(cache);
  EXPECT_TRUE(train({}) == plain);
  EXPECT_TRUE(ReadBytes(cache) == kept);
  // It is what is read: with other ids in it another model comes out.
  std::string other = kept;
  std::swap(other[other.size() - 4], other[other.size() - 8]);
  std::swap(other[other.size() - 12], other[other.size() - 40]);
  ASSERT_FALSE(other == kept);
  WriteBytes(cache, other);
  EXPECT_FALSE(train({}) == plain);
  // Of another separator, and of other texts, it is made anew.
  EXPECT_FALSE(train({"--separator", "quick"}) == plain);
  EXPECT_FALSE(ReadBytes(cache) == kept);
  EXPECT_TRUE(train({}) == plain);
  EXPECT_TRUE(ReadBytes(cache) == kept);
  WriteBytes(text_, ReadBytes(text_) + " More.");
  train({});
  EXPECT_FALSE(ReadBytes(cache) == kept);
  EXPECT_THAT(RunLutra(Train({"--token-cache", model_})).err,
              HasSubstr("holds no ids of texts"));
}

// What is learned after the first epochs does not hold for the text that
// judges.
TEST_F(TrainTextTest, KeepsTheBestEpoch) {
  const std::string other = Path("other.txt");
  std::string text;
  for (int i = 0; i < 20; ++i) text += "said he fox brown quick the.\n";
  WriteBytes(other, text);
  const std::vector<std::string> call =
      Train({"--validate", other, "--keep-best", "--batch", "16", "--steps",
             "60", "--lr", "0.05", "--checkpoint", Path("run")});
  const std::string out = OutputOf(call);
  EXPECT_THAT(out, HasSubstr(", after epoch "));
  // What is said of the file is the best that was said of an epoch.
  const auto judgements = [](const std::string& lines) {
    std::vector<double> nats;
    for (size_t at = 0; (at = lines.find(" nats per", at)) != lines.npos;
         ++at) {
      nats.push_back(std::stod(lines.substr(lines.rfind(' ', at - 1) + 1)));
    }
    return nats;
  };
  const std::vector<double> nats = judgements(out);
  ASSERT_GT(nats.size(), 3u);
  const double best = *std::min_element(nats.begin(), nats.end());
  EXPECT_EQ(nats.back(), best);
  EXPECT_LT(nats.back(), nats[nats.size() - 2]);
  // And what the file gives, judged anew.
  std::vector<std::string> again = call;
  again.push_back("--resume");
  const std::string resumed = OutputOf(again);
  EXPECT_EQ(judgements(resumed).back(), best);
  EXPECT_THAT(resumed, HasSubstr("before it was resumed"));
  EXPECT_THAT(RunLutra(Train({"--keep-best"})).err, HasSubstr("--validate"));
}

TEST_F(TrainTextTest, ResumesToTheSameBytes) {
  const std::vector<std::string> steps = {"--steps", "300",       "--batch",
                                          "8",       "--average", "0.95"};
  OutputOf(Train(steps));
  const std::string whole = ReadBytes(Path("out.safetensors"));
  const std::string run = Path("run");
  std::filesystem::create_directory(run);
  std::vector<std::string> call = steps;
  call.insert(call.end(), {"--checkpoint", run, "--checkpoint-steps", "5",
                           "--log", Path("log.jsonl")});
  const Outcome stopped =
      RunLutra(Train(call), RunSettings{.interrupt_on_file = run});
  EXPECT_EQ(stopped.exit_code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("has a checkpoint for --resume"));
  // As after a full disk.
  WriteBytes(Path("log.jsonl"), ReadBytes(Path("log.jsonl")) + R"({"step": 1)");
  std::filesystem::remove(Path("out.safetensors"));
  call.push_back("--resume");
  OutputOf(Train(call));
  EXPECT_EQ(ReadBytes(Path("out.safetensors")), whole);
  EXPECT_EQ(Log("log.jsonl").back()["step"], 300);
  const Outcome other = RunLutra(Train({"--checkpoint", run, "--resume"}));
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("checkpoint of another run: its "));
}

TEST_F(TrainTextTest, ATeacherChangesWhatIsLearned) {
  OutputOf(Train({}));
  const std::string teacher = Path("teacher.safetensors");
  std::filesystem::rename(Path("out.safetensors"), teacher);
  OutputOf(Train({"--teacher", teacher, "--distillation", "1"}));
  // It learns from the teacher alone, and so the text.
  EXPECT_LT(NatsPerToken(Path("out.safetensors")), 0.8 * NatsPerToken(model_));
  EXPECT_NE(ReadBytes(Path("out.safetensors")), ReadBytes(teacher));
}

// Without a share it is a half.
TEST_F(TrainTextTest, ATeacherAloneIsLearnedFrom) {
  OutputOf(Train({}));
  const std::string alone = ReadBytes(Path("out.safetensors"));
  OutputOf(Train({"--teacher", model_, "--distillation", "0.5"}));
  const std::string half = ReadBytes(Path("out.safetensors"));
  EXPECT_NE(half, alone);
  OutputOf(Train({"--teacher", model_}));
  EXPECT_EQ(ReadBytes(Path("out.safetensors")), half);
}

TEST_F(TrainTextTest, ATeachersOutputsAreKept) {
  OutputOf(Train({}));
  const std::string teacher = Path("teacher.safetensors");
  std::filesystem::rename(Path("out.safetensors"), teacher);
  const std::string file = Path("cache.safetensors");
  const auto train = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--teacher", teacher});
    return RunLutra(Train(more));
  };
  // With all classes it is the teacher.
  ASSERT_EQ(train({"--log", Path("live.jsonl"), "--temperature", "2"}).err, "");
  ASSERT_EQ(train({"--log", Path("kept.jsonl"), "--temperature", "2",
                   "--teacher-cache", file, "--teacher-top", "1000",
                   "--micro-batch", "3"})
                .exit_code,
            0);
  const auto live = Log("live.jsonl");
  const auto kept = Log("kept.jsonl");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(kept[i]["loss"], live[i]["loss"].get<double>(), 1e-4) << i;
    EXPECT_NEAR(kept[i]["gradient_norm"],
                live[i]["gradient_norm"].get<double>(), 1e-3)
        << i;
  }
  // A file that is there is read, and so the teacher not needed for it.
  const auto message = [&](const std::vector<std::string>& more) {
    return train(more).err;
  };
  const std::string bytes = ReadBytes(file);
  EXPECT_EQ(message({"--teacher-cache", file, "--teacher-top", "37", "--lr",
                     "0.02", "--steps", "20"}),
            "");
  EXPECT_EQ(ReadBytes(file), bytes);
  EXPECT_THAT(
      message({"--teacher-cache", file, "--teacher-top", "37", "--seed", "2"}),
      HasSubstr("cache.safetensors: outputs of a teacher of another "
                "run: its seed is 1, this run's is 2"));
  EXPECT_THAT(message({"--teacher-cache", file, "--teacher-top", "37",
                       "--steps", "31"}),
              HasSubstr("not [31, 64, 37]"));
  EXPECT_THAT(message({"--teacher-cache", file}),
              HasSubstr("not [30, 64, 32]"));
  EXPECT_THAT(message({"--teacher-cache", model_}),
              HasSubstr("has no outputs of a teacher"));
  std::string damaged = bytes;
  damaged[damaged.size() / 4] = '\x7f';  // a class
  WriteBytes(file, damaged);
  EXPECT_THAT(message({"--teacher-cache", file, "--teacher-top", "37"}),
              HasSubstr("holds something else than classes"));
  // Few classes say less, but enough to learn from.
  std::filesystem::remove(file);
  EXPECT_EQ(message({"--teacher-cache", file, "--teacher-top", "4",
                     "--distillation", "1"}),
            "");
  EXPECT_LT(NatsPerToken(Path("out.safetensors")), 0.7 * NatsPerToken(model_));
}

TEST_F(TrainTextTest, PartsOfABatchAreTheBatch) {
  OutputOf(Train({"--log", Path("all.jsonl")}));
  OutputOf(Train({"--micro-batch", "3", "--log", Path("parts.jsonl")}));
  const auto all = Log("all.jsonl");
  const auto parts = Log("parts.jsonl");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(parts[i]["loss"], all[i]["loss"].get<double>(), 1e-4) << i;
    EXPECT_NEAR(parts[i]["gradient_norm"],
                all[i]["gradient_norm"].get<double>(), 1e-3)
        << i;
  }
}

TEST_F(TrainTextTest, OptionsChangeWhatIsLearned) {
  OutputOf(Train({}));
  const std::string usual = ReadBytes(Path("out.safetensors"));
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{
           {"--clip", "0.01"},
           {"--average", "0.9"},
           {"--beta1", "0.5"},
           {"--beta2", "0.5"},
           {"--weight-decay", "0.5"},
           {"--lr-decay", "constant"},
           {"--lr-decay-share", "0.3"},
           {"--lr-floor", "0.5"},
           {"--warmup", "0.2"},
           {"--label-smoothing", "0.1"},
           {"--optimizer", "adam"},
           {"--optimizer", "sgd"},
           {"--seed", "2"},
           {"--length", "15"},
           {"--separator", "quick"},
           {"--param-rule", "norm=lr:0"},
           {"--param-rule", "down=decay:0.5"}}) {
    OutputOf(Train(more));
    EXPECT_NE(ReadBytes(Path("out.safetensors")), usual) << more[0];
  }
}

TEST_F(TrainTextTest, RulesOfParameters) {
  const std::string plan =
      OutputOf(Train({"--dry-run", "--param-rule", "^norm$=lr:0",
                      "--param-rule", "norm|down=lr:0.5,decay:0.1"}));
  EXPECT_THAT(plan, AllOf(HasSubstr("x 0.500"), HasSubstr("as usual")));
  const Outcome outcome = RunLutra(Train({"--param-rule", "nowhere=lr:2"}));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("'nowhere=lr:2' matches no parameter"));
  for (const auto& [rule, cause] : std::map<std::string, std::string>{
           {"norm", "expected REGEX=lr:X"},
           {"norm=rate:1", "'rate'"},
           {"norm=lr", "has no value"},
           {"norm=lr:-1", "not a number from 0 on"},
           {"(=lr:1", "not a regular expression"}}) {
    const Outcome refused = RunLutra(Train({"--param-rule", rule}));
    EXPECT_EQ(refused.exit_code, 2) << rule;
    EXPECT_THAT(refused.err, HasSubstr(cause)) << rule;
  }
}

TEST_F(TrainTextTest, TakesOptionsFromAFile) {
  OutputOf(Train({"--bits", "2", "--group-size", "16", "--exclude", "embed",
                  "--exclude", "down"}));
  const std::string expected = ReadBytes(Path("out.safetensors"));
  json config = {{"model", model_},
                 {"data", text_},
                 {"steps", 7},
                 {"batch", 4},
                 {"lr", 0.01},
                 {"length", 16},
                 {"bits", 2},
                 {"group-size", "16"},
                 {"resume", false},
                 {"output", Path("out.safetensors")},
                 {"exclude", {"embed", "down"}}};
  WriteBytes(Path("run.json"), config.dump());
  OutputOf({"train", Path("run.json"), "--steps", "30"});
  EXPECT_EQ(ReadBytes(Path("out.safetensors")), expected);

  const auto message = [&](const std::string& text) {
    WriteBytes(Path("run.json"), text);
    const Outcome outcome = RunLutra({"train", Path("run.json")});
    EXPECT_NE(outcome.exit_code, 0);
    return outcome.err;
  };
  config["stepps"] = 7;
  EXPECT_THAT(message(config.dump()),
              AllOf(HasSubstr("--stepps"), HasSubstr("--steps")));
  EXPECT_THAT(message("{"), HasSubstr("run.json: is not valid JSON"));
  EXPECT_THAT(message("[1]"), HasSubstr("is no JSON object with options"));
  EXPECT_THAT(message(R"({"lr": {}})"),
              HasSubstr("option 'lr': {} is neither a number nor a text"));
  EXPECT_THAT(message(R"({"lr": null})"), HasSubstr("option 'lr': null"));
}

TEST_F(TrainTextTest, SaysWhatMemoryItNeeds) {
  const auto step = [this](const std::vector<std::string>& more) {
    const std::string out = OutputOf(Train(more));
    const std::string word = ", step ";
    const size_t at = out.find(word);
    EXPECT_THAT(out, ::testing::StartsWith("memory: weights "));
    return std::stod(out.substr(at + word.size()));  // KiB
  };
  const double all = step({"--batch", "8"});
  EXPECT_LT(step({"--batch", "8", "--micro-batch", "2"}), 0.6 * all);
}

// A folder with a file of signed bytes for each sample.
TEST(TrainSamplesTest, HoldsSomeOfThemOut) {
  const TempDir dir;
  const auto path = [&](const char* name) { return (dir / name).string(); };
  std::filesystem::create_directory(dir / "data");
  std::string list;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "s" + std::to_string(i) + ".bin";
    const int label = i % 2;
    const std::string bytes = {static_cast<char>(label == 0 ? i : -i), 1, 2, 3};
    WriteBytes(path("data") + "/" + name, bytes);
    list += name + ",2," + std::to_string(label) + "\n";
  }
  WriteBytes(path("data") + "/y_labels.csv", list);
  const std::string out =
      OutputOf({"train", "--data", path("data"), "--holdout", "0.25", "--scale",
                "0.1", "--hidden", "8", "--epochs", "40", "--batch", "10", "-o",
                path("m.safetensors")});
  EXPECT_THAT(out, HasSubstr("step 3/120"));  // of 30 samples
  EXPECT_THAT(out, HasSubstr("accuracy 100.00 % on 10 test images"));
  // Whoever holds out nothing has nothing to judge.
  EXPECT_THAT(OutputOf({"train", "--data", path("data"), "--epochs", "1", "-o",
                        path("m.safetensors")}),
              HasSubstr("m.safetensors: written"));
  EXPECT_THAT(RunLutra({"train", "--data", path("data"), "--length", "5", "-o",
                        path("m.safetensors")})
                  .err,
              HasSubstr("--length: is for texts"));
  const Outcome all = RunLutra({"train", "--data", path("data"), "--holdout",
                                "1", "-o", path("m.safetensors")});
  EXPECT_EQ(all.exit_code, 1);
  EXPECT_THAT(all.err, HasSubstr("leaves nothing on one side"));
}

TEST(TrainSamplesTest, AugmentsThemAtRandom) {
  const TempDir dir;
  const auto path = [&](const char* name) { return (dir / name).string(); };
  std::filesystem::create_directory(dir / "data");
  std::string list;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "s" + std::to_string(i) + ".bin";
    const std::string bytes = {static_cast<char>(i), 1, 2, 3};
    WriteBytes(path("data") + "/" + name, bytes);
    list += name + ",2," + std::to_string(i % 2) + "\n";
  }
  WriteBytes(path("data") + "/y_labels.csv", list);
  const auto trained = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {
        "train",    "--data", path("data"), "--hidden",           "8",
        "--epochs", "2",      "-o",         path("m.safetensors")};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = RunLutra(all);
    return outcome.exit_code == 0 ? ReadBytes(path("m.safetensors"))
                                  : outcome.err;
  };
  const std::string plain = trained({});
  std::set<std::string> different = {plain};
  for (const std::vector<std::string>& options :
       std::vector<std::vector<std::string>>{
           {"--mixup", "0.5"}, {"--shift", "1"}, {"--noise", "0.1"}}) {
    const std::string first = trained(options);
    EXPECT_EQ(first.size(), plain.size()) << first;
    EXPECT_TRUE(different.insert(first).second) << options[0];
    EXPECT_TRUE(trained(options) == first) << options[0];
  }
  EXPECT_TRUE(trained({"--shift", "0,0"}) == plain);
  EXPECT_THAT(trained({"--shift", "4"}), HasSubstr("leaves nothing of 4"));
  EXPECT_THAT(trained({"--shift", "0,1"}), HasSubstr("leaves nothing of 1"));
  EXPECT_THAT(trained({"--shift", "1,1,1"}), HasSubstr("one number or two"));
}

// Who judges nothing needs no test images.
TEST(TrainSamplesTest, ArraysOfNumpyAlone) {
  const TempDir dir;
  const auto path = [&](const char* name) { return (dir / name).string(); };
  std::filesystem::create_directory(dir / "data");
  const std::vector<float> pixels = RandomFloats(40 * 6, 1);
  std::string labels;
  for (size_t i = 0; i < 40; ++i) labels += static_cast<char>(i % 2);
  qat::WriteNpy(dir / "data" / "train-images.npy", std::vector<size_t>{40, 6},
                pixels);
  WriteBytes(path("data") + "/train-labels.npy",
             NpyBytes("|u1", "(40,)", labels));
  const std::vector<std::string> train = {
      "train",    "--data", path("data"), "--hidden",           "32",
      "--epochs", "1",      "-o",         path("m.safetensors")};
  EXPECT_THAT(RunLutra(train).err, HasSubstr("test-images.npy"));
  std::vector<std::string> held_out = train;
  held_out.insert(held_out.end(), {"--holdout", "0.25"});
  EXPECT_THAT(OutputOf(held_out), HasSubstr("on 10 test images"));
  OutputOf({"calibrate", path("m.safetensors"), "--data", path("data"), "-o",
            path("m.statistics")});
  OutputOf({"pack", path("m.safetensors"), "--data", path("data"), "--bits",
            "2", "-o", path("p.safetensors")});
}

TEST_F(TrainTextTest, RefusesBeforeTheFirstStep) {
  const auto message = [&](const std::vector<std::string>& more) {
    const Outcome outcome = RunLutra(Train(more));
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_FALSE(std::filesystem::exists(Path("out.safetensors")));
    return outcome.err;
  };
  EXPECT_THAT(message({"--bits", "2", "--group-size", "8"}),
              AllOf(HasSubstr("cannot be packed as 2-bit stretched, groups of "
                              "8"),
                    Not(HasSubstr("step"))));
  EXPECT_THAT(message({"--average", "0.9", "--bits", "2"}),
              HasSubstr("lies on no grid"));
  EXPECT_THAT(message({"--pack", "x"}), HasSubstr("--pack requires --bits"));
  EXPECT_THAT(message({"--scale-type", "float16"}), HasSubstr("--bits"));
  EXPECT_THAT(message({"--init", model_}), HasSubstr("are the same"));
  EXPECT_THAT(message({"--distillation", "1"}), HasSubstr("--teacher"));
  // Nothing is ignored in silence.
  for (const auto& [option, value] :
       std::map<std::string, std::string>{{"--holdout", "0.5"},
                                          {"--scale", "2"},
                                          {"--mixup", "0.5"},
                                          {"--shift", "1"},
                                          {"--noise", "0.5"},
                                          {"--zero-point", "3"},
                                          {"--hidden", "4"},
                                          {"--prox", "hard"},
                                          {"--anneal-start", "1"},
                                          {"--anneal-end", "1"},
                                          {"--anneal-steepness", "5"},
                                          {"--quant-period", "2"},
                                          {"--scale-lr", "2"},
                                          {"--epochs", "3"}}) {
    EXPECT_THAT(message({option, value}), HasSubstr(option));
  }
  EXPECT_THAT(message({"--optimizer", "sgd", "--beta1", "0.5"}),
              HasSubstr("--beta1"));
  EXPECT_THAT(message({"--lr-decay", "constant", "--lr-floor", "0.5"}),
              HasSubstr("--lr-floor"));
  WriteBytes(Path("zero.txt"), std::string("a text\0 with zeros", 19));
  EXPECT_THAT(message({"--data", Path("zero.txt")}),
              HasSubstr("zero.txt: is no text: it has zero bytes"));
  EXPECT_THAT(message({"--length", "100000"}), HasSubstr("tokens; windows of"));
  EXPECT_THAT(message({"--validate", Path("none.txt")}), HasSubstr("none.txt"));
}

}  // namespace
}  // namespace lutra::tools
