# Run by ctest with cmake -P; the variables come from CMakeLists.txt.
include("${CMAKE_CURRENT_LIST_DIR}/../run.cmake")

file(REMOVE_RECURSE "${WORK_DIR}")
set(configure
    "${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${CMAKE_CURRENT_LIST_DIR}/parent"
    "-DCMAKE_C_COMPILER=${C_COMPILER}" "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}"
    "-DLUTRA_SOURCE_DIR=${SOURCE_DIR}")

# Without libraries and network, one message says all that is missing.
execute_process(
  COMMAND ${configure} -B "${WORK_DIR}/missing"
  OUTPUT_QUIET
  ERROR_VARIABLE errors
  RESULT_VARIABLE result)
string(REGEX REPLACE "[ \n]+" " " errors "${errors}")
if(result EQUAL 0
   OR NOT errors MATCHES "fetched: cpuinfo \\(.* hwy .* nlohmann_json 3.10 \\(http"
   OR NOT errors MATCHES "install libcpuinfo-dev libhwy-dev nlohmann-json3-dev Call")
  message(FATAL_ERROR "${result}: ${errors}")
endif()

# With the app's own libraries both rooms configure.
run(ignored ${configure} -B "${WORK_DIR}/app" -DOWN_LIBRARIES=ON)
# To build all of them takes minutes: the kernels, for CPUs without vectors and
# one kind of weights.
run(ignored ${configure} -B "${WORK_DIR}/app" -DLUTRA_ROOMS=kernels
    -DLUTRA_TARGETS=EMU128 -DLUTRA_BITS=2)
run(ignored "${CMAKE_COMMAND}" --build "${WORK_DIR}/app" --target gemv
    built_bits)
run(actual "${WORK_DIR}/app/gemv")
if(NOT actual MATCHES "^y.0. = -1.500\n.*\ny.3. = 1.500\n$")
  message(FATAL_ERROR "gemv printed '${actual}'")
endif()
run(actual "${WORK_DIR}/app/built_bits")
set(no "unknown bits: this build was made without them (LUTRA_BITS)")
if(NOT actual STREQUAL "1: ${no}\n2: yes\n3: ${no}\n4: ${no}\n8: ${no}\n")
  message(FATAL_ERROR "built_bits printed '${actual}'")
endif()
