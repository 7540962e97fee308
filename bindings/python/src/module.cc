#include "bindings/python/src/module.h"

#include "bindings/python/src/errors.h"

NB_MODULE(_lutra, module) {
  // What is alive when the interpreter ends is no leak to tell users of.
  nanobind::set_leak_warnings(false);
  module.attr("__version__") = LUTRA_VERSION;
  lutra::python::RegisterErrors();
  lutra::python::BindModel(module);
  lutra::python::BindSession(module);
  lutra::python::BindTokenizer(module);
  lutra::python::BindLanguage(module);
  lutra::python::BindModelWriter(module);
  lutra::python::BindPacking(module);
  lutra::python::BindExporting(module);
  lutra::python::BindEvaluation(module);
  lutra::python::BindEvaluationTasks(module);
  lutra::python::BindTraining(module);
}
