#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "bench/report/bench_page.h"
#include "bench/report/bench_reach.h"
#include "bench/report/bench_results.h"
#include "bench/report/roofline.h"
#include "lutra/runtime/error.h"
#include "tests/temp_dir.h"

// What tools/bench_report makes of files that Google Benchmark wrote.

namespace lutra::tools {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// An entry of one repetition.
std::string Entry(const std::string& name, const std::string& counters) {
  return R"({"name": ")" + name +
         R"(/manual_time", "run_type": "iteration", "threads": 1, )"
         R"("iterations": 9, "real_time": 2.0, "cpu_time": 3.0, )"
         R"("time_unit": "us")" +
         (counters.empty() ? "" : ", ") + counters + "}";
}

std::string File(const std::vector<std::string>& entries) {
  std::string text =
      R"({"context": {"date": "2026-11-21", "num_cpus": 2, "cpu": "Test CPU",
          "kernel variant": "AVX2", "compiler": "g++ 12",
          "command": "kernels_bench"}, "benchmarks": [)";
  for (size_t i = 0; i < entries.size(); ++i) {
    text.append(i == 0 ? "" : ",").append(entries[i]);
  }
  return text + "]}";
}

class BenchReportTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text, const char* name = "run.json") {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }
  BenchRun Read(const std::vector<std::string>& entries) {
    return ReadBenchRun(Write(File(entries)));
  }

  TempDir folder_;
};

ReachRow Row(const BenchRun& run, const std::string& id) {
  for (const ReachRow& row : MeasureReach(run)) {
    if (row.id == id) return row;
  }
  ADD_FAILURE() << "no row " << id;
  return {};
}

TEST_F(BenchReportTest, ReadsRepetitions) {
  const BenchRun run = Read(
      {Entry("gemv/bits:2/group:64/m:1/repeats:3", R"("us": 4, "GOPS": 30)"),
       Entry("gemv/bits:2/group:64/m:1/repeats:3", R"("us": 8, "GOPS": 10)"),
       Entry("gemv/bits:2/group:64/m:1/repeats:3", R"("us": 5, "GOPS": 20)"),
       R"({"name": "gemv_median", "run_type": "aggregate", "real_time": 1})",
       R"({"name": "peer", "error_occurred": true, "real_time": 1})",
       Entry("limit/read/iterations:1", R"("G/s": 24.5)"), Entry("plain", "")});
  ASSERT_EQ(run.results.size(), 3u);
  const BenchResult& gemv = run.results[0];
  EXPECT_EQ(gemv.name, "gemv/bits:2/group:64/m:1");
  EXPECT_THAT(gemv.speeds, ElementsAre(DoubleEq(250000), DoubleEq(125000),
                                       DoubleEq(200000)));
  EXPECT_EQ(gemv.Counter("GOPS"), 20);
  EXPECT_EQ(gemv.Counter("none"), 0);
  EXPECT_EQ(gemv.Field("group"), "64");
  EXPECT_EQ(gemv.Field("grou"), "");
  EXPECT_EQ(gemv.Part(1), "bits:2");
  EXPECT_EQ(gemv.Part(9), "");
  EXPECT_THAT(run.results[1].speeds, ElementsAre(24.5));
  EXPECT_THAT(run.results[2].speeds,
              ElementsAre(DoubleEq(500000)));  // real_time
  EXPECT_EQ(run.context.at("num_cpus"), "2");
}

TEST_F(BenchReportTest, RefusesOtherFiles) {
  for (const char* text : {"", "[1, 2", "{}", "[]", R"({"context": {}})",
                           R"({"context": {}, "benchmarks": []})",
                           R"({"context": {}, "benchmarks": [{"name": 1}]})"}) {
    const std::string path = Write(text);
    try {
      ReadBenchRun(path);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("run.json"));
    }
  }
  EXPECT_THROW(ReadBenchRun((folder_ / "missing").string()), Error);
  EXPECT_THROW(ReadReasons(Write("cold-2 no colon")), Error);
}

TEST_F(BenchReportTest, CompareTellsNoiseFromDifference) {
  const auto run = [this](const std::vector<std::string>& faster,
                          const std::vector<std::string>& noisy) {
    std::vector<std::string> entries;
    for (const std::string& us : faster) {
      entries.push_back(Entry("one", R"("us": )" + us));
    }
    for (const std::string& us : noisy) {
      entries.push_back(Entry("two", R"("us": )" + us));
    }
    entries.push_back(Entry("single", R"("us": 10)"));
    return Read(entries);
  };
  const BenchRun a = run({"10", "11", "12"}, {"10", "11", "12"});
  const BenchRun b = run({"5", "5.5", "6"}, {"9", "10", "11.5"});
  const std::string text = CompareBenchRuns(a, b).Text();
  EXPECT_THAT(text, ::testing::ContainsRegex("one .* 2.000  faster"));
  EXPECT_THAT(text, ::testing::ContainsRegex("two .* 1.100\n"));
  EXPECT_THAT(text, ::testing::ContainsRegex("single .* 1.000  [?]"));
  // (2 * 1.1 * 1)^(1/3)
  EXPECT_THAT(text, ::testing::ContainsRegex("geometric mean .* 1.301"));
  EXPECT_THAT(CompareBenchRuns(b, a).Text(),
              ::testing::ContainsRegex("one .* 0.500  slower"));
}

TEST_F(BenchReportTest, ReachOfShares) {
  const std::string cold = "gemv/int8/cold/4096x4096/bits:2/group:";
  const BenchRun run =
      Read({Entry(cold + "32/m:1/threads:1", R"("limit": 89.0)"),
            Entry(cold + "64/m:1/threads:1", R"("limit": 95.0)"),
            Entry(cold + "64/m:1/threads:2", R"("limit": 91.0)"),
            // Other shapes, groups and formats do not count.
            Entry("gemv/int8/cold/256x64/bits:2/group:64/m:1/threads:1",
                  R"("limit": 10.0)"),
            Entry(cold + "16/m:1/threads:1", R"("limit": 10.0)"),
            Entry(cold + "64/table:row/m:1/threads:1", R"("limit": 10.0)")});
  const ReachRow row = Row(run, "cold-2");
  ASSERT_EQ(row.cases.size(), 2u);
  EXPECT_FALSE(row.Meets(row.cases[0]));
  EXPECT_TRUE(row.Meets(row.cases[1]));
  EXPECT_EQ(Row(run, "cold-2-2t").cases.size(), 1u);
  EXPECT_TRUE(Row(run, "cold-3").cases.empty());
  const std::string page = BenchPage(run, "", {{"cold-2", "group 32 is slow"}});
  EXPECT_THAT(page, HasSubstr("missed by 1 of 2: group 32 is slow"));
  EXPECT_THAT(page, HasSubstr("92 % (89 % to 95 %, 2 cases)"));
  EXPECT_THAT(page, HasSubstr("not measured"));
}

TEST_F(BenchReportTest, ReachOfRatios) {
  const std::string gemm = "gemm/int8/warm/4096x4096/bits:2/group:64/m:64";
  const std::string small = "gemv/int8/warm/1024x1024/bits:2/group:64/m:1";
  const std::string floats = "gemm/float32/warm/2048x2048/bits:2/group:64/m:64";
  const BenchRun run = Read({
      Entry(gemm + "/threads:1", R"("us": 600, "GB/s": 9)"),
      Entry(gemm + "/threads:2", R"("us": 300, "GB/s": 18)"),
      // 0.3 MB of weights: not above 1 MiB.
      Entry(small + "/threads:1", R"("us": 10, "GB/s": 30)"),
      Entry(small + "/threads:2", R"("us": 9, "GB/s": 33)"),
      Entry(floats + "/threads:1", R"("GOPS": 90)"),
      Entry("peer/xnnpack_float/2048x2048/m:64/threads:1", R"("GOPS": 60)"),
      Entry("peer/eigen_float/2048x2048/m:64/threads:1", R"("GOPS": 100)"),
      Entry("quantize/int8/warm/4096x4096/bits:2/group:64/m:64/threads:1",
            R"("us": 24)"),
      Entry("quantize/int8/warm/1024x1024/bits:2/group:64/m:1/threads:1",
            R"("us": 0.5)"),
      Entry("gemv/int8/warm/64x64/bits:2/group:64/m:1/threads:1",
            R"("us": 1.5)"),
  });
  const auto only = [&run](const char* id) {
    const ReachRow row = Row(run, id);
    EXPECT_EQ(row.cases.size(), 1u) << id;
    return row.cases.at(0).value;
  };
  EXPECT_DOUBLE_EQ(only("threads"), 2);
  EXPECT_DOUBLE_EQ(only("float"), 90);
  EXPECT_DOUBLE_EQ(only("quantize"), 4);
  EXPECT_DOUBLE_EQ(only("quantize-warm"), 5);
  EXPECT_DOUBLE_EQ(only("smallest"), 1.5);
  const ReachRow quantize = Row(run, "quantize");
  EXPECT_FALSE(quantize.Meets(quantize.cases[0]));  // at most 3 %
}

TEST_F(BenchReportTest, PageNamesItsSource) {
  const BenchRun run = Read({Entry("gemv/int8/cold/x/m:1", R"("us": 1)")});
  const std::string page = BenchPage(run, "run.svg", {});
  for (const char* part : {"Test CPU, 2 cores", "AVX2", "g++ 12", "2026-11-21",
                           "`kernels_bench`", "(run.svg)"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST_F(BenchReportTest, Roofline) {
  std::vector<std::string> entries;
  for (const char* limit : {"read_bandwidth", "int8_dot"}) {
    entries.push_back(
        Entry(std::string("limit/") + limit + "/threads:1", R"("G/s": 400)"));
  }
  for (const char* m : {"4", "8", "16"}) {
    entries.push_back(
        Entry(std::string("gemm/int8/warm/4096x4096/bits:2/group:64/m:") + m +
                  "/threads:1",
              std::string(R"("GB/s": 4, "limit": 50, "GOPS": 2)") + m));
  }
  entries.push_back(
      Entry("gemv/int8/cold/4096x4096/bits:4/group:64/m:1/threads:1",
            R"("GB/s": 25, "GOPS": 90, "limit": 91)"));
  const std::string svg = RooflineSvg(Read(entries));
  EXPECT_THAT(svg, HasSubstr(">1 thread<"));
  EXPECT_THAT(svg, Not(HasSubstr("threads<")));  // nothing measured with 2
  for (const char* label : {">4<", ">8<", ">16<", ">91%<"}) {
    EXPECT_THAT(svg, HasSubstr(label));
  }
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  // Nothing to show, or limits of zero, still make a picture.
  EXPECT_THAT(RooflineSvg(Read({Entry("x", "")})), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace lutra::tools
