# A program for 64-bit Windows, by mingw-w64 with POSIX threads, on Debian.
#
# PGSIDECAR_WINDOWS_PREFIX, a CMake variable or one of the environment, is where build.sh put the
# libraries. Headers and libraries come from there alone: what is in /usr is Linux's.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

set(mingw x86_64-w64-mingw32)
set(CMAKE_C_COMPILER ${mingw}-gcc-posix)
set(CMAKE_CXX_COMPILER ${mingw}-g++-posix)
set(CMAKE_RC_COMPILER ${mingw}-windres)
set(CMAKE_MC_COMPILER ${mingw}-windmc)

if(NOT PGSIDECAR_WINDOWS_PREFIX)
  set(PGSIDECAR_WINDOWS_PREFIX $ENV{PGSIDECAR_WINDOWS_PREFIX})
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PGSIDECAR_WINDOWS_PREFIX)
set(CMAKE_PREFIX_PATH ${PGSIDECAR_WINDOWS_PREFIX})
set(CMAKE_FIND_ROOT_PATH ${PGSIDECAR_WINDOWS_PREFIX} /usr/${mingw})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${PGSIDECAR_WINDOWS_PREFIX}/lib/pkgconfig)
set(ENV{PKG_CONFIG_PATH} "")

# Static: one file that is copied.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -static-libgcc -static-libstdc++ -Wl,--gc-sections")
