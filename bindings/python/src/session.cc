#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <mutex>
#include <utility>
#include <vector>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/session.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

struct PySession {
  PySession(std::shared_ptr<const Model> model, const ProgramOptions& options)
      : session(std::move(model), options) {}

  Session session;
  // Calls from several threads take turns.
  std::mutex mutex;
};

// What of an array belongs to one row, "(rows, 3, 4)" in messages.
std::string RowsOf(const std::vector<int64_t>& shape) {
  std::string text = "(rows";
  for (const int64_t extent : shape) text += ", " + std::to_string(extent);
  return text + ")";
}

std::string TupleOf(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (const int64_t extent : shape) text += std::to_string(extent) + ", ";
  if (shape.size() != 1 && !shape.empty()) text.resize(text.size() - 2);
  if (shape.size() == 1) text.pop_back();
  return text + ")";
}

// The inputs of a call, where they lie or converted.
class Inputs {
 public:
  Inputs(const Model& model, nb::handle given) {
    for (const nb::object& value : Values(model.inputs(), given)) {
      const ValueInfo& info = model.inputs()[pointers_.size()];
      const std::string what = "input '" + info.name + "'";
      std::vector<int64_t> shape;
      if (info.type == ValueType::kInt32) {
        shape = nb::cast<std::vector<int64_t>>(
            nb::module_::import_("numpy").attr("shape")(value));
        ids_.push_back(ReadIds(value, what, shape.size()));
        pointers_.push_back(ids_.back().data());
      } else {
        floats_.push_back(ReadFloats(value, what));
        shape = ShapeOf(floats_.back());
        pointers_.push_back(floats_.back().data());
      }
      CheckShape(info, shape, what);
    }
  }

  size_t rows() const { return rows_; }
  const std::vector<const void*>& pointers() const { return pointers_; }

 private:
  static std::vector<nb::object> Values(const std::vector<ValueInfo>& infos,
                                        nb::handle given) {
    if (nb::isinstance<nb::dict>(given)) {
      const auto by_name = nb::borrow<nb::dict>(given);
      std::vector<nb::object> values;
      for (const ValueInfo& info : infos) {
        if (!by_name.contains(info.name.c_str())) {
          throw Error("the input '" + info.name + "' is missing");
        }
        values.push_back(by_name[info.name.c_str()]);
      }
      if (by_name.size() != infos.size()) {
        throw Error("there are inputs that the model does not have");
      }
      return values;
    }
    if (infos.size() == 1) return {nb::borrow(given)};
    if (!nb::isinstance<nb::sequence>(given) ||
        nb::len(given) != infos.size()) {
      throw Error("the model takes " + std::to_string(infos.size()) +
                  " inputs, as a list or a dict");
    }
    std::vector<nb::object> values;
    for (const nb::handle value : given) values.push_back(nb::borrow(value));
    return values;
  }

  void CheckShape(const ValueInfo& info, const std::vector<int64_t>& shape,
                  const std::string& what) {
    const bool fits =
        shape.size() == info.shape.size() + 1 &&
        std::equal(info.shape.begin(), info.shape.end(), shape.begin() + 1);
    if (!fits) {
      throw Error(what + " takes the shape " + RowsOf(info.shape) + ", not " +
                  TupleOf(shape));
    }
    const auto rows = static_cast<size_t>(shape[0]);
    if (pointers_.size() > 1 && rows != rows_) {
      throw Error(what + " has " + std::to_string(rows) +
                  " rows, the first input " + std::to_string(rows_));
    }
    rows_ = rows;
  }

  size_t rows_ = 0;
  std::vector<FloatArray> floats_;
  std::vector<std::vector<int32_t>> ids_;
  std::vector<const void*> pointers_;
};

std::vector<size_t> ShapeOf(const ValueInfo& info, size_t rows, bool last) {
  std::vector<size_t> shape;
  if (!last) shape.push_back(rows);
  shape.insert(shape.end(), info.shape.begin(), info.shape.end());
  return shape;
}

// The caller's array for an output.
nb::object CheckedOutput(nb::handle given, const ValueInfo& info,
                         const std::vector<size_t>& shape, float** data) {
  const std::string what = "the array for the output '" + info.name + "'";
  const WritableFloats array = ReadWritable(given, what);
  bool fits = array.ndim() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = array.shape(i) == shape[i];
  }
  if (!fits) {
    throw Error(what + " must have the shape " +
                TupleOf({shape.begin(), shape.end()}));
  }
  *data = array.data();
  return nb::borrow(given);
}

nb::object Run(PySession& self, nb::handle given, nb::handle out, bool last) {
  const Model& model = self.session.model();
  const Inputs inputs(model, given);
  const auto& infos = model.outputs();
  const bool one = infos.size() == 1;
  if (!one && !out.is_none() &&
      !(nb::isinstance<nb::sequence>(out) && nb::len(out) == infos.size())) {
    throw Error("out takes one array for each of the " +
                std::to_string(infos.size()) + " outputs");
  }
  std::vector<nb::object> arrays;
  std::vector<float*> pointers;
  for (size_t i = 0; i < infos.size(); ++i) {
    const std::vector<size_t> shape = ShapeOf(infos[i], inputs.rows(), last);
    float* data = nullptr;
    if (out.is_none()) {
      NewArray made = MakeArray(shape);
      data = made.data;
      arrays.push_back(std::move(made.array));
    } else {
      const nb::object array = one ? nb::borrow(out) : nb::object(out[i]);
      arrays.push_back(CheckedOutput(array, infos[i], shape, &data));
    }
    pointers.push_back(data);
  }
  {
    const nb::gil_scoped_release release;
    const std::scoped_lock lock(self.mutex);
    if (last) {
      self.session.RunLast(inputs.rows(), inputs.pointers(), pointers);
    } else {
      self.session.Run(inputs.rows(), inputs.pointers(), pointers);
    }
  }
  if (one) return arrays[0];
  return nb::tuple(nb::cast(arrays));
}

}  // namespace

void BindSession(nb::module_& module) {
  nb::class_<PySession>(
      module, "Session",
      "A model ready to run, with memory and threads of its own.\n\n"
      "In models with attention or other memory the rows of a call are the "
      "next tokens\nof a sequence; in others they are independent. Calls from "
      "several threads take\nturns; sessions that share a model run at the "
      "same time.")
      .def(
          "__init__",
          [](PySession* self, const ModelOrPath& model, size_t threads,
             size_t context, const std::optional<std::string>& activations,
             const std::optional<std::string>& cache) {
            const ProgramOptions options =
                MakeProgramOptions(threads, context, activations, cache);
            auto loaded = ModelOf(model);
            const nb::gil_scoped_release release;
            new (self) PySession(std::move(loaded), options);
          },
          "model"_a, nb::kw_only(), "threads"_a = 0, "context"_a = 0,
          "activations"_a = nb::none(), "cache"_a = nb::none(),
          "model: a Model, or the path of one.\n"
          "threads: 0 takes one for each core.\n"
          "context: the most tokens of a sequence; 0: what the model says.\n"
          "activations: how packed weights take their inputs, 'int8', "
          "'int8-symmetric',\n  'int8-per-group' or 'float32'; None: what the "
          "model says, else int8, by groups\n  where weights have them.\n"
          "cache: how keys and values are kept, 'float16', 'float32' or "
          "'int8'.")
      .def("run", &Run, "inputs"_a, nb::kw_only(), "out"_a = nb::none(),
           "last"_a = false,
           nb::sig("def run(self, inputs: typing.Any, *, out: typing.Any = "
                   "None, last: bool = False) -> typing.Any"),
           "Runs rows through the model.\n\n"
           "inputs: an array [rows, ...] where the model has one input; else "
           "a list of\n  arrays in the model's order, or a dict by name. "
           "float32 that lies row by row is\n  read where it lies; whole "
           "numbers of any type serve for int32.\n"
           "out: an array to write to (a list where the model has several "
           "outputs), float32,\n  contiguous and of the result's shape.\n"
           "last: only the outputs of the last row, without the first "
           "dimension, and only\n  what these need.\n\n"
           "Returns an array, or a tuple of arrays in the model's order.")
      .def(
          "reset",
          [](PySession& self) {
            const nb::gil_scoped_release release;
            const std::scoped_lock lock(self.mutex);
            self.session.Reset();
          },
          "Begins a new sequence.")
      .def(
          "truncate",
          [](PySession& self, size_t position) {
            const nb::gil_scoped_release release;
            const std::scoped_lock lock(self.mutex);
            self.session.Rewind(position);
          },
          "position"_a, "Forgets the tokens from this position on.")
      .def(
          "cancel", [](PySession& self) { self.session.Cancel(); },
          "Makes the call that another thread is in, or else the next one, "
          "raise CancelledError.")
      .def_prop_ro(
          "position",
          [](const PySession& self) { return self.session.position(); },
          "Tokens of the sequence so far.")
      .def_prop_ro(
          "context",
          [](const PySession& self) { return self.session.context(); },
          "The most tokens of a sequence; 0: no limit.")
      .def_prop_ro(
          "threads",
          [](const PySession& self) { return self.session.threads(); },
          "How many threads it runs on.");
}

}  // namespace lutra::python
