#include "packer/import/network/missing.h"

#include "lutra/runtime/error.h"

namespace lutra::packer {

void Missing::Refuse(std::string_view file) const {
  std::string list;
  for (const auto& [what, count] : counts_) {
    if (!list.empty()) list += "; ";
    list += what.first;
    if (count > 1) list += " (" + std::to_string(count) + " times)";
    if (!what.second.empty()) list += ": " + what.second;
  }
  throw Error::InFile(file,
                      "has what lutra's graphs cannot express: " + list +
                          ". docs/import.md lists what they can; a simplified "
                          "export, with fixed sizes, often needs less",
                      ErrorCode::kUnsupported);
}

}  // namespace lutra::packer
