#include "tests/runtime/c_api_use.h"

#include <stdio.h>

#include "lutra.h"

int UseLutraFromC(const char* path, size_t threads, size_t tokens,
                  const float* x, float* y, char* description,
                  size_t description_size) {
  lutra_model* model = NULL;
  lutra_session* session = NULL;
  lutra_session_options options;
  lutra_value_info input;
  lutra_value_info output;
  const void* inputs[1];
  float* outputs[1];
  int failed = 0;

  inputs[0] = x;
  outputs[0] = y;
  lutra_session_options_init(&options);
  options.threads = threads;
  options.activations = LUTRA_ACTIVATIONS_INT8_SYMMETRIC;
  if (lutra_model_load(path, &model) != LUTRA_OK) {
    failed = 1;
  } else if (lutra_model_input(model, 0, &input) != LUTRA_OK ||
             lutra_model_output(model, 0, &output) != LUTRA_OK) {
    failed = 2;
  } else if (lutra_session_create(model, &options, &session) != LUTRA_OK) {
    failed = 3;
  } else if (lutra_session_prepare(session, tokens) != LUTRA_OK) {
    failed = 4;
  } else if (lutra_session_run(session, tokens, inputs, 1, outputs, 1) !=
             LUTRA_OK) {
    failed = 5;
  } else {
    snprintf(description, description_size, "%s %d %u %u -> %s %u", input.name,
             (int)input.type, (unsigned)input.rank, (unsigned)input.shape[0],
             output.name, (unsigned)output.elements);
  }
  lutra_model_free(model);
  lutra_session_free(session);
  return failed;
}
