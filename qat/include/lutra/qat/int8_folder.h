#ifndef LUTRA_QAT_INT8_FOLDER_H_
#define LUTRA_QAT_INT8_FOLDER_H_

#include <filesystem>

#include "lutra/qat/dataset.h"

// A folder of samples as the MLPerf Tiny benchmark has them
// (https://github.com/mlcommons/tiny): a file of bytes for each sample, and
// y_labels.csv with the lines
//
//   <file name>,<number of classes>,<class>

namespace lutra::qat {

// Whether there is a y_labels.csv.
bool IsInt8Folder(const std::filesystem::path& folder);

// The samples in the order of the list, as (q - zero_point) * scale, with q
// from -128 to 127, or from 0 to 255 if bytes are unsigned (pixels). Throws
// lutra::Error, also for samples of different sizes or named twice, more than
// 2^20 samples or 256 classes, and names with a path.
LabelledImages LoadInt8Folder(const std::filesystem::path& folder, double scale,
                              int zero_point, bool is_unsigned = false);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_INT8_FOLDER_H_
