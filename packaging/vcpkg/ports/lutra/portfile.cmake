# lutra's kernels, runtime and C API, of the tree around this file.
cmake_path(SET SOURCE_PATH NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../../../..")

vcpkg_check_features(
    OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    INVERTED_FEATURES
        pthreadpool CMAKE_DISABLE_FIND_PACKAGE_pthreadpool
        tokenizers  CMAKE_DISABLE_FIND_PACKAGE_PCRE2
        tokenizers  CMAKE_DISABLE_FIND_PACKAGE_utf8proc
)
vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        "-DLUTRA_ROOMS=kernels;runtime"
        -DLUTRA_BUILD_TESTS=OFF
        -DLUTRA_FETCH=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/lutra)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE" "${SOURCE_PATH}/NOTICE")
