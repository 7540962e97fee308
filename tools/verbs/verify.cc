#include "lutra/packer/verify.h"

#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "runtime/base/threads.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kVerifyExample =
    "Reads all of a model: container, graph, header and checksum of every "
    "packed\n"
    "tensor, scales, row sums, the use of its table. With --against also its\n"
    "error against the model it was packed from, and that nothing else "
    "changed.\n"
    "Ends with one line and exit code 0 if all is well, else 1.\n"
    "\n"
    "Examples:\n"
    "  lutra verify packed.safetensors\n"
    "  lutra verify packed.safetensors --against float.safetensors --min-sqnr "
    "20";

struct VerifyVerb {
  std::string model;
  std::string against;
  std::optional<double> min_sqnr_db;
  size_t threads = 0;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

std::string Problems(const packer::TensorVerdict& tensor) {
  std::string text;
  for (const std::string& problem : tensor.problems) {
    if (!text.empty()) text += "; ";
    text += problem;
  }
  return text;
}

Json Number(const std::optional<double>& value) {
  if (!value) return nullptr;
  return *value;
}

Json ToJson(const packer::VerifyReport& report, const std::string& file) {
  Json json;
  json["file"] = file;
  json["ok"] = report.problem_count == 0;
  json["problems"] = report.problems;
  json["tensors"] = Json::Array();
  for (const packer::TensorVerdict& tensor : report.tensors) {
    Json entry;
    entry["name"] = tensor.name;
    entry["packed"] = tensor.packed;
    entry["problems"] = tensor.problems;
    if (tensor.packed) entry["table_utilisation"] = tensor.table_utilisation;
    if (tensor.sqnr_db) {
      entry["lossless"] = tensor.max_error == 0;
      entry["sqnr_db"] = Number(tensor.sqnr_db);
      entry["max_error"] = Number(tensor.max_error);
    }
    json["tensors"].PushBack(std::move(entry));
  }
  return json;
}

Table ToTable(const packer::VerifyReport& report) {
  Table table({{"tensor", Table::Align::kLeft},
               {"table used"},
               {"SQNR dB"},
               {"max error"},
               {"verdict", Table::Align::kLeft}});
  for (const packer::TensorVerdict& tensor : report.tensors) {
    table.AddRow(
        {tensor.name,
         tensor.packed ? Fixed(100 * tensor.table_utilisation, 0) + " %" : "",
         tensor.sqnr_db ? Fixed(*tensor.sqnr_db, 2) : "",
         tensor.max_error ? Short(*tensor.max_error) : "",
         tensor.problems.empty() ? "ok" : Problems(tensor)});
  }
  return table;
}

std::string Verdict(const packer::VerifyReport& report) {
  size_t packed = 0;
  for (const packer::TensorVerdict& tensor : report.tensors) {
    packed += tensor.packed;
  }
  std::string text = "ok: " + std::to_string(report.tensors.size()) +
                     " tensors, " + std::to_string(packed) + " packed";
  if (const packer::TensorVerdict* worst = report.Worst()) {
    text += "; lowest SQNR " + Fixed(*worst->sqnr_db, 2) + " dB (" +
            worst->name + ")";
  }
  return text;
}

void VerifyVerb::Run() const {
  const std::shared_ptr<const Model> subject = Model::Load(model);
  std::shared_ptr<const Model> reference;
  if (!against.empty()) reference = Model::Load(against);
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  packer::VerifyOptions options;
  options.against = reference.get();
  options.min_sqnr_db = min_sqnr_db;
  options.executor = executor.get();
  const packer::VerifyReport report = packer::VerifyModel(*subject, options);
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(report, model).Dump(2) << "\n";
  } else {
    const Table table = ToTable(report);
    std::cout << Rendered(table, format);
  }
  std::cout.flush();
  const std::string count =
      " (" + std::to_string(report.problem_count) +
      (report.problem_count == 1 ? " problem)" : " problems)");
  if (!report.problems.empty()) {
    throw Error::InFile(model, report.problems.front() + count);
  }
  for (const packer::TensorVerdict& tensor : report.tensors) {
    if (tensor.problems.empty()) continue;
    throw Error::InTensor(model, tensor.name, tensor.problems.front() + count);
  }
  if (format != OutputFormat::kJson) {
    std::cout << "\n" << OneLine(model + ": " + Verdict(report)) << "\n";
  }
}

}  // namespace

void AddVerifyVerb(CommandLine& line) {
  auto verb = std::make_shared<VerifyVerb>();
  Verb verify = line.AddVerb(
      "verify", "Check all bytes of a model, and its error against another");
  verify.Footer(kVerifyExample);
  verify.Add("MODEL", verb->model, "A model file").Required();
  const Option against =
      verify
          .Add("--against", verb->against, "The model that it was packed from")
          .TypeName("FLOAT");
  verify
      .Add("--min-sqnr", verb->min_sqnr_db,
           "Smallest ratio of signal to error that is accepted")
      .TypeName("DB")
      .Needs(against);
  AddThreadsOption(verify, verb->threads);
  AddFormatOptions(verify, verb->format);
  verify.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
