# What `cmake --install` puts where:
#
#   bin/mfi                program                                                      component mfi
#   lib/mfi/               libmfi.so.0.1, and the LibTorch libraries that both need     component mfi
#   share/mfi/             sample, recipes                                              component mfi
#   share/man/man1/        manual pages, of the program and of each command             component mfi
#   share/bash-completion, share/zsh, share/fish    completions                         component mfi
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

# The program writes its own manual pages and completions. Where Debian's shells and man(1) look for them.
set(_share "${PROJECT_BINARY_DIR}/share")
set(_pages "${_share}/man/man1")
# A sanitizer would end the build for what LibTorch leaves to the end of its process.
set(_mfi ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0 $<TARGET_FILE:mfi>)
find_program(MFI_GZIP gzip REQUIRED)
add_custom_command(OUTPUT "${_share}/written"
  COMMAND ${CMAKE_COMMAND} -E rm -rf "${_share}"
  COMMAND ${_mfi} man --into "${_pages}"
  COMMAND ${MFI_GZIP} -9nr "${_pages}"
  COMMAND ${CMAKE_COMMAND} -E make_directory
    "${_share}/bash-completion/completions" "${_share}/zsh/vendor-completions" "${_share}/fish/vendor_completions.d"
  COMMAND ${_mfi} completion bash > "${_share}/bash-completion/completions/mfi"
  COMMAND ${_mfi} completion zsh > "${_share}/zsh/vendor-completions/_mfi"
  COMMAND ${_mfi} completion fish > "${_share}/fish/vendor_completions.d/mfi.fish"
  COMMAND ${CMAKE_COMMAND} -E touch "${_share}/written"
  DEPENDS mfi
  COMMENT "Writing manual pages and completions"
  VERBATIM)
add_custom_target(help_files ALL DEPENDS "${_share}/written")
install(DIRECTORY "${_share}/" DESTINATION share COMPONENT mfi PATTERN written EXCLUDE)

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
