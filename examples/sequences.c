/* Several texts that begin alike, written at once:
 * sequences MODEL "Once upon a time" [TEXTS]
 *
 * The prompt is computed once. Each text is a fork of its sequence, which
 * shares its memory, and each call of the model brings one token of all of
 * them: the weights are read once for all, and the texts are those that each
 * would be alone.
 */
#include <lutra.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMostTexts = 16, kMostTokens = 64, kMostPrompt = 1024 };

typedef struct Text {
  lutra_sequence* sequence;
  lutra_sampler* sampler;
  int32_t ids[kMostTokens];
  size_t count;
  const float* logits; /* for its next token; NULL at its end */
} Text;

static void Check(lutra_status status) {
  if (status == LUTRA_OK) return;
  fprintf(stderr, "error: %s\n", lutra_last_error());
  exit(1);
}

/* The next token of a text; whether there is one that is to be fed. */
static int Choose(const lutra_model* model, const lutra_session* session,
                  const uint32_t* allowed, Text* text) {
  int32_t id = 0;
  int is_end = 0;
  if (text->logits == NULL) return 0;
  Check(lutra_sampler_sample_allowed(text->sampler, text->logits,
                                     lutra_model_vocabulary(model), allowed,
                                     &id));
  Check(lutra_sampler_accept(text->sampler, id));
  Check(lutra_model_is_end(model, id, &is_end));
  text->logits = NULL;
  if (is_end) return 0;
  text->ids[text->count++] = id;
  return text->count < kMostTokens && lutra_sequence_position(text->sequence) <
                                          lutra_session_context(session);
}

static void Print(const lutra_model* model, const char* prompt,
                  const Text* text) {
  lutra_text_stream* stream = NULL;
  const char* piece = NULL;
  Check(lutra_text_stream_create(model, 1, &stream));
  fputs(prompt, stdout);
  for (size_t i = 0; i < text->count; ++i) {
    Check(lutra_text_stream_add(stream, text->ids[i], &piece, NULL));
    fputs(piece, stdout);
  }
  Check(lutra_text_stream_flush(stream, &piece, NULL));
  puts(piece);
  lutra_text_stream_free(stream);
}

int main(int argc, char** argv) {
  const long wanted = argc > 3 ? strtol(argv[3], NULL, 10) : 3;
  if (argc < 3 || wanted < 1 || wanted > kMostTexts) {
    fprintf(stderr, "usage: %s MODEL PROMPT [TEXTS, 1 to %d]\n", argv[0],
            kMostTexts);
    return 2;
  }
  const size_t texts = (size_t)wanted;
  lutra_model* model = NULL;
  lutra_session* session = NULL;
  Check(lutra_model_load(argv[1], &model));
  Check(lutra_session_create(model, NULL, &session));
  const size_t vocabulary = lutra_model_vocabulary(model);

  int32_t prompt[kMostPrompt];
  size_t count = 0;
  const float* logits = NULL;
  Check(lutra_model_encode(model, argv[2], strlen(argv[2]),
                           LUTRA_SPECIAL_PROMPT, prompt, kMostPrompt, &count));
  if (count > kMostPrompt) {
    fprintf(stderr, "the prompt is too long\n");
    return 1;
  }
  Check(lutra_session_feed(session, prompt, count, &logits));

  /* Rows that only pad the vocabulary are no tokens. */
  uint32_t* allowed = calloc(vocabulary / 32 + 1, sizeof(uint32_t));
  for (size_t i = 0; i < vocabulary; ++i) {
    int is_unused = 0;
    Check(lutra_model_is_unused(model, (int32_t)i, &is_unused));
    if (!is_unused) allowed[i / 32] |= (uint32_t)1 << (i % 32);
  }

  /* They differ by what the dice of their samplers show. */
  static Text text[kMostTexts];
  for (size_t i = 0; i < texts; ++i) {
    lutra_sampler_options options;
    lutra_sampler_options_init(&options);
    options.seed = i;
    Check(lutra_sampler_create(&options, vocabulary, &text[i].sampler));
    Check(lutra_session_fork(session, &text[i].sequence));
    text[i].logits = logits;
  }
  for (;;) {
    lutra_rows rows[kMostTexts]; /* of the texts that go on: one each */
    int32_t ids[kMostTexts];
    Text* of[kMostTexts];
    size_t going = 0;
    for (size_t i = 0; i < texts; ++i) {
      if (!Choose(model, session, allowed, &text[i])) continue;
      rows[going].sequence = text[i].sequence;
      rows[going].count = 1;
      ids[going] = text[i].ids[text[i].count - 1];
      of[going++] = &text[i];
    }
    if (going == 0) break;
    Check(lutra_session_feed_rows(session, rows, going, ids, &logits));
    for (size_t i = 0; i < going; ++i) {
      of[i]->logits = logits + i * vocabulary;
    }
  }
  for (size_t i = 0; i < texts; ++i) {
    Print(model, argv[2], &text[i]);
    lutra_sequence_free(text[i].sequence);
    lutra_sampler_free(text[i].sampler);
  }
  free(allowed);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
