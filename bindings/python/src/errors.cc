#include "bindings/python/src/errors.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <exception>

#include "lutra/runtime/error.h"

namespace nb = nanobind;

namespace lutra::python {
namespace {

const char* ClassOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "InvalidArgumentError";
    case ErrorCode::kNotFound:
      return "NotFoundError";
    case ErrorCode::kNoPermission:
      return "NoPermissionError";
    case ErrorCode::kIo:
      return "IoError";
    case ErrorCode::kDamaged:
      return "DamagedError";
    case ErrorCode::kUnsupported:
      return "UnsupportedError";
    case ErrorCode::kContextFull:
      return "ContextFullError";
    case ErrorCode::kOutOfMemory:
      return "OutOfMemoryError";
    case ErrorCode::kNoThreads:
      return "NoThreadsError";
    case ErrorCode::kCancelled:
      return "CancelledError";
    case ErrorCode::kInternal:
      break;
  }
  return "InternalError";
}

void Raise(const Error& error) {
  const nb::object type =
      nb::module_::import_("lutra._errors").attr(ClassOf(error.code()));
  // Messages may have names of files in them, which need not be UTF-8.
  const auto text = nb::steal(PyUnicode_DecodeUTF8(
      error.what(),
      static_cast<Py_ssize_t>(std::string_view(error.what()).size()),
      "backslashreplace"));
  if (text.is_valid()) PyErr_SetObject(type.ptr(), text.ptr());
}

}  // namespace

void RegisterErrors() {
  nb::register_exception_translator(
      [](const std::exception_ptr& thrown, void*) {
        try {
          std::rethrow_exception(thrown);
        } catch (const Error& error) {
          Raise(error);
        }
      },
      nullptr);
}

void CheckSignals() {
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

}  // namespace lutra::python
