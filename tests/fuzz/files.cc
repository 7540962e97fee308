#include "tests/fuzz/files.h"

#include <algorithm>
#include <utility>

#include "tests/fuzz/damage.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBefore = "==> ";
constexpr std::string_view kAfter = " <==\n";
constexpr size_t kMostBytes = 160'000;

bool IsPlain(std::string_view name) {
  return !name.empty() && name.size() < 100 && name.front() != '.' &&
         name.find_first_of(std::string_view("/\0", 2)) ==
             std::string_view::npos;
}

}  // namespace

Files SplitFiles(std::string_view input) {
  Files files;
  size_t at = input.substr(0, kBefore.size()) == kBefore
                  ? 0
                  : input.find("\n" + std::string(kBefore));
  while (at != std::string_view::npos) {
    const size_t name = input.find(kBefore, at) + kBefore.size();
    at = input.find("\n" + std::string(kBefore), name);
    const std::string_view rest =
        input.substr(name, at == std::string_view::npos ? at : at - name);
    const size_t end = rest.find(kAfter);
    if (end == std::string_view::npos || !IsPlain(rest.substr(0, end))) {
      continue;
    }
    files.emplace_back(rest.substr(0, end), rest.substr(end + kAfter.size()));
  }
  return files;
}

std::string JoinFiles(const Files& files) {
  std::string input;
  for (const auto& [name, bytes] : files) {
    if (!input.empty()) input += '\n';
    input.append(kBefore).append(name).append(kAfter).append(bytes);
  }
  return input;
}

void WriteFiles(const Files& files, const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto& [name, bytes] : files) WriteBytes(folder / name, bytes);
}

Files ReadFiles(const fs::path& folder) {
  Files files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.emplace_back(entry.path().filename().string(),
                       ReadBytes(entry.path()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string FilesOf(void (*write)(const fs::path& folder)) {
  const TempDir dir;
  write(dir.path());
  return JoinFiles(ReadFiles(dir.path()));
}

FuzzTarget FileTarget(std::string_view name, std::string file, ReadPath read,
                      std::function<Inputs()> seeds,
                      std::string (*damage)(Mutator&, const std::string&)) {
  return {name,
          [=](const std::string& input) {
            const TempDir dir;
            WriteBytes(dir / file, input);
            read(dir / file);
          },
          std::move(seeds), damage};
}

FuzzTarget FolderTarget(std::string_view name, std::string file, ReadPath read,
                        std::function<Inputs()> seeds) {
  return {name,
          [=](const std::string& input) {
            const TempDir dir;
            WriteFiles(SplitFiles(input), dir / "source");
            read(file.empty() ? dir / "source" : dir / "source" / file);
          },
          std::move(seeds), DamageFiles};
}

Inputs DataFiles(std::string_view folder, std::string_view ending) {
  const auto found = TestData(folder);
  if (!found) return {};
  Inputs inputs;
  for (const auto& entry : fs::recursive_directory_iterator(*found)) {
    if (entry.is_regular_file() && entry.file_size() <= kMostBytes &&
        entry.path().filename().string().ends_with(ending)) {
      inputs.push_back(ReadBytes(entry.path()));
    }
  }
  return inputs;
}

Inputs DataFolders(std::string_view folder,
                   std::initializer_list<const char*> names) {
  const auto found = TestData(folder);
  if (!found) return {};
  Inputs inputs;
  for (const auto& entry : fs::directory_iterator(*found)) {
    Files files;
    for (const char* name : names) {
      if (fs::is_regular_file(entry.path() / name)) {
        files.emplace_back(name, ReadBytes(entry.path() / name));
      }
    }
    std::string input = JoinFiles(files);
    if (files.size() == names.size() && input.size() <= kMostBytes) {
      inputs.push_back(std::move(input));
    }
  }
  return inputs;
}

}  // namespace lutra::fuzz
