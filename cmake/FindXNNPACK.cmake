# Finds XNNPACK, which ships neither a CMake package nor a .pc file.
# Defines the target XNNPACK::XNNPACK. A static XNNPACK keeps its microkernels
# in a second archive, whose name changed between releases.
find_path(XNNPACK_INCLUDE_DIR xnnpack.h)
find_library(XNNPACK_LIBRARY XNNPACK)
find_library(XNNPACK_MICROKERNELS_LIBRARY NAMES xnnpack-microkernels-prod
                                                microkernels-prod)
mark_as_advanced(XNNPACK_INCLUDE_DIR XNNPACK_LIBRARY
                 XNNPACK_MICROKERNELS_LIBRARY)
find_package(pthreadpool QUIET)
find_package(cpuinfo MODULE QUIET)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  XNNPACK REQUIRED_VARS XNNPACK_LIBRARY XNNPACK_INCLUDE_DIR pthreadpool_FOUND)

if(XNNPACK_FOUND AND NOT TARGET XNNPACK::XNNPACK)
  set(_xnnpack_links pthreadpool::pthreadpool)
  if(XNNPACK_MICROKERNELS_LIBRARY)
    list(APPEND _xnnpack_links "${XNNPACK_MICROKERNELS_LIBRARY}")
  endif()
  if(TARGET cpuinfo::cpuinfo)
    list(APPEND _xnnpack_links cpuinfo::cpuinfo)
  endif()
  add_library(XNNPACK::XNNPACK UNKNOWN IMPORTED)
  set_target_properties(
    XNNPACK::XNNPACK
    PROPERTIES IMPORTED_LOCATION "${XNNPACK_LIBRARY}"
               INTERFACE_INCLUDE_DIRECTORIES "${XNNPACK_INCLUDE_DIR}"
               INTERFACE_LINK_LIBRARIES "${_xnnpack_links}")
  unset(_xnnpack_links)
endif()
