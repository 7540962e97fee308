# Run by ctest with cmake -P; the variables come from CMakeLists.txt.
include("${CMAKE_CURRENT_LIST_DIR}/../run.cmake")

file(REMOVE_RECURSE "${WORK_DIR}")
file(MAKE_DIRECTORY "${WORK_DIR}")
set(prefix "${WORK_DIR}/prefix")
run(ignored "${CMAKE_COMMAND}" --install "${BUILD_DIR}" --config "${CONFIG}"
    --prefix "${prefix}")
# Every installed header, for a program of C++17.
file(GLOB_RECURSE headers RELATIVE "${prefix}/include" "${prefix}/include/*.h")
list(LENGTH headers header_count)
if(header_count LESS 40)
  message(FATAL_ERROR "only ${header_count} headers were installed")
endif()
list(TRANSFORM headers REPLACE "(.+)" "#include <\\1>\n")
list(JOIN headers "" headers)
file(WRITE "${WORK_DIR}/all_headers.cc" "${headers}")

# Builds a project of its own against the installed package.
function(build_project source folder)
  run(ignored "${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${source}" -B
      "${folder}" "-DCMAKE_PREFIX_PATH=${prefix}"
      "-DCMAKE_BUILD_TYPE=${CONFIG}" "-DCMAKE_C_COMPILER=${C_COMPILER}"
      "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" "-DCMAKE_C_FLAGS=${FLAGS}"
      "-DCMAKE_CXX_FLAGS=${FLAGS}"
      "-DCMAKE_EXE_LINKER_FLAGS=${LINK_FLAGS}" ${ARGN})
  run(ignored "${CMAKE_COMMAND}" --build "${folder}" --config "${CONFIG}")
endfunction()
build_project("${TEST_DIR}/app" "${WORK_DIR}/app" "-DEXPECTED_VERSION=${VERSION}"
              "-DALL_HEADERS=${WORK_DIR}/all_headers.cc")
set(model "${WORK_DIR}/model.safetensors")
run(expected "${MAKE_MODEL}" "${model}")
if(NOT expected MATCHES "[0-9]")
  message(FATAL_ERROR "no outputs to compare with: '${expected}'")
endif()
build_project("${EXAMPLES_DIR}" "${WORK_DIR}/examples"
              "-DEMBEDDED_MODEL=${model}")

# Components find no more than they use: the kernels nothing of the runtime, a
# shared library nothing at all.
set(without)
foreach(package pthreadpool PCRE2 utf8proc ZLIB SentencePiece Eigen3 XNNPACK)
  list(APPEND without "-DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON")
endforeach()
build_project("${TEST_DIR}/kernels_app" "${WORK_DIR}/kernels_app"
              "-DEXAMPLES_DIR=${EXAMPLES_DIR}" ${without})
foreach(folder kernels_app examples)
  run(actual "${WORK_DIR}/${folder}/gemv")
  if(NOT actual STREQUAL
     "y[0] = -1.500\ny[1] = -0.500\ny[2] = 0.500\ny[3] = 1.500\n")
    message(FATAL_ERROR "${folder}/gemv printed '${actual}'")
  endif()
endforeach()
if(SHARED)
  list(APPEND without -DCMAKE_DISABLE_FIND_PACKAGE_hwy=ON
       -DCMAKE_DISABLE_FIND_PACKAGE_cpuinfo=ON)
  build_project("${TEST_DIR}/c_app" "${WORK_DIR}/c_only"
                "-DEXPECTED_VERSION=${VERSION}" ${without})
endif()
build_project("${TEST_DIR}/c_app" "${WORK_DIR}/c_app"
              "-DEXPECTED_VERSION=${VERSION}" -DMORE=runtime)

# liblutra.so has the functions that lutra.h declares, and shows nothing else.
if(SHARED)
  file(READ "${prefix}/include/lutra.h" header)
  string(REGEX REPLACE "/\\*[^*]*(\\*+[^*/][^*]*)*\\*+/" "" header "${header}")
  string(REPLACE ";" "" header "${header}")
  string(REGEX MATCHALL "LUTRA_EXPORT[ \na-z0-9_*]+\\(" declared "${header}")
  list(TRANSFORM declared REPLACE ".*[ \n*]([a-z0-9_]+)\\($" "\\1")
  list(FILTER declared INCLUDE REGEX "^lutra_")  # not the macro's own words
  list(SORT declared)
  list(LENGTH declared count)
  if(count LESS 50)
    message(FATAL_ERROR "lutra.h declares only: ${declared}")
  endif()
  file(GLOB library "${prefix}/lib*/liblutra.so.${VERSION}")
  run(shown "${NM}" --dynamic --defined-only --format=posix "${library}")
  string(REGEX MATCHALL "[^\n]+" shown "${shown}")
  list(TRANSFORM shown REPLACE " .*" "")
  list(SORT shown)
  if(NOT shown STREQUAL declared)
    message(FATAL_ERROR "${library} shows\n${shown}\nand lutra.h declares\n"
                        "${declared}")
  endif()
  run(dynamic "${READELF}" --dynamic --wide "${library}")
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" abi "${VERSION}")
  string(REGEX REPLACE "^([1-9][0-9]*)\\..*" "\\1" abi "${abi}")
  string(FIND "${dynamic}" "[liblutra.so.${abi}]" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "not liblutra.so.${abi}:\n${dynamic}")
  endif()
endif()

# What pkg-config says is enough for a C compiler.
if(PKG_CONFIG)
  file(GLOB_RECURSE files "${prefix}/*/lutra-static.pc")
  cmake_path(GET files PARENT_PATH folder)
  set(ENV{PKG_CONFIG_PATH} "${folder}")
  cmake_path(GET folder PARENT_PATH libraries)
  foreach(name lutra lutra-static)
    run(flags "${PKG_CONFIG}" --cflags --libs ${name})
    separate_arguments(flags UNIX_COMMAND "${FLAGS} ${LINK_FLAGS} ${flags}")
    run(ignored "${C_COMPILER}" "${TEST_DIR}/c_app/run_from_c.c" -o
        "${WORK_DIR}/c_app/${name}" ${flags} "-Wl,-rpath,${libraries}")
  endforeach()
  set(pkg_config_programs c_app/lutra c_app/lutra-static)
else()
  message("no pkg-config: its files are not tested")
endif()

# All print the outputs of the model for the same input.
foreach(program app/run_from_cxx c_app/run_from_c c_app/run_from_c_static
                ${pkg_config_programs} examples/embedded examples/threads)
  run(actual "${WORK_DIR}/${program}" "${model}")
  if(NOT actual STREQUAL expected)
    message(FATAL_ERROR "${program} printed\n${actual}instead of\n${expected}")
  endif()
endforeach()

# The examples continue a prompt as this build does.
set(language "${WORK_DIR}/language.safetensors")
run(expected "${MAKE_LANGUAGE}" "${language}" "the he")
if(NOT expected MATCHES "^the he.......")
  message(FATAL_ERROR "nothing to compare with: '${expected}'")
endif()
foreach(program generate_c generate_cpp)
  run(actual "${WORK_DIR}/examples/${program}" "${language}" "the he" 30)
  if(NOT actual STREQUAL expected)
    message(FATAL_ERROR "${program} printed\n${actual}instead of\n${expected}")
  endif()
endforeach()

run(expected "${MAKE_LANGUAGE}" "${language}" "the he" 3)
if(NOT expected MATCHES "^the he[^\n]*\n.*the he[^\n]*\n.*the he")
  message(FATAL_ERROR "nothing to compare with: '${expected}'")
endif()
run(actual "${WORK_DIR}/examples/sequences" "${language}" "the he" 3)
if(NOT actual STREQUAL expected)
  message(FATAL_ERROR "sequences printed\n${actual}instead of\n${expected}")
endif()

run(actual "${WORK_DIR}/examples/chat_c" "${language}" "the he" "be good")
if(NOT actual STREQUAL
   "be good. the he. \n15 tokens; an answer ends with one of 0\n")
  message(FATAL_ERROR "chat_c printed '${actual}'")
endif()
execute_process(
  COMMAND "${CMAKE_COMMAND}" -E echo "the he"
  COMMAND "${WORK_DIR}/examples/chat_cpp" "${language}"
  OUTPUT_VARIABLE actual RESULTS_VARIABLE results)
if(NOT results STREQUAL "0;0" OR NOT actual MATCHES "^.+\n$")
  message(FATAL_ERROR "chat_cpp: ${results}, printed '${actual}'")
endif()

# Images in files of each kind, and of another size than the model takes.
set(images "${WORK_DIR}/images")
file(MAKE_DIRECTORY "${images}")
run(expected "${MAKE_IMAGES}" "${images}")
if(NOT expected MATCHES "\nimage 4: class [0-6], score [0-9.]+\nimage 0: ")
  message(FATAL_ERROR "nothing to compare with: '${expected}'")
endif()
set(actual)
foreach(name five.idx gray.pgm colour.ppm)
  run(printed "${WORK_DIR}/examples/classify" "${images}/model.safetensors"
      "${images}/${name}")
  string(APPEND actual "${printed}")
endforeach()
if(NOT actual STREQUAL expected)
  message(FATAL_ERROR "classify printed\n${actual}instead of\n${expected}")
endif()
foreach(pair "model.safetensors;images/five.idx" "images/model.safetensors;model.safetensors")
  list(GET pair 0 network)
  list(GET pair 1 file)
  execute_process(
    COMMAND "${WORK_DIR}/examples/classify" "${WORK_DIR}/${network}"
            "${WORK_DIR}/${file}"
    OUTPUT_VARIABLE actual ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 1 OR actual OR NOT errors MATCHES "its images|is not idx")
    message(FATAL_ERROR "classify ${pair}: ${result}, ${actual}${errors}")
  endif()
endforeach()

run(actual "${WORK_DIR}/examples/operator")
if(NOT actual STREQUAL
   "-2: -2.0949\n-0.5: -0.6604\n0.5: 0.8396\n2: 3.9051\n")
  message(FATAL_ERROR "operator printed '${actual}'")
endif()

# What is loud is speech to this detector.
run(expected "${MAKE_SPEECH}" "${WORK_DIR}/vad.safetensors"
    "${WORK_DIR}/loud.wav")
run(actual "${WORK_DIR}/examples/speech" "${WORK_DIR}/vad.safetensors"
    "${WORK_DIR}/loud.wav")
if(NOT actual STREQUAL expected OR NOT actual MATCHES " s to .* s to ")
  message(FATAL_ERROR "speech printed\n${actual}instead of\n${expected}")
endif()

# What is written follows a grammar, and is the same with guesses.
foreach(program constrain_c constrain_cpp)
  run(actual "${WORK_DIR}/examples/${program}" "${language}" "the he"
      "root ::= \"the\" \" he\"{0,3} \".\"")
  if(NOT actual MATCHES "^the( he)*\\.\n$")
    message(FATAL_ERROR "${program} printed '${actual}'")
  endif()
endforeach()

run(actual "${WORK_DIR}/app/use_tools_rooms")
if(NOT actual STREQUAL "trained 2 bits\n")
  message(FATAL_ERROR "use_tools_rooms printed '${actual}'")
endif()

run(actual "${WORK_DIR}/app/use_eval" "${model}")
if(NOT actual STREQUAL "4 calls, packed: 1, perplexity 4.000\n")
  message(FATAL_ERROR "use_eval printed '${actual}'")
endif()

run(actual "${WORK_DIR}/c_app/readme" "${model}")
if(NOT actual MATCHES "^class 0: .*\nclass 9: [^\n]*\n$")
  message(FATAL_ERROR "readme printed '${actual}'")
endif()
# The README shows that very program.
file(READ "${TEST_DIR}/c_app/readme.c" program)
file(READ "${TEST_DIR}/../../README.md" readme)
string(FIND "${readme}" "```c\n${program}```" position)
if(position EQUAL -1)
  message(FATAL_ERROR "README.md does not quote tests/install/c_app/readme.c")
endif()

foreach(file bin/lutra share/man/man1/lutra.1 share/zsh/site-functions/_lutra
             share/bash-completion/completions/lutra.bash
             share/fish/vendor_completions.d/lutra.fish)
  if(NOT EXISTS "${prefix}/${file}")
    message(FATAL_ERROR "not installed: ${file}")
  endif()
endforeach()

# Its page has every option.
file(STRINGS "${BUILD_DIR}/CMakeCache.txt" options
     REGEX "^LUTRA_[A-Z_]+:(BOOL|STRING|PATH)=")
list(TRANSFORM options REPLACE ":.*" "")
file(READ "${TEST_DIR}/../../docs/building.md" page)
foreach(option IN LISTS options)
  if(NOT page MATCHES "\n\\| `${option}` \\|")
    message(FATAL_ERROR "docs/building.md does not list ${option}")
  endif()
endforeach()
