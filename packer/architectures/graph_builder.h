#ifndef LUTRA_PACKER_ARCHITECTURES_GRAPH_BUILDER_H_
#define LUTRA_PACKER_ARCHITECTURES_GRAPH_BUILDER_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "packer/architectures/network.h"

namespace lutra::packer {

// Appends nodes to a network's graph and notes the tensors that they use. All
// functions return the name of the value they made, which is the first argument
// unless something else is said.
class GraphBuilder {
 public:
  explicit GraphBuilder(Network& network) : network_(network) {}

  // A node without tensors; what it is for is said afterwards. Valid until the
  // next node is added.
  Node& Add(OpType op, std::vector<std::string> inputs, std::string output);
  std::string Output(OpType op, std::vector<std::string> inputs,
                     std::string output);

  // y = x * factor; x itself if the factor is 1.
  std::string Scale(const std::string& output, const std::string& x,
                    double factor);
  // limit * tanh(x / limit); x itself if the limit is 0.
  std::string SoftCap(const std::string& output, const std::string& x,
                      double limit);

  // Elements [begin, begin + length) of x.
  std::string Slice(const std::string& output, const std::string& x,
                    int64_t begin, int64_t length);
  // Parts of x of `width` elements, each divided by the root of the mean of its
  // squares and `eps`, times `factor`; `weight` is what holds that factor.
  std::string UnitNorm(const std::string& output, const std::string& x,
                       const std::string& weight, int64_t width, float factor,
                       double eps);
  // A convolution of each channel over the last `taps` tokens, with a tensor
  // [channels, 1, taps] of the checkpoint, and a bias unless that has no name.
  std::string CausalConv1d(const std::string& output, const std::string& x,
                           const std::string& weight, int64_t channels,
                           int64_t taps, const std::string& bias);

  // A product with the matrix [n, k] `weight`, and a bias [n] unless that has
  // no name. Where the parts are empty the tensors are the checkpoint's of the
  // same name.
  std::string Linear(const std::string& output, const std::string& x,
                     const std::string& weight, int64_t n, int64_t k,
                     const std::string& bias,
                     std::vector<TensorPart> weight_parts = {},
                     std::vector<TensorPart> bias_parts = {});

  // Notes a tensor of the checkpoint; the first note of a name counts.
  NetworkTensor& Use(const std::string& name, NetworkTensor::Role role,
                     std::vector<int64_t> shape,
                     std::vector<TensorPart> parts = {});
  // And one that is made of values, shaped [values].
  NetworkTensor& Make(const std::string& name, NetworkTensor::Role role,
                      std::vector<float> values);

 private:
  NetworkTensor& Find(const std::string& name);

  Network& network_;
  std::set<std::string> used_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_GRAPH_BUILDER_H_
