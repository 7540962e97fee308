# Run by ctest with cmake -P; the variables come from CMakeLists.txt.

function(run out)
  execute_process(
    COMMAND ${ARGN}
    OUTPUT_VARIABLE output
    ERROR_VARIABLE errors
    RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGN}\n${output}\n${errors}")
  endif()
  set(${out} "${output}" PARENT_SCOPE)
endfunction()

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
      "-DCMAKE_CXX_FLAGS=${FLAGS}" ${ARGN})
  run(ignored "${CMAKE_COMMAND}" --build "${folder}" --config "${CONFIG}")
endfunction()
build_project("${APP_DIR}" "${WORK_DIR}/app" "-DEXPECTED_VERSION=${VERSION}"
              "-DALL_HEADERS=${WORK_DIR}/all_headers.cc")
build_project("${EXAMPLES_DIR}" "${WORK_DIR}/examples")

# All three print the outputs of the model for the same input.
set(model "${WORK_DIR}/model.safetensors")
run(expected "${MAKE_MODEL}" "${model}")
if(NOT expected MATCHES "[0-9]")
  message(FATAL_ERROR "no outputs to compare with: '${expected}'")
endif()
foreach(program run_from_c run_from_cxx)
  run(actual "${WORK_DIR}/app/${program}" "${model}")
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

run(actual "${WORK_DIR}/app/readme" "${model}")
if(NOT actual MATCHES "^class 0: .*\nclass 9: [^\n]*\n$")
  message(FATAL_ERROR "readme printed '${actual}'")
endif()
# The README shows that very program.
file(READ "${APP_DIR}/readme.c" program)
file(READ "${APP_DIR}/../../../README.md" readme)
string(FIND "${readme}" "```c\n${program}```" position)
if(position EQUAL -1)
  message(FATAL_ERROR "README.md does not quote tests/install/app/readme.c")
endif()
