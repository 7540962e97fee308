#include "tools/verbs/run_files.h"

#include <algorithm>

#include "lutra/runtime/error.h"
#include "tools/cli/usage_error.h"

namespace lutra::tools {

std::map<std::string, std::string> AssignFiles(
    const std::string& option, const std::vector<std::string>& texts,
    const std::vector<ValueInfo>& values) {
  std::map<std::string, std::string> files;
  for (const std::string& text : texts) {
    // A name may hold '=' and so may a path, so look for the names themselves.
    const auto named =
        std::find_if(values.begin(), values.end(), [&](const ValueInfo& value) {
          return text.starts_with(value.name + "=");
        });
    std::string name;
    std::string file = text;
    if (named != values.end()) {
      name = named->name;
      file = text.substr(name.size() + 1);
    } else if (values.size() == 1) {
      name = values[0].name;
    } else {
      std::string names;
      for (const ValueInfo& value : values) names += " " + value.name;
      throw UsageError(option,
                       "'" + text + "' must be NAME=FILE; names are" + names);
    }
    if (!files.emplace(name, file).second) {
      throw UsageError(option, "'" + name + "' is given twice");
    }
  }
  return files;
}

std::vector<InputData> ReadInputs(
    const Model& model, const std::map<std::string, std::string>& files) {
  std::vector<InputData> inputs;
  for (const ValueInfo& value : model.inputs()) {
    const auto file = files.find(value.name);
    if (file == files.end()) {
      throw UsageError("--input", "input '" + value.name + "' has no file");
    }
    inputs.push_back(ReadInput(file->second, value));
    if (inputs.back().tokens != inputs.front().tokens) {
      throw Error::InFile(file->second,
                          "has " + std::to_string(inputs.back().tokens) +
                              " tokens, but the first input has " +
                              std::to_string(inputs.front().tokens));
    }
  }
  return inputs;
}

}  // namespace lutra::tools
