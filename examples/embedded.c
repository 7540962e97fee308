/* A model that is compiled in. network.c is made by
 *   lutra embed MODEL -o network.c
 *
 * Until the loop memory is allocated: for the graph, and for the values between
 * layers. The weights stay where they are in the program, and the loop
 * allocates nothing.
 */
#include <lutra.h>
#include <stdio.h>

extern const void* const network;
extern const size_t network_size;

enum { kMost = 4096 };
static float input[kMost];
static float output[kMost];

static int Fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, lutra_last_error());
  return 1;
}

int main(void) {
  lutra_model* model = NULL;
  lutra_value_info in, out;
  if (lutra_model_load_from_memory(network, network_size, NULL, &model) !=
          LUTRA_OK ||
      lutra_model_input(model, 0, &in) != LUTRA_OK ||
      lutra_model_output(model, 0, &out) != LUTRA_OK) {
    return Fail("load");
  }
  if (in.type != LUTRA_FLOAT32 || in.elements > kMost || out.elements > kMost) {
    fprintf(stderr, "the network does not suit this program\n");
    return 1;
  }
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.threads = 1; /* this one */
  lutra_session* session = NULL;
  if (lutra_session_create(model, &options, &session) != LUTRA_OK ||
      lutra_session_prepare(session, 1) != LUTRA_OK) {
    return Fail("session");
  }
  for (size_t i = 0; i < in.elements; ++i) input[i] = (float)i / 16.0f;
  const void* const inputs[] = {input};
  float* const outputs[] = {output};
  for (int call = 0; call < 3; ++call) {
    if (lutra_session_run(session, 1, inputs, 1, outputs, 1) != LUTRA_OK) {
      return Fail("run");
    }
  }
  for (size_t i = 0; i < out.elements; ++i) {
    printf("%.9g\n", (double)output[i]);
  }
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
