#include <cpuinfo.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lutra/kernels/variants.h"
#include "runtime/base/thread_count.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kCpuExample =
    "The environment variable LUTRA_KERNEL makes every program that uses "
    "lutra\n"
    "run another variant.\n"
    "\n"
    "Example:\n"
    "  lutra cpu\n"
    "  LUTRA_KERNEL=AVX2 lutra bench packed.safetensors";

struct Cache {
  const char* level;
  uint32_t count = 0;
  uint32_t bytes = 0;  // of one
};

// What cpuinfo found out; zeros and an empty name where it could not.
struct Machine {
  std::string name;
  std::vector<Cache> caches;
  ThreadChoice threads;
};

Machine Detect() {
  Machine machine;
  machine.threads = ChooseThreads();
  if (!cpuinfo_initialize()) return machine;
  if (const cpuinfo_package* package = cpuinfo_get_package(0)) {
    machine.name = package->name;
  }
  const auto add = [&machine](const char* level, uint32_t count,
                              const cpuinfo_cache* cache) {
    if (count == 0 || cache == nullptr) return;
    machine.caches.push_back({level, count, cache->size});
  };
  add("L1 data", cpuinfo_get_l1d_caches_count(), cpuinfo_get_l1d_cache(0));
  add("L2", cpuinfo_get_l2_caches_count(), cpuinfo_get_l2_cache(0));
  add("L3", cpuinfo_get_l3_caches_count(), cpuinfo_get_l3_cache(0));
  return machine;
}

std::vector<kernels::Variant> Variants() {
  size_t count = 0;
  const kernels::Variant* variants = kernels::Variants(&count);
  return std::vector<kernels::Variant>(variants, variants + count);
}

// Why the active variant runs.
std::string Reason() {
  const std::string best = kernels::BestVariant();
  if (kernels::ActiveVariant() == best) {
    return "the best in this build that the CPU supports";
  }
  return "LUTRA_KERNEL asks for it (the best is " + best + ")";
}

Json ToJson(const Machine& machine) {
  Json caches = Json::Array();
  for (const Cache& cache : machine.caches) {
    caches.PushBack({{"level", cache.level},
                     {"count", cache.count},
                     {"bytes", cache.bytes}});
  }
  Json variants = Json::Array();
  const std::string active = kernels::ActiveVariant();
  for (const kernels::Variant& variant : Variants()) {
    variants.PushBack({{"name", variant.name},
                       {"supported", variant.supported},
                       {"chosen", variant.name == active}});
  }
  return {{"cpu", OneLine(machine.name)},
          {"cores", machine.threads.cores},
          {"hardware_threads", machine.threads.hardware_threads},
          {"quota",
           machine.threads.quota > 0 ? Json(machine.threads.quota) : Json()},
          {"threads", machine.threads.threads},
          {"threads_reason", machine.threads.reason},
          {"most_threads", machine.threads.most},
          {"caches", caches},
          {"chosen", active},
          {"reason", Reason()},
          {"variants", variants}};
}

void Print(const Machine& machine, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(machine).Dump(2) << "\n";
    return;
  }
  std::cout << "cpu:     "
            << (machine.name.empty() ? "unknown" : OneLine(machine.name))
            << "\ncores:   " << machine.threads.cores << " ("
            << machine.threads.hardware_threads
            << " hardware threads) that this process may run on"
            << "\nthreads: " << machine.threads.threads << ", "
            << machine.threads.reason << "\n";
  std::cout << "caches:  ";
  const char* separator = "";
  for (const Cache& cache : machine.caches) {
    std::cout << separator << cache.level << " " << cache.count << " x "
              << Bytes(cache.bytes);
    separator = ", ";
  }
  if (machine.caches.empty()) std::cout << "unknown";
  const std::string active = kernels::ActiveVariant();
  std::cout << "\nkernels: " << active << ", " << Reason() << "\n\n";
  Table table({{"variant", Table::Align::kLeft},
               {"supported", Table::Align::kLeft},
               {"chosen", Table::Align::kLeft}});
  for (const kernels::Variant& variant : Variants()) {
    table.AddRow({variant.name, variant.supported ? "yes" : "no",
                  variant.name == active ? "yes" : ""});
  }
  std::cout << Rendered(table, format);
}

}  // namespace

void AddCpuVerb(CommandLine& line) {
  auto format = std::make_shared<OutputFormat>(OutputFormat::kTable);
  Verb cpu = line.AddVerb(
      "cpu",
      "Show this CPU, the kernels' variants, which one runs, and the number of "
      "threads");
  cpu.Footer(kCpuExample);
  AddFormatOptions(cpu, *format);
  cpu.OnRun([format] { Print(Detect(), *format); });
}

}  // namespace lutra::tools
