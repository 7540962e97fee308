// The verbs calibrate, rotate and tune, and what pack does with data.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/qat/npy.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/runtime/model.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class CalibrationVerbsTest : public ::testing::Test {
 protected:
  CalibrationVerbsTest() {
    TinyLanguage{}.Build().Write(float_);
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the quick brown fox he said. ";
    WriteBytes(text_, text);
  }
  std::string operator/(std::string_view name) const {
    return (dir_ / name).string();
  }
  // Its divergence from the float model.
  double Divergence(const std::string& model) const {
    const json report = json::parse(
        OutputOf({"eval", "--text", text_, "--context", "30", "--reference",
                  float_, "--activations", "float32", "--json", model}));
    return report["models"][0]["kl_divergence"].get<double>();
  }
  std::vector<std::string> Pack(const std::string& output,
                                std::vector<std::string> more) const {
    std::vector<std::string> call = {
        "pack",          float_,   "-o",
        output,          "--bits", "2",
        "--group-size",  "16",     "--quantizer",
        "mse-stretched", "--rule", "op:embedding=bits:8",
        "--json"};
    call.insert(call.end(), more.begin(), more.end());
    return call;
  }

  TempDir dir_;
  const std::string float_ = (dir_ / "float.safetensors").string();
  const std::string text_ = (dir_ / "t.txt").string();
};

TEST_F(CalibrationVerbsTest, DataMakesPackingBetter) {
  OutputOf(Pack(*this / "plain", {}));
  const json made =
      json::parse(OutputOf({"calibrate", float_, "--data", text_, "--length",
                            "30", "-o", *this / "s", "--json"}));
  EXPECT_EQ(made["values"], 5);
  EXPECT_EQ(made["passes"], 1);
  EXPECT_EQ(made["file_bytes"], std::filesystem::file_size(*this / "s"));
  const json report = json::parse(
      OutputOf(Pack(*this / "calibrated", {"--calibration", *this / "s"})));
  EXPECT_GT(report["tensors"][1]["output_sqnr_db"].get<double>(),
            report["tensors"][1]["start_output_sqnr_db"].get<double>());
  OutputOf(Pack(*this / "layers", {"--data", text_, "--length", "30"}));
  OutputOf({"tune", *this / "layers", "--reference", float_, "--data", text_,
            "--length", "30", "--steps", "30", "--batch", "4", "--lr", "0.01",
            "-o", *this / "tuned"});
  const double plain = Divergence(*this / "plain");
  const double calibrated = Divergence(*this / "calibrated");
  const double layers = Divergence(*this / "layers");
  EXPECT_LT(calibrated, plain);
  EXPECT_LT(layers, calibrated);
  EXPECT_LT(Divergence(*this / "tuned"), layers);
}

// Cells multiply their own states, which only whole sequences show: of an LSTM
// with what it holds behind it, and of a GRU that resets before its product,
// too.
TEST_F(CalibrationVerbsTest, StepsOfSequences) {
  constexpr int64_t kUnits = 32;
  struct Cell {
    OpType op;
    int64_t gates;
    const char* attribute;
    const char* value;
  };
  for (const Cell& cell : {Cell{OpType::kLstmCell, 4, "output", "hidden"},
                           Cell{OpType::kLstmCell, 4, "output", "both"},
                           Cell{OpType::kGruCell, 3, "reset", "after"},
                           Cell{OpType::kGruCell, 3, "reset", "before"}}) {
    const int64_t rows = cell.gates * kUnits;
    const auto seed = static_cast<uint32_t>(rows);
    const auto count = static_cast<size_t>(rows * kUnits);
    // States far from alike in size.
    std::vector<float> gates =
        RandomFloats(static_cast<size_t>(rows) * 6, seed);
    for (size_t i = 0; i < gates.size(); ++i) {
      if (i / 6 % 4 != 0) gates[i] *= 0.05f;
    }
    ModelBuilder()
        .Input("x", {6})
        .Add(OpType::kLinear, {"x"}, "g", "gates")
        .Add(cell.op, {"g"}, "h", "cell")
        .Set("gates", std::string(cell.gates == 4 ? "ifgo" : "zrn"))
        .Set(cell.attribute, std::string(cell.value))
        .Output("h")
        .Floats("gates", {rows, 6}, gates)
        .Floats("cell", {rows, kUnits}, RandomFloats(count, seed + 1, 0.2f))
        .Write(*this / "m");
    const std::string data = *this / "steps.npy";
    qat::WriteNpy(data, std::vector<size_t>{3, 40, 6},
                  RandomFloats(3 * 40 * 6, seed + 2));
    OutputOf({"calibrate", *this / "m", "--data", data, "-o", *this / "s"});
    const auto pack = [&](const std::vector<std::string>& more) {
      std::vector<std::string> call = {
          "pack",   *this / "m",    "-o", *this / "p",   "--bits",       "2",
          "--json", "--group-size", "16", "--quantizer", "mse-stretched"};
      call.insert(call.end(), more.begin(), more.end());
      return json::parse(OutputOf(call));
    };
    const auto error = [&] {
      const auto run = [&](const std::string& model) {
        const std::string out = *this / "y.npy";
        OutputOf(
            {"run", model, "-i", data, "-o", out, "--activations", "float32"});
        const qat::NpyArray y = qat::ReadNpy(out);
        std::vector<float> values(y.data.size() / sizeof(float));
        std::memcpy(values.data(), y.data.data(), y.data.size());
        return values;
      };
      const std::vector<float> exact = run(*this / "m");
      const std::vector<float> near = run(*this / "p");
      double sum = 0;
      for (size_t i = 0; i < exact.size(); ++i) {
        sum += std::pow(double{exact[i]} - double{near[i]}, 2);
      }
      return sum;
    };
    qat::WriteNpy(data, std::vector<size_t>{120, 6},
                  RandomFloats(3 * 40 * 6, seed + 3));
    pack({"--exclude", "gates"});
    const double plain = error();
    const json report =
        pack({"--exclude", "gates", "--calibration", *this / "s"});
    EXPECT_LT(error(), 0.9 * plain) << cell.value;
    EXPECT_GT(report["tensors"][1]["output_sqnr_db"].get<double>(),
              report["tensors"][1]["start_output_sqnr_db"].get<double>());
  }
  // Labelled samples, each by itself, say nothing of states.
  std::filesystem::create_directory(*this / "labelled");
  WriteBytes(*this / "labelled/y_labels.csv", "a.bin,2,0\n");
  EXPECT_THAT(RunLutra({"calibrate", *this / "m", "--data", *this / "labelled",
                        "-o", *this / "s2"})
                  .err,
              HasSubstr("m: remembers earlier steps; data for it are arrays"));
}

TEST_F(CalibrationVerbsTest, SumsOfFiles) {
  const std::vector<std::string> call = {"calibrate", float_,     "--data",
                                         text_,       "--length", "30"};
  for (const char* const name : {"a", "b"}) {
    std::vector<std::string> one = call;
    one.insert(one.end(), {"-o", *this / name});
    OutputOf(one);
  }
  EXPECT_THAT(OutputOf({"calibrate", "--merge", *this / "a", *this / "b", "-o",
                        *this / "ab"}),
              HasSubstr("the sum of 2 files"));
  EXPECT_NE(ReadBytes(*this / "a"), ReadBytes(*this / "ab"));
}

TEST_F(CalibrationVerbsTest, RotatedModelIsTheSame) {
  const json report =
      json::parse(OutputOf({"rotate", float_, "-o", *this / "r", "--json"}));
  EXPECT_EQ(report["tied"], true);
  EXPECT_EQ(report["width"], 32);
  EXPECT_LT(Divergence(*this / "r"), 1e-5);
  OutputOf({"rotate", float_, "-o", *this / "r2", "--seed", "2"});
  EXPECT_NE(ReadBytes(*this / "r"), ReadBytes(*this / "r2"));
}

TEST_F(CalibrationVerbsTest, RescaledModelIsTheSame) {
  OutputOf({"calibrate", float_, "--data", text_, "--length", "30", "-o",
            *this / "s"});
  const json report = json::parse(
      OutputOf({"rescale", float_, "-o", *this / "r", "--calibration",
                *this / "s", "--statistics", *this / "rs", "--bits", "2",
                "--group-size", "16", "--json"}));
  EXPECT_GT(report["values"].size(), 1u);
  EXPECT_LT(report["values"][0]["error"].get<double>(),
            report["values"][0]["error_before"].get<double>());
  EXPECT_LT(Divergence(*this / "r"), 1e-5);
  // On the way to packing it is the same.
  OutputOf(Pack(*this / "p", {"--calibration", *this / "s", "--rescale", "awq",
                              "--alpha", "0.5"}));
  EXPECT_FALSE(std::filesystem::exists(*this / "p.rescaled"));
  std::vector<std::string> rescale =
      Pack(*this / "r5", {"--calibration", *this / "s", "--statistics",
                          *this / "s5", "--method", "awq", "--alpha", "0.5"});
  rescale[0] = "rescale";
  OutputOf(rescale);
  std::vector<std::string> pack =
      Pack(*this / "q", {"--calibration", *this / "s5"});
  pack[1] = *this / "r5";
  OutputOf(pack);
  EXPECT_EQ(ReadBytes(*this / "p"), ReadBytes(*this / "q"));
  const Outcome unknown =
      RunLutra(Pack(*this / "x", {"--calibration", *this / "s", "--rescale",
                                  "awq", "--scaling-layers", "nothing=else"}));
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("'nothing' is no norm or layer"));
  EXPECT_FALSE(std::filesystem::exists(*this / "x.rescaled"));
}

TEST_F(CalibrationVerbsTest, FixedRanges) {
  const json report = json::parse(OutputOf(
      {"calibrate", float_, "--data", text_, "--length", "30", "--ranges",
       "percentile", "--percentile", "99", "-o", *this / "r", "--json"}));
  EXPECT_EQ(report["values"].size(), 5u);
  EXPECT_LT(report["values"][0]["min"].get<double>(), 0);
  EXPECT_GT(report["values"][0]["max"].get<double>(), 0);
  // Of packed layers only.
  EXPECT_LT(Divergence(*this / "r"), 1e-6);
  OutputOf({"calibrate", float_, "--data", text_, "--ranges", "fixed",
            "--range-min", "-1", "--range-max", "2", "-o", *this / "f"});
  EXPECT_EQ(RunLutra({"calibrate", float_, "--data", text_, "--ranges", "fixed",
                      "-o", *this / "x"})
                .exit_code,
            2);
}

// Extremes of two texts add up to those of both.
TEST_F(CalibrationVerbsTest, RangesFromMergedExtremes) {
  const auto extremes = [&](const std::string& text, const std::string& out) {
    const json said = json::parse(
        OutputOf({"calibrate", float_, "--data", text, "--length", "30",
                  "--extremes", "-o", *this / out, "--json"}));
    EXPECT_EQ(said["values"], 5);
    return qat::RangeStatistics::Load(*this / out).entries();
  };
  const std::string other = *this / "other.txt";
  WriteBytes(other, ReadBytes(text_).substr(0, 200));
  const auto a = extremes(text_, "a");
  const auto b = extremes(other, "b");
  EXPECT_EQ(a.size(), 5u);
  OutputOf(
      {"calibrate", "--merge", *this / "a", *this / "b", "-o", *this / "ab"});
  const auto sum = qat::RangeStatistics::Load(*this / "ab").entries();
  const json report = json::parse(
      OutputOf({"calibrate", float_, "--ranges", "mean-max", "--extremes-of",
                *this / "ab", "-o", *this / "r", "--json"}));
  for (const json& value : report["values"]) {
    const std::string name = value["value"];
    const auto& entry = sum.at(name);
    EXPECT_EQ(entry.count, a.at(name).count + b.at(name).count);
    EXPECT_EQ(entry.sum_of_most,
              a.at(name).sum_of_most + b.at(name).sum_of_most);
    const auto mean = entry.sum_of_most / static_cast<double>(entry.count);
    EXPECT_NEAR(value["max"].get<double>(), mean, 1e-5 * mean);
    EXPECT_NE(value["max"], 0.0);
  }
  // The same as of the text itself.
  OutputOf({"calibrate", float_, "--ranges", "mean-max", "--extremes-of",
            *this / "a", "-o", *this / "ra"});
  OutputOf({"calibrate", float_, "--data", text_, "--length", "30", "--ranges",
            "mean-max", "-o", *this / "rt"});
  EXPECT_EQ(ReadBytes(*this / "ra"), ReadBytes(*this / "rt"));
  EXPECT_EQ(RunLutra({"calibrate", float_, "--ranges", "mse", "--extremes-of",
                      *this / "a", "-o", *this / "x"})
                .exit_code,
            2);
  EXPECT_EQ(RunLutra({"calibrate", float_, "--data", text_, "--ranges", "mse",
                      "--extremes", "-o", *this / "x"})
                .exit_code,
            2);
  ExpectError(RunLutra({"calibrate", float_, "--ranges", "mean-max",
                        "--extremes-of", float_, "-o", *this / "x"}));
}

TEST_F(CalibrationVerbsTest, PackMeasuresBeforeAndAfter) {
  const json report = json::parse(
      OutputOf(Pack(*this / "p", {"--eval", text_, "--eval-bytes", "300"})));
  const json& models = report["evaluation"]["models"];
  EXPECT_EQ(report["evaluation"]["bytes"], 300);
  EXPECT_EQ(models[0]["label"], "before");
  EXPECT_LT(models[0]["kl_divergence"].get<double>(), 1e-6);
  EXPECT_GT(models[1]["kl_divergence"].get<double>(), 1e-3);
  EXPECT_EQ(RunLutra(Pack(float_, {"--eval", text_})).exit_code, 2);
  ExpectError(RunLutra(Pack(*this / "n", {"--eval", *this / "no"})));
  EXPECT_FALSE(std::filesystem::exists(*this / "n"));
}

TEST_F(CalibrationVerbsTest, Images) {
  const Workshop shop;
  // There are test images only, which calibration takes none of.
  ExpectError(RunLutra({"calibrate", shop / "float.safetensors", "--data",
                        shop.data(), "-o", *this / "s"}));
  EXPECT_FALSE(std::filesystem::exists(*this / "s"));
}

TEST_F(CalibrationVerbsTest, WrongUse) {
  const auto code = [](const std::vector<std::string>& call) {
    return RunLutra(call).exit_code;
  };
  EXPECT_EQ(code({"calibrate", "-o", *this / "s"}), 2);
  EXPECT_EQ(code({"calibrate", float_, "-o", *this / "s"}), 2);
  EXPECT_EQ(code({"calibrate", float_, "--merge", float_, "-o", "s"}), 2);
  EXPECT_EQ(code(Pack(*this / "p", {"--calibration", "a", "--data", "b"})), 2);
  EXPECT_EQ(code(Pack(*this / "p", {"--rescale", "awq"})), 2);
  EXPECT_EQ(code({"tune", float_, "-o", *this / "t"}), 2);
  ExpectError(RunLutra({"calibrate", "--merge", float_, "-o", *this / "s"}));
  ExpectError(RunLutra(Pack(*this / "p", {"--calibration", float_})));
  ExpectError(RunLutra({"tune", float_, "--reference", float_, "--data", text_,
                        "--length", "30", "-o", *this / "t"}));
  // Statistics of another model.
  const Workshop shop;
  OutputOf({"calibrate", float_, "--data", text_, "--length", "30", "-o",
            *this / "s"});
  const Outcome other =
      RunLutra({"pack", shop / "float.safetensors", "-o", *this / "p",
                "--calibration", *this / "s", "--bits", "2"});
  EXPECT_EQ(other.exit_code, 0);
  EXPECT_THAT(other.err, HasSubstr("says nothing of the inputs of 2 weights"));
}

}  // namespace
}  // namespace lutra::tools
