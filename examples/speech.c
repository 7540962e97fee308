/* Where somebody speaks in a recording: listens to it frame by frame, as it
 * would to a microphone. The model is made by
 *   lutra import silero_vad_16k.safetensors -o vad.safetensors
 * (and may be packed); the recording is a WAV file of one channel, 16 bits and
 * 16,000 samples per second.
 *
 * The session remembers what the network needs of the frames before.
 */
#include <lutra.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { kRate = 16000, kMost = 8192, kPause = kRate / 10 };
static float samples[kMost];

static uint32_t Number(const unsigned char* bytes, int count) {
  uint32_t value = 0;
  for (int i = count; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

/* Leaves the file at its first sample and returns how many bytes of samples
 * there are; 0 for a file of another kind. */
static uint32_t FindSamples(FILE* file) {
  unsigned char head[16];
  int right_format = 0;
  if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) != 0 ||
      memcmp(head + 8, "WAVE", 4) != 0) {
    return 0;
  }
  while (fread(head, 1, 8, file) == 8) {
    const uint32_t size = Number(head + 4, 4);
    long rest = (long)size + (long)(size & 1); /* chunks have even sizes */
    if (memcmp(head, "data", 4) == 0) return right_format ? size : 0;
    if (size > 1u << 24) return 0;
    if (memcmp(head, "fmt ", 4) == 0) {
      if (size < 16 || fread(head, 1, 16, file) != 16) return 0;
      right_format = Number(head, 2) == 1 && Number(head + 2, 2) == 1 &&
                     Number(head + 4, 4) == kRate && Number(head + 14, 2) == 16;
      rest -= 16;
    }
    if (fseek(file, rest, SEEK_CUR) != 0) return 0;
  }
  return 0;
}

/* Fills a frame, with zeros where the recording ends in it. Returns how many
 * samples came from the file. */
static size_t ReadFrame(FILE* file, size_t frame, uint32_t* bytes) {
  size_t count = 0;
  unsigned char pair[2];
  memset(samples, 0, frame * sizeof(float));
  while (count < frame && *bytes >= 2 && fread(pair, 1, 2, file) == 2) {
    const uint32_t value = Number(pair, 2);
    const int sample = (int)value - (value > 32767 ? 65536 : 0);
    samples[count++] = (float)sample / 32768.0f;
    *bytes -= 2;
  }
  return count;
}

static int Fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, lutra_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s vad.safetensors recording.wav\n", argv[0]);
    return 2;
  }
  lutra_model* model = NULL;
  lutra_value_info in, out;
  if (lutra_model_load(argv[1], &model) != LUTRA_OK ||
      lutra_model_input(model, 0, &in) != LUTRA_OK ||
      lutra_model_output(model, 0, &out) != LUTRA_OK) {
    return Fail("load");
  }
  const size_t frame = in.elements;
  if (in.type != LUTRA_FLOAT32 || frame > kMost || out.elements != 1) {
    fprintf(stderr, "%s: does not tell speech from samples\n", argv[1]);
    return 1;
  }
  FILE* file = fopen(argv[2], "rb");
  uint32_t bytes = file == NULL ? 0 : FindSamples(file);
  if (bytes == 0) {
    fprintf(stderr, "%s: is no WAV file of one channel, 16 bits, 16 kHz\n",
            argv[2]);
    return 1;
  }
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.threads = 1; /* a frame is too little work for more */
  lutra_session* session = NULL;
  if (lutra_session_create(model, &options, &session) != LUTRA_OK ||
      lutra_session_prepare(session, 1) != LUTRA_OK) {
    return Fail("session");
  }

  const void* const inputs[] = {samples};
  float probability = 0;
  float* const outputs[] = {&probability};
  unsigned long place = 0;          /* of the frame, in samples */
  unsigned long begin = 0, end = 0; /* of what was said last */
  for (size_t count; (count = ReadFrame(file, frame, &bytes)) > 0;) {
    if (lutra_session_run(session, 1, inputs, 1, outputs, 1) != LUTRA_OK) {
      return Fail("run");
    }
    if (probability >= 0.5f) {
      if (end > 0 && place - end > kPause) {
        printf("%.3f s to %.3f s\n", (double)begin / kRate,
               (double)end / kRate);
        end = 0;
      }
      if (end == 0) begin = place;
      end = place + count;
    }
    place += count;
  }
  if (end > 0) {
    printf("%.3f s to %.3f s\n", (double)begin / kRate, (double)end / kRate);
  }
  fclose(file);
  lutra_session_free(session);
  lutra_model_free(model);
  return 0;
}
