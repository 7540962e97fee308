#include "tools/verbs/train_progress.h"

#include <cmath>
#include <cstdint>
#include <cstdio>

#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

// "1:07:09" or "7:09".
std::string Duration(double seconds) {
  const auto total = std::llround(std::isfinite(seconds) ? seconds : 0.0);
  char text[32];
  if (total >= 3600) {
    std::snprintf(text, sizeof(text), "%lld:%02lld:%02lld", total / 3600,
                  total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld:%02lld", total / 60, total % 60);
  }
  return text;
}

}  // namespace

std::string ProgressLine(const qat::TrainProgress& progress) {
  std::string line = "epoch " + std::to_string(progress.epoch) + "/" +
                     std::to_string(progress.epochs) + "  step " +
                     WithCommas(static_cast<uint64_t>(progress.step)) + "/" +
                     WithCommas(static_cast<uint64_t>(progress.total_steps)) +
                     "  loss " + Fixed(progress.loss, 4) + "  accuracy " +
                     Fixed(100 * progress.accuracy, 2) + " %";
  if (progress.inverse_slope) {
    line += "  inverse slope " + Fixed(*progress.inverse_slope, 4);
  }
  line += "  " + WithCommas(static_cast<uint64_t>(progress.rows_per_second)) +
          " " + progress.row_name + "s/s";
  return line + "  " + Duration(progress.seconds_left) + " left";
}

std::string JudgementLine(const qat::Judgement& judgement,
                          const qat::Samples& samples) {
  const std::string rows = WithCommas(judgement.rows);
  if (samples.RowName() == "image") {
    return "accuracy " + Fixed(100 * judgement.accuracy, 2) + " % on " + rows +
           " test images";
  }
  return Fixed(judgement.loss, 4) + " nats per token (perplexity " +
         Fixed(std::exp(judgement.loss), 2) + ") on " + rows + " tokens";
}

}  // namespace lutra::tools
