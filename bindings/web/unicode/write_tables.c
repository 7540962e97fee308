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

/* One that unpacks to other numbers ends the program. */
static uint8_t* PackColumn(const void* column, size_t count, size_t stride) {
  uint8_t* packed = malloc(2 * count);
  uint16_t* again = malloc(sizeof(uint16_t) * count);
  if (packed == NULL || again == NULL) Fail("out of memory");
  uint16_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint16_t value = Get(column, stride, i);
    uint16_t code = 0;
    if (value != UINT16_MAX) {
      const int16_t difference = (int16_t)(value - last);
      code = (uint16_t)(1 + (difference < 0 ? 2 * ~difference + 1
                                            : 2 * difference));
      last = value;
    }
    packed[i] = (uint8_t)code;
    packed[count + i] = (uint8_t)(code >> 8);
  }
  UnpackColumn(packed, count, sizeof(uint16_t), again);
  for (size_t i = 0; i < count; ++i) {
    if (again[i] != Get(column, stride, i)) Fail("a table cannot be packed");
  }
  free(again);
  return packed;
}

static void WriteTable(FILE* file, const char* name, const void* table,
                       size_t count, size_t stride) {
  for (size_t offset = 0; offset < stride; offset += sizeof(uint16_t)) {
    uint8_t* packed = PackColumn((const char*)table + offset, count, stride);
    fprintf(file, "  {\n    static const uint8_t packed[] = {");
    for (size_t i = 0; i < 2 * count; ++i) {
      fprintf(file, "%s%d,", i % 16 == 0 ? "\n" : "", packed[i]);
    }
    fprintf(file,
            "};\n    UnpackColumn(packed, %zu, %zu, (char*)%s + %zu);\n  }\n",
            count, stride, name, offset);
    free(packed);
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
