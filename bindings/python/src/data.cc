#include "bindings/python/src/data.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/string.h>

#include <filesystem>
#include <string>
#include <utility>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/language.h"
#include "lutra/eval/perplexity.h"
#include "lutra/packer/calibrate.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/text_samples.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;

namespace lutra::python {
namespace {

bool TakesIds(const Model& model) {
  return model.inputs().size() == 1 &&
         model.inputs()[0].type == ValueType::kInt32;
}

bool IsPath(nb::handle data) {
  return nb::isinstance<nb::str>(data) || nb::hasattr(data, "__fspath__");
}

bool AreTexts(nb::handle data) {
  return nb::isinstance<nb::list>(data) && nb::len(data) > 0 &&
         nb::isinstance<nb::str>(nb::object(data[0]));
}

std::vector<int32_t> TextIds(const Model& model, nb::handle data) {
  if (IsPath(data)) {
    return qat::LoadTextIds(nb::cast<std::filesystem::path>(data),
                            *RequireTokenizer(model), {});
  }
  if (!AreTexts(data)) return ReadIds(data, "data");
  const auto tokenizer = RequireTokenizer(model);
  std::vector<int32_t> ids;
  for (const nb::handle text : data) {
    const auto more = tokenizer->Encode(nb::cast<std::string>(text), false);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  return ids;
}

std::unique_ptr<qat::Samples> TextWindows(const Model& model, nb::handle data,
                                          size_t length) {
  qat::TextOptions options;
  options.length = length;
  if (const auto tokenizer = Tokenizer::FromModel(model)) {
    const int32_t begin = eval::TextStart(*tokenizer);
    if (begin >= 0) options.begin = begin;
  }
  return std::make_unique<qat::TextSamples>(TextIds(model, data), options);
}

// The labels, which calibration does not look at, are 0.
std::unique_ptr<qat::Samples> Rows(nb::handle data) {
  const FloatArray array = ReadFloats(data, "data");
  if (array.ndim() == 0) throw Error("data must have a row for each sample");
  auto rows = std::make_unique<qat::LabelledImages>();
  rows->count = array.shape(0);
  for (size_t i = 1; i < array.ndim(); ++i) {
    rows->image_shape.push_back(array.shape(i));
  }
  rows->images.assign(array.data(), array.data() + array.size());
  rows->labels.assign(rows->count, 0);
  return rows;
}

}  // namespace

std::vector<uint32_t> Data::Which() const {
  return packer::SpreadSamples(samples->Count(), most);
}

Data ReadData(const Model& model, nb::handle data, size_t length,
              size_t samples) {
  if (!TakesIds(model)) return {Rows(data), samples};
  return {TextWindows(model, data, length),
          samples == 0 ? packer::kTextWindows : samples};
}

}  // namespace lutra::python
