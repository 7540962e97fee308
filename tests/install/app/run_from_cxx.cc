// Runs a model for one token with the inputs 0, 1/16, 2/16, ...
#include <lutra/runtime/error.h>
#include <lutra/runtime/session.h>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    lutra::Session session(lutra::Model::Load(argv[1]), {});
    std::vector<float> x(session.model().inputs()[0].ElementCount());
    std::vector<float> y(session.model().outputs()[0].ElementCount());
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) / 16.0f;
    const void* const inputs[] = {x.data()};
    float* const outputs[] = {y.data()};
    session.Run(1, inputs, outputs);
    for (const float value : y) {
      std::printf("%.9g\n", static_cast<double>(value));
    }
  } catch (const lutra::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
