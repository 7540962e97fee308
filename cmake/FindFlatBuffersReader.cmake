# Finds the header of FlatBuffers and flatc, which makes code of a schema. A
# reader needs no library.
# Defines the function lutra_flatbuffer(TARGET SCHEMA): the header
# NAME_generated.h of NAME.fbs, for the sources of the target.
find_path(FlatBuffersReader_INCLUDE_DIR flatbuffers/flatbuffers.h)
find_program(FlatBuffersReader_FLATC flatc)
mark_as_advanced(FlatBuffersReader_INCLUDE_DIR FlatBuffersReader_FLATC)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  FlatBuffersReader REQUIRED_VARS FlatBuffersReader_INCLUDE_DIR
                                  FlatBuffersReader_FLATC)

function(lutra_flatbuffer target schema)
  cmake_path(GET schema STEM name)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/flatbuffers")
  set(header "${folder}/${name}_generated.h")
  add_custom_command(
    OUTPUT "${header}"
    COMMAND "${FlatBuffersReader_FLATC}" --cpp -o "${folder}"
            "${CMAKE_CURRENT_SOURCE_DIR}/${schema}"
    DEPENDS "${schema}"
    VERBATIM)
  target_sources(${target} PRIVATE "${header}")
  target_include_directories(
    ${target} SYSTEM PRIVATE "${folder}" "${FlatBuffersReader_INCLUDE_DIR}")
endfunction()
