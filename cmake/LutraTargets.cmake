# Compiler settings shared by all of lutra's targets.

# lutra_warnings: how everything is compiled. lutra_options: how what lutra is
# made of is compiled, with the sanitizers of LUTRA_SANITIZE; tests, which only
# call it, compile three times as fast without.
add_library(lutra_warnings INTERFACE)
target_compile_features(lutra_warnings INTERFACE cxx_std_20)
# Multiplications and additions are fused only where the code says so: the
# promise of equal bits on every CPU and the PARQ golden vectors both depend on
# it.
target_compile_options(lutra_warnings INTERFACE -ffp-contract=off)
if(LUTRA_32_BITS AND LUTRA_PROCESSOR STREQUAL "x86")
  # The oldest of these CPUs compute with more bits than a float has.
  target_compile_options(lutra_warnings INTERFACE -msse2 -mfpmath=sse)
endif()
if(LUTRA_32_BITS AND UNIX)
  # Files may be larger than memory can be.
  target_compile_definitions(lutra_warnings INTERFACE _FILE_OFFSET_BITS=64)
endif()
target_compile_options(
  lutra_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                           -Wsign-conversion
                           $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
if(LUTRA_ALIGNS_ITSELF OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # For other CPUs g++ warns of each array that is put into memory of bytes.
  target_compile_options(lutra_warnings INTERFACE -Wcast-align)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 is wrong about joined strings (https://gcc.gnu.org/PR105651).
  target_compile_options(lutra_warnings INTERFACE -Wno-restrict)
endif()
if(LUTRA_WERROR)
  target_compile_options(lutra_warnings INTERFACE -Werror)
endif()
add_library(lutra_options INTERFACE)
target_link_libraries(lutra_options INTERFACE lutra_warnings)
if(LUTRA_SANITIZE)
  target_compile_options(
    lutra_options INTERFACE -fsanitize=${LUTRA_SANITIZE}
                            -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(LUTRA_SANITIZE MATCHES "address.*undefined")
    # The former finds what these checks of the latter find, which take a tenth
    # of the compiler's time.
    target_compile_options(lutra_options
                           INTERFACE -fno-sanitize=null,object-size)
  endif()
  target_link_options(lutra_warnings INTERFACE -fsanitize=${LUTRA_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With sanitizers g++ 12 sees uninitialised values inside std::regex.
    target_compile_options(lutra_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()

# lutra_precompile(NAME OPTIONS HEADERS...) compiles headers in advance, with the
# flags of the target OPTIONS, for the targets that
# lutra_use_precompiled(TARGET NAME) then names. Sources include what they
# need all the same: builds without LUTRA_PRECOMPILE show it. Compiled headers
# serve targets with the same compiler flags only.
set(lutra_common_headers <algorithm> <filesystem> <functional> <map> <memory>
                         <optional> <span> <string> <vector>)
function(lutra_precompile name options)
  if(NOT LUTRA_PRECOMPILE)
    return()
  endif()
  add_library(${name} OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cc)
  target_link_libraries(${name} PRIVATE ${options})
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()
function(lutra_use_precompiled target name)
  if(LUTRA_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

# lutra_unity(TARGET) compiles the sources of the target that lie in one folder, and
# are compiled with the same options, eight at a time, from the end of the calling
# file on: that halves what compilers do. What is in unnamed namespaces needs names
# that its folder has once; the presets that leave LUTRA_UNITY off show whether each
# source includes what it needs.
set(lutra_unity_most 8)
function(lutra_unity target)
  if(LUTRA_UNITY)
    cmake_language(EVAL CODE "cmake_language(DEFER CALL lutra_unity_now ${target})")
  endif()
endfunction()
function(lutra_unity_now target)
  get_target_property(sources ${target} SOURCES)
  # Names of other files may be hidden; and g++ takes types of unnamed namespaces
  # for those of a header.
  set(quiet -Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  set(result)
  set(groups)
  foreach(source IN LISTS sources)
    get_source_file_property(definitions "${source}" COMPILE_DEFINITIONS)
    get_source_file_property(options "${source}" COMPILE_OPTIONS)
    if(NOT options)  # NOTFOUND
      set(options)
    endif()
    cmake_path(GET source PARENT_PATH folder)
    if(definitions OR NOT source MATCHES "^[a-z].*[.]cc$")
      list(APPEND result "${source}")
      continue()
    endif()
    string(MAKE_C_IDENTIFIER "${folder} ${options}" group)
    if(NOT group IN_LIST groups)
      list(APPEND groups ${group})
      set(folder_${group} "${folder}")
      set(options_${group} "${options}")
    endif()
    list(APPEND sources_${group} "${source}")
  endforeach()
  foreach(group IN LISTS groups)
    set(folder "${folder_${group}}")
    string(REPLACE "/" "_" name "${folder}")
    if(NOT folder)  # those that lie beside CMakeLists.txt
      set(name ${target})
    endif()
    list(LENGTH sources_${group} count)
    math(EXPR parts "(${count} + ${lutra_unity_most} - 1) / ${lutra_unity_most}")
    math(EXPR size "(${count} + ${parts} - 1) / ${parts}")
    foreach(part RANGE 1 ${parts})
      math(EXPR begin "(${part} - 1) * ${size}")
      list(SUBLIST sources_${group} ${begin} ${size} files)
      list(LENGTH files length)
      if(length LESS 2)
        list(APPEND result ${files})
        continue()
      endif()
      list(TRANSFORM files REPLACE "(.+)"
           "#include \"${CMAKE_CURRENT_SOURCE_DIR}/\\1\"\n")
      list(JOIN files "" content)
      math(EXPR number_${name} "0${number_${name}} + 1")
      set(file "unity/${folder}/${name}_${number_${name}}.cc")
      cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
      file(CONFIGURE OUTPUT "${file}" CONTENT "${content}" @ONLY)
      set_source_files_properties("${file}" PROPERTIES COMPILE_OPTIONS
                                  "${options_${group}};${quiet}")
      list(APPEND result "${file}")
    endforeach()
  endforeach()
  set_target_properties(${target} PROPERTIES SOURCES "${result}")
endfunction()

# lutra_library(ROOM SOURCES...) makes lutra_ROOM, alias lutra::ROOM: a static
# library always, as C++ has no binary interface to promise. Its public headers
# are under ROOM/include; private ones are included by their path from the
# repository root.
function(lutra_library room)
  add_library(lutra_${room} STATIC ${ARGN})
  add_library(lutra::${room} ALIAS lutra_${room})
  set_target_properties(lutra_${room} PROPERTIES EXPORT_NAME ${room})
  target_include_directories(
    lutra_${room}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${room}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_features(lutra_${room} PUBLIC cxx_std_17)
  target_link_libraries(lutra_${room} PRIVATE $<BUILD_INTERFACE:lutra_options>)
  lutra_unity(lutra_${room})
endfunction()

# lutra_sections(ROOM): each function is a section of its own, so that an app that
# links with --gc-sections has none that it does not call.
function(lutra_sections room)
  target_compile_options(lutra_${room} PRIVATE -ffunction-sections
                                               -fdata-sections)
endfunction()

# lutra_cold(ROOM REGEX... [EXCEPT REGEX...]) names sources of lutra_ROOM that run
# once for a message or a file: they read configurations, build graphs, write
# headers. A third less to compile, and to link, counts for more than their speed.
# -Os is smaller still, but takes none of the headers compiled in advance.
set(LUTRA_COLD -O1 CACHE STRING "How sources that run once are optimized: -O1 or -Os")
function(lutra_cold room)
  cmake_parse_arguments(PARSE_ARGV 1 cold "" "" "EXCEPT")
  get_target_property(sources lutra_${room} SOURCES)
  list(JOIN cold_UNPARSED_ARGUMENTS "|" patterns)
  list(FILTER sources INCLUDE REGEX "^(${patterns})")
  if(cold_EXCEPT)
    list(JOIN cold_EXCEPT "|" patterns)
    list(FILTER sources EXCLUDE REGEX "^(${patterns})")
  endif()
  set_source_files_properties(
    ${sources} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:${LUTRA_COLD}>")
endfunction()
