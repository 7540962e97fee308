#ifndef LUTRA_TOOLS_VERBS_TRAIN_PROGRESS_H_
#define LUTRA_TOOLS_VERBS_TRAIN_PROGRESS_H_

#include <string>

#include "lutra/qat/trainer.h"

namespace lutra::tools {

// How far a training is and how well it does, on one line.
std::string ProgressLine(const qat::TrainProgress& progress);

// "1.3430 nats per token (perplexity 3.83) on 20,480 tokens", or "accuracy
// 88.16 % on 10,000 test images".
std::string JudgementLine(const qat::Judgement& judgement,
                          const qat::Samples& samples);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_PROGRESS_H_
