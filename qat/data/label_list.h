#ifndef LUTRA_QAT_DATA_LABEL_LIST_H_
#define LUTRA_QAT_DATA_LABEL_LIST_H_

#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

// y_labels.csv of MLPerf Tiny's data sets: a line for each sample, its file's
// name and whole numbers, the first two of which are the number of classes and
// the class.

namespace lutra::qat {

struct ListedSample {
  std::string_view name;
  std::vector<unsigned> numbers;
};

std::filesystem::path LabelListPath(const std::filesystem::path& folder);

// How many numbers the first line has; 0 without a list or with another first
// line.
size_t NumbersInLabelList(const std::filesystem::path& folder);

// Calls `add` with each line, which has `numbers` numbers, at most 256 classes,
// and a name without a path that no other line has. Throws Error for other
// lines (with their number), and more than 2^20 of them.
void ReadLabelList(const std::filesystem::path& folder, size_t numbers,
                   std::string_view form,
                   const std::function<void(const ListedSample&)>& add);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_DATA_LABEL_LIST_H_
