# Finds the Anti-Grain Geometry library by its headers and library, as Debian
# has them.
#
# Defines the target AGG::AGG.
find_path(AGG_INCLUDE_DIR agg2/agg_gsv_text.h)
find_library(AGG_LIBRARY NAMES agg_pic agg)
mark_as_advanced(AGG_INCLUDE_DIR AGG_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(AGG REQUIRED_VARS AGG_LIBRARY AGG_INCLUDE_DIR)

if(AGG_FOUND AND NOT TARGET AGG::AGG)
  add_library(AGG::AGG UNKNOWN IMPORTED)
  set_target_properties(
    AGG::AGG PROPERTIES IMPORTED_LOCATION "${AGG_LIBRARY}"
                        INTERFACE_INCLUDE_DIRECTORIES "${AGG_INCLUDE_DIR}")
endif()
