#ifndef LUTRA_TESTS_GOLDEN_REPLAY_FOLDERS_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_FOLDERS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "tests/golden_replay/kind.h"

namespace lutra::golden {

struct FolderResult {
  std::filesystem::path folder;
  std::string kind;  // empty: none that is known
  std::vector<CaseResult> cases;
};

// Told about the replay as it goes on.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void Start(const FolderResult& folder) = 0;  // has no cases yet
  virtual void Done(const CaseResult& result) = 0;
  virtual void End(const FolderResult& folder) = 0;
};

// Replays a folder of a known kind, or else its subfolders, in the order of
// their names. Only cases whose "FOLDER/NAME" contains `filter` are replayed;
// files and folders that cannot be replayed fail all the same.
//
// Never throws because of what a folder holds: folders that do not exist, are
// of no known kind or have no cases get a failed case that says so.
std::vector<FolderResult> ReplayFolders(const std::filesystem::path& folder,
                                        const std::string& filter,
                                        Observer& observer);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_FOLDERS_H_
