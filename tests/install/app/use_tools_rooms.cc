// Links the rooms that tools use beside those that run models.
#include <lutra/packer/pack.h>
#include <lutra/qat/scheme.h>

#include <cstdio>
#include <string>

int main() {
  const auto schemes = lutra::qat::ParseSchemes(
      R"({"w":{"quantizer":"stretched","bits":2,"group_size":64}})", "text");
  const std::string method(
      lutra::packer::Name(lutra::packer::PackMethod::kTrained));
  std::printf("%s %d bits\n", method.c_str(), schemes.at("w").bits);
  return 0;
}
