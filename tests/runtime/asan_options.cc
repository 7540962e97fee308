// For programs with tests that ask for more memory than there is. With the
// address sanitizer such an allocation would otherwise end the program, and the
// test could not see the report.

extern "C" __attribute__((visibility("default"))) const char*
__asan_default_options();
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
