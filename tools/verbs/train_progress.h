#ifndef LUTRA_TOOLS_VERBS_TRAIN_PROGRESS_H_
#define LUTRA_TOOLS_VERBS_TRAIN_PROGRESS_H_

#include <string>

#include "lutra/qat/trainer.h"

namespace lutra::tools {

// How far a training is and how well it does, on one line.
std::string ProgressLine(const qat::TrainProgress& progress);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_PROGRESS_H_
