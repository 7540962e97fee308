/* Which class images belong to, for networks of pixels such as the quick
 * start's:
 *
 *   zcat t10k-images-idx3-ubyte.gz | classify packed.safetensors /dev/stdin
 *   classify model.safetensors photo.ppm
 *
 * The file is of the kind idx (any number of images), or a binary PGM or PPM
 * (one, gray or in colour) of the size that the model takes.
 */
#include <lutra.h>
#include <stdio.h>
#include <stdlib.h>

static int Fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  return 1;
}

/* A number of a PGM or PPM header: in digits, after spaces and comments. */
static size_t Number(FILE* file) {
  size_t number = 0;
  int c = getc(file);
  while (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '#') {
    if (c == '#') {
      while (c != '\n' && c != EOF) c = getc(file);
    }
    c = getc(file);
  }
  for (; c >= '0' && c <= '9'; c = getc(file)) {
    number = number * 10 + (size_t)(c - '0');
  }
  return number; /* and one space after it is gone, too */
}

/* Leaves the file at its first pixel; how many images there are, and of how
 * many bytes. 0 images for files of other kinds. */
static size_t FindImages(FILE* file, size_t* bytes) {
  const int first = getc(file), second = getc(file);
  *bytes = 1;
  if (first == 'P' && (second == '5' || second == '6')) {
    *bytes = Number(file);
    *bytes *= Number(file) * (second == '6' ? 3 : 1);
    return Number(file) == 255 ? 1 : 0;
  }
  size_t count = 0;
  if (first != 0 || second != 0 || getc(file) != 8) return 0;
  const int dimensions = getc(file);
  for (int i = 0; i < dimensions; ++i) {
    size_t size = 0; /* its first byte is the highest */
    for (int j = 0; j < 4; ++j) size = size << 8 | (unsigned char)getc(file);
    if (i == 0) {
      count = size;
    } else {
      *bytes *= size;
    }
  }
  return count;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL IMAGES\n", argv[0]);
    return 2;
  }
  lutra_model* model = NULL;
  lutra_session* session = NULL;
  lutra_value_info in, out;
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.threads = 1; /* an image is too little work for more */
  if (lutra_model_load(argv[1], &model) != LUTRA_OK ||
      lutra_model_input(model, 0, &in) != LUTRA_OK ||
      lutra_model_output(model, 0, &out) != LUTRA_OK ||
      lutra_session_create(model, &options, &session) != LUTRA_OK) {
    return Fail("load", lutra_last_error());
  }
  FILE* file = fopen(argv[2], "rb");
  if (file == NULL) return Fail(argv[2], "cannot be opened");
  size_t bytes = 0;
  const size_t count = FindImages(file, &bytes);
  if (count == 0) return Fail(argv[2], "is not idx, PGM or PPM of bytes");
  if (in.type != LUTRA_FLOAT32 || in.elements != bytes) {
    return Fail(argv[2], "its images are not of the size that the model takes");
  }

  unsigned char* image = malloc(bytes);
  float* pixels = malloc(bytes * sizeof(float));
  float* scores = malloc(out.elements * sizeof(float));
  if (image == NULL || pixels == NULL || scores == NULL) {
    return Fail(argv[2], "no memory");
  }
  const void* const inputs[] = {pixels};
  float* const outputs[] = {scores};
  for (size_t i = 0; i < count; ++i) {
    if (fread(image, 1, bytes, file) != bytes) {
      return Fail(argv[2], "ends too early");
    }
    /* From 0 to 1, as in training. */
    for (size_t j = 0; j < bytes; ++j) pixels[j] = (float)image[j] / 255.0f;
    if (lutra_session_run(session, 1, inputs, 1, outputs, 1) != LUTRA_OK) {
      return Fail("run", lutra_last_error());
    }
    size_t best = 0;
    for (size_t j = 1; j < out.elements; ++j) {
      if (scores[j] > scores[best]) best = j;
    }
    printf("image %zu: class %zu, score %.4g\n", i, best, (double)scores[best]);
  }
  free(scores);
  free(pixels);
  free(image);
  fclose(file);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
