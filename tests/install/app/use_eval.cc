// Measures a model with the library that the command's verbs use.
#include <lutra/eval/accuracy.h>
#include <lutra/eval/buffers.h>
#include <lutra/eval/limits.h>
#include <lutra/eval/memory.h>
#include <lutra/eval/packed_weights.h>
#include <lutra/eval/perplexity.h>
#include <lutra/eval/timing.h>
#include <lutra/kernels/peak.h>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  lutra::Session session(lutra::Model::Load(argv[1]), {});
  lutra::eval::Buffers buffers(session.model(), 3);
  lutra::eval::FillRandomly(session.model(), 1, buffers);
  lutra::eval::TimingOptions options;
  options.repeat = 4;
  const lutra::eval::Timing timing =
      lutra::eval::TimeCalls([&] { buffers.Run(session, 3); }, options);
  // Of four tokens each has a probability of a quarter.
  lutra::eval::TextScore score;
  const std::vector<float> logits(4);
  score.nats = lutra::eval::NegativeLogLikelihood(logits.data(), 4, 1);
  score.scored = 1;
  std::printf("%zu calls, packed: %d, perplexity %.3f\n", timing.calls,
              lutra::eval::HasPackedWeights(session.model()),
              score.Perplexity());
  const bool idle = lutra::kernels::RunInt8Peak(0) == 0;
  return idle && timing.minimum > 0 ? 0 : 1;
}
