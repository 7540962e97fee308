#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/npy_bytes.h"
#include "tests/runtime/raw_file.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

// Damaged, missing and contradictory files: one line that names the file and
// the cause, exit code 1, and nothing written.

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

struct BadInput {
  const char* name;
  // Damages something in the workshop; returns the command line.
  std::function<Words(Workshop&)> prepare;
  Words message;  // what the error must contain
};

void PrintTo(const BadInput& input, std::ostream* stream) {
  *stream << input.name;
}

using Change = std::function<void(RawFile&)>;

// bad.safetensors: a copy of `source` with its header or data changed.
std::string Changed(Workshop& shop, const Change& change,
                    const std::string& source = "float.safetensors") {
  RawFile file = RawFile::Parse(ReadBytes(shop / source));
  change(file);
  const std::string path = shop / "bad.safetensors";
  WriteBytes(path, file.Bytes());
  return path;
}

std::string WithBytes(Workshop& shop, const std::string& name,
                      const std::string& bytes) {
  WriteBytes(shop / name, bytes);
  return shop / name;
}

// bad.safetensors: the network with some values changed.
std::string WithWeights(Workshop& shop,
                        const std::function<void(Workshop&)>& change) {
  change(shop);
  shop.Network(shop.w1, shop.w2).Write(shop / "bad.safetensors");
  return shop / "bad.safetensors";
}

std::string WithMetadata(Workshop& shop, std::string_view key,
                         const std::string& value) {
  shop.Network(shop.w1, shop.w2)
      .Metadata(key, value)
      .Write(shop / "bad.safetensors");
  return shop / "bad.safetensors";
}

std::string WithGraph(Workshop& shop, const std::string& nodes) {
  return WithMetadata(
      shop, kGraphKey,
      R"({"inputs":[{"name":"x","type":"float32","shape":[16]}],"nodes":[)" +
          nodes + R"(],"outputs":["y"]})");
}

std::string Packed(Workshop& shop, const Words& options = {}) {
  const std::string path = shop / "packed.safetensors";
  Words words = {"pack", shop / "float.safetensors", "-o", path};
  words.insert(words.end(), options.begin(), options.end());
  OutputOf(words);
  return path;
}

Words Inspect(const std::string& path) { return {"inspect", path}; }

Words Pack(Workshop& shop, const std::string& path) {
  return {"pack", path, "-o", shop / "out.safetensors"};
}

Words Eval(Workshop& shop, const std::string& path) {
  return {"eval", path, "--data", shop.data()};
}

Words Run(Workshop& shop, const std::string& input,
          const std::string& model = "float.safetensors") {
  return {"run", shop / model, "-i", input, "-o", shop / "out.npy"};
}

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

std::vector<BadInput> ModelFiles() {
  return {
      {"MissingModel",
       [](Workshop& s) { return Inspect(s / "none.safetensors"); },
       {"none.safetensors", "No such file"}},
      {"EmptyModel",
       [](Workshop& s) { return Inspect(WithBytes(s, "e.safetensors", "")); },
       {"e.safetensors", "too short", "0 bytes"}},
      {"FolderAsModel",
       [](Workshop& s) { return Inspect(s.data()); },
       {"data", "is a folder"}},
      {"WrongMagic",
       [](Workshop& s) {
         return Inspect(
             WithBytes(s, "z.safetensors", "PK\x03\x04 this is an archive"));
       },
       {"z.safetensors", "not a safetensors file"}},
      {"HeaderLengthOverflows",
       [](Workshop& s) {
         std::string bytes = ReadBytes(s / "float.safetensors");
         bytes.replace(0, 8, 8, '\xff');
         return Inspect(WithBytes(s, "bad.safetensors", bytes));
       },
       {"bad.safetensors", "header"}},
      {"CutInHeader",
       [](Workshop& s) {
         return Inspect(
             WithBytes(s, "bad.safetensors",
                       ReadBytes(s / "float.safetensors").substr(0, 100)));
       },
       {"bad.safetensors", "header"}},
      {"CutInData",
       [](Workshop& s) {
         std::string bytes = ReadBytes(s / "float.safetensors");
         bytes.resize(bytes.size() - 100);
         return Eval(s, WithBytes(s, "bad.safetensors", bytes));
       },
       {"bad.safetensors", "'fc2.weight'", "past the end"}},
      {"BytesAfterTheData",
       [](Workshop& s) {
         return Eval(s, Changed(s, [](RawFile& f) { f.data += "more"; }));
       },
       {"bad.safetensors", "4 bytes at the end"}},
      {"HeaderIsNotJson",
       [](Workshop& s) {
         return Inspect(Changed(s, [](RawFile& f) { f.header[0] = '?'; }));
       },
       {"bad.safetensors", "JSON"}},
      {"ShapeOverflows",
       [](Workshop& s) {
         return Inspect(Changed(s, [](RawFile& f) {
           f.Replace("[24,16]", "[4294967296,4294967296]");
         }));
       },
       {"bad.safetensors", "'fc1.weight'", "overflows"}},
      {"NegativeShape",
       [](Workshop& s) {
         return Inspect(
             Changed(s, [](RawFile& f) { f.Replace("[24,16]", "[-24,16]"); }));
       },
       {"bad.safetensors", "'fc1.weight'", "-24"}},
      {"ShapeDoesNotFitTheData",
       [](Workshop& s) {
         return Inspect(
             Changed(s, [](RawFile& f) { f.Replace("[24,16]", "[24,17]"); }));
       },
       {"bad.safetensors", "'fc1.weight'", "1632 bytes", "1536"}},
      {"PlainSafetensorsCannotRun",
       [](Workshop& s) {
         s.Network(s.w1, s.w2)
             .NoMetadata(kGraphKey)
             .Write(s / "bad.safetensors");
         return Eval(s, s / "bad.safetensors");
       },
       {"bad.safetensors", "lutra.graph"}},
      {"NewerVersion",
       [](Workshop& s) { return Inspect(WithMetadata(s, kVersionKey, "99")); },
       {"bad.safetensors", "version '99'"}},
      {"DoublePrecisionWeights",
       [](Workshop& s) {
         return Words{"bench", Changed(s, [](RawFile& f) {
                        // Half the columns of twice the size.
                        f.Replace("\"shape\":[24,16]", "\"shape\":[24,8]");
                        const size_t at = f.header.find("\"fc1.weight\":{");
                        const size_t dtype = f.header.find("F32", at);
                        f.header.replace(dtype, 3, "F64");
                      })};
       },
       {"bad.safetensors", "'fc1.weight'", "F64"}},
  };
}

std::vector<BadInput> Graphs() {
  return {
      {"GraphIsNotJson",
       [](Workshop& s) { return Inspect(WithMetadata(s, kGraphKey, "{")); },
       {"bad.safetensors", "graph", "JSON"}},
      {"UnknownOperator",
       [](Workshop& s) {
         return Inspect(
             Changed(s, [](RawFile& f) { f.Replace("relu", "rleu"); }));
       },
       {"bad.safetensors", "'rleu'"}},
      {"Cycle",
       [](Workshop& s) {
         return Inspect(
             WithGraph(s, R"({"op":"add","inputs":["x","z"],"output":"y"},)"
                          R"({"op":"relu","inputs":["y"],"output":"z"})"));
       },
       {"bad.safetensors", "cycle"}},
      {"ValueWithoutASource",
       [](Workshop& s) {
         return Inspect(
             WithGraph(s, R"({"op":"relu","inputs":["q"],"output":"y"})"));
       },
       {"bad.safetensors", "'q'", "not defined"}},
      {"MissingTensor",
       [](Workshop& s) {
         return Inspect(
             WithGraph(s, R"({"op":"linear","inputs":["x"],"output":"y",)"
                          R"("weight":"fc9"})"));
       },
       {"bad.safetensors", "'fc9'", "missing"}},
      {"ShapesThatDoNotMeet",
       [](Workshop& s) {
         return Inspect(
             WithGraph(s, R"({"op":"linear","inputs":["x"],"output":"y",)"
                          R"("weight":"fc2.weight"})"));
       },
       {"bad.safetensors", "'fc2.weight'", "[16]", "[3, 24]"}},
      {"BiasOfAnotherLength",
       [](Workshop& s) {
         return Inspect(
             WithGraph(s, R"({"op":"linear","inputs":["x"],"output":"h",)"
                          R"("weight":"fc1.weight"},)"
                          R"({"op":"linear","inputs":["h"],"output":"y",)"
                          R"("weight":"fc2.weight","bias":"fc1.bias"})"));
       },
       {"bad.safetensors", "'fc1.bias'", "[24]", "[3]"}},
  };
}

std::vector<BadInput> Packing() {
  return {
      {"NanWeight",
       [](Workshop& s) {
         return Pack(s, WithWeights(s, [](Workshop& w) { w.w2[30] = kNan; }));
       },
       {"bad.safetensors", "'fc2.weight'", "row 1, column 6", "nan"}},
      {"InfiniteWeight",
       [](Workshop& s) {
         return Pack(s,
                     WithWeights(s, [](Workshop& w) { w.w1[0] = -kInfinity; }));
       },
       {"bad.safetensors", "'fc1.weight'", "row 0, column 0", "-inf"}},
      {"ImpossibleGroupSize",
       [](Workshop& s) {
         Words words = Pack(s, s / "float.safetensors");
         words.insert(words.end(), {"--group-size", "9"});
         return words;
       },
       {"float.safetensors", "'fc1.weight'", "groups of 9", "multiple of 16"}},
      {"TooManyBits",
       [](Workshop& s) {
         Words words = Pack(s, s / "float.safetensors");
         words.insert(words.end(), {"--bits", "6"});
         return words;
       },
       {"float.safetensors", "'fc1.weight'", "6-bit"}},
      {"UnknownScheme",
       [](Workshop& s) {
         return Pack(s, WithMetadata(s, kSchemesKey,
                                     R"({"fc1.weight":{"quantizer":"magic",)"
                                     R"("bits":2,"group_size":0}})"));
       },
       {"bad.safetensors", "'fc1.weight'", "unknown quantizer 'magic'"}},
      {"SchemesAreNotJson",
       [](Workshop& s) { return Pack(s, WithMetadata(s, kSchemesKey, "[")); },
       {"bad.safetensors", "lutra.schemes", "not valid JSON"}},
      {"WeightOffItsGrid",
       [](Workshop& s) {
         return Pack(s, WithMetadata(s, kSchemesKey,
                                     R"({"fc1.weight":{"quantizer":)"
                                     R"("stretched","bits":2,)"
                                     R"("group_size":16}})"));
       },
       {"bad.safetensors", "'fc1.weight'", "row 0", "not a multiple"}},
      {"AlreadyPacked",
       [](Workshop& s) { return Pack(s, Packed(s)); },
       {"packed.safetensors", "'fc1.weight'", "already packed"}},
      {"NoFolderForTheOutput",
       [](Workshop& s) {
         return Words{"pack", s / "float.safetensors", "-o",
                      s / "none/out.safetensors"};
       },
       {"none/out.safetensors", "cannot write"}},
      {"PackedMagic",
       [](Workshop& s) {
         Packed(s);
         return Inspect(Changed(
             s, [](RawFile& f) { f.data[0] ^= 1; }, "packed.safetensors"));
       },
       {"bad.safetensors", "fc", "not a packed matrix"}},
      {"PackedForAnotherShape",
       [](Workshop& s) {
         // The blob of one layer under the name of the other.
         Packed(s);
         const auto model = Model::Load(s / "packed.safetensors");
         const TensorView& blob = model->file().Get("fc1.weight");
         ModelBuilder builder;
         builder.Input("x", {24})
             .Add(OpType::kLinear, {"x"}, "y", "w")
             .Output("y")
             .Packed("w", {reinterpret_cast<const uint8_t*>(blob.data.data()),
                           blob.data.size()})
             .Write(s / "bad.safetensors");
         return Inspect(s / "bad.safetensors");
       },
       {"bad.safetensors", "'w'", "[24]", "[24, 16]"}},
  };
}

std::vector<BadInput> DataSets() {
  return {
      {"MissingDataSet",
       [](Workshop& s) {
         return Words{"eval", s / "float.safetensors", "--data", s / "nowhere"};
       },
       {"nowhere", "no such folder"}},
      {"TrainingWithoutData",
       [](Workshop& s) {
         return Words{"train", "--data", s / "nowhere", "-o",
                      s / "out.safetensors"};
       },
       {"nowhere", "no such folder"}},
      {"MissingLabels",
       [](Workshop& s) {
         std::filesystem::remove(s.data() + "/t10k-labels-idx1-ubyte");
         return Eval(s, s / "float.safetensors");
       },
       {"holds neither t10k-labels-idx1-ubyte nor"}},
      {"IdxMagic",
       [](Workshop& s) {
         WithBytes(s, "data/t10k-images-idx3-ubyte", "not an idx file at all");
         return Eval(s, s / "float.safetensors");
       },
       {"t10k-images-idx3-ubyte", "not an idx file"}},
      {"IdxCut",
       [](Workshop& s) {
         WithBytes(s, "data/t10k-images-idx3-ubyte",
                   IdxBytes({30, 4, 4}, s.pixels).substr(0, 300));
         return Eval(s, s / "float.safetensors");
       },
       {"t10k-images-idx3-ubyte", "480 bytes", "284"}},
      {"IdxSizeOverflows",
       [](Workshop& s) {
         WithBytes(s, "data/t10k-images-idx3-ubyte",
                   IdxBytes({0xffffffff, 0xffffffff, 0xffffffff}, s.pixels));
         return Eval(s, s / "float.safetensors");
       },
       {"t10k-images-idx3-ubyte", "too much data"}},
      {"FewerLabelsThanImages",
       [](Workshop& s) {
         s.labels.pop_back();
         WithBytes(s, "data/t10k-labels-idx1-ubyte", IdxBytes({29}, s.labels));
         return Eval(s, s / "float.safetensors");
       },
       {"30 images but 29 labels"}},
      {"MoreClassesThanScores",
       [](Workshop& s) {
         s.labels[5] = 9;
         WithBytes(s, "data/t10k-labels-idx1-ubyte", IdxBytes({30}, s.labels));
         return Eval(s, s / "float.safetensors");
       },
       {"float.safetensors", "3 scores", "10 classes"}},
      {"ImagesOfAnotherSize",
       [](Workshop& s) {
         s.pixels.resize(30 * 9);
         WithBytes(s, "data/t10k-images-idx3-ubyte",
                   IdxBytes({30, 3, 3}, s.pixels));
         return Eval(s, s / "float.safetensors");
       },
       {"float.safetensors", "16 values", "has 9"}},
      {"ModelThatTakesIds",
       [](Workshop& s) { return Eval(s, s / "ids.safetensors"); },
       {"ids.safetensors", "does not classify images"}},
      {"ScoresThatAreNotFinite",
       [](Workshop& s) {
         return Eval(s, WithWeights(s, [](Workshop& w) { w.w2[0] = kNan; }));
       },
       {"bad.safetensors", "'y'", "not finite"}},
  };
}

std::vector<BadInput> Arrays() {
  return {
      {"MissingArray",
       [](Workshop& s) { return Run(s, s / "none.npy"); },
       {"none.npy", "No such file"}},
      {"NeitherNpyNorIdx",
       [](Workshop& s) { return Run(s, WithBytes(s, "x.npy", "1 2 3 4")); },
       {"x.npy", "neither"}},
      {"NpyCut",
       [](Workshop& s) {
         return Run(
             s, WithBytes(s, "x.npy",
                          NpyBytes("<f4", "(2, 16)", std::string(127, '\0'))));
       },
       {"x.npy", "127 bytes"}},
      {"NpyShapeOverflows",
       [](Workshop& s) {
         return Run(s, WithBytes(s, "x.npy",
                                 NpyBytes("<f4", "(4294967296, 4294967296)",
                                          std::string(64, '\0'))));
       },
       {"x.npy", "overflows"}},
      {"NpyOfAnotherShape",
       [](Workshop& s) {
         return Run(
             s, WithBytes(s, "x.npy",
                          NpyBytes("<f4", "(2, 15)", std::string(120, '\0'))));
       },
       {"x.npy", "[2, 15]", "'x'", "[16]"}},
      {"NpyWithoutTokens",
       [](Workshop& s) {
         return Run(
             s, WithBytes(s, "x.npy",
                          NpyBytes("<f4", "(0, 16)", std::string(0, '\0'))));
       },
       {"x.npy", "[0, 16]", "does not fit"}},
      {"NpyOfIntegers",
       [](Workshop& s) {
         return Run(
             s, WithBytes(s, "x.npy",
                          NpyBytes("<i4", "(1, 16)", std::string(64, '\0'))));
       },
       {"x.npy", "int32", "float32"}},
      {"NpyOfDoubles",
       [](Workshop& s) {
         return Run(
             s, WithBytes(s, "x.npy",
                          NpyBytes("<f8", "(1, 16)", std::string(128, '\0'))));
       },
       {"x.npy", "'<f8' is not supported"}},
      {"FloatsForIds",
       [](Workshop& s) {
         return Run(s,
                    WithBytes(s, "x.npy",
                              NpyBytes("<f4", "(3,)", std::string(12, '\0'))),
                    "ids.safetensors");
       },
       {"x.npy", "float32", "int32"}},
      {"DamagedGzip",
       [](Workshop& s) {
         return Run(s, WithBytes(s, "x.gz", "\x1f\x8b\x08 and then nonsense"));
       },
       {"x.gz", "damaged gzip"}},
      {"NoFolderForTheScores",
       [](Workshop& s) {
         return Words{"run", s / "float.safetensors",
                      "-i",  s.data() + "/t10k-images-idx3-ubyte",
                      "-o",  s / "none/y.npy"};
       },
       {"none/y.npy", "cannot write"}},
  };
}

class BadInputTest : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, OneLineAndNoOutput) {
  Workshop shop;
  const Words arguments = GetParam().prepare(shop);
  const Words before = FilesIn(shop.dir());

  const Outcome outcome = RunLutra(arguments);

  ExpectError(outcome);
  for (const std::string& part : GetParam().message) {
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
  EXPECT_EQ(FilesIn(shop.dir()), before);
}

std::string CaseName(const ::testing::TestParamInfo<BadInput>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(ModelFiles, BadInputTest,
                         ::testing::ValuesIn(ModelFiles()), CaseName);
INSTANTIATE_TEST_SUITE_P(Graphs, BadInputTest, ::testing::ValuesIn(Graphs()),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(Packing, BadInputTest, ::testing::ValuesIn(Packing()),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(DataSets, BadInputTest,
                         ::testing::ValuesIn(DataSets()), CaseName);
INSTANTIATE_TEST_SUITE_P(Arrays, BadInputTest, ::testing::ValuesIn(Arrays()),
                         CaseName);

}  // namespace
}  // namespace lutra::tools
