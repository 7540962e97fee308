#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// In the order of OpType.
constexpr const OperatorGradient& (*kGradients[])() = {
#define LUTRA_GRADIENT_DEFINITION(name) name##Gradient,
    LUTRA_OPERATORS(LUTRA_GRADIENT_DEFINITION)
#undef LUTRA_GRADIENT_DEFINITION
};
constexpr size_t kOwn = std::size(kGradients);

// Gradients of apps' operators; never removed, so that references stay valid.
struct AppGradients {
  std::mutex mutex;
  std::map<OpType, std::unique_ptr<const OperatorGradient>> gradients;
};

AppGradients& Apps() {
  static AppGradients apps;
  return apps;
}

}  // namespace

size_t OperatorGradient::ScratchBytes(const Model&, const Node&,
                                      const Execution&,
                                      const BackwardCapacity&) const {
  return 0;
}

const OperatorGradient* FindGradient(OpType op) {
  const auto index = static_cast<size_t>(op);
  if (index < kOwn) return &kGradients[index]();
  AppGradients& apps = Apps();
  const std::lock_guard<std::mutex> lock(apps.mutex);
  const auto found = apps.gradients.find(op);
  return found == apps.gradients.end() ? nullptr : found->second.get();
}

void RegisterGradient(OpType op,
                      std::unique_ptr<const OperatorGradient> gradient) {
  if (gradient == nullptr) throw Error("no gradient given");
  const std::string_view name = Name(op);
  AppGradients& apps = Apps();
  const std::lock_guard<std::mutex> lock(apps.mutex);
  if (static_cast<size_t>(op) < kOwn ||
      !apps.gradients.emplace(op, std::move(gradient)).second) {
    throw Error("operator '" + std::string(name) + "' has a gradient already");
  }
}

}  // namespace lutra::qat
