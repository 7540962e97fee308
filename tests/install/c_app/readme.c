#include <lutra.h>
#include <stdio.h>

int main(int argc, char** argv) {
  lutra_model* model = NULL;
  lutra_session* session = NULL;
  float image[784] = {0}, logits[10];
  const void* inputs[] = {image};
  float* outputs[] = {logits};
  if (lutra_model_load(argc > 1 ? argv[1] : "", &model) != LUTRA_OK ||
      lutra_session_create(model, NULL, &session) != LUTRA_OK ||
      lutra_session_run(session, 1, inputs, 1, outputs, 1) != LUTRA_OK) {
    fprintf(stderr, "%s\n", lutra_last_error());
    return 1;
  }
  for (int i = 0; i < 10; ++i) printf("class %d: %g\n", i, logits[i]);
  lutra_session_free(session);
  lutra_model_free(model);
}
