// Where there are no FlatBuffers: see scripts/setup.sh.

#include "lutra/runtime/error.h"
#include "packer/import/tflite/tflite_file.h"

namespace lutra::packer {

TfliteGraph ReadTflite(const std::filesystem::path& path) {
  throw Error::InFile(path.string(),
                      "is of TensorFlow Lite, and this build of lutra has no "
                      "FlatBuffers to read it with",
                      ErrorCode::kUnsupported);
}

}  // namespace lutra::packer
