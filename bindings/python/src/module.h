#ifndef LUTRA_BINDINGS_PYTHON_SRC_MODULE_H_
#define LUTRA_BINDINGS_PYTHON_SRC_MODULE_H_

#include <nanobind/nanobind.h>

// The parts of the module lutra._lutra, by the page they are described in,
// docs/python.md.

namespace lutra::python {

void BindModel(nanobind::module_& module);
void BindSession(nanobind::module_& module);
void BindTokenizer(nanobind::module_& module);
void BindLanguage(nanobind::module_& module);
void BindModelWriter(nanobind::module_& module);
void BindPacking(nanobind::module_& module);
void BindExporting(nanobind::module_& module);
void BindEvaluation(nanobind::module_& module);
void BindEvaluationTasks(nanobind::module_& module);
void BindTraining(nanobind::module_& module);

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_MODULE_H_
