# Cross-builds for 64-bit Arm with Debian's cross compiler (docs/development.md): the preset "dist-aarch64".
# REMAP_SYSROOT: a folder that the arm64 packages were unpacked into; empty if they are installed beside this machine's.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
if(REMAP_SYSROOT)
  set(CMAKE_FIND_ROOT_PATH ${REMAP_SYSROOT} /usr/aarch64-linux-gnu)
  set(CMAKE_CXX_FLAGS_INIT "-isystem ${REMAP_SYSROOT}/usr/include/aarch64-linux-gnu")
  set(ENV{PKG_CONFIG_SYSROOT_DIR} ${REMAP_SYSROOT})
  list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES REMAP_SYSROOT)
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(ENV{PKG_CONFIG_LIBDIR} ${REMAP_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
