# Everything lutra uses from elsewhere, in one place.
#
# The distribution's package is taken when there is one; otherwise the pinned
# upstream release is fetched. FETCHCONTENT_SOURCE_DIR_<NAME> points a fetch at
# a local source tree and overrides the package.
include(FetchContent)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(pthreadpool REQUIRED)

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

FetchContent_Declare(
  hwy
  GIT_REPOSITORY https://github.com/google/highway
  GIT_TAG 1.3.0
  SYSTEM
  FIND_PACKAGE_ARGS 1.0.3 NAMES hwy CONFIG)
FetchContent_Declare(
  cpuinfo
  GIT_REPOSITORY https://github.com/pytorch/cpuinfo
  GIT_TAG d6108819d1d41c749b076e250be454c4559cb771
  SYSTEM
  FIND_PACKAGE_ARGS MODULE)
FetchContent_Declare(
  nlohmann_json
  GIT_REPOSITORY https://github.com/nlohmann/json
  GIT_TAG v3.11.3
  FIND_PACKAGE_ARGS 3.10 NAMES nlohmann_json)
FetchContent_MakeAvailable(hwy cpuinfo nlohmann_json)
# The names that packages export; the fetched projects lack them.
if(NOT TARGET hwy::hwy)
  add_library(hwy::hwy ALIAS hwy)
endif()
if(NOT TARGET cpuinfo::cpuinfo)
  add_library(cpuinfo::cpuinfo ALIAS cpuinfo)
endif()

if(LUTRA_XNNPACK)
  find_package(XNNPACK)
  if(NOT XNNPACK_FOUND)
    message(STATUS "XNNPACK not found: dense float operators use the portable "
                   "implementation (much slower)")
  endif()
endif()
set(LUTRA_HAVE_XNNPACK ${XNNPACK_FOUND})
if(NOT LUTRA_XNNPACK OR NOT XNNPACK_FOUND)
  set(LUTRA_HAVE_XNNPACK OFF)
endif()

find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(ZLIB REQUIRED)

if(LUTRA_BUILD_TOOLS)
  FetchContent_Declare(
    CLI11
    GIT_REPOSITORY https://github.com/CLIUtils/CLI11
    GIT_TAG v2.4.2
    FIND_PACKAGE_ARGS 2.1 NAMES CLI11)
  FetchContent_MakeAvailable(CLI11)
endif()
if(LUTRA_BUILD_TESTS)
  FetchContent_Declare(
    googletest
    GIT_REPOSITORY https://github.com/google/googletest
    GIT_TAG v1.15.2
    FIND_PACKAGE_ARGS 1.12 NAMES GTest)
  FetchContent_MakeAvailable(googletest)
endif()
if(LUTRA_BUILD_BENCH)
  FetchContent_Declare(
    benchmark
    GIT_REPOSITORY https://github.com/google/benchmark
    GIT_TAG v1.9.0
    FIND_PACKAGE_ARGS 1.7 NAMES benchmark)
  FetchContent_MakeAvailable(benchmark)
endif()
