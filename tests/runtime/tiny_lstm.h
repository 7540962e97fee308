#ifndef LUTRA_TESTS_RUNTIME_TINY_LSTM_H_
#define LUTRA_TESTS_RUNTIME_TINY_LSTM_H_

#include "tests/runtime/model_builder.h"

namespace lutra {

// x [5] -> linear -> lstm_cell -> linear -> y [3]; the lstm_cell is packed.
ModelBuilder TinyLstm();

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_TINY_LSTM_H_
