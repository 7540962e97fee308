#ifndef LUTRA_TESTS_RUNTIME_THROWS_H_
#define LUTRA_TESTS_RUNTIME_THROWS_H_

#include <gtest/gtest.h>

#include <string>

#include "lutra/runtime/error.h"

namespace lutra {

// The message of the Error that `body` throws. Fails the test, and returns "",
// if it throws none.
template <typename Body>
std::string ErrorMessage(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_THROWS_H_
