# The libraries that the program for Windows is linked with, from Debian's sources. Sourced by
# build.sh, which sets: prefix (where they go), work (scratch), cross (mingw's prefix), jobs,
# and the functions say, fail, not_run. Order: fetch_sources, build_dependencies.

# Package and version, the archive, its SHA-256, the suite. Of the suite that this machine has, but
# what the older one cannot: hiredis before 1.0 has no Windows side, and libpg_query 15's source
# cannot always be had.
sources=(
    "openssl=3.0.20-1~deb12u2 openssl_3.0.20.orig.tar.gz c80a01dfc70ece4dc21168932c37739042d404d46ccc81a5986dd75314ecda6f bookworm"
    "postgresql-15=15.18-0+deb12u1 postgresql-15_15.18.orig.tar.bz2 11df0df97fe3ea4ba9a791faaf39cee1d2fe571e78885b5b55d8517d27c323b4 bookworm"
    "yaml-cpp=0.7.0+dfsg-8 yaml-cpp_0.7.0+dfsg.orig.tar.xz dc63708605404e0b963e0ca3a9619d1c8270eda2839603e6fa0384e5e51e5312 bookworm"
    "xxhash=0.8.1-1 xxhash_0.8.1.orig.tar.gz 3bb6b7d6f30c591dd65aaaff1c8b7a5b94d81687998ca9400082c739a690436c bookworm"
    "zlib=1:1.2.13.dfsg-1 zlib_1.2.13.dfsg.orig.tar.bz2 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1 bookworm"
    "minizip=1.1-8+deb12u1 minizip_1.1.orig.tar.xz 7d8da446d3b6799e7851f077a66551a46b80fc3de708549e79dbd3e49e842ba1 bookworm"
    "prometheus-cpp=1.0.1-1 prometheus-cpp_1.0.1.orig.tar.gz 593e028d401d3298eada804d252bc38d8cab3ea1c9e88bcd72095281f85e6d16 bookworm"
    "libpg-query=17-6.1.0-1 libpg-query_17-6.1.0.orig.tar.gz a3dc0e4084a23da35128d4e9809ff27241c29a44fde74ba40a378b33d2cdefe2 trixie"
    "hiredis=1.2.0-6 hiredis_1.2.0.orig.tar.gz 82ad632d31ee05da13b537c124f819eb88e18851d9cb0c30ae0552084811588c trixie"
)
# Headers alone, as Debian installed them: the name in /usr/include.
header_only=(boost spdlog fmt CLI doctest)

# The machine's own entries for Debian's packages, as entries for sources, of each suite that is
# wanted: so no registry is named here, and a mirror that the machine is told to use is used.
source_entries() {
    local own=${VERSION_CODENAME:?} suite=$1
    shopt -s nullglob
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        # A stanza is a paragraph; of it only those of the release itself serve another suite.
        awk -v own="$own" -v suite="$suite" 'BEGIN { RS = ""; FS = "\n" }
            {
                out = ""; fits = 0
                for (i = 1; i <= NF; i++) {
                    line = $i
                    if (line ~ /^#/) continue
                    if (line ~ /^Types:/) line = "Types: deb-src"
                    if (line ~ /^Suites:/) {
                        n = split(substr(line, 8), words, " ")
                        kept = ""
                        for (j = 1; j <= n; j++)
                            if (words[j] == own) kept = suite
                            else if (suite == own && index(words[j], own "-") == 1) kept = kept " " words[j]
                        if (kept == "") { fits = 0; break }
                        fits = 1
                        line = "Suites: " kept
                    }
                    out = out line "\n"
                }
                if (fits) print out
            }' "$file"
    done
    shopt -u nullglob
}
one_line_entries() {  # the same of the older format, in which an entry is a line
    local own=${VERSION_CODENAME:?} suite=$1 file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -r $file ]] || continue
        sed -nE "s/^deb(( +\[[^]]*\])? +[^ ]+ +)$own( .*)?$/deb-src\1$suite\3/p" "$file"
    done
}

# Downloads what is missing into a folder beside the prefix, by apt with lists and caches of its own: nothing of
# the machine's configuration is changed, and no root is needed.
fetch_sources() {
    local entry package archive sum suite lacking=()
    archives=$(dirname "$prefix")/sources  # the same for each prefix: what is in it is checked
    mkdir -p "$archives"
    for entry in "${sources[@]}"; do
        read -r package archive sum suite <<<"$entry"
        [[ -f $archives/$archive ]] && sha256sum -c --status <<<"$sum  $archives/$archive" && continue
        rm -f "$archives/$archive"
        lacking+=("$entry")
    done
    [[ ${#lacking[@]} == 0 ]] && return 0
    command -v apt-get >/dev/null || not_run "the sources: this machine has no apt-get"

    local apt=$work/apt
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts}
    local VERSION_CODENAME
    VERSION_CODENAME=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    for suite in $(printf '%s\n' "${lacking[@]}" | awk '{ print $4 }' | sort -u); do
        source_entries "$suite" >"$apt/parts/$suite.sources"
        one_line_entries "$suite" >"$apt/parts/$suite.list"
    done
    local options=(-q -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::sourcelist=/dev/null"
        -o "Dir::Etc::sourceparts=$apt/parts" -o "APT::Sandbox::User=$(id -un)")
    say "asking apt for ${#lacking[@]} sources"
    apt-get "${options[@]}" update >"$work/apt.log" 2>&1 ||
        not_run "the lists of Debian's sources (see $work/apt.log)"
    for entry in "${lacking[@]}"; do
        read -r package archive sum suite <<<"$entry"
        # Its word is not asked: the archive of a package may be there where its description is not.
        (cd "$archives" && apt-get "${options[@]}" source --download-only "$package") >>"$work/apt.log" 2>&1 || true
        [[ -f $archives/$archive ]] || not_run "the source $package (see $work/apt.log)"
        sha256sum -c --status <<<"$sum  $archives/$archive" ||
            fail "$archives/$archive is not what is expected: its SHA-256 is $(sha256sum <"$archives/$archive" | cut -d' ' -f1), not $sum"
    done
}

unpack() {  # unpack NAME: an empty folder $work/NAME with what is in its archive
    local entry package archive sum suite
    for entry in "${sources[@]}"; do
        read -r package archive sum suite <<<"$entry"
        [[ $package == "$1="* ]] || continue
        rm -rf "${work:?}/$1"
        mkdir -p "$work/$1"
        tar -xf "$archives/$archive" -C "$work/$1" --strip-components=1
        return
    done
    return 1
}

pkg_config() {  # pkg_config NAME VERSION LIBS [FIELD...]
    {
        printf 'prefix=%s\nName: %s\nDescription: %s for Windows\nVersion: %s\n' "$prefix" "$1" "$1" "$2"
        printf 'Cflags: -I${prefix}/include\nLibs: -L${prefix}/lib %s\n' "$3"
        [[ $# -lt 4 ]] || printf '%s\n' "${@:4}"
    } >"$prefix/lib/pkgconfig/$1.pc"
}

# rename_symbols ARCHIVE PREFIX PATTERN [not]: every symbol that the archive defines and that matches
# the pattern (or does not) gets the prefix, and mingw's pointers to it with it. So two C libraries
# with the same helpers in them fit into one program.
rename_symbols() {
    "$cross-nm" "$1" 2>/dev/null |
        awk -v p="$2" -v pattern="$3" -v inverse="${4-}" '
            NF == 3 && $2 ~ /[TDBRC]/ && $3 !~ /^\./ && ($3 ~ pattern) == (inverse == "") {
            print $3, p $3; print ".refptr." $3, ".refptr." p $3 }' | sort -u >"$work/symbols"
    "$cross-objcopy" --redefine-syms="$work/symbols" "$1"
}

cmake_install() {  # cmake_install NAME OPTION...
    cmake -S "$work/$1" -B "$work/$1/out" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/toolchain.cmake" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DBUILD_SHARED_LIBS=OFF "${@:2}" &&
        ninja -C "$work/$1/out" -j "$jobs" install
}

build_openssl() {
    cd "$work/openssl" &&
        # With a path like C:/ssl the Linux path would be put before it.
        ./Configure mingw64 --cross-compile-prefix="$cross-" --prefix="$prefix" --libdir=lib --openssldir=/openssl \
            no-shared no-tests no-module no-engine no-dso no-legacy no-ui-console CC=gcc-posix AR=ar RANLIB=ranlib &&
        make -j "$jobs" build_libs && make install_dev
}
build_libpq() {
    local build=$work/postgresql-15 parts=$work/libpq
    cd "$build" &&
        ./configure --host="$cross" --without-readline --without-zlib --with-ssl=openssl \
            --with-system-tzdata=/usr/share/zoneinfo CC="$cross-gcc-posix" CPPFLAGS="-I$prefix/include" \
            LDFLAGS="-L$prefix/lib" LIBS="-lcrypt32 -lws2_32 -lgdi32 -ladvapi32 -luser32" &&
        make -C src/backend generated-headers &&
        make -j "$jobs" -C src/port libpgport_shlib.a &&
        make -j "$jobs" -C src/common libpgcommon_shlib.a || return
    cd src/interfaces/libpq &&
        printf 'include Makefile\nlist-objects:\n\t@echo $(filter-out win32ver.o,$(OBJS))\n' >objects.mk &&
        make -j "$jobs" $(make -s -f objects.mk list-objects) || return
    # Its own archive would be an import library for a DLL.
    rm -rf "$parts" && mkdir -p "$parts"/{port,common} && cp ./*.o "$parts" &&
        (cd "$parts/port" && "$cross-ar" x "$build/src/port/libpgport_shlib.a") &&
        (cd "$parts/common" && "$cross-ar" x "$build/src/common/libpgcommon_shlib.a") || return
    local object
    for object in "$parts"/port/*.o; do mv "$object" "$parts/port_$(basename "$object")"; done
    for object in "$parts"/common/*.o; do mv "$object" "$parts/common_$(basename "$object")"; done
    rm -f "$prefix/lib/libpq.a" && "$cross-ar" rcs "$prefix/lib/libpq.a" "$parts"/*.o &&
        rename_symbols "$prefix/lib/libpq.a" pgc_ '^pthread_' &&
        cp libpq-fe.h libpq-events.h ../../include/{postgres_ext,pg_config_ext}.h "$prefix/include" &&
        mkdir -p "$prefix/include/libpq" && cp ../../include/libpq/libpq-fs.h "$prefix/include/libpq" &&
        pkg_config libpq 15.18 "-lpq -lssl -lcrypto -lsecur32 -lws2_32 -lcrypt32 -lgdi32 -ladvapi32 -lshell32 -luser32"
}
build_libpg_query() {
    cd "$work/libpg-query" &&
        make -j "$jobs" build OS=Windows_NT CC="$cross-gcc-posix" AR="$cross-ar rs" &&
        cp libpg_query.a "$prefix/lib/" && cp pg_query.h "$prefix/include" &&
        rename_symbols "$prefix/lib/libpg_query.a" pgq_ '^pg_query_' not
}
build_small() {
    cmake_install yaml-cpp -DYAML_CPP_BUILD_TESTS=OFF -DYAML_CPP_BUILD_TOOLS=OFF &&
        cmake_install prometheus-cpp -DENABLE_PUSH=OFF -DENABLE_PULL=OFF -DENABLE_TESTING=OFF \
            -DENABLE_COMPRESSION=OFF -DGENERATE_PKGCONFIG=ON &&
        cmake_install hiredis -DDISABLE_TESTS=ON -DENABLE_SSL=OFF &&
        pkg_config hiredis 1.2.0 "-lhiredis -lws2_32 -lcrypt32" || return
    cd "$work/xxhash" &&
        "$cross-gcc-posix" -O2 -c xxhash.c -o xxhash.o && "$cross-ar" rcs "$prefix/lib/libxxhash.a" xxhash.o &&
        cp xxhash.h xxh3.h "$prefix/include" && pkg_config libxxhash 0.8.1 -lxxhash
}

build_zip() {  # what deflates and writes archives; gzip files and reading are left out
    local file objects=()
    mkdir -p "$prefix/include/minizip" || return
    for file in "$work"/zlib/{adler32,compress,crc32,deflate,trees,zutil}.c "$work"/minizip/{ioapi,zip}.c; do
        "$cross-gcc-posix" -O2 -DNOCRYPT -I"$work/zlib" -c "$file" -o "${file%.c}.o" || return
        objects+=("${file%.c}.o")
    done
    rm -f "$prefix/lib/libminizip.a" && "$cross-ar" rcs "$prefix/lib/libminizip.a" "${objects[@]}" &&
        cp "$work"/zlib/{zlib,zconf}.h "$prefix/include" && cp "$work"/minizip/{ioapi,zip}.h "$prefix/include/minizip" &&
        pkg_config zlib 1.2.13 -lminizip && pkg_config minizip 1.1 -lminizip
}

# part NAME FUNCTION SOURCE...: builds it unless it is there.
part() {
    local name=$1 made=$2 began=$SECONDS source
    [[ -e $prefix/built/$name ]] && return 0
    say "building $name"
    for source in "${@:3}"; do unpack "$source" || fail "cannot unpack $source"; done
    ("$made") >"$work/$name.log" 2>&1 </dev/null || { tail -n 20 "$work/$name.log" >&2; fail "$name was not built: see $work/$name.log"; }
    touch "$prefix/built/$name"
    say "built $name in $((SECONDS - began)) s"
}

build_dependencies() {
    mkdir -p "$prefix"/{lib/pkgconfig,include,built}
    local name
    for name in "${header_only[@]}"; do
        [[ -d /usr/include/$name ]] || fail "/usr/include/$name is not there: run deploy/install-deps.sh"
        ln -sfn "/usr/include/$name" "$prefix/include/$name"
    done
    part openssl build_openssl openssl
    part libpq build_libpq postgresql-15
    part libpg_query build_libpg_query libpg-query
    part zip build_zip zlib minizip
    part small build_small yaml-cpp prometheus-cpp hiredis xxhash
}
