# Debian's own file would bring -I/usr/include, which is Linux's: the headers alone, see toolchain.cmake.
if(NOT TARGET CLI11::CLI11)
  add_library(CLI11::CLI11 INTERFACE IMPORTED)
  set_target_properties(CLI11::CLI11 PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES ${PGSIDECAR_WINDOWS_PREFIX}/include)
endif()
