#ifndef LUTRA_PACKER_ARCHITECTURES_EXPERTS_H_
#define LUTRA_PACKER_ARCHITECTURES_EXPERTS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "packer/architectures/decoder.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {

// Routed experts in place of a feed-forward part, and how their tensors are
// called and lie in checkpoints.
struct Experts {
  enum class Stored {
    kSeparate,  // experts.E.gate_proj.weight [hidden, dim], ...
    kStacked,   // gate_up [E, 2 * hidden, dim] and down [E, dim, hidden]
    // [E, dim, 2 * hidden], gate and up in turns, and [E, hidden, dim]
    kTurns,
  };
  int64_t count = 0;
  int64_t chosen = 0;
  int64_t hidden = 0;
  bool over_all = false;  // weights are the softmax of all, else of the chosen
  Stored stored = Stored::kSeparate;
  std::string router = "mlp.gate";
  bool router_bias = false;
  std::string router_scale;  // of the chosen ones; empty: none
  // What is in front of the number of an expert, and behind.
  std::string prefix = "mlp.experts.";
  std::string gate = "gate_proj";
  std::string up = "up_proj";
  std::string down = "down_proj";
  // Of stacked ones, without ".weight" unless it is said.
  std::string gate_up = "mlp.experts.gate_up_proj";
  std::string stacked_down = "mlp.experts.down_proj";
  bool bias = false;  // named as the stacked ones with "_bias"
  // Makes gate and up one value; the default is act(gate) * up.
  std::function<std::string(Decoder&, const std::string& gate,
                            const std::string& up)>
      combine;
};

// How many there are, by default `count`, and how many are chosen.
Experts ReadExperts(const JsonObject& config, const DecoderConfig& decoder,
                    int64_t count, int64_t chosen);

// The output of the experts that `router_input` chooses, for `x`.
std::string Route(Decoder& d, const Experts& experts,
                  const std::string& router_input, const std::string& x);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_EXPERTS_H_
