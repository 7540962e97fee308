/* The text and tokens of a question by the model's chat template:
 * chat_c MODEL "Who are you?" ["system text"]. examples/generate.c continues
 * tokens. */
#include <lutra.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void Check(lutra_status status) {
  if (status == LUTRA_OK) return;
  fprintf(stderr, "error: %s\n", lutra_last_error());
  exit(1);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL QUESTION [SYSTEM]\n", argv[0]);
    return 2;
  }
  lutra_chat_message messages[2];
  size_t message_count = 0;
  if (argc > 3) {
    messages[message_count].role = "system";
    messages[message_count++].content = argv[3];
  }
  messages[message_count].role = "user";
  messages[message_count++].content = argv[2];

  lutra_model* model = NULL;
  Check(lutra_model_load(argv[1], &model));
  /* First how many bytes, then which. */
  size_t bytes = 0;
  Check(lutra_model_apply_chat_template_to(model, messages, message_count, NULL,
                                           NULL, 0, &bytes));
  char* text = malloc(bytes + 1);
  Check(lutra_model_apply_chat_template_to(model, messages, message_count, NULL,
                                           text, bytes, &bytes));
  fwrite(text, 1, bytes, stdout);

  /* The template has put all special tokens. */
  size_t count = 0;
  Check(lutra_model_encode(model, text, bytes, LUTRA_SPECIAL_NONE, NULL, 0,
                           &count));
  int32_t ends[16];
  size_t end_count = 0;
  Check(lutra_model_chat_ends(model, ends, 16, &end_count));
  printf("\n%zu tokens; an answer ends with one of %zu\n", count, end_count);
  free(text);
  lutra_model_free(model);
  return 0;
}
