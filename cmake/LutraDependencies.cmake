# Everything lutra uses from elsewhere, in one place.
#
# A target that the project around lutra has already is taken first, then the
# distribution's package, then the pinned upstream release is fetched.
# FETCHCONTENT_SOURCE_DIR_<NAME> points to a local source tree, in the place of
# the package.
include(FetchContent)

option(LUTRA_FETCH "Fetch the sources of libraries that are not found" ON)

# lutra_depend(TARGET NAME name URL url TAG tag DEBIAN package
#              PACKAGE words-of-find_package... [ALSO other-names-of-the-target...])
# makes TARGET one of lutra's dependencies, or notes that it is to be fetched.
function(lutra_depend target)
  cmake_parse_arguments(arg "" "NAME;URL;TAG;DEBIAN" "PACKAGE;ALSO" ${ARGN})
  string(TOUPPER "${arg_NAME}" upper_name)
  lutra_take_target(${target} ${arg_ALSO})
  if(NOT TARGET ${target} AND NOT FETCHCONTENT_SOURCE_DIR_${upper_name})
    find_package(${arg_PACKAGE} QUIET)
  endif()
  if(TARGET ${target})
    return()
  endif()
  foreach(field NAME URL TAG DEBIAN PACKAGE ALSO)
    set_property(DIRECTORY PROPERTY lutra_${field}_${target} "${arg_${field}}")
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY lutra_missing ${target})
endfunction()

# Gives the first target of those named after it the name TARGET, if it has none.
function(lutra_take_target target)
  foreach(other IN LISTS ARGN)
    if(TARGET ${other} AND NOT TARGET ${target})
      get_target_property(aliased ${other} ALIASED_TARGET)
      if(aliased)
        set(other ${aliased})
      endif()
      add_library(${target} ALIAS ${other})
    endif()
  endforeach()
endfunction()

# Whether the sources are here, or can be fetched.
function(lutra_can_fetch name url result)
  string(TOUPPER "${name}" upper_name)
  if(FETCHCONTENT_SOURCE_DIR_${upper_name}
     OR EXISTS "${FETCHCONTENT_BASE_DIR}/${name}-src/.git")
    set(${result} TRUE PARENT_SCOPE)
    return()
  endif()
  set(${result} FALSE PARENT_SCOPE)
  find_package(Git QUIET)
  if(LUTRA_FETCH AND NOT FETCHCONTENT_FULLY_DISCONNECTED AND GIT_FOUND)
    execute_process(
      COMMAND "${CMAKE_COMMAND}" -E env GIT_TERMINAL_PROMPT=0
              "${GIT_EXECUTABLE}" ls-remote --exit-code "${url}" HEAD
      TIMEOUT 30
      RESULT_VARIABLE answer
      OUTPUT_QUIET ERROR_QUIET)
    if(answer EQUAL 0)
      set(${result} TRUE PARENT_SCOPE)
    endif()
  endif()
endfunction()

# Fetches what is missing, or says all that cannot be had. Settings of the
# fetched projects end with this function: they build a static library only.
function(lutra_fetch_missing)
  get_property(targets DIRECTORY PROPERTY lutra_missing)
  set(lines)
  set(packages)
  foreach(target IN LISTS targets)
    foreach(field NAME URL TAG DEBIAN PACKAGE)
      get_property(${field} DIRECTORY PROPERTY lutra_${field}_${target})
    endforeach()
    lutra_can_fetch(${NAME} ${URL} can_fetch)
    if(NOT can_fetch)
      string(TOUPPER "${NAME}" upper_name)
      list(JOIN PACKAGE " " wanted)
      string(APPEND lines "  ${wanted} (${URL} ${TAG}: "
             "FETCHCONTENT_SOURCE_DIR_${upper_name})\n")
      list(APPEND packages ${DEBIAN})
    endif()
  endforeach()
  if(lines)
    list(REMOVE_DUPLICATES packages)
    list(JOIN packages " " packages)
    message(FATAL_ERROR "lutra: these libraries are neither found nor fetched:\n"
                        "${lines}Debian and Ubuntu: apt install ${packages}")
  endif()

  set(BUILD_SHARED_LIBS OFF)
  set(BUILD_TESTING OFF)
  # Options heed the variables below.
  set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
  set(CMAKE_POLICY_DEFAULT_CMP0126 NEW)
  set(HWY_ENABLE_TESTS OFF)
  set(HWY_ENABLE_EXAMPLES OFF)
  set(HWY_ENABLE_CONTRIB OFF)
  set(HWY_ENABLE_INSTALL ${LUTRA_INSTALL})
  set(CPUINFO_BUILD_UNIT_TESTS OFF)
  set(CPUINFO_BUILD_MOCK_TESTS OFF)
  set(CPUINFO_BUILD_BENCHMARKS OFF)
  set(CPUINFO_BUILD_TOOLS OFF)
  set(CPUINFO_BUILD_PKG_CONFIG ${LUTRA_INSTALL})
  set(CPUINFO_LIBRARY_TYPE static)
  set(JSON_BuildTests OFF)
  set(INSTALL_GTEST OFF)
  set(CLI11_BUILD_TESTS OFF)
  set(CLI11_BUILD_EXAMPLES OFF)
  set(CLI11_BUILD_DOCS OFF)
  set(BENCHMARK_ENABLE_TESTING OFF)
  set(BENCHMARK_ENABLE_INSTALL OFF)
  foreach(target IN LISTS targets)
    foreach(field NAME URL TAG ALSO)
      get_property(${field} DIRECTORY PROPERTY lutra_${field}_${target})
    endforeach()
    message(STATUS "lutra fetches ${target}, ${TAG} of ${URL}")
    if(COMMAND lutra_make_${NAME})  # without the project's own CMake files
      set(folder SOURCE_SUBDIR .lutra)
    else()
      set(folder)
    endif()
    FetchContent_Declare(${NAME} GIT_REPOSITORY ${URL} GIT_TAG ${TAG} ${folder})
    FetchContent_MakeAvailable(${NAME})
    if(COMMAND lutra_make_${NAME})
      cmake_language(CALL lutra_make_${NAME} "${${NAME}_SOURCE_DIR}")
    endif()
    lutra_take_target(${target} ${ALSO})
    # Not by FetchContent's own SYSTEM, which breaks the fetch of CMake 3.25.
    get_target_property(aliased ${target} ALIASED_TARGET)
    if(aliased)
      get_target_property(folders ${aliased} INTERFACE_INCLUDE_DIRECTORIES)
      set_target_properties(${aliased} PROPERTIES
                            INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${folders}")
    endif()
  endforeach()
endfunction()

# zlib's own CMake files change its sources, Eigen's build much else.
function(lutra_make_zlib folder)
  file(GLOB sources "${folder}/*.c")
  add_library(lutra_zlib STATIC ${sources})
  target_include_directories(lutra_zlib SYSTEM
                             INTERFACE $<BUILD_INTERFACE:${folder}>)
  target_compile_definitions(lutra_zlib PRIVATE HAVE_UNISTD_H)
  add_library(ZLIB::ZLIB ALIAS lutra_zlib)
endfunction()
function(lutra_make_eigen folder)
  add_library(Eigen3::Eigen INTERFACE IMPORTED)
  target_include_directories(Eigen3::Eigen SYSTEM INTERFACE "${folder}")
endfunction()

if(LUTRA_THREADS)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
endif()

if(EMSCRIPTEN)
  # Headers suffice: Highway's library detects CPUs and aligns memory.
  find_path(HWY_INCLUDE_DIR hwy/highway.h)
  if(HWY_INCLUDE_DIR)
    add_library(hwy::hwy INTERFACE IMPORTED)
    target_include_directories(hwy::hwy SYSTEM INTERFACE "${HWY_INCLUDE_DIR}")
  endif()
elseif(LUTRA_PROCESSOR AND LUTRA_CPUINFO)
  lutra_depend(  # others have no instruction sets to choose from
    cpuinfo::cpuinfo
    NAME cpuinfo
    URL https://github.com/pytorch/cpuinfo
    TAG d6108819d1d41c749b076e250be454c4559cb771
    DEBIAN libcpuinfo-dev
    PACKAGE cpuinfo
    ALSO cpuinfo)
endif()
lutra_depend(
  hwy::hwy
  NAME hwy
  URL https://github.com/google/highway
  TAG 1.3.0
  DEBIAN libhwy-dev
  PACKAGE hwy 1.0.3
  ALSO hwy)

if("runtime" IN_LIST LUTRA_ROOMS)
  lutra_depend(
    nlohmann_json::nlohmann_json
    NAME nlohmann_json
    URL https://github.com/nlohmann/json
    TAG v3.11.3
    DEBIAN nlohmann-json3-dev
    PACKAGE nlohmann_json 3.10
    ALSO nlohmann_json)
endif()

if("qat" IN_LIST LUTRA_ROOMS)
  lutra_depend(
    ZLIB::ZLIB
    NAME zlib
    URL https://github.com/madler/zlib
    TAG v1.3.1
    DEBIAN zlib1g-dev
    PACKAGE ZLIB
    ALSO zlibstatic zlib)
endif()

if("packer" IN_LIST LUTRA_ROOMS)  # and a peer of the benchmarks
  lutra_depend(
    Eigen3::Eigen
    NAME eigen
    URL https://gitlab.com/libeigen/eigen.git
    TAG 3.4.0
    DEBIAN libeigen3-dev
    PACKAGE Eigen3 3.4
    ALSO eigen)
endif()

if(LUTRA_BUILD_TOOLS)
  lutra_depend(
    CLI11::CLI11
    NAME cli11
    URL https://github.com/CLIUtils/CLI11
    TAG v2.4.2
    DEBIAN libcli11-dev
    PACKAGE CLI11 2.1)
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
  lutra_depend(
    GTest::gmock
    NAME googletest
    URL https://github.com/google/googletest
    TAG v1.15.2
    DEBIAN libgmock-dev
    PACKAGE GTest 1.12)
endif()
if(LUTRA_BUILD_BENCH)
  lutra_depend(
    benchmark::benchmark
    NAME benchmark
    URL https://github.com/google/benchmark
    TAG v1.9.0
    DEBIAN libbenchmark-dev
    PACKAGE benchmark 1.7)
endif()
lutra_fetch_missing()

# Libraries for tokenizers, of their sources where these are handed in: as where
# no package can be had.
function(lutra_make_pcre2 folder)
  set(build "${PROJECT_BINARY_DIR}/lutra_pcre2")
  configure_file("${folder}/src/config.h.generic" "${build}/config.h" COPYONLY)
  configure_file("${folder}/src/pcre2.h.generic" "${build}/pcre2.h" COPYONLY)
  configure_file("${folder}/src/pcre2_chartables.c.dist"
                 "${build}/pcre2_chartables.c" COPYONLY)
  file(GLOB sources "${folder}/src/pcre2_*.c")
  # Parts of other files, and of programs.
  list(FILTER sources EXCLUDE REGEX
       "_(dftables|fuzzsupport|jit_match|jit_misc|jit_test|printint|ucptables)\\.c$")
  add_library(lutra_pcre2 STATIC ${sources} "${build}/pcre2_chartables.c")
  target_include_directories(lutra_pcre2 SYSTEM
                             PUBLIC $<BUILD_INTERFACE:${build}>
                             PRIVATE "${folder}/src")
  target_compile_definitions(
    lutra_pcre2
    PUBLIC PCRE2_STATIC
    PRIVATE HAVE_CONFIG_H HAVE_MEMMOVE SUPPORT_UNICODE PCRE2_CODE_UNIT_WIDTH=8)
  add_library(PCRE2::8BIT ALIAS lutra_pcre2)
endfunction()
function(lutra_make_utf8proc folder)
  if(EMSCRIPTEN)  # whose programs travel: with its tables packed
    set(unicode "${PROJECT_SOURCE_DIR}/bindings/web/unicode")
    add_executable(write_tables "${unicode}/write_tables.c")
    target_include_directories(write_tables SYSTEM PRIVATE "${folder}")
    set(build "${PROJECT_BINARY_DIR}/lutra_utf8proc")
    set(tables "${build}/utf8proc_data.c")
    add_custom_command(
      OUTPUT "${tables}"
      COMMAND write_tables "${tables}"
      DEPENDS write_tables)
    foreach(file utf8proc.c utf8proc.h)
      configure_file("${folder}/${file}" "${build}/${file}" COPYONLY)
    endforeach()
    set_source_files_properties("${build}/utf8proc.c"
                                PROPERTIES OBJECT_DEPENDS "${tables}")
    set(folder "${build}")
  endif()
  add_library(lutra_utf8proc STATIC "${folder}/utf8proc.c")
  if(EMSCRIPTEN)
    target_include_directories(lutra_utf8proc PRIVATE "${unicode}")
  endif()
  target_include_directories(lutra_utf8proc SYSTEM
                             PUBLIC $<BUILD_INTERFACE:${folder}>)
  target_compile_definitions(lutra_utf8proc PUBLIC UTF8PROC_STATIC)
  add_library(utf8proc::utf8proc ALIAS lutra_utf8proc)
endfunction()
if("runtime" IN_LIST LUTRA_ROOMS)
  foreach(name pcre2 utf8proc)
    string(TOUPPER ${name} upper_name)
    if(FETCHCONTENT_SOURCE_DIR_${upper_name})
      cmake_language(CALL lutra_make_${name} "${FETCHCONTENT_SOURCE_DIR_${upper_name}}")
    endif()
  endforeach()
endif()

# What lutra does without: the message of what is then refused says so.
if("runtime" IN_LIST LUTRA_ROOMS)
  lutra_take_target(pthreadpool::pthreadpool pthreadpool)
  lutra_take_target(PCRE2::8BIT pcre2-8-static pcre2-8)
  lutra_take_target(utf8proc::utf8proc utf8proc)
  if(LUTRA_THREADS AND NOT TARGET pthreadpool::pthreadpool)
    find_package(pthreadpool)  # apps hand one in by the C API
  endif()
  if(NOT TARGET PCRE2::8BIT)
    find_package(PCRE2)  # tokenizers of some models
  endif()
  if(NOT TARGET utf8proc::utf8proc)
    find_package(utf8proc)  # tokenizers of some models
  endif()
endif()
if("packer" IN_LIST LUTRA_ROOMS)
  find_package(SentencePiece)  # imports of .model tokenizers
  find_package(FlatBuffersReader)  # imports of .tflite
endif()
if(LUTRA_BUILD_TOOLS)
  find_package(libedit)  # lines of a conversation are edited
  find_package(AGG)  # plots as PNG files
  find_package(PNG)
  if(LUTRA_MPI)
    find_package(MPI COMPONENTS C)  # processes that train together
  endif()
endif()
