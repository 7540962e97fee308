#include "bench/report/bench_reach.h"

#include <algorithm>
#include <regex>

#include "lutra/eval/timing.h"

namespace lutra::tools {
namespace {

// Rows about the counter `limit`: the share, in percent, of the read bandwidth
// or of the peak of the multiplication.
struct ShareRow {
  const char* id;
  const char* what;
  const char* pattern;  // of the names
  double bound;
};

#define LUTRA_COLD(bits)                                        \
  "gemv/int8/cold/(4096x4096|11008x4096|4096x11008)/bits:" bits \
  "/group:(32|64|128)/m:1/threads:"
#define LUTRA_WARM(bits) \
  "gemv/int8/warm/1024x1024/bits:" bits "/group:64/m:1/threads:1"
#define LUTRA_GEMM(bits, group, m) \
  "gemm/int8/warm/4096x4096/bits:" bits "/group:" group "/m:" m "/threads:1"

constexpr ShareRow kShareRows[] = {
    {"cold-4", "GEMV cold, 4 bits, 1 thread", LUTRA_COLD("4") "1", 90},
    {"cold-4-2t", "GEMV cold, 4 bits, 2 threads", LUTRA_COLD("4") "2", 90},
    {"cold-3", "GEMV cold, 3 bits, 1 thread", LUTRA_COLD("3") "1", 90},
    {"cold-3-2t", "GEMV cold, 3 bits, 2 threads", LUTRA_COLD("3") "2", 90},
    {"cold-2", "GEMV cold, 2 bits, 1 thread", LUTRA_COLD("2") "1", 90},
    {"cold-2-2t", "GEMV cold, 2 bits, 2 threads", LUTRA_COLD("2") "2", 90},
    {"cold-1", "GEMV cold, 1 bit, 1 thread", LUTRA_COLD("1") "1", 75},
    {"cold-1-2t", "GEMV cold, 1 bit, 2 threads", LUTRA_COLD("1") "2", 75},
    {"warm-1", "GEMV warm in L2, 1 bit", LUTRA_WARM("1"), 30},
    {"warm-2", "GEMV warm in L2, 2 bits", LUTRA_WARM("2"), 26},
    {"warm-3", "GEMV warm in L2, 3 bits", LUTRA_WARM("3"), 16},
    {"warm-4", "GEMV warm in L2, 4 bits", LUTRA_WARM("4"), 20},
    {"gemm-64", "GEMM M >= 64, 2 and 4 bits, group 64 or 128",
     LUTRA_GEMM("[24]", "(64|128)", "(64|128|512)"), 70},
    {"gemm-64-g32", "GEMM M >= 64, 2 and 4 bits, group 32",
     LUTRA_GEMM("[24]", "32", "(64|128|512)"), 60},
    {"gemm-64-3", "GEMM M >= 64, 3 bits, group 64 or 128",
     LUTRA_GEMM("3", "(64|128)", "(64|128|512)"), 65},
    {"gemm-16", "GEMM M = 16", LUTRA_GEMM("[24]", "(64|128)", "16"), 55},
    {"gemm-8", "GEMM M = 8", LUTRA_GEMM("[24]", "(64|128)", "8"), 45},
    {"gemm-4", "GEMM M = 4", LUTRA_GEMM("[24]", "(64|128)", "4"), 30},
    {"avx2", "AVX2 forced, GEMM M >= 64, 2 bits",
     LUTRA_GEMM("2", "(64|128)/variant:AVX2", "(64|128|512)"), 75},
};
#undef LUTRA_COLD
#undef LUTRA_WARM
#undef LUTRA_GEMM

bool Matches(const BenchResult& result, const char* pattern) {
  return std::regex_match(result.name, std::regex(pattern));
}

std::string Replaced(std::string text, const std::string& from,
                     const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

ReachRow MeasureShares(const BenchRun& run, const ShareRow& share) {
  ReachRow row{share.id, share.what, "%", true, share.bound, {}};
  for (const BenchResult& result : run.results) {
    if (Matches(result, share.pattern)) {
      row.cases.push_back({result.name, result.Counter("limit")});
    }
  }
  return row;
}

// Bytes of packed weights.
double WeightBytes(const BenchResult& result) {
  return result.Counter("GB/s") * result.Counter("us") * 1e3;
}

ReachRow MeasureThreads(const BenchRun& run) {
  ReachRow row{
      "threads", "2 threads against 1: GEMM M >= 16, warm GEMV above 1 MiB",
      "x",       true,
      1.85,      {}};
  for (const BenchResult& two : run.results) {
    const bool gemm = Matches(two, "gemm/int8/.*/m:(16|64|128|512)/threads:2");
    const bool gemv = Matches(two, "gemv/int8/warm/.*/threads:2") &&
                      WeightBytes(two) > (1 << 20);
    if (!gemm && !gemv) continue;
    const BenchResult* one =
        run.Find(Replaced(two.name, "threads:2", "threads:1"));
    if (one == nullptr) continue;
    row.cases.push_back(
        {two.name, eval::Median(two.speeds) / eval::Median(one->speeds)});
  }
  return row;
}

ReachRow MeasureFloat(const BenchRun& run) {
  ReachRow row{"float",
               "float activations, GEMM M >= 64, against the faster of "
               "XNNPACK's and Eigen's float32 GEMM",
               "%",
               true,
               80,
               {}};
  for (const BenchResult& result : run.results) {
    if (!Matches(result, "gemm/float32/warm/.*/m:(64|128|512)/threads:.")) {
      continue;
    }
    const std::string end = "/" + result.Part(3) + "/m:" + result.Field("m") +
                            "/threads:" + result.Field("threads");
    double best = 0;
    for (const char* peer : {"peer/xnnpack_float", "peer/eigen_float"}) {
      if (const BenchResult* other = run.Find(peer + end)) {
        best = std::max(best, other->Counter("GOPS"));
      }
    }
    if (best > 0) {
      row.cases.push_back({result.name, 100 * result.Counter("GOPS") / best});
    }
  }
  return row;
}

ReachRow MeasureQuantization(const BenchRun& run, ReachRow row,
                             const char* pattern) {
  for (const BenchResult& part : run.results) {
    if (!Matches(part, pattern)) continue;
    const char* whole_kind = part.Field("m") == "1" ? "gemv" : "gemm";
    const BenchResult* whole =
        run.Find(Replaced(part.name, "quantize", whole_kind));
    if (whole == nullptr) continue;
    row.cases.push_back(
        {part.name, 100 * part.Counter("us") / whole->Counter("us")});
  }
  return row;
}

ReachRow MeasureSmallest(const BenchRun& run) {
  ReachRow row{"smallest", "smallest call, 64x64, M = 1", "us", false, 1, {}};
  for (const BenchResult& result : run.results) {
    if (Matches(result, "gemv/int8/warm/64x64/.*/threads:1")) {
      row.cases.push_back({result.name, result.Counter("us")});
    }
  }
  return row;
}

}  // namespace

std::vector<ReachRow> MeasureReach(const BenchRun& run) {
  std::vector<ReachRow> rows;
  for (const ShareRow& share : kShareRows) {
    rows.push_back(MeasureShares(run, share));
  }
  rows.push_back(MeasureThreads(run));
  rows.push_back(MeasureFloat(run));
  rows.push_back(
      MeasureQuantization(run,
                          {"quantize",
                           "activation quantization, of a 4096x4096 product",
                           "%",
                           false,
                           3,
                           {}},
                          "quantize/int8/warm/4096x4096/.*"));
  rows.push_back(
      MeasureQuantization(run,
                          {"quantize-warm",
                           "activation quantization, of a warm GEMV",
                           "%",
                           false,
                           10,
                           {}},
                          "quantize/int8/warm/1024x1024/.*/m:1/threads:1"));
  rows.push_back(MeasureSmallest(run));
  return rows;
}

}  // namespace lutra::tools
