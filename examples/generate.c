/* Continues a text: generate_c MODEL "Once upon a time" [TOKENS] */
#include <lutra.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void Check(lutra_status status) {
  if (status == LUTRA_OK) return;
  fprintf(stderr, "error: %s\n", lutra_last_error());
  exit(1);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL PROMPT [TOKENS]\n", argv[0]);
    return 2;
  }
  const char* prompt = argv[2];
  const long tokens = argc > 3 ? strtol(argv[3], NULL, 10) : 64;

  lutra_model* model = NULL;
  lutra_session* session = NULL;
  lutra_sampler* sampler = NULL;
  lutra_text_stream* stream = NULL;
  lutra_sampler_options options;
  lutra_sampler_options_init(&options);
  options.temperature = 0.0f; /* always the most probable token */
  Check(lutra_model_load(argv[1], &model));
  Check(lutra_session_create(model, NULL, &session));
  const size_t vocabulary = lutra_model_vocabulary(model);
  Check(lutra_sampler_create(&options, vocabulary, &sampler));
  Check(lutra_text_stream_create(model, 1, &stream));

  /* The prompt's tokens: first how many, then which. */
  size_t count = 0;
  Check(lutra_model_encode(model, prompt, strlen(prompt), LUTRA_SPECIAL_PROMPT,
                           NULL, 0, &count));
  int32_t* ids = malloc((count + 1) * sizeof(int32_t));
  Check(lutra_model_encode(model, prompt, strlen(prompt), LUTRA_SPECIAL_PROMPT,
                           ids, count, &count));
  const float* logits = NULL;
  Check(lutra_session_feed(session, ids, count, &logits));
  free(ids);

  /* Rows that only pad the vocabulary are no tokens. */
  uint32_t* allowed = calloc(vocabulary / 32 + 1, sizeof(uint32_t));
  for (size_t i = 0; i < vocabulary; ++i) {
    int is_unused = 0;
    Check(lutra_model_is_unused(model, (int32_t)i, &is_unused));
    if (!is_unused) allowed[i / 32] |= (uint32_t)1 << (i % 32);
  }

  fputs(prompt, stdout);
  const char* text = NULL;
  size_t bytes = 0;
  for (long i = 0; i < tokens; ++i) {
    int32_t id = 0;
    int is_end = 0;
    Check(lutra_sampler_sample_allowed(sampler, logits, vocabulary, allowed,
                                       &id));
    Check(lutra_sampler_accept(sampler, id));
    Check(lutra_model_is_end(model, id, &is_end));
    if (is_end) break;
    Check(lutra_text_stream_add(stream, id, &text, &bytes));
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    if (lutra_session_position(session) == lutra_session_context(session)) {
      break; /* no room for another token */
    }
    Check(lutra_session_feed(session, &id, 1, &logits));
  }
  Check(lutra_text_stream_flush(stream, &text, &bytes));
  fwrite(text, 1, bytes, stdout);
  putchar('\n');

  free(allowed);
  lutra_text_stream_free(stream);
  lutra_sampler_free(sampler);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
