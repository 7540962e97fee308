#ifndef LUTRA_TESTS_FUZZ_FILES_H_
#define LUTRA_TESTS_FUZZ_FILES_H_

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

// A folder of files as one input: before each file stands the line
// "==> NAME <==", as in the output of `head`, and after it a line feed.

namespace lutra::fuzz {

using Files = std::vector<std::pair<std::string, std::string>>;

// Files whose name is no plain one, and what stands before the first, are left
// out.
Files SplitFiles(std::string_view input);
std::string JoinFiles(const Files& files);

void WriteFiles(const Files& files, const std::filesystem::path& folder);
// By name.
Files ReadFiles(const std::filesystem::path& folder);
// The files that the function writes into a folder.
std::string FilesOf(void (*write)(const std::filesystem::path& folder));

// A target of readers of a file: the input lies in a file of that name.
using ReadPath = std::function<void(const std::filesystem::path&)>;
FuzzTarget FileTarget(std::string_view name, std::string file, ReadPath read,
                      std::function<Inputs()> seeds,
                      std::string (*damage)(Mutator&, const std::string&));
// A target of readers of a folder, or of its file of that name with what lies
// beside it.
FuzzTarget FolderTarget(std::string_view name, std::string file, ReadPath read,
                        std::function<Inputs()> seeds);

// The files below a folder of the test data whose names end so, each an input;
// or those of its folders that have all of `names`. Large ones are left out.
Inputs DataFiles(std::string_view folder, std::string_view ending);
Inputs DataFolders(std::string_view folder,
                   std::initializer_list<const char*> names);

}  // namespace lutra::fuzz

#endif  // LUTRA_TESTS_FUZZ_FILES_H_
