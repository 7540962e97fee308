#include "runtime/base/thread_count.h"
#include "runtime/base/text_of.h"

#if defined(LUTRA_HAVE_CPUINFO)
#include <cpuinfo.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <thread>

namespace lutra {
namespace {

// The beginning of a file, which is all that the files in question have; "" if
// there is none.
std::string ReadFile(const std::string& path) {
  constexpr size_t kMost = 4096;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return "";
  std::string text(kMost, '\0');
  text.resize(std::fread(text.data(), 1, kMost, file.get()));
  return text;
}

// The number that a text begins with.
std::optional<size_t> ReadNumber(std::string_view text) {
  size_t number = 0;
  const auto result =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc()) return std::nullopt;
  return number;
}

struct Cpu {
  std::optional<size_t> core;  // the first of the CPUs that share it
  std::optional<size_t> capacity;
  std::optional<size_t> frequency;
};

Cpu ReadCpu(const std::string& root, size_t number) {
  const std::string folder =
      TextOf(root, "/sys/devices/system/cpu/cpu", number, "/");
  Cpu cpu;
  // Lists such as "0,4" and "0-1" begin with the lowest. The second name is
  // that of older kernels.
  cpu.core = ReadNumber(ReadFile(TextOf(folder, "topology/core_cpus_list")));
  if (!cpu.core) {
    cpu.core =
        ReadNumber(ReadFile(TextOf(folder, "topology/thread_siblings_list")));
  }
  cpu.capacity = ReadNumber(ReadFile(TextOf(folder, "cpu_capacity")));
  cpu.frequency =
      ReadNumber(ReadFile(TextOf(folder, "cpufreq/cpuinfo_max_freq")));
  return cpu;
}

// The cores of `cpus` whose speed, if all have one, is at least `share` of the
// fastest.
std::set<size_t> FastCores(const std::vector<Cpu>& cpus,
                           std::optional<size_t> Cpu::*speed, double share) {
  size_t fastest = 0;
  for (const Cpu& cpu : cpus) {
    if (!(cpu.*speed)) share = 0;
    fastest = std::max(fastest, (cpu.*speed).value_or(0));
  }
  std::set<size_t> cores;
  for (const Cpu& cpu : cpus) {
    if (static_cast<double>((cpu.*speed).value_or(0)) >=
        share * static_cast<double>(fastest)) {
      cores.insert(*cpu.core);
    }
  }
  return cores;
}

// A quota of `time` per `period`, in CPUs; 0: none.
double Quota(std::string_view time, std::string_view period) {
  const auto numerator = ReadNumber(time);  // none for "max" and "-1"
  const auto denominator = ReadNumber(period);
  if (!numerator || !denominator || *numerator == 0 || *denominator == 0) {
    return 0;
  }
  return static_cast<double>(*numerator) / static_cast<double>(*denominator);
}

double QuotaOfFolder(const std::string& folder) {
  const std::string v2 = ReadFile(TextOf(folder, "/cpu.max"));
  const size_t space = v2.find(' ');
  if (space != std::string::npos) {
    return Quota(v2, std::string_view(v2).substr(space + 1));
  }
  return Quota(ReadFile(TextOf(folder, "/cpu.cfs_quota_us")),
               ReadFile(TextOf(folder, "/cpu.cfs_period_us")));
}

// The least quota of a control group and those around it. A container may see
// its own group where others see the root.
double QuotaOfGroup(const std::string& mount, std::string group) {
  if (group.find("..") != std::string::npos) group.clear();
  double least = 0;
  while (true) {
    const double quota = QuotaOfFolder(mount + group);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    if (group.empty()) return least;
    group.resize(std::min(group.rfind('/'), group.size() - 1));
  }
}

// Whether `word` is in a list with commas.
bool HasWord(std::string_view list, std::string_view word) {
  while (true) {
    const size_t comma = list.find(',');
    if (list.substr(0, comma) == word) return true;
    if (comma == list.npos) return false;
    list.remove_prefix(comma + 1);
  }
}

// Of the groups that this process is in, by lines such as "4:cpu,cpuacct:/a"
// (version 1) and "0::/a" (version 2).
double ProcessQuota(const std::string& root) {
  const std::string groups = ReadFile(TextOf(root, "/proc/self/cgroup"));
  double least = 0;
  const auto add = [&](std::string_view mount, std::string_view group) {
    std::string folder = root;
    folder.append("/sys/fs/cgroup").append(mount);
    const double quota = QuotaOfGroup(folder, std::string(group));
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  };
  std::string_view rest = groups;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1);
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const size_t first = line.find(':');
    const size_t second =
        first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers =
        line.substr(first + 1, second - first - 1);
    const std::string_view group = line.substr(second + 1);
    if (controllers.empty()) {
      add("", group);
      add("/unified", group);
    } else if (HasWord(controllers, "cpu")) {
      add("/cpu", group);
      add("/cpu,cpuacct", group);
    }
  }
  return least;
}

std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

#if defined(__linux__)
struct FreeCpus {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

std::vector<size_t> AllowedCpus() {
  std::vector<size_t> allowed;
  // The system refuses sets that are too small for it.
  for (size_t count = 1024; count <= size_t{1} << 20; count *= 4) {
    const std::unique_ptr<cpu_set_t, FreeCpus> set(CPU_ALLOC(count));
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set.get());
    const bool known = sched_getaffinity(0, bytes, set.get()) == 0;
    for (size_t i = 0; known && i < count; ++i) {
      if (CPU_ISSET_S(i, bytes, set.get())) allowed.push_back(i);
    }
    if (known) break;
  }
  return allowed;
}
#else
std::vector<size_t> AllowedCpus() { return {}; }
#endif

}  // namespace

ThreadChoice ChooseThreads(const ThreadSources& sources) {
  std::vector<Cpu> cpus;
  for (const size_t number : sources.allowed) {
    cpus.push_back(ReadCpu(sources.root, number));
  }
  ThreadChoice choice;
  choice.hardware_threads = std::max<size_t>(1, cpus.size());
  const bool known =
      !cpus.empty() && std::all_of(cpus.begin(), cpus.end(),
                                   [](const Cpu& cpu) { return cpu.core; });
  if (known) {
    choice.cores = FastCores(cpus, &Cpu::capacity, 0).size();
    // A capacity counts work, of which a frequency is but a part: slow cores
    // have less of it than their frequency says.
    const size_t fast = std::min(FastCores(cpus, &Cpu::capacity, 0.5).size(),
                                 FastCores(cpus, &Cpu::frequency, 0.8).size());
    choice.threads = fast;
  } else {
    choice.cores = choice.hardware_threads;
    if (sources.detected_cores > 0) {
      choice.cores = std::min(choice.cores, sources.detected_cores);
    }
    choice.threads = choice.cores;
  }
  choice.reason = choice.threads < choice.cores
                      ? TextOf("fast cores among ", choice.cores,
                               " that this process may run on")
                      : "cores that this process may run on";
  choice.most = choice.hardware_threads;
  choice.quota = ProcessQuota(sources.root);
  if (choice.quota > 0) {
    // Rounded up; more would be used up before the end of each period.
    const auto whole =
        static_cast<size_t>(std::ceil(std::min(choice.quota, double{1 << 20})));
    choice.most = std::min(choice.most, whole);
    if (whole < choice.threads) {
      choice.threads = whole;
      choice.reason = TextOf("the control group's quota of ",
                             Short(choice.quota), " CPUs, rounded up");
    }
  }
  return choice;
}

ThreadChoice ChooseThreads() {
  ThreadSources sources;
  sources.allowed = AllowedCpus();
  if (sources.allowed.empty()) {  // as on systems that do not tell
    for (size_t i = 0; i < std::thread::hardware_concurrency(); ++i) {
      sources.allowed.push_back(i);
    }
  }
#if defined(LUTRA_HAVE_CPUINFO)
  if (cpuinfo_initialize()) sources.detected_cores = cpuinfo_get_cores_count();
#endif
  return ChooseThreads(sources);
}

}  // namespace lutra
