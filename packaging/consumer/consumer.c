/* Runs the smallest model there is, y = relu(x), and prints lutra's version and
 * y. Its file, made here, is the length of a header and the header. */
#include <lutra.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  static const char header[] =
      "{\"__metadata__\": {\"lutra.version\": \"1\", \"lutra.graph\": "
      "\"{\\\"inputs\\\": [{\\\"name\\\": \\\"x\\\", \\\"type\\\": "
      "\\\"float32\\\","
      " \\\"shape\\\": [3]}], \\\"nodes\\\": [{\\\"op\\\": \\\"relu\\\", "
      "\\\"inputs\\\": [\\\"x\\\"], \\\"output\\\": \\\"y\\\"}], "
      "\\\"outputs\\\": [\\\"y\\\"]}\"}}";
  unsigned char file[8 + sizeof(header) - 1] = {0};
  for (size_t i = 0; i < sizeof(size_t); ++i) {
    file[i] = (unsigned char)((sizeof(header) - 1) >> (8 * i));
  }
  memcpy(file + 8, header, sizeof(header) - 1);

  lutra_model* model = NULL;
  lutra_session* session = NULL;
  const float x[3] = {-1.0f, 0.5f, 2.0f};
  float y[3] = {0};
  const void* const inputs[] = {x};
  float* const outputs[] = {y};
  if (lutra_model_load_from_memory(file, sizeof(file), NULL, &model) !=
          LUTRA_OK ||
      lutra_session_create(model, NULL, &session) != LUTRA_OK ||
      lutra_session_run(session, 1, inputs, 1, outputs, 1) != LUTRA_OK) {
    fprintf(stderr, "%s\n", lutra_last_error());
    return 1;
  }
  printf("lutra %s: %g %g %g\n", lutra_version(), (double)y[0], (double)y[1],
         (double)y[2]);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
