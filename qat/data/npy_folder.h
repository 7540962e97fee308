#ifndef LUTRA_QAT_DATA_NPY_FOLDER_H_
#define LUTRA_QAT_DATA_NPY_FOLDER_H_

#include <filesystem>

#include "lutra/qat/dataset.h"

// Images with labels as NumPy's arrays, in files of a folder.

namespace lutra::qat {

// Whether the folder holds train-images.npy.
bool IsNpyFolder(const std::filesystem::path& folder);

// See LoadImageFolder.
LabelledImages LoadNpyFolder(const std::filesystem::path& folder,
                             DatasetPart part);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_DATA_NPY_FOLDER_H_
