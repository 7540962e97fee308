/* Writes a text that follows a grammar, and guesses ahead from the prompt:
 * constrain_c MODEL "Is it red?" 'root ::= "yes" | "no"' */
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
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL PROMPT GRAMMAR\n", argv[0]);
    return 2;
  }
  const char* prompt = argv[2];
  lutra_model* model = NULL;
  lutra_session* session = NULL;
  lutra_sampler* sampler = NULL;
  lutra_text_stream* stream = NULL;
  lutra_constraint* constraint = NULL;
  lutra_speculation* speculation = NULL;
  lutra_sampler_options sampling;
  lutra_constraint_options constraining;
  lutra_sampler_options_init(&sampling);
  sampling.temperature = 0.0f;
  lutra_constraint_options_init(&constraining);
  constraining.grammar = argv[3]; /* or .json_schema */
  Check(lutra_model_load(argv[1], &model));
  const size_t vocabulary = lutra_model_vocabulary(model);
  Check(lutra_session_create(model, NULL, &session));
  Check(lutra_sampler_create(&sampling, vocabulary, &sampler));
  Check(lutra_text_stream_create(model, 1, &stream));
  Check(lutra_constraint_create(model, &constraining, &constraint));
  Check(lutra_speculation_create(session, NULL, &speculation));

  int32_t ids[1024];
  size_t count = 0;
  Check(lutra_model_encode(model, prompt, strlen(prompt), LUTRA_SPECIAL_PROMPT,
                           ids, 1024, &count));
  if (count > 1024) {
    fprintf(stderr, "the prompt is too long\n");
    return 1;
  }
  const float* logits = NULL;
  Check(lutra_speculation_feed(speculation, ids, count, &logits));
  while (!lutra_constraint_is_finished(constraint) &&
         lutra_speculation_position(speculation) <
             lutra_session_context(session)) {
    const uint32_t* allowed = NULL;
    const char* text = NULL;
    size_t bytes = 0;
    int32_t id = 0;
    int is_end = 0;
    Check(lutra_constraint_allowed(constraint, &allowed));
    Check(lutra_sampler_sample_allowed(sampler, logits, vocabulary, allowed,
                                       &id));
    Check(lutra_model_is_end(model, id, &is_end));
    if (is_end) break;
    Check(lutra_constraint_accept(constraint, id));
    Check(lutra_text_stream_add(stream, id, &text, &bytes));
    fwrite(text, 1, bytes, stdout);
    Check(lutra_speculation_feed(speculation, &id, 1, &logits));
  }
  putchar('\n');

  lutra_speculation_free(speculation);
  lutra_constraint_free(constraint);
  lutra_text_stream_free(stream);
  lutra_sampler_free(sampler);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
