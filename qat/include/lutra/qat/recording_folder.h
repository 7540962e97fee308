#ifndef LUTRA_QAT_RECORDING_FOLDER_H_
#define LUTRA_QAT_RECORDING_FOLDER_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "lutra/qat/dataset.h"

// A folder of recordings as MLPerf Tiny's anomaly detection has them
// (https://github.com/eembc/energyrunner, datasets): a file of little-endian
// float32 for each recording, and y_labels.csv with the lines
//
//   <file name>,2,<0: normal, 1: anomaly>,<bytes of a window>,<bytes between
//   the starts of two windows>

namespace lutra::qat {

// Whether there is a y_labels.csv whose first line has five fields.
bool IsRecordingFolder(const std::filesystem::path& folder);

struct LabelledRecordings {
  // All windows, recording after recording, with the labels of these.
  LabelledImages windows;
  struct Recording {
    size_t windows = 0;  // at least one
    uint8_t label = 0;
  };
  std::vector<Recording> recordings;
};

// The recordings in the order of the list. Windows that overlap are held in
// full, 2^30 values at most. Throws lutra::Error, also for windows of different
// sizes, recordings that are shorter than one or named twice, values that are
// not finite, and names with a path.
LabelledRecordings LoadRecordingFolder(const std::filesystem::path& folder);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_RECORDING_FOLDER_H_
