#ifndef LUTRA_QAT_ACTIVATIONS_H_
#define LUTRA_QAT_ACTIVATIONS_H_

#include <string>
#include <vector>

#include "lutra/qat/spec.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/input_quantization.h"

// From what a specification says about activations to what nodes say about
// their inputs, which is what training rounds and what sessions multiply.

namespace lutra::qat {

// Without a range. Throws lutra::Error for what kernels do not do, with the
// reason.
InputQuantization InputOf(const TensorSpec& activations);

// Throws lutra::Error, with the reason, unless outputs can be rounded so: to
// one fixed scale, 2 to 8 bits, to nearest.
void CheckOutput(const TensorSpec& outputs);

// A value that is to have a fixed range, and how it is found.
struct StaticInput {
  std::string value;
  TensorSpec activations;
};

// Lets the nodes of a graph quantize their inputs as the specification says;
// nodes about which it says nothing stay as they are. Fixed ranges that nodes
// have stay where fixed ranges are asked for; returns for which values there
// are none yet (a value may come several times).
std::vector<StaticInput> QuantizeInputs(const QuantizationSpec& spec,
                                        Graph& graph);

// The outputs of nodes that a specification rounds and the graph does not yet,
// whose ranges are to be found.
std::vector<StaticInput> OutputsToRound(const QuantizationSpec& spec,
                                        const Graph& graph);

// Puts a fake_quantize behind the node that makes output.value, for values from
// `min` to `max`: whoever read it reads the rounded ones under its name. What
// the node itself makes is called "NAME.exact" then. Throws lutra::Error if
// there is a value of that name.
void RoundOutput(const StaticInput& output, float min, float max, Graph& graph);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_ACTIVATIONS_H_
