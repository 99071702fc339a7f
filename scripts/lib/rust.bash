# Looks for Rust. To be sourced by a script that has a function `fail`, which prints its arguments and exits.

# required_rust MANIFEST...: the newest version that one of these asks for.
required_rust() {
    sed --quiet 's/^rust-version = "\(.*\)"$/\1/p' "$@" | sort --version-sort | tail --lines=1
}

# How to install Rust beside whatever is there.
rust_installation() {
    cat <<'EOF'
please install it with rustup, see https://rustup.rs:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
Then open a new shell, so that it stands first in PATH.
EOF
}

# Whether a program in PATH is one of the many names of rustup, which start that of the active toolchain.
is_of_rustup() {
    command -v rustup >/dev/null && cmp --silent "$(command -v "$1")" "$(command -v rustup)"
}

# missing_rust PROGRAM: what to do where PATH does not have it.
missing_rust() {
    if [[ -x "${CARGO_HOME:-"$HOME/.cargo"}/bin/$1" ]]; then
        printf "it is installed, but not in PATH: please run '. \"%s/env\"'." "${CARGO_HOME:-\$HOME/.cargo}"
    elif command -v rustup >/dev/null; then
        printf "there is rustup: please run 'rustup default stable'."
    else
        rust_installation
    fi
}

# old_rust PROGRAM: what to do where it is too old.
old_rust() {
    local toolchain
    if is_of_rustup "$1"; then
        toolchain="$(rustup show active-toolchain)"
        printf "please run 'rustup update stable'"
        [[ "$toolchain" == stable-* ]] ||
            printf " and 'rustup default stable': the active toolchain is %s" "$toolchain"
    elif command -v rustup >/dev/null; then
        printf "there is rustup, which it does not belong to: please run 'rustup update stable', "
        printf "and put the folder of rustup's programs first in PATH."
    else
        rust_installation
    fi
}

# check_rust MANIFEST...: fails unless cargo and rustc are new enough for all of these.
check_rust() {
    local required needed program version
    required="$(required_rust "$@")"
    needed="Rust $required or newer is needed"
    for program in cargo rustc; do
        command -v "$program" >/dev/null || fail "$needed, and there is no $program in PATH: $(missing_rust "$program")"
        version="$("$program" --version | cut --delimiter=' ' --fields=2)" || version=""
        if [[ "$version" != [0-9]* ]]; then
            ! is_of_rustup "$program" || fail "$needed, and rustup has no toolchain: please run 'rustup default stable'."
            fail "$needed, and '$program --version' fails: $(rust_installation)"
        fi
        [[ "$(printf '%s\n' "$required" "$version" | sort --version-sort | head --lines=1)" == "$required" ]] ||
            fail "$needed, and $(command -v "$program") is $version: $(old_rust "$program")"
    done
}
