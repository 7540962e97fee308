#ifndef LUTRA_TOOLS_VERBS_TRAIN_LOG_READER_H_
#define LUTRA_TOOLS_VERBS_TRAIN_LOG_READER_H_

#include <map>
#include <string>
#include <vector>

namespace lutra::tools {

// A file that TrainLog wrote, read again.
struct TrainLogColumns {
  std::vector<double> steps;
  // By name, as many as steps; NaN where a line has no such number.
  std::map<std::string, std::vector<double>> columns;
};

// `text` is what the file `path` holds: JSON, or CSV where its first line is
// none. Throws lutra::Error for what is no log.
TrainLogColumns ReadTrainLog(const std::string& path, const std::string& text);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_LOG_READER_H_
