# `cpack` in the build folder: two Debian packages.
#
#   mfi      program, manual pages, completions, libraries, sample, recipes; what a program built on mfi needs to run
#   mfi-dev  headers, find_package(mfi), examples; what building one needs
#
# LibTorch goes along, headers and libraries: Debian 12 has an older one without what mfi uses, and a wheel of PyPI
# cannot be depended on.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mfi)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_VENDOR "mfi")
set(CPACK_PACKAGE_CONTACT "mfi developers <mfi@localhost>")
set(CPACK_STRIP_FILES OFF)  # LibTorch's are as their makers signed for them; ours have nothing to strip
set(CPACK_COMPONENTS_ALL mfi dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)

set(CPACK_DEBIAN_PACKAGE_SECTION science)
# Debian 12 reads it. A few seconds for LibTorch's 450 MB, where xz takes minutes.
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_MFI_PACKAGE_NAME mfi)
set(CPACK_COMPONENT_MFI_DESCRIPTION
"Learns to take whole stages of a ResNet in one or two MeanFlow steps, and hands
back a network with about half the parameters, with the numbers that say what
was gained and lost. Contains LibTorch ${MFI_LIBTORCH_VERSION}.")
set(CPACK_DEBIAN_MFI_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${MFI_LIBTORCH_LIBRARY_DIRS})
set(CPACK_DEBIAN_MFI_PACKAGE_RECOMMENDS ca-certificates)  # for mfi data get

set(CPACK_DEBIAN_DEV_PACKAGE_NAME mfi-dev)
set(CPACK_COMPONENT_DEV_DESCRIPTION
"For building on it: headers of mfi and of LibTorch ${MFI_LIBTORCH_VERSION}, find_package(mfi) for
CMake, and examples.")
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "mfi (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS "g++, cmake")
include(CPack)
