#include "tools/verbs/inspect_source.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include "lutra/eval/limits.h"
#include "lutra/kernels/thread_team.h"
#include "lutra/packer/import.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/verbs/imported_weights.h"

namespace lutra::tools {
namespace {

// Tokens per second that the machine's memory allows, 0 if unknown.
double TokensPerSecond(const packer::ImportReport& report, double bandwidth) {
  if (report.token_bytes == 0) return 0;
  return bandwidth / static_cast<double>(report.token_bytes);
}

double Bandwidth() {
  const std::unique_ptr<Executor> team = StartThreadTeam(0);
  return eval::ReadBandwidth(team.get());
}

}  // namespace

bool IsSource(const std::string& path) {
  std::error_code error;
  const std::filesystem::path source = path;
  return std::filesystem::is_directory(source, error) ||
         source.extension() == ".gguf" || source.extension() == ".bin";
}

void PrintSource(const std::string& path, OutputFormat format) {
  packer::ImportOptions options;
  options.source = path;
  const packer::SourceReport source = packer::InspectSource(options);
  const packer::ImportReport& report = source.report;
  const bool runs = source.refusal.empty() && report.cache_bytes > 0;
  const double bandwidth = runs ? Bandwidth() : 0;
  const double speed = TokensPerSecond(report, bandwidth);
  if (format == OutputFormat::kJson) {
    Json json;
    json["source"] = path;
    json["format"] = packer::Name(report.format);
    json["refusal"] = source.refusal;
    json["architecture"] = report.architecture;
    json["layers"] = report.layers;
    json["parameters"] = report.parameters;
    json["context"] = report.context;
    json["tokenizer"] = report.tokenizer;
    Json& floats = json["floats"] = Json::Object();
    for (const auto& [type, count] : report.float_types) floats[type] = count;
    json["tensor_bytes"] = report.tensor_bytes;
    json["token_bytes"] = report.token_bytes;
    json["cache_bytes_per_token"] = report.cache_bytes;
    json["read_bandwidth"] = bandwidth;
    json["tokens_per_second"] = speed;
    json["weights"] = WeightsJson(report);
    std::cout << json.Dump(2) << "\n";
    return;
  }
  std::cout << "source:  " << OneLine(path) << " ("
            << packer::Name(report.format) << ")\n";
  if (source.refusal.empty()) {
    std::cout << "network: " << NetworkLine(report) << "\n";
  } else {
    std::cout << "import refuses it: " << OneLine(source.refusal) << "\n";
  }
  std::cout << "quantized weights, as lutra would hold them:"
            << (report.weights.empty() ? " none" : WeightLines(report)) << "\n";
  const char* before = "floats:  ";
  for (const auto& [type, count] : report.float_types) {
    std::cout << before << count << " of " << type;
    before = ", ";
  }
  if (!report.float_types.empty()) std::cout << "\n";
  if (!runs) return;
  std::cout << "memory:  " << Bytes(report.tensor_bytes) << " of weights, "
            << Bytes(report.cache_bytes) << " of cache per token ("
            << Bytes(report.cache_bytes * report.context) << " for "
            << report.context << ")\n"
            << "speed:   a token reads " << Bytes(report.token_bytes) << ": at "
            << Fixed(bandwidth / 1e9, 1)
            << " GB/s, which this machine reads, at most " << Fixed(speed, 1)
            << " tokens per second\n";
}

}  // namespace lutra::tools
