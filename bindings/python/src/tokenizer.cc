#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <string_view>
#include <utility>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/language.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

nb::object Text(const std::string& bytes) {
  return nb::steal(PyUnicode_DecodeUTF8(
      bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
}

}  // namespace

std::shared_ptr<const Tokenizer> RequireTokenizer(const Model& model) {
  auto tokenizer = Tokenizer::FromModel(model);
  if (tokenizer == nullptr) {
    throw Error::InFile(model.path(),
                        "has no tokenizer (tensor 'lutra.tokenizer'); import "
                        "the model together with its tokenizer",
                        ErrorCode::kNotFound);
  }
  return tokenizer;
}

void BindTokenizer(nb::module_& module) {
  nb::class_<PyTokenizer>(
      module, "Tokenizer",
      "The tokenizer of a model. Never changes; any thread may use it.")
      .def(
          "__init__",
          [](PyTokenizer* self, const ModelOrPath& model) {
            new (self) PyTokenizer{RequireTokenizer(*ModelOf(model))};
          },
          "model"_a, "model: a Model, or the path of one.")
      .def(
          "encode",
          [](const PyTokenizer& self, std::string_view text, bool add_special,
             bool prompt) {
            const nb::gil_scoped_release release;
            return prompt ? self.tokenizer->EncodePrompt(text)
                          : self.tokenizer->Encode(text, add_special);
          },
          "text"_a, nb::kw_only(), "add_special"_a = false, "prompt"_a = false,
          "The ids of a text. Special tokens that are spelled out in it become "
          "their ids.\n\n"
          "add_special: adds what the model expects around a whole text (BOS, "
          "EOS).\n"
          "prompt: only what it expects before one, for a text that is to be "
          "continued.")
      .def(
          "decode",
          [](const PyTokenizer& self, nb::handle ids, bool with_special) {
            return Text(
                self.tokenizer->DecodeText(ReadIds(ids, "ids"), with_special));
          },
          "ids"_a, nb::kw_only(), "with_special"_a = false,
          nb::sig("def decode(self, ids: typing.Any, *, with_special: bool = "
                  "False) -> str"),
          "The text of ids, without special tokens unless with_special.")
      .def(
          "token_bytes",
          [](const PyTokenizer& self, int32_t id) {
            const std::string bytes = self.tokenizer->TokenBytes(id);
            return nb::bytes(bytes.data(), bytes.size());
          },
          "id"_a, "The bytes that one token adds to a text.")
      .def(
          "piece",
          [](const PyTokenizer& self, int32_t id) {
            return Text(std::string(self.tokenizer->Piece(id)));
          },
          "id"_a, nb::sig("def piece(self, id: int) -> str"),
          "The token's spelling in the vocabulary, e.g. '▁the'.")
      .def_prop_ro(
          "bos",
          [](const PyTokenizer& self) -> std::optional<int32_t> {
            const int32_t bos = self.tokenizer->bos();
            return bos < 0 ? std::nullopt : std::optional(bos);
          },
          "The token that a text starts with; None if there is none.")
      .def_prop_ro(
          "ends",
          [](const PyTokenizer& self) {
            const Span<const int32_t> ends = self.tokenizer->ends();
            return std::vector<int32_t>(ends.begin(), ends.end());
          },
          "The tokens that end a text.")
      .def(
          "is_special",
          [](const PyTokenizer& self, int32_t id) {
            return self.tokenizer->IsSpecial(id);
          },
          "id"_a, "Whether the token is left out of decoded text.")
      .def("__len__",
           [](const PyTokenizer& self) { return self.tokenizer->size(); });
}

}  // namespace lutra::python
