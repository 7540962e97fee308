#ifndef LUTRA_PACKER_ARCHITECTURES_ENCODER_H_
#define LUTRA_PACKER_ARCHITECTURES_ENCODER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "packer/architectures/network.h"

namespace lutra::packer {

// What makes one vector of a text of the states of its tokens.
struct EncoderHead {
  enum class Pool { kLast, kMean, kFirst };
  struct Dense {
    std::string weight;  // [outputs, inputs], as the checkpoint calls it
    std::string bias;    // empty: none
    int64_t inputs = 0;
    int64_t outputs = 0;
    std::optional<OpType> activation;
  };
  Pool pool = Pool::kMean;
  std::vector<Dense> dense;
  bool unit_length = true;
};

// Makes an encoder of a network: in place of what comes after its hidden states
// one output, "embedding", that of a text's last token being the text's vector.
void MakeEncoder(const EncoderHead& head, Network& network);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_ENCODER_H_
