# Everything lutra uses from elsewhere, in one place.
#
# The distribution's package is taken when there is one; otherwise the pinned
# upstream release is fetched. FETCHCONTENT_SOURCE_DIR_<NAME> points a fetch at
# a local source tree and overrides the package.
include(FetchContent)

if(LUTRA_THREADS)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
  # For apps that hand one in by the C API; refused without.
  find_package(pthreadpool)
endif()

# Fetched projects build their library only.
set(HWY_ENABLE_TESTS OFF CACHE INTERNAL "")
set(HWY_ENABLE_EXAMPLES OFF CACHE INTERNAL "")
set(HWY_ENABLE_CONTRIB OFF CACHE INTERNAL "")
set(HWY_ENABLE_INSTALL ON CACHE INTERNAL "")
set(CPUINFO_BUILD_UNIT_TESTS OFF CACHE INTERNAL "")
set(CPUINFO_BUILD_MOCK_TESTS OFF CACHE INTERNAL "")
set(CPUINFO_BUILD_BENCHMARKS OFF CACHE INTERNAL "")
set(CPUINFO_BUILD_TOOLS OFF CACHE INTERNAL "")
set(JSON_BuildTests OFF CACHE INTERNAL "")
set(INSTALL_GTEST OFF CACHE INTERNAL "")
set(BENCHMARK_ENABLE_TESTING OFF CACHE INTERNAL "")
set(BENCHMARK_ENABLE_INSTALL OFF CACHE INTERNAL "")

if(EMSCRIPTEN)
  # Headers suffice: Highway's library detects CPUs and aligns memory.
  find_path(HWY_INCLUDE_DIR hwy/highway.h)
  if(HWY_INCLUDE_DIR)
    add_library(hwy::hwy INTERFACE IMPORTED)
    target_include_directories(hwy::hwy SYSTEM INTERFACE "${HWY_INCLUDE_DIR}")
  endif()
endif()
if(NOT TARGET hwy::hwy)
  FetchContent_Declare(
    hwy
    GIT_REPOSITORY https://github.com/google/highway
    GIT_TAG 1.3.0
    SYSTEM
    FIND_PACKAGE_ARGS 1.0.3 NAMES hwy CONFIG)
  FetchContent_MakeAvailable(hwy)
endif()
# The name that packages export; the fetched project lacks it.
if(NOT TARGET hwy::hwy)
  add_library(hwy::hwy ALIAS hwy)
endif()

if(NOT EMSCRIPTEN)  # nothing to detect there
  FetchContent_Declare(
    cpuinfo
    GIT_REPOSITORY https://github.com/pytorch/cpuinfo
    GIT_TAG d6108819d1d41c749b076e250be454c4559cb771
    SYSTEM
    FIND_PACKAGE_ARGS MODULE)
  FetchContent_MakeAvailable(cpuinfo)
  if(NOT TARGET cpuinfo::cpuinfo)
    add_library(cpuinfo::cpuinfo ALIAS cpuinfo)
  endif()
endif()

if("runtime" IN_LIST LUTRA_ROOMS)
  FetchContent_Declare(
    nlohmann_json
    GIT_REPOSITORY https://github.com/nlohmann/json
    GIT_TAG v3.11.3
    FIND_PACKAGE_ARGS 3.10 NAMES nlohmann_json)
  FetchContent_MakeAvailable(nlohmann_json)
  # Tokenizers of some models need these two; without one, such a tokenizer is
  # refused and the message says why.
  find_package(PCRE2)
  find_package(utf8proc)
endif()

if("qat" IN_LIST LUTRA_ROOMS)
  find_package(ZLIB REQUIRED)
endif()

if("packer" IN_LIST LUTRA_ROOMS)
  find_package(FlatBuffersReader)  # imports of .tflite; refused without
  find_package(SentencePiece)  # imports of .model tokenizers; refused without
  find_package(Eigen3 3.4 REQUIRED NO_MODULE)
endif()

if(LUTRA_BUILD_TOOLS)
  FetchContent_Declare(
    CLI11
    GIT_REPOSITORY https://github.com/CLIUtils/CLI11
    GIT_TAG v2.4.2
    FIND_PACKAGE_ARGS 2.1 NAMES CLI11)
  FetchContent_MakeAvailable(CLI11)
  find_package(libedit)  # lines of a conversation; not edited without
endif()
if(LUTRA_BUILD_TESTS)
  # Packages hold libraries for this machine only, but the sources as well.
  if(CMAKE_CROSSCOMPILING AND EXISTS /usr/src/googletest)
    set(FETCHCONTENT_SOURCE_DIR_GOOGLETEST
        /usr/src/googletest
        CACHE PATH "Sources of GoogleTest")
    if(NOT LUTRA_THREADS)
      set(gtest_disable_pthreads ON CACHE INTERNAL "")
    endif()
  endif()
  FetchContent_Declare(
    googletest
    GIT_REPOSITORY https://github.com/google/googletest
    GIT_TAG v1.15.2
    FIND_PACKAGE_ARGS 1.12 NAMES GTest)
  FetchContent_MakeAvailable(googletest)
endif()
if(LUTRA_BUILD_BENCH)
  find_package(Eigen3 3.4 REQUIRED NO_MODULE)  # a peer
  FetchContent_Declare(
    benchmark
    GIT_REPOSITORY https://github.com/google/benchmark
    GIT_TAG v1.9.0
    FIND_PACKAGE_ARGS 1.7 NAMES benchmark)
  FetchContent_MakeAvailable(benchmark)
endif()
