#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/conversion.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"

int main() {
  namespace qat = lutra::qat;
  std::vector<float> w(4 * 32, 0.1f), grad(w.size());
  qat::ParamGroup group;
  group.lr = 0.01;
  group.quant_bits = 2;
  group.quant_block_size = 16;
  group.parameters.push_back({"w", {4, 32}, w.data(), grad.data(), true});
  qat::QuantOptimizer optimizer(qat::MakeAdamW({group}, {}),
                                qat::MakeStretchedQuantizer(),
                                qat::MakeProxParq({.start = 10, .end = 90}),
                                {.quant_period = 1, .per_channel = true});
  for (int step = 0; step < 100; ++step) {
    for (size_t i = 0; i < w.size(); ++i) {  // here: your model's gradients
      grad[i] = w[i] - 0.05f * static_cast<float>(i % 7);
    }
    optimizer.Step(/*executor=*/nullptr);
  }
  const auto packed = qat::MatchGrid(  // w == scale * table[index], bit for bit
      w.data(), 4, 32, *qat::MakeStretchedQuantizer(), 2, 16, nullptr);
  return packed ? 0 : 1;
}
