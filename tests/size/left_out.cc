// Prints why a graph is refused that wants an operator which the build leaves
// out.

#include <cstdio>

#include "lutra/runtime/error.h"
#include "lutra/runtime/graph.h"

int main() {
  try {
    lutra::ParseGraph(
        R"({"inputs":[{"name":"x","type":"float32","shape":[4]}],)"
        R"("nodes":[{"op":"gelu_tanh","inputs":["x"],"output":"y"}],)"
        R"("outputs":["y"]})",
        "model");
  } catch (const lutra::Error& error) {
    std::puts(error.what());
  }
}
