#ifndef LUTRA_BINDINGS_PYTHON_SRC_ERRORS_H_
#define LUTRA_BINDINGS_PYTHON_SRC_ERRORS_H_

namespace lutra::python {

// From now on what is thrown as lutra::Error is raised as the class of
// lutra/_errors.py that its code stands for.
void RegisterErrors();

// Raises KeyboardInterrupt, or what else the handler of a signal raises, if a
// signal has come. The GIL is held. Called between pieces of long work.
void CheckSignals();

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_ERRORS_H_
