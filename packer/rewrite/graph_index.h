#ifndef LUTRA_PACKER_REWRITE_GRAPH_INDEX_H_
#define LUTRA_PACKER_REWRITE_GRAPH_INDEX_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/graph.h"

namespace lutra::packer {

// Which nodes of a graph, by their places, make and read a value. The graph
// must outlive it.
class GraphIndex {
 public:
  explicit GraphIndex(const Graph& graph) {
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      made_by_[graph.nodes[i].output] = i;
      for (const std::string& input : graph.nodes[i].inputs) {
        read_by_[input].push_back(i);
      }
    }
  }

  // nullptr for inputs of the graph.
  const size_t* MakerOf(std::string_view value) const {
    const auto found = made_by_.find(value);
    return found == made_by_.end() ? nullptr : &found->second;
  }
  // nullptr if nobody does.
  const std::vector<size_t>* ReadersOf(std::string_view value) const {
    const auto found = read_by_.find(value);
    return found == read_by_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string_view, size_t> made_by_;
  std::map<std::string_view, std::vector<size_t>> read_by_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_REWRITE_GRAPH_INDEX_H_
