#include "tools/verbs/train_data.h"

#include <utility>

#include "lutra/qat/text_samples.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra::tools {

bool TakesText(const std::string& model) {
  const auto file = Model::Load(model);
  return file->inputs().size() == 1 &&
         file->inputs()[0].type == ValueType::kInt32;
}

std::unique_ptr<qat::Samples> LoadTextSamples(const std::string& model,
                                              const std::string& path,
                                              const TextDataOptions& options) {
  const auto tokenizer = Tokenizer::FromModel(*Model::Load(model));
  if (tokenizer == nullptr) {
    throw Error::InFile(model, "has no tokenizer to read texts with");
  }
  qat::TextOptions text;
  text.length = options.length;
  text.seed = options.seed;
  if (tokenizer->bos() >= 0) text.begin = tokenizer->bos();
  return std::make_unique<qat::TextSamples>(
      qat::LoadTextIds(path, *tokenizer, options.separator), text);
}

}  // namespace lutra::tools
