// lutra train on few bits: weights, activations, outputs and caches, from the
// options to the packed model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
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

TEST_F(TrainTextTest, PacksWithoutLossWhatItTrained) {
  const std::string out =
      OutputOf(Train({"--bits", "2", "--group-size", "16", "--exclude", "embed",
                      "--pack", Path("packed.safetensors")}));
  EXPECT_THAT(out, HasSubstr("bits per weight"));
  const auto model = Model::Load(Path("packed.safetensors"));
  const json note = json::parse(model->file().metadata().at("lutra.pack"));
  EXPECT_EQ(note["tensors"].size(), 7u);
  for (const json& tensor : note["tensors"]) {
    EXPECT_EQ(tensor["method"], "trained") << note;
    EXPECT_TRUE(tensor["sqnr_db"].is_null()) << note;
  }
  EXPECT_EQ(Tokenizer::FromModel(*model)->size(), TinyLanguage::kVocabulary);
}

// What training rounds is what the packed model multiplies, without being told.
TEST_F(TrainTextTest, ActivationsAreTrainedPackedAndRun) {
  const std::string packed = Path("packed.safetensors");
  const auto nats = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--bits",    "2",    "--group-size", "16",
                                    "--prox",    "hard", "--pack",       packed,
                                    "--exclude", "embed"};
    all.insert(all.end(), more.begin(), more.end());
    OutputOf(Train(all));
    const double trained = NatsPerToken(Path("out.safetensors"));
    EXPECT_NEAR(NatsPerToken(packed), trained, 2e-3);
    return trained;
  };
  std::set<double> seen;
  for (const std::vector<std::string>& activations :
       std::vector<std::vector<std::string>>{
           {"--activations", "float32"},
           {"--activations", "int8", "--activation-bits", "3"},
           {"--activations", "int8-symmetric-static", "--activation-bits", "4"},
           {"--activations", "int8-per-group", "--activation-bits", "4"}}) {
    SCOPED_TRACE(activations.back());
    EXPECT_TRUE(seen.insert(nats(activations)).second);
  }
  const std::string plan =
      OutputOf(Train({"--dry-run", "--preset", "int4sa-stretched2-g16",
                      "--rule", "^q$=bits:4"}));
  EXPECT_THAT(plan, AllOf(HasSubstr("rule '^q$=bits:4'"),
                          HasSubstr("int8, 4 bits, fixed range"),
                          HasSubstr("4-bit stretched, groups of 16")));
}

// What attention sees in training is what sessions keep, without being told.
TEST_F(TrainTextTest, TheCacheIsTrainedRecordedAndUsed) {
  const auto nats = [&](const std::string& out,
                        const std::vector<std::string>& cache) {
    std::vector<std::string> all = {"eval", out, "--text", text_, "--json"};
    all.insert(all.end(), cache.begin(), cache.end());
    const json model = json::parse(OutputOf(all))["models"][0];
    return std::pair(model["cache"].get<std::string>(),
                     model["nats_per_token"].get<double>());
  };
  const std::string out = Path("out.safetensors");
  OutputOf(Train({"--cache", "int8"}));
  EXPECT_EQ(nats(out, {}), nats(out, {"--cache", "int8"}));
  EXPECT_EQ(nats(out, {}).first, "int8");
  EXPECT_NE(nats(out, {}).second, nats(out, {"--cache", "float32"}).second);
  const std::string packed = Path("packed.safetensors");
  OutputOf({"pack", out, "--bits", "4", "--group-size", "16", "-o", packed});
  EXPECT_EQ(nats(packed, {}).first, "int8");
  // Other gradients give other weights.
  const std::string plain = Path("plain.safetensors");
  OutputOf(Train({"-o", plain}));
  EXPECT_EQ(nats(plain, {}).first, "float16");
  EXPECT_NE(nats(plain, {"--cache", "int8"}), nats(out, {}));
  EXPECT_THAT(RunLutra(Train({"--cache", "int4"})).err,
              HasSubstr("--cache: unknown cache type 'int4'"));
  // There is nothing to keep.
  const auto model = Model::Load(model_);
  Graph graph = model->graph();
  for (Node& node : graph.nodes) {
    if (node.op != OpType::kAttention) continue;
    node = {OpType::kRelu, {node.inputs[0]}, node.output, "", ""};
  }
  RawFile file = RawFile::Parse(ReadBytes(model_));
  json header = json::parse(file.header);
  header["__metadata__"][std::string(kGraphKey)] = GraphToJson(graph);
  file.header = header.dump();
  // The data begin where they are aligned.
  file.header.append(7 - (file.header.size() + 7) % 8, ' ');
  WriteBytes(Path("relu.safetensors"), file.Bytes());
  std::vector<std::string> call = Train({"--cache", "int8"});
  call[1] = Path("relu.safetensors");
  EXPECT_THAT(RunLutra(call).err, HasSubstr("has no attention"));
}

TEST_F(TrainTextTest, SpecificationsOfActivationsAlone) {
  const std::string spec = Path("spec.json");
  WriteBytes(spec, R"({"activations": {"dtype": "int3"}, "exclude": ["^q$"]})");
  OutputOf(Train({"--spec", spec}));
  const auto trained = Model::Load(Path("out.safetensors"));
  for (const Node& node : trained->graph().nodes) {
    if (node.op != OpType::kLinear) continue;
    EXPECT_EQ(NumberAttribute(node, "input_bits"), node.weight == "q" ? 8 : 3);
  }
  // The same by options.
  OutputOf(Train({"--activations", "int8", "--activation-bits", "3",
                  "--exclude", "^q$", "-o", Path("same.safetensors")}));
  EXPECT_EQ(NatsPerToken(Path("same.safetensors")),
            NatsPerToken(Path("out.safetensors")));
  EXPECT_THAT(RunLutra(Train({"--spec", spec, "--pack", Path("p")})).err,
              HasSubstr("no weight is left to quantize"));
  EXPECT_THAT(RunLutra(Train({"--spec", spec, "--prox", "hard"})).err,
              HasSubstr("--prox: no weight is quantized"));
}

// What leaves layers is rounded in training, in the packed file and in
// sessions.
TEST_F(TrainTextTest, OutputsAndRangesThatMove) {
  const std::string spec = Path("spec.json");
  const auto train = [&](const std::string& text,
                         const std::vector<std::string>& more) {
    WriteBytes(spec, text);
    std::vector<std::string> all = {"--spec", spec, "--prox", "hard"};
    all.insert(all.end(), more.begin(), more.end());
    OutputOf(Train(all));
    return NatsPerToken(Path("out.safetensors"));
  };
  const std::string packed = Path("packed.safetensors");
  const auto with = [](const std::string& more) {
    return R"({"weights": {"dtype": "fp4", "observer": "mx"},
               "exclude": ["embed"])" +
           more + "}";
  };
  const double plain = train(with(""), {});
  const std::string outputs = R"(, "outputs": {"dtype": "int4"})";
  const double rounded = train(with(outputs), {"--pack", packed});
  EXPECT_NE(rounded, plain);
  EXPECT_NEAR(NatsPerToken(packed + ":float32"), rounded, 1e-4);
  const auto model = Model::Load(packed);
  EXPECT_EQ(std::count_if(
                model->graph().nodes.begin(), model->graph().nodes.end(),
                [](const Node& n) { return n.op == OpType::kFakeQuantize; }),
            7);
  // Trained on, they stay what they are.
  const std::string once = ReadBytes(Path("out.safetensors"));
  std::vector<std::string> again = Train({"--spec", spec, "--dry-run"});
  again[1] = Path("out.safetensors");
  EXPECT_THAT(OutputOf(again), Not(HasSubstr("rounded")));
  EXPECT_THAT(OutputOf(Train({"--spec", spec, "--dry-run"})),
              HasSubstr("rounded, fixed range"));
  EXPECT_THAT(RunLutra({"pack", model_, "--spec", spec, "-o", packed}).err,
              HasSubstr("is to be rounded in a fixed range"));

  const auto moving = [&](const std::string& observer) {
    return with(R"(, "activations": {"dtype": "int4", "dynamic": false,
                     "observer": ")" +
                observer + "\"}");
  };
  const double fixed = train(moving("min-max"), {});
  const double moved = train(moving("mean-max"), {"--range-period", "2"});
  EXPECT_NE(moved, fixed);
  EXPECT_NE(train(moving("mean-max"), {"--range-period", "5"}), moved);
  EXPECT_THAT(RunLutra(Train({"--range-period", "5"})).err,
              HasSubstr("no range of activations follows"));
}

TEST_F(TrainTextTest, EightBitFloatsAreStored) {
  const std::string packed = Path("packed.safetensors");
  OutputOf(Train({"--bits", "8", "--quantizer", "fp8e4m3", "--exclude", "embed",
                  "--pack", packed}));
  const auto model = Model::Load(packed);
  const auto trained = Model::Load(Path("out.safetensors"));
  ASSERT_NE(model->stored("q"), nullptr);
  EXPECT_EQ(model->stored("embed"), nullptr);
  EXPECT_EQ(std::filesystem::file_size(packed) <
                std::filesystem::file_size(Path("out.safetensors")),
            true);
  for (const TensorView& tensor : trained->file().tensors()) {
    const TensorView& other = model->file().Get(tensor.name);
    EXPECT_EQ(std::equal(tensor.data.begin(), tensor.data.end(),
                         other.data.begin(), other.data.end()),
              true)
        << tensor.name;
  }
  EXPECT_EQ(NatsPerToken(packed), NatsPerToken(Path("out.safetensors")));
  EXPECT_THAT(OutputOf({"inspect", packed}), HasSubstr("F8_E4M3"));
  OutputOf({"verify", packed, "--against", Path("out.safetensors")});
}

TEST_F(TrainTextTest, RoundingAtRandomIsOfTheSeed) {
  const auto trained = [&](const std::string& prox, const std::string& end) {
    OutputOf(Train({"--bits", "3", "--exclude", "embed", "--prox", prox,
                    "--anneal-end", end, "--pack", Path("p")}));
    return ReadBytes(Path("out.safetensors"));
  };
  const std::string drawn = trained("stochastic", "0.5");
  EXPECT_TRUE(trained("stochastic", "0.5") == drawn);
  EXPECT_FALSE(trained("stochastic", "0.3") == drawn);
  EXPECT_FALSE(trained("hard", "0.5") == drawn);
}

TEST_F(TrainTextTest, GroupsArePartsOfRows) {
  const auto train = [&](const std::string& group) {
    OutputOf(Train({"--bits", "2", "--group-size", group, "--exclude", "down",
                    "--pack", Path("packed.safetensors")}));
    return ReadBytes(Path("packed.safetensors"));
  };
  EXPECT_EQ(train("1/2"), train("16"));
}

TEST_F(TrainTextTest, LearnedScales) {
  const auto train = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--bits",       "2",
                                    "--group-size", "16",
                                    "--prox",       "hard",
                                    "--exclude",    "embed",
                                    "--pack",       Path("packed.safetensors")};
    all.insert(all.end(), more.begin(), more.end());
    OutputOf(Train(all));
    return ReadBytes(Path("out.safetensors"));
  };
  const std::string usual = train({});
  const std::string learned = train({"--learn-scales"});
  EXPECT_NE(learned, usual);
  const auto model = Model::Load(Path("packed.safetensors"));
  const json note = json::parse(model->file().metadata().at("lutra.pack"));
  for (const json& tensor : note["tensors"]) {
    EXPECT_TRUE(tensor["sqnr_db"].is_null()) << note;  // without loss
  }
  EXPECT_NE(train({"--learn-scales", "--scale-lr", "0.1"}), learned);
  EXPECT_THAT(
      RunLutra(Train({"--bits", "2", "--learn-scales", "--quant-period", "3"}))
          .err,
      HasSubstr("--quant-period"));
}

}  // namespace
}  // namespace lutra::tools
