#include "tests/golden_replay/folders.h"

#include <algorithm>
#include <exception>
#include <functional>

#include "tests/golden_replay/golden_file.h"

namespace lutra::golden {
namespace {

// Links may lead round in circles.
constexpr int kDeepest = 8;

// The name of what a folder as a whole fails with.
constexpr const char* kWhole = "folder";

class FolderSink : public Sink {
 public:
  FolderSink(FolderResult& result, const std::string& filter,
             Observer& observer)
      : result_(result), filter_(filter), observer_(observer) {}

  bool Wants(const std::string& name) override {
    ++asked_;
    return (result_.folder / name).string().find(filter_) != std::string::npos;
  }
  void Add(CaseResult result) override {
    result_.cases.push_back(std::move(result));
    observer_.Done(result_.cases.back());
  }
  // Whether there was no case, wanted or not.
  bool Empty() const { return asked_ == 0 && result_.cases.empty(); }

 private:
  FolderResult& result_;
  const std::string& filter_;
  Observer& observer_;
  size_t asked_ = 0;
};

const Kind* KindOf(const std::filesystem::path& folder) {
  for (const Kind* kind : Kinds()) {
    if (kind->recognise(folder)) return kind;
  }
  return nullptr;
}

std::string KnownKinds() {
  std::string names;
  for (const Kind* kind : Kinds()) {
    names += (names.empty() ? "" : ", ") + std::string(kind->name);
  }
  return names;
}

// Throws std::filesystem::filesystem_error.
std::vector<std::filesystem::path> Subfolders(
    const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

// Fails each file that cannot be opened: its damage may be why the kind of the
// folder cannot be told.
void FailDamagedFiles(const std::filesystem::path& folder, Sink& sink) {
  for (const auto& path : SafetensorsIn(folder)) {
    try {
      GoldenFile::Open(path);
    } catch (const std::exception& error) {
      Fail(sink, path.filename().string(), error.what());
    }
  }
}

class Walk {
 public:
  Walk(const std::string& filter, Observer& observer)
      : filter_(filter), observer_(observer) {}

  void Visit(const std::filesystem::path& folder, int depth) {
    const Kind* kind = nullptr;
    std::vector<std::filesystem::path> subfolders;
    try {
      kind = KindOf(folder);
      if (kind == nullptr || kind->nests) subfolders = Subfolders(folder);
      // Files that nothing replays must not hide behind subfolders.
      if (kind == nullptr && !subfolders.empty() &&
          SafetensorsIn(folder).empty()) {
        if (depth == kDeepest) throw Error("is nested too deeply");
        for (const auto& subfolder : subfolders) Visit(subfolder, depth + 1);
        return;
      }
    } catch (const std::exception& error) {
      const std::string cause = error.what();
      Replay(folder, "", [&](Sink& sink) { Fail(sink, kWhole, cause); });
      return;
    }
    if (kind == nullptr) {
      Replay(folder, "", [&](Sink& sink) {
        FailDamagedFiles(folder, sink);
        Fail(sink, kWhole, "is of no known kind (" + KnownKinds() + ")");
      });
      return;
    }
    Replay(folder, kind->name, [&](Sink& sink) { kind->replay(folder, sink); });
    if (!kind->nests || depth == kDeepest) return;
    for (const auto& subfolder : subfolders) Visit(subfolder, depth + 1);
  }

  std::vector<FolderResult> Take() { return std::move(results_); }

 private:
  void Replay(const std::filesystem::path& folder, const std::string& kind,
              const std::function<void(Sink&)>& replay) {
    FolderResult result{folder, kind, {}};
    observer_.Start(result);
    FolderSink sink(result, filter_, observer_);
    try {
      replay(sink);
    } catch (const std::exception& error) {
      Fail(sink, kWhole, error.what());
    }
    if (sink.Empty()) Fail(sink, kWhole, "has no cases");
    observer_.End(result);
    results_.push_back(std::move(result));
  }

  const std::string& filter_;
  Observer& observer_;
  std::vector<FolderResult> results_;
};

}  // namespace

std::vector<FolderResult> ReplayFolders(const std::filesystem::path& folder,
                                        const std::string& filter,
                                        Observer& observer) {
  Walk walk(filter, observer);
  walk.Visit(folder, 0);
  return walk.Take();
}

}  // namespace lutra::golden
