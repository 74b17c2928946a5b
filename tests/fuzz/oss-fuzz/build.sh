#!/bin/bash -eu
# Copyright 2026 The remap authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# build.sh [TARGET…]: builds fuzz targets (every one, unless some are named) into $OUT, each with its corpus and dictionary.
# OSS-Fuzz sets CC, CXX, CFLAGS, CXXFLAGS, LIB_FUZZING_ENGINE, SRC, WORK and OUT. A dependency whose sources are not in $SRC
# is the system's: so it is tried elsewhere.
here=$SRC/remap
prefix=$WORK/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig:$prefix/share/pkgconfig

# NAME FOLDER OPTION…
dependency() {
  [ -d "$SRC/$1" ] || return 0
  cmake -S "$SRC/$1/$2" -B "$WORK/$1" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib \
    -DCMAKE_PREFIX_PATH="$prefix" -DBUILD_SHARED_LIBS=OFF "${@:3}"
  cmake --build "$WORK/$1"
  cmake --install "$WORK/$1"
}
dependency fmt . -DFMT_TEST=OFF -DFMT_DOC=OFF
dependency yaml-cpp . -DYAML_CPP_BUILD_TESTS=OFF -DYAML_CPP_BUILD_TOOLS=OFF
dependency re2 . -DRE2_BUILD_TESTING=OFF
dependency json . -DJSON_BuildTests=OFF
dependency msgpack-c . -DMSGPACK_USE_BOOST=OFF -DMSGPACK_CXX20=ON -DMSGPACK_BUILD_DOCS=OFF
dependency zlib .
rm -f "$prefix"/lib/libz.so*  # programs run where it is not installed
dependency zstd build/cmake -DZSTD_BUILD_PROGRAMS=OFF -DZSTD_BUILD_TESTS=OFF -DZSTD_BUILD_SHARED=OFF
dependency lz4 build/cmake -DLZ4_BUILD_CLI=OFF -DLZ4_BUILD_LEGACY_LZ4C=OFF -DBUILD_STATIC_LIBS=ON
# With the packers above, so that each is there once.
dependency c-blosc . -DBUILD_SHARED=OFF -DBUILD_TESTS=OFF -DBUILD_FUZZERS=OFF -DBUILD_BENCHMARKS=OFF -DPREFER_EXTERNAL_LZ4=ON -DPREFER_EXTERNAL_ZLIB=ON \
  -DPREFER_EXTERNAL_ZSTD=ON
dependency libdeflate . -DLIBDEFLATE_BUILD_SHARED_LIB=OFF -DLIBDEFLATE_BUILD_GZIP=OFF
dependency xxHash cmake_unofficial -DXXHASH_BUILD_XXHSUM=OFF
if [ -d "$SRC/bzip2" ]; then  # no CMake there
  make -C "$SRC/bzip2" clean libbz2.a CC="$CC" CFLAGS="$CFLAGS -fPIC -D_FILE_OFFSET_BITS=64"
  install -D -m 644 -t "$prefix/lib" "$SRC/bzip2/libbz2.a"
  install -D -m 644 -t "$prefix/include" "$SRC/bzip2/bzlib.h"
fi
if [ -d "$SRC/openssl" ]; then  # libcrypto alone, for hashes
  (cd "$SRC/openssl" && ./Configure no-shared no-tests no-module no-asm --prefix="$prefix" --libdir=lib &&
    make -j"$(nproc)" build_libs && make install_dev)
fi
# Libraries that other libraries need stand last: pkg-config names only what programs need directly.
last=
[ ! -d "$SRC/c-blosc" ] || last="-L$prefix/lib -lblosc -llz4 -lzstd -lz"

cmake -S "$here" -B "$WORK/remap" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_UNITY_BUILD=ON -DCMAKE_PREFIX_PATH="$prefix" \
  -DREMAP_BUILD_TESTS=OFF -DREMAP_BUILD_CLI=OFF -DREMAP_FUZZ=ON "-DREMAP_FUZZ_ENGINE=$LIB_FUZZING_ENGINE" \
  "-DCMAKE_CXX_STANDARD_LIBRARIES=$last"
programs=remap_fuzz_targets
[ $# -eq 0 ] || programs=$(printf '%s_fuzz ' "$@")
cmake --build "$WORK/remap" --target $programs

sed -n 's/^remap_fuzz(\([a-z0-9_]*\) \([a-z]*\))$/\1 \2/p' "$here/tests/fuzz/CMakeLists.txt" | while read -r name dictionary; do
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  cp "$WORK/remap/tests/fuzz/${name}_fuzz" "$OUT/"
  cp "$here/tests/fuzz/dictionaries/$dictionary.dict" "$OUT/${name}_fuzz.dict"
  (cd "$here/tests/fuzz/corpus/$name" && zip -q -r "$OUT/${name}_fuzz_seed_corpus.zip" .)
done
[ ! -e "$OUT/rules_fuzz" ] || (cd "$here" && zip -q "$OUT/rules_fuzz_seed_corpus.zip" rules/*.yaml schemas/*.yaml)
