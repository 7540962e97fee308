/* Writes the source of utf8proc's tables, packed (tables.h), to the file that
 * its argument names. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tables.h"
#include "utf8proc.c"

static uint16_t Get(const void* column, size_t stride, size_t i) {
  uint16_t value;
  memcpy(&value, (const char*)column + i * stride, sizeof(value));
  return value;
}

static void Fail(const char* why) {
  fprintf(stderr, "write_tables: %s\n", why);
  exit(1);
}

/* The numbers of a column as they are packed. */
static uint16_t* Codes(const void* column, size_t count, size_t stride) {
  uint16_t* codes = malloc(sizeof(uint16_t) * count);
  if (codes == NULL) Fail("out of memory");
  uint16_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint16_t value = Get(column, stride, i);
    codes[i] = 0;
    if (value == UINT16_MAX) continue;
    const int16_t difference = (int16_t)(value - last);
    codes[i] =
        (uint16_t)(1 + (difference < 0 ? 2 * ~difference + 1 : 2 * difference));
    last = value;
  }
  return codes;
}

/* Returns how many bytes there are. packed: room for three times `count`. */
static size_t Pack(const uint16_t* codes, int wide, size_t count,
                   uint8_t* packed) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    if (wide) {
      packed[i] = (uint8_t)codes[i];
      packed[count + i] = (uint8_t)(codes[i] >> 8);
      bytes += 2;
      continue;
    }
    uint16_t rest = codes[i];
    for (; rest >= 0x80; rest >>= 7) packed[bytes++] = (uint8_t)(rest | 0x80);
    packed[bytes++] = (uint8_t)rest;
  }
  return bytes;
}

/* One that unpacks to other numbers ends the program. */
static void WriteColumn(FILE* file, const char* name, size_t offset,
                        const void* column, size_t count, size_t stride) {
  uint16_t* codes = Codes(column, count, stride);
  uint8_t* packed = malloc(3 * count);
  uint16_t* again = malloc(sizeof(uint16_t) * count);
  if (packed == NULL || again == NULL) Fail("out of memory");
  size_t bytes = Pack(codes, 0, count, packed);
  const int wide = 2 * bytes >= 3 * count;
  if (wide) bytes = Pack(codes, 1, count, packed);
  UnpackColumn(packed, wide, count, sizeof(uint16_t), again);
  for (size_t i = 0; i < count; ++i) {
    if (again[i] != Get(column, stride, i)) Fail("a table cannot be packed");
  }
  fprintf(file, "  {\n    static const uint8_t packed[] = {");
  for (size_t i = 0; i < bytes; ++i) {
    fprintf(file, "%s%d,", i % 16 == 0 ? "\n" : "", packed[i]);
  }
  fprintf(file,
          "};\n    UnpackColumn(packed, %d, %zu, %zu, (char*)%s + %zu);\n  }\n",
          wide, count, stride, name, offset);
  free(again);
  free(packed);
  free(codes);
}

static void WriteTable(FILE* file, const char* name, const void* table,
                       size_t count, size_t stride) {
  for (size_t offset = 0; offset < stride; offset += sizeof(uint16_t)) {
    WriteColumn(file, name, offset, (const char*)table + offset, count, stride);
  }
}

#define TABLES(USE)         \
  USE(utf8proc_sequences)   \
  USE(utf8proc_stage1table) \
  USE(utf8proc_stage2table) \
  USE(utf8proc_properties)  \
  USE(utf8proc_combinations)
#define COUNT(table) (sizeof(table) / sizeof(table[0]))
#define DECLARE(table)                                    \
  fprintf(file, "static %s " #table "[%zu];\n",           \
          sizeof(table[0]) == sizeof(utf8proc_property_t) \
              ? "utf8proc_property_t"                     \
              : "utf8proc_uint16_t",                      \
          COUNT(table));
#define WRITE(table) \
  WriteTable(file, #table, table, COUNT(table), sizeof(table[0]));

int main(int argc, char** argv) {
  if (argc != 2) Fail("one argument");
  FILE* file = fopen(argv[1], "w");
  if (file == NULL) Fail("the file cannot be written");
  fprintf(file, "#include \"tables.h\"\n");
  TABLES(DECLARE)
  fprintf(file, "__attribute__((constructor)) static void Unpack(void) {\n");
  TABLES(WRITE)
  fprintf(file, "}\n");
  if (fclose(file) != 0) Fail("the file cannot be written");
  return 0;
}
