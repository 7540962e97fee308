#include "lutra/runtime/error.h"
#include "tools/cli/drawing.h"

namespace lutra::tools {

std::string DrawingPng(const Drawing&) {
  throw Error(ErrorCode::kUnsupported,
              "this lutra was built without AGG and libpng, which draw PNG "
              "files; name an SVG file");
}

}  // namespace lutra::tools
