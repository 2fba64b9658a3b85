# What `cmake --install` puts where:
#
#   bin/mfi                program                                                      component mfi
#   lib/mfi/               libmfi.so.0.1, and the LibTorch libraries that both need     component mfi
#   share/mfi/             sample, recipes                                              component mfi
#   include/mfi/           public headers                                               component dev
#   include/mfi-libtorch/  LibTorch's headers, which ours include                       component dev
#   lib/cmake/mfi/         find_package(mfi)                                            component dev
#   share/doc/mfi/         examples                                                     component dev
#
# The tree may be moved as a whole: all look for each other relative to themselves.

set_target_properties(mfi PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin"
  INSTALL_RPATH "$ORIGIN/../lib/mfi")
set_target_properties(mfi_shared PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS mfi mfi_shared RUNTIME_DEPENDENCY_SET mfi_runtime
  RUNTIME DESTINATION bin COMPONENT mfi
  LIBRARY DESTINATION lib/mfi COMPONENT mfi NAMELINK_COMPONENT dev)

# Of everything that they load, only what lies in LibTorch's folders; the rest is the system's.
set(_ours "")
foreach(_dir IN LISTS MFI_LIBTORCH_LIBRARY_DIRS)
  file(REAL_PATH "${_dir}" _dir)
  string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" _dir "${_dir}")
  list(APPEND _ours "^${_dir}/")
endforeach()
install(RUNTIME_DEPENDENCY_SET mfi_runtime
  POST_INCLUDE_REGEXES ${_ours}
  POST_EXCLUDE_REGEXES ".*"
  DIRECTORIES ${MFI_LIBTORCH_LIBRARY_DIRS}
  LIBRARY DESTINATION lib/mfi COMPONENT mfi)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/sample" "${PROJECT_SOURCE_DIR}/recipes"
  DESTINATION share/mfi COMPONENT mfi)

foreach(_header IN LISTS MFI_PUBLIC_HEADERS)
  cmake_path(GET _header PARENT_PATH _room)
  install(FILES "${PROJECT_SOURCE_DIR}/mfi/${_header}" DESTINATION include/mfi/${_room} COMPONENT dev)
endforeach()
# All that <torch/torch.h> includes lies in these three; the others are of Python, CUDA and LibTorch's own makers.
install(DIRECTORY
  "${MFI_LIBTORCH_INCLUDE_DIR}/ATen" "${MFI_LIBTORCH_INCLUDE_DIR}/c10" "${MFI_LIBTORCH_INCLUDE_DIR}/torch"
  DESTINATION include/mfi-libtorch COMPONENT dev)

configure_file("${PROJECT_SOURCE_DIR}/cmake/mfiConfig.cmake.in" "${PROJECT_BINARY_DIR}/mfiConfig.cmake" @ONLY)
include(CMakePackageConfigHelpers)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/mfiConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/mfiConfig.cmake" "${PROJECT_BINARY_DIR}/mfiConfigVersion.cmake"
  DESTINATION lib/cmake/mfi COMPONENT dev)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples/classify_picture" "${PROJECT_SOURCE_DIR}/examples/map_one_stage"
  DESTINATION share/doc/mfi/examples COMPONENT dev)
