/* Runs a model for one token with the inputs 0, 1/16, 2/16, ... */
#include <lutra.h>
#include <stdio.h>
#include <stdlib.h>

static int Fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, lutra_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  lutra_model* model = NULL;
  if (lutra_model_load(argv[1], &model) != LUTRA_OK) return Fail("load");
  lutra_value_info input, output;
  if (lutra_model_input(model, 0, &input) != LUTRA_OK ||
      lutra_model_output(model, 0, &output) != LUTRA_OK) {
    return Fail("query");
  }
  lutra_session* session = NULL;
  if (lutra_session_create(model, NULL, &session) != LUTRA_OK) {
    return Fail("session");
  }
  float* x = malloc(input.elements * sizeof(float));
  float* y = malloc(output.elements * sizeof(float));
  for (size_t i = 0; i < input.elements; ++i) x[i] = (float)i / 16.0f;
  const void* inputs[] = {x};
  float* outputs[] = {y};
  if (lutra_session_run(session, 1, inputs, 1, outputs, 1) != LUTRA_OK) {
    return Fail("run");
  }
  for (size_t i = 0; i < output.elements; ++i) printf("%.9g\n", (double)y[i]);
  free(y);
  free(x);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
